"""Whether learning curves are flat at their end: one row a task, method and score."""

from pathlib import Path

import pandas as pd
from prefine import files, frames
from prefine.analysis.finished import flatness
from prefine.pipeline import cli


def main() -> None:
    parser = cli.parser(__doc__, "output")
    parser.add_argument("--curves", type=Path, nargs="+", required=True)
    args = parser.parse_args()
    curves = pd.concat([frames.read_csv(path) for path in args.curves], ignore_index=True)
    files.write_table(args.output, flatness(curves))


if __name__ == "__main__":
    cli.run(main)
