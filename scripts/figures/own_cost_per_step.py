"""Figure: what each step of an episode costs, before and after."""

from itertools import pairwise
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from prefine import frames
from prefine.pipeline import cli
from prefine.report import style as plotting

FIGURES = {
    "fig_cost_per_step": {"file": "cost_per_step", "title": "Figure: cost of each step"},
}
SECTION = "Your policy"
READS = {"episodes": "episodes/{task}/before_after.parquet"}
NEEDS = ("source",)

LABELS = {"before": "before", "after": "after PREFINE"}
COLORS = {"before": plotting.METHOD_COLORS["reference"], "after": plotting.METHOD_COLORS["prefine"]}
NO_COSTS = "The environment tells no costs."
BINS = 50  # of an episode, at most


def profile(step_costs: pd.Series, horizon: int) -> pd.DataFrame:
    """Mean cost of a step over episodes that still run, with its standard error, in bins."""
    costs = np.full((len(step_costs), horizon), np.nan)
    for row, own in zip(costs, step_costs, strict=True):
        row[: len(own)] = own
    rows = []
    for first, last in pairwise(np.linspace(0, horizon, min(BINS, horizon) + 1).astype(int)):
        part = costs[:, first:last]
        running = part[~np.isnan(part).all(axis=1)]
        if not len(running):
            continue
        means = np.nanmean(running, axis=1)
        error = means.std(ddof=1) / np.sqrt(len(means)) if len(means) > 1 else np.nan
        rows.append({"step": (first + last - 1) / 2, "cost": means.mean(), "se": error})
    return pd.DataFrame(rows)


def main() -> None:
    parser = cli.parser(__doc__, "output", source=str)
    parser.add_argument("--episodes", type=Path, nargs="+", required=True)
    args = parser.parse_args()
    plotting.use_style()
    n_tasks = len(args.episodes)
    size = (plotting.TEXT_WIDTH, 2.3 * n_tasks + 0.3)
    figure, axes = plt.subplots(n_tasks, 1, figsize=size, squeeze=False)
    parts = []
    for axis, path in zip(axes[:, 0], args.episodes, strict=True):
        task, episodes = path.parent.name, frames.read_parquet(path)
        axis.set_title(task)
        if episodes["cost"].isna().all():
            plotting.say_missing(axis, NO_COSTS)
            continue
        horizon = int(episodes["length"].max())
        for who, label in LABELS.items():
            own = profile(episodes.loc[episodes["who"] == who, "step_costs"], horizon)
            line = "--" if who == "before" else "-"  # neither hides the other
            axis.plot(own["step"], own["cost"], color=COLORS[who], lw=1.2, ls=line, label=label)
            around = own["cost"] - own["se"], own["cost"] + own["se"]
            axis.fill_between(own["step"], *around, color=COLORS[who], alpha=0.2, lw=0)
            parts.append(own.assign(task=task, who=who))
        axis.set_ylabel("cost of a step")
        axis.set_xlim(0, horizon)
        plotting.from_zero(axis)
    drawn = [axis for axis in axes[:, 0] if axis.lines]
    if drawn:  # beside the title, off the curves
        place = {"loc": "lower right", "bbox_to_anchor": (1, 1), "borderaxespad": 0.2}
        drawn[0].legend(frameon=False, ncols=2, **place)
    axes[-1, 0].set_xlabel("step of the episode")
    episodes = frames.read_parquet(args.episodes[0])["episode"].nunique()
    note = f"Mean over {episodes} episodes and its standard error; the same episodes before and "
    note += "after. " + args.source
    numbers = (
        pd.concat(parts, ignore_index=True) if parts else pd.DataFrame({"missing": [NO_COSTS]})
    )
    plotting.save(figure, args.output, numbers, note)


if __name__ == "__main__":
    cli.run(main)
