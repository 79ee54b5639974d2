"""Write a task's reference policy and its best PREFINE policy with their model cards."""

from pathlib import Path

import numpy as np
import pandas as pd
from prefine import frames
from prefine.analysis.choose import best_run
from prefine.pipeline import cli
from prefine.policies import file as policy_file
from prefine.policies.actor import action_bounds
from prefine.policies.export import write_policy
from prefine.report.model_card import model_card


def of_run(episodes: pd.DataFrame, run: str) -> pd.DataFrame:
    """The reported episodes of a run."""
    return episodes[episodes["run"] == run]


def write(folder: Path, policies: Path, run: str | None, tau: float, card: dict) -> None:
    """Write one policy; its card judges it by ``tau``, which π_ref itself does not know."""
    stack = policy_file.load_run(policies, run)
    (row,) = stack.metadata["runs"]
    told = stack.metadata | {"runs": [row | {"tau": tau}]}
    name = f"zoo/{folder.parent.name}/{folder.name}"
    write_policy(
        folder,
        stack,
        model_card(told, zoo=name, **card),
        *(np.asarray(bound) for bound in action_bounds(stack.metadata, policies)),
    )


def main() -> None:
    parser = cli.parser(__doc__, "reference policies validation before after output", tau=float)
    args = parser.parse_args()
    run, why = best_run(frames.read_parquet(args.validation), args.tau)
    before = frames.read_parquet(args.before)
    after = of_run(frames.read_parquet(args.after), run)
    write(args.output / "reference", args.reference, None, args.tau, {"after": before})
    card = {"after": after, "before": before, "remarks": why}
    write(args.output / "prefine", args.policies, run, args.tau, card)
    print(why)


if __name__ == "__main__":
    cli.run(main)
