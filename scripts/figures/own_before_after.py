"""Figure: return against cost of every episode before and after, and what there was to choose."""

from pathlib import Path

import matplotlib.pyplot as plt
import pandas as pd
from prefine import frames, results
from prefine.pipeline import cli
from prefine.report import style as plotting

FIGURES = {
    "fig_before_after": {"file": "before_after", "title": "Figure: return against cost"},
}
SECTION = "Your policy"
READS = {
    "episodes": "episodes/{task}/before_after.parquet",
    "choices": "choice/{task}.json",
    "candidates": "choice/{task}.csv",
}
NEEDS = ("source",)

COLORS = {
    "original": plotting.METHOD_COLORS["reference"],
    "before": plotting.METHOD_COLORS["reference"],
    "control": plotting.METHOD_COLORS["bc_from_reference"],
    "after": plotting.METHOD_COLORS["prefine"],
}
MARKERS = {
    "original": plotting.method_marker("reference"),
    "before": plotting.method_marker("reference"),
    "control": plotting.method_marker("bc_from_reference"),
    "after": plotting.method_marker("prefine"),
}
LABELS = {
    "original": "your policy",
    "before": "your policy",
    "control": "BC on the preferred alone",
    "after": "after PREFINE",
}
LAM_MARKERS = "oD^vP*p"  # not a square, which is your policy's


def draw_episodes(axis: plt.Axes, episodes: pd.DataFrame) -> None:
    """A small mark an episode and a large one for the mean; all played the same episodes."""
    distilled = "original" in set(episodes["who"])
    for who, color in COLORS.items():
        own = episodes[episodes["who"] == who]
        if own.empty:
            continue
        label = "your policy, distilled" if distilled and who == "before" else LABELS[who]
        color = "0.55" if distilled and who == "before" else color
        marker = "D" if distilled and who == "before" else MARKERS[who]
        style = {"color": color, "marker": marker}
        axis.scatter(own["cost"], own["return"], s=9, alpha=0.35, lw=0, **style)
        mean = own[["cost", "return"]].mean()
        axis.scatter(*mean, s=60, ec="white", lw=0.6, label=label, **style)
    axis.set_xlabel("cost of an episode")
    axis.set_ylabel("return")


def draw_candidates(axis: plt.Axes, runs: pd.DataFrame, choice: dict) -> None:
    """A mark a run on the validation episodes; the chosen one is ringed."""
    betas, lams = sorted(runs["beta"].unique()), sorted(runs["lam"].unique())
    colors = plotting.shades(betas)
    for run in runs.to_dict("records"):
        marker = LAM_MARKERS[lams.index(run["lam"]) % len(LAM_MARKERS)]
        axis.scatter(run["cost"], run["return"], s=22, color=colors[run["beta"]], marker=marker)
    before, share = choice["validation"]["before"], choice["settings"]["cost_share"]
    style = {"color": COLORS["before"], "marker": MARKERS["before"], "label": LABELS["before"]}
    axis.scatter(before["cost"], before["return"], s=60, ec="white", **style)
    axis.axvline(share * before["cost"], color="0.2", lw=0.8, ls=":")
    chosen = runs[runs["run"] == choice["run"]].iloc[0]
    axis.scatter(
        chosen["cost"], chosen["return"], s=110, fc="none", ec=plotting.UNSAFE_COLOR, lw=1.2
    )
    for beta in betas:
        axis.scatter([], [], s=22, color=colors[beta], label=f"β = {beta:g}")
    for place, lam in enumerate(lams):
        marker = LAM_MARKERS[place % len(LAM_MARKERS)]
        axis.scatter([], [], s=22, color="0.5", marker=marker, label=f"λ = {lam:g}")
    axis.set_xlabel("mean cost, validation")
    axis.set_ylabel("mean return, validation")


def main() -> None:
    parser = cli.parser(__doc__, "output", source=str)
    for name in ("episodes", "choices", "candidates"):
        parser.add_argument(f"--{name}", type=Path, nargs="+", required=True)
    args = parser.parse_args()
    plotting.use_style()
    n_tasks = len(args.episodes)
    size = (plotting.TEXT_WIDTH, 0.4 + 2.4 * n_tasks)
    figure, axes = plt.subplots(n_tasks, 2, figsize=size, squeeze=False)
    parts = []
    for row, path, choice, runs in zip(
        axes, args.episodes, args.choices, args.candidates, strict=True
    ):
        task, episodes = path.parent.name, frames.read_parquet(path).drop(columns="step_costs")
        parts.append(episodes.assign(task=task))
        if episodes["cost"].isna().all():
            for axis in row:
                plotting.say_missing(axis, f"{task}: the environment tells no costs.")
            continue
        draw_episodes(row[0], episodes)
        row[0].set_title(f"{task}: reported episodes")
        draw_candidates(row[1], frames.read_csv(runs), results.read_object(choice))
        row[1].set_title(f"{task}: what there was to choose")
        for axis in row:
            axis.set_xlim(left=min(0.0, axis.get_xlim()[0]))
            axis.legend(frameon=False, fontsize=6, loc="best")
    note = (
        "Left: a small mark an episode, a large one the mean; everybody plays the same episodes. "
        "Right: a "
        "mark a fine-tuned policy on other episodes, by which one was chosen (red ring): the best "
        "return left of the dotted line, or the lowest cost where none is. " + args.source
    )
    plotting.save(figure, args.output, pd.concat(parts, ignore_index=True), note)


if __name__ == "__main__":
    cli.run(main)
