"""Write a task's trajectory table: one row a trajectory."""

import logging

from prefine import cli, dataset, files
from prefine.tasks import TASKS


def main() -> None:
    args = cli.parser(__doc__, "data", "output", task=str).parse_args()
    table = dataset.trajectory_table(args.data, TASKS[args.task])
    dropped = table.attrs["dropped_steps"]
    if dropped:
        logging.warning("%s: dropped an unfinished tail of %d steps", args.data, dropped)
    logging.info("%d trajectories\n%s", len(table), table.describe().to_string())
    files.write_table(args.output, table)


if __name__ == "__main__":
    cli.run(main)
