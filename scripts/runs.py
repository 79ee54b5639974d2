"""Reduce all episodes to one row a run, with hyper-parameters and training time."""

import json
import logging
from pathlib import Path

import pandas as pd
from prefine import cli, files, tables
from prefine.scores import with_infeasible_cells


def main() -> None:
    parser = cli.parser(__doc__, "output")
    for name in ("episodes", "training", "manifests", "plans"):
        parser.add_argument(f"--{name}", type=Path, nargs="+", required=True)
    args = parser.parse_args()
    manifests = [json.loads(path.read_text()) for path in args.manifests]
    runs = tables.runs_table(
        map(pd.read_parquet, args.episodes),
        map(pd.read_parquet, args.training),
        {manifest["task"]["name"]: manifest for manifest in manifests},
    )
    runs = tables.add_hyperparameters(runs, map(pd.read_csv, args.plans))
    table = with_infeasible_cells(runs, manifests)
    logging.info("%d runs, %d cells without", len(runs), len(table) - len(runs))
    files.write_table(args.output, table)


if __name__ == "__main__":
    cli.run(main)
