"""Reduce episodes to one row a run (and iteration), with hyper-parameters and training time."""

import logging
from pathlib import Path

from prefine import files, frames
from prefine.analysis import tables
from prefine.analysis.scores import of_study, with_infeasible_cells
from prefine.pipeline import cli
from prefine.preferences.plans import read_plan
from prefine.rows import read_manifest


def main() -> None:
    parser = cli.parser(__doc__, "output")
    for name in ("episodes", "manifests", "plans"):
        parser.add_argument(f"--{name}", type=Path, nargs="+", required=True)
    parser.add_argument("--training", type=Path, nargs="*", default=[])
    parser.add_argument("--members", type=cli.json_argument, help="of a study; default: all runs")
    args = parser.parse_args()
    manifests = [read_manifest(path) for path in args.manifests]
    runs = tables.runs_table(
        map(frames.read_parquet, args.episodes),
        map(frames.read_parquet, args.training),
        {manifest["task"]["name"]: manifest for manifest in manifests},
    )
    runs = tables.add_hyperparameters(runs, map(read_plan, args.plans))
    if args.members:
        runs = of_study(runs, args.members)
    table = with_infeasible_cells(runs, [] if args.members else manifests)
    logging.info("%d rows of %d runs", len(table), table["run"].nunique())
    files.write_table(args.output, table)


if __name__ == "__main__":
    cli.run(main)
