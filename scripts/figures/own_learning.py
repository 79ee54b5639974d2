"""Figure: return and cost of the chosen variant's policies while they were fine-tuned."""

from pathlib import Path

import matplotlib.pyplot as plt
import pandas as pd
from prefine import frames, results
from prefine.pipeline import cli
from prefine.report import curves as learning
from prefine.report import style as plotting

FIGURES = {
    "fig_own_learning": {"file": "own_learning", "title": "Figure: while it was fine-tuned"},
}
SECTION = "Your policy"
READS = {"choices": "choice/{task}.json", "curves": "curves/{candidate}.parquet"}
NEEDS = ("source",)

SCORES = ("return", "cost")


def main() -> None:
    parser = cli.parser(__doc__, "output", source=str)
    for name in READS:
        parser.add_argument(f"--{name}", type=Path, nargs="+", required=True)
    args = parser.parse_args()
    curves = pd.concat([frames.read_parquet(path) for path in args.curves])
    parts = []
    for path in args.choices:
        choice = results.read_object(path)
        own = curves[(curves["task"] == path.stem) & curves["run"].isin(choice["runs"])]
        means = own.groupby(["run", "iteration"])[list(SCORES)].mean().reset_index()
        parts.append(means.assign(task=path.stem, chosen=means["run"] == choice["run"]))
    table = pd.concat(parts, ignore_index=True)
    plotting.use_style()
    size = (plotting.TEXT_WIDTH, 1.9 * len(parts) + 0.3)
    figure, axes = plt.subplots(len(parts), 2, figsize=size, squeeze=False)
    for row, own in zip(axes, parts, strict=True):
        for axis, score in zip(row, SCORES, strict=True):
            for _, run in own.groupby("run"):
                chosen = run["chosen"].all()
                color = plotting.METHOD_COLORS["prefine"] if chosen else "0.65"
                axis.plot(run["iteration"], run[score], color=color, lw=1.4 if chosen else 0.9)
            learning.iteration_axis(axis)
            axis.set_ylabel(score)
        row[0].set_title(own["task"].iloc[0])
        plotting.from_zero(row[1])
    for axis in axes[-1]:
        axis.set_xlabel("iteration")
    note = (
        "Blue: the policy that is handed back, from your policy at iteration 0; grey: the other "
        "seeds of the same β and λ. " + args.source
    )
    plotting.save(figure, args.output, table, note)


if __name__ == "__main__":
    cli.run(main)
