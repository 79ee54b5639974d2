"""Draw D_ref, D_p and D_np of a task for every threshold and draw, with a manifest.

With ``--reuse`` the sets of another run are taken instead, if its trajectories are ours.
"""

import os
from pathlib import Path

import numpy as np
from prefine import files
from prefine.errors import UserError
from prefine.pipeline import cli
from prefine.preferences.labels import read_labels, waiting
from prefine.preferences.sets import draw_sets, means, reuse_sets
from prefine.tasks import find


def main() -> None:
    parser = cli.parser(
        __doc__,
        "data trajectories output manifest",
        task=find,
        source=str,
        settings=cli.json_argument,
    )
    parser.add_argument("--reuse", type=Path, nargs=2, help="splits and manifest of another run")
    parser.add_argument("--labels", type=Path, help="table of trajectory and label")
    parser.add_argument("--save-as", help="where the labels are awaited, if they are a bare sheet")
    args = parser.parse_args()
    table = files.read_csv(args.trajectories)
    if args.reuse:
        rows, sets = reuse_sets(table, *args.reuse, args.settings)
    else:
        if args.labels and waiting(args.labels):
            again = os.environ.get("PREFINE_COMMAND", "the same command")
            page = f"look at {args.labels.with_suffix('.html')}, " if args.save_as else ""
            there = f", save it as {args.save_as}" if args.save_as else ""
            raise UserError(
                f"{args.task.name} has no labels yet: {page}fill in the column label of "
                f"{args.labels} (preferred or nonpreferred){there}, then: {again}"
            )
        labels = read_labels(args.labels, table) if args.labels else None
        rows, sets = draw_sets(table, args.task.name, args.settings, labels)
    manifest = {
        "task": args.task.to_dict(),
        "labelled": args.labels is not None,
        "source": args.source,
        "data_sha256": files.sha256(args.data),
        "settings": args.settings,
        "n_trajectories": len(table),
        "max_cost": float(table["cost"].max()),
        "all": means(table, np.arange(len(table))),
    }
    files.write_table(args.output, rows)
    files.write_json(args.manifest, manifest | sets)


if __name__ == "__main__":
    cli.run(main)
