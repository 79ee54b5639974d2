"""What of a plan was run, and for how long beside what was published: one row a job."""

from pathlib import Path

import pandas as pd
from prefine import files, frames
from prefine.analysis.finished import finished
from prefine.pipeline import cli


def main() -> None:
    parser = cli.parser(__doc__, "output", asked=cli.json_argument)
    parser.add_argument("--runs", type=Path, nargs="+", required=True)
    args = parser.parse_args()
    runs = pd.concat([frames.read_csv(path) for path in args.runs], ignore_index=True)
    files.write_table(args.output, finished(runs, args.asked))


if __name__ == "__main__":
    cli.run(main)
