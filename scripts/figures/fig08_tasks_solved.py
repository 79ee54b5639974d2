"""Figure 8: fraction of tasks that each method solves safely, by suite."""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from prefine.analysis import metrics, scores
from prefine.analysis.names import method_label, method_order, source_note
from prefine.analysis.statistics import solved_interval
from prefine.pipeline import cli
from prefine.report import style as plotting
from prefine.report.tables import gaps_text
from prefine.tasks import SUITES

FIGURES = {
    "fig8": {"file": "fig08_tasks_solved", "title": "Figure 08: fraction of tasks solved"},
}
SECTION = "Figures"
READS = {"runs": "tables/runs.csv"}
NEEDS = ("study", "thresholds")


def solved(runs: pd.DataFrame, own: dict, suite: str, method: str) -> dict:
    """The fraction of the suite's tasks that are safe, and of its (task, threshold) cells."""
    found = scores.task_scores(runs, method, "normalized_cost", own)
    row = {"suite": suite, "method": method, "tasks": len(found.values), "asked": len(own)}
    row |= {"runs": sum(map(len, found.runs.values())), "missing": "; ".join(found.missing)}
    if not found.values:
        return row | dict.fromkeys(("fraction", "low", "high", "cells"), np.nan)
    estimate = solved_interval(list(found.values.values()))
    made = scores.made(runs)
    made = made[(made["method"] == method) & made["task"].isin(found.values)]
    cells = made.groupby(["task", "tau"])["normalized_cost"].mean().dropna()
    return row | {
        "fraction": float(estimate.value),
        "low": float(estimate.low),
        "high": float(estimate.high),
        "cells": metrics.is_safe(cells).mean(),
    }


def draw(axis: plt.Axes, own: pd.DataFrame) -> None:
    """One suite: a bar a method with its interval, a diamond for the cells."""
    for place, row in enumerate(own.itertuples()):
        if not row.tasks:
            axis.text(place, 0.03, "missing", rotation=90, ha="center", fontsize=7, color="0.4")
            continue
        axis.bar(place, row.fraction, 0.7, color=plotting.method_color(row.method))
        if not np.isnan(row.low):
            error = [[row.fraction - row.low], [row.high - row.fraction]]
            style = {"fmt": "none", "color": "0.2", "lw": 1, "capsize": 2}
            axis.errorbar(place, row.fraction, error, path_effects=plotting.outlined(), **style)
        axis.plot(place, row.cells, "D", ms=4, mfc="white", mec="0.2", mew=0.8, clip_on=False)
        partial = "" if row.tasks == row.asked else f"\n{row.tasks} of {row.asked}"
        top = np.nanmax([row.fraction, row.high, row.cells])
        text = f"{100 * row.fraction:.0f} %{partial}"
        axis.text(place, top + 0.05, text, ha="center", fontsize=6.5)
    labels = [plotting.in_math(method_label(m)) for m in own["method"]]
    axis.set_xticks(range(len(own)), labels, rotation=35, ha="right", rotation_mode="anchor")
    axis.set_xlim(-0.6, len(own) - 0.4)
    axis.set_ylim(0, 1.3)
    axis.set_yticks(np.linspace(0, 1, 6), [f"{share} %" for share in range(0, 101, 20)])
    axis.grid(axis="x", visible=False)


def main() -> None:
    parser = cli.parser(__doc__, "runs output", thresholds=cli.json_argument, study=str)
    args = parser.parse_args()
    runs = scores.read_study(args.runs, args.study)
    suite_of = scores.described(runs, args.thresholds)["suite"]
    expected = {
        suite: {task: taus for task, taus in args.thresholds.items() if suite_of[task] == suite}
        for suite in SUITES
    }
    suites = [suite for suite in SUITES if expected[suite]]
    methods = method_order(runs["method"])
    table = pd.DataFrame(
        [solved(runs, expected[suite], suite, method) for suite in suites for method in methods]
    )

    plotting.use_style()
    figure, axes = plt.subplots(
        1, len(suites), figsize=(plotting.TEXT_WIDTH, 2.5), sharey=True, squeeze=False
    )
    for axis, suite in zip(axes[0], suites, strict=True):
        own = table[table["suite"] == suite]
        draw(axis, own)
        n = own["asked"].iloc[0]
        axis.set_title(f"{SUITES[suite]}, {n} task{'s' if n > 1 else ''}")
    axes[0][0].set_ylabel("fraction of tasks solved")
    notes = ["With 95 % intervals; diamonds: fraction of (task, threshold) cells."]
    notes.append(source_note(runs["source"].dropna()))
    gaps = [
        dict(zip(("task", "missing"), gap.split(": ", 1), strict=True), method=row.method)
        for row in table.itertuples()
        for gap in filter(None, row.missing.split("; "))
    ]
    if gaps:
        notes.append(f"Missing: {gaps_text(pd.DataFrame(gaps), methods)}.")
    plotting.save(figure, args.output, table.assign(source=runs["source"].iloc[0]), " ".join(notes))


if __name__ == "__main__":
    cli.run(main)
