"""Write one run's policy for others: safetensors, ONNX and a model card."""

from pathlib import Path

import numpy as np
import pandas as pd
from prefine import frames
from prefine.errors import UserError
from prefine.pipeline import cli
from prefine.policies import file as policy_file
from prefine.policies.export import export
from prefine.report.model_card import model_card


def episodes_of(path: Path, run: str | None) -> pd.DataFrame:
    """Read the episodes of one run, at its last iteration."""
    table = frames.read_parquet(path)
    if run is not None:
        table = table[table["run"] == run]
    if table.empty:
        raise UserError(f"{path}: has no episode of {run}")
    if len(runs := table["run"].unique()) > 1:
        raise UserError(
            f"{path}: has episodes of {len(runs)} runs, such as {runs[0]}; name one (--before-run)"
        )
    return table[table["iteration"] == table["iteration"].max()]


def main() -> None:
    parser = cli.parser(__doc__, "policies episodes output")
    parser.add_argument("--run", help="which one, where the file holds several")
    parser.add_argument("--before", type=Path, help="episodes of the policy that it was made from")
    parser.add_argument("--before-run", help="which one of those")
    parser.add_argument("--low", type=cli.json_argument, help="of the actions, if not the task's")
    parser.add_argument("--high", type=cli.json_argument, help="of the actions, if not the task's")
    parser.add_argument("--trained-on", type=cli.json_argument, default={}, help="for the card")
    parser.add_argument("--remarks", default="", help="for the card")
    args = parser.parse_args()
    if None not in (args.low, args.high) and not np.all(np.less(args.low, args.high)):
        raise UserError(f"--low {args.low} must be below --high {args.high}")
    trained = policy_file.load_run(args.policies, args.run).metadata
    (run,) = trained["runs"]
    before = args.before and episodes_of(args.before, args.before_run)
    after = episodes_of(args.episodes, run["run"])
    card = model_card(trained, after, before, args.trained_on, args.remarks)
    export(args.output, args.policies, run["run"], card, args.low, args.high)


if __name__ == "__main__":
    cli.run(main)
