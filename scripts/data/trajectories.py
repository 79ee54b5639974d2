"""Write a task's trajectory table, and check that data and task belong together."""

import logging

from prefine import files
from prefine.data import dataset
from prefine.data.hdf5 import blocks
from prefine.errors import UserError
from prefine.pipeline import cli
from prefine.simulators.costs import AGREEMENT, agreement
from prefine.tasks import find


def main() -> None:
    args = cli.parser(__doc__, "data output checks", task=find).parse_args()
    task = args.task
    table = dataset.trajectory_table(args.data, task)
    dropped = table.attrs["dropped_steps"]
    if dropped:
        logging.warning("%s: dropped an unfinished tail of %d steps", args.data, dropped)
    for finding in dataset.oddities(table, task):
        logging.warning("%s: %s", args.data, finding)
    logging.info("%d trajectories\n%s", len(table), table.describe().to_string())

    try:
        checks = agreement(task, (block for _, _, block in blocks(args.data, task)))
    except UserError as error:
        where = "" if str(args.data) in str(error) else f"{args.data}: "
        raise UserError(f"{where}{error}") from None
    logging.info("costs recomputed from the record: %s", checks)
    if checks["agreement"] < AGREEMENT:
        raise UserError(
            f"{args.data}: on {checks['agreement']:.2%} of the steps the recorded cost is the one "
            f"that {task.name} gives, at least {AGREEMENT:.1%} are needed; the file is of another "
            "task or simulator version, or it is damaged"
        )
    checks |= {"task": task.name, "trajectories": len(table), "dropped_steps": dropped}
    files.write_table(args.output, table)
    files.write_json(args.checks, checks)


if __name__ == "__main__":
    cli.run(main)
