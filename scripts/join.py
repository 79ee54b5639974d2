"""Join the parts of a plan that several jobs trained."""

import logging
from collections.abc import Sequence
from pathlib import Path

import pandas as pd
from prefine import files
from prefine.pipeline import cli
from prefine.policies import file as policy_file


def join(paths: Sequence[Path], output: Path) -> dict:
    """Write the policies of all parts to one file; return its metadata."""
    *policies, metadata = policy_file.join(paths)
    policy_file.save(output, *policies, metadata)
    logging.info("%d policies of %d parts", len(metadata["runs"]), len(paths))
    return metadata


def main() -> None:
    parser = cli.parser(__doc__, "output", "log")
    for name in ("policies", "logs", "snapshots"):
        parser.add_argument(f"--{name}", type=Path, nargs="+", default=[])
    parser.add_argument("--joined-snapshots", type=Path)
    args = parser.parse_args()
    logs = [log for log in map(pd.read_parquet, args.logs) if len(log)]
    log = pd.concat(logs, ignore_index=True)
    log.attrs = {"provenance": join(args.policies, args.output)}
    files.write_table(args.log, log)
    if args.snapshots:
        join(args.snapshots, args.joined_snapshots)


if __name__ == "__main__":
    cli.run(main)
