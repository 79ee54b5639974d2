"""Figure: return and cost of the chosen variant's policies while they were fine-tuned."""

import json
from pathlib import Path

import matplotlib.pyplot as plt
import pandas as pd
from prefine.pipeline import cli
from prefine.report import curves as learning
from prefine.report import style as plotting

SCORES = ("return", "cost")


def main() -> None:
    parser = cli.parser(__doc__, "output", source=str, curves=cli.json_argument)
    parser.add_argument("--choices", type=Path, nargs="+", required=True)
    args = parser.parse_args()
    parts = []
    for path in args.choices:
        choice = json.loads(path.read_text())
        episodes = pd.concat([pd.read_parquet(own) for own in args.curves[path.stem]])
        own = episodes[episodes["run"].isin(choice["runs"])]
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
        row[1].set_ylim(bottom=0)
    for axis in axes[-1]:
        axis.set_xlabel("iteration")
    note = (
        "Blue: the policy that is handed back, from your policy at iteration 0; grey: the other "
        "seeds of the same β and λ. " + args.source
    )
    plotting.save(figure, args.output, table, note)


if __name__ == "__main__":
    cli.run(main)
