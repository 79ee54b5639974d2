"""Figure 7: PREFINE's reward and safety against the threshold tau, one line a task."""

import itertools

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from prefine.analysis import scores
from prefine.analysis.names import source_note
from prefine.analysis.statistics import mean_interval
from prefine.pipeline import cli
from prefine.report import style as plotting
from prefine.report.tables import gaps_text
from prefine.tasks import SUITES, TASKS

FIGURES = {
    "fig7": {
        "file": "fig07_thresholds",
        "title": "Figure 07: reward and safety against the threshold",
        "methods": ("prefine",),
    },
}
SECTION = "Figures"
READS = {"runs": "tables/runs.csv"}
NEEDS = ("study", "thresholds")

METHOD = "prefine"
SCORES = {"reward": "normalised reward", "safety": "safety, 1 − cost / τ"}
SAFEST = 1.7  # where the axis of safety ends: at 1, no cost at all, there is room for a mark


def by_threshold(runs: pd.DataFrame, expected: dict) -> pd.DataFrame:
    """Mean over runs and its 95 % interval: one row a (task, threshold) that has runs."""
    own = scores.made(runs)
    own = own[(own["method"] == METHOD) & own["task"].isin(expected)].dropna(subset="tau")
    own = own.assign(reward=own["normalized_return"], safety=1 - own["normalized_cost"])
    rows = []
    for (task, tau), cell in own.groupby(["task", "tau"]):
        row = {"suite": cell["suite"].iloc[0], "task": task, "tau": int(tau), "runs": len(cell)}
        for name in SCORES:
            values = cell[name].to_numpy()
            estimate = mean_interval([values])
            std = values.std(ddof=1) if len(values) > 1 else np.nan
            row |= {name: estimate.value, f"{name}_low": estimate.low}
            row |= {f"{name}_high": estimate.high, f"{name}_std": std}
        rows.append(row)
    parts = [f"{name}{part}" for name in SCORES for part in ("", "_low", "_high", "_std")]
    return pd.DataFrame(rows, columns=["suite", "task", "tau", "runs", *parts])


def draw(axis: plt.Axes, own: pd.DataFrame, looks: dict, score: str) -> None:
    """One suite and score: a line a task, moved a little aside so that intervals stay apart."""
    thresholds = sorted(set(own["tau"]))
    gap = min(np.diff(thresholds), default=10)
    tasks = [task for task in looks if task in set(own["task"])]
    aside = dict(zip(tasks, np.linspace(-0.12, 0.12, len(tasks)) * gap, strict=True))
    for task in tasks:
        line = own[own["task"] == task].sort_values("tau")
        x = line["tau"] + (aside[task] if len(tasks) > 1 else 0)
        bounds = line[score] - line[f"{score}_low"], line[f"{score}_high"] - line[score]
        axis.errorbar(
            x,
            line[score],
            yerr=None if line[f"{score}_low"].isna().any() else np.clip(bounds, 0, None),
            **looks[task],
            ms=4,
            lw=1,
            elinewidth=0.7,
            capsize=1.5,
        )
    axis.set_xticks(thresholds)
    axis.margins(x=0.15 if len(thresholds) > 1 else 1)
    axis.grid(axis="x", visible=False)


def gaps(runs: pd.DataFrame, expected: dict) -> pd.DataFrame:
    """What is missing: task, missing (the reason), method; also of tasks without thresholds."""
    found = (
        scores.task_scores(runs, METHOD, score, expected).missing
        for score in ("normalized_return", "normalized_cost")
    )
    rows = [gap.split(": ", 1) for gap in dict.fromkeys(itertools.chain(*found))]
    return pd.DataFrame(rows, columns=["task", "missing"]).assign(method=METHOD)


def main() -> None:
    parser = cli.parser(__doc__, "runs output", thresholds=cli.json_argument, study=str)
    args = parser.parse_args()
    runs, expected = scores.read_study(args.runs, args.study), args.thresholds
    table = by_threshold(runs, expected)
    suite_of = scores.described(runs, expected)["suite"]
    suites = [suite for suite in SUITES if suite in set(suite_of[list(expected)])]

    plotting.use_style()
    figure, axes = plt.subplots(
        len(SCORES),
        len(suites),
        figsize=(plotting.TEXT_WIDTH, 4.2),
        sharex="col",
        sharey="row",
        squeeze=False,
    )
    for column, suite in zip(axes.T, suites, strict=True):
        known = [task for task in dict.fromkeys([*TASKS, *expected]) if task in expected]
        tasks = [task for task in known if suite_of[task] == suite]
        looks = plotting.task_looks(tasks)
        own = table[table["suite"] == suite]
        for axis, score in zip(column, SCORES, strict=True):
            draw(axis, own, looks, score)
            if own.empty:
                axis.text(0.5, 0.5, "missing", transform=axis.transAxes, ha="center", color="0.4")
        column[0].set_title(SUITES[suite])
        column[1].set_xlabel("threshold τ")
        handles = [
            plt.Line2D([], [], **look, ms=4, lw=1, label=task) for task, look in looks.items()
        ]
        # Below the panels, where no line can be.
        column[1].legend(
            handles=handles,
            loc="upper center",
            bbox_to_anchor=(0.5, -0.28),
            ncols=2,
            frameon=False,
        )
    for row, (score, label) in zip(axes, SCORES.items(), strict=True):
        row[0].set_ylabel(label)
        if score == "safety":
            row[0].set_yscale("symlog", linthresh=1.0, linscale=1.2)
            bottom = np.nanmin([-0.3, 1.5 * table[["safety", "safety_low"]].min().min()])
            row[0].set_ylim(bottom, SAFEST)
            ticks = [tick for tick in (-30, -10, -3, -1, 0, 0.5, 1) if tick >= bottom]
            row[0].set_yticks(ticks, [f"{tick:g}".replace("-", "−") for tick in ticks])
            row[0].minorticks_off()
            for axis in row:
                axis.axhline(0, color="0.2", lw=0.8, ls=":")

    notes = [source_note(runs["source"].dropna())]
    notes.append("Means over runs with 95 % intervals; above the dotted line is safe.")
    if table.groupby("task").size().max() == 1:
        notes.append("One threshold a task: robustness to τ is not seen here.")
    gone = gaps(runs, expected)
    if len(gone):
        notes.append(f"Missing: {gaps_text(gone, [])}.")
    source = runs["source"].dropna().iloc[0]
    plotting.save(figure, args.output, table.assign(source=source), " ".join(notes))
    print(table.to_string())


if __name__ == "__main__":
    cli.run(main)
