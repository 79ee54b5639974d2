"""Our Table 1 beside the paper's, task by task."""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from prefine import frames
from prefine.analysis.names import method_label, method_order, source_note
from prefine.pipeline import cli
from prefine.report import style as plotting
from prefine.report.tables import gaps_text
from prefine.tasks import TASKS

FIGURES = {
    "paper_comparison": {"file": "paper_comparison", "title": "Table 1 beside the paper's"},
}
SECTION = "Results"
READS = {"table": "tables/table1.csv", "paper": "workflow/paper/table1.csv"}
NEEDS = ()

SCORES = {"reward": "normalised reward", "cost": "normalised cost"}


def both(ours: pd.DataFrame, paper: pd.DataFrame, comparable: bool) -> pd.DataFrame:
    """One row a (task, method) of the paper's methods: ours with its interval, the paper's.

    Only DSRL's data make the numbers comparable: the rows are then the paper's tasks, and else
    those that were run, without the paper's numbers.
    """
    columns = ["task", "method", "missing", "source"]
    columns += [f"{score}{part}" for score in SCORES for part in ("", "_low", "_high")]
    theirs = paper[["task", "method", "reward", "cost"]]
    theirs = theirs.rename(columns={score: f"paper_{score}" for score in SCORES})
    ours = ours.loc[ours["method"].isin(theirs["method"]), columns]
    if comparable:
        table = theirs.merge(ours, on=["task", "method"], how="outer")
        return table.assign(missing=table["missing"].mask(table["source"].isna(), "not run"))
    return ours.assign(paper_reward=np.nan, paper_cost=np.nan)


def panel(axis: plt.Axes, own: pd.DataFrame, places: dict, score: str, method: str) -> None:
    """One method and score: tasks downwards, a mark with its interval; the paper's is a bar."""
    color, marker = plotting.method_color(method), plotting.method_marker(method)
    for row in own.to_dict("records"):
        place, value, printed = places[row["task"]], row[score], row[f"paper_{score}"]
        if pd.isna(value):
            left = printed > 0.45 if score == "reward" else printed > 1  # beside the paper's
            plotting.mark_missing(axis, place, left)
        elif pd.notna(printed):
            axis.plot([value, printed], [place, place], color=color, lw=0.8, alpha=0.5)
        if pd.notna(row[f"{score}_low"]):
            axis.hlines(place, row[f"{score}_low"], row[f"{score}_high"], color=color, lw=1.2)
        axis.plot(value, place, marker, ms=5.5, color=color, mec="white", mew=0.5, zorder=3)
        axis.plot(printed, place, "|", ms=8, color="black", mew=1.2, zorder=4)


def main() -> None:
    args = cli.parser(__doc__, "table paper output").parse_args()
    ours = frames.read_csv(args.table, keep_default_na=False, na_values=[""])
    comparable = set(ours["source"].dropna()) == {"dsrl"}
    table = both(ours, frames.read_csv(args.paper), comparable)
    methods = method_order(table["method"])
    names = dict.fromkeys([*TASKS, *table["task"]])
    tasks = [task for task in names if task in set(table["task"])]
    places = {task: place for place, task in enumerate(tasks)}

    plotting.use_style()
    figure, axes = plt.subplots(
        2,
        len(methods),
        figsize=(plotting.TEXT_WIDTH, 1.6 + 2 * 0.17 * len(tasks)),
        sharex="row",
        sharey=True,
        squeeze=False,
    )
    for row, score in zip(axes, SCORES, strict=True):
        for axis, method in zip(row, methods, strict=True):
            panel(axis, table[table["method"] == method], places, score, method)
        if score == "reward":  # a long interval runs out of the panel, the marks fill it
            shown = table[["reward", "paper_reward"]].stack().dropna()
            row[0].set_xlim(min(-0.1, shown.min() - 0.1), max(1.0, shown.max()) + 0.2)
            row[0].set_xticks([0, 0.5, 1], ["0", "", "1"])
        if score == "cost":
            row[0].set_xscale("symlog", linthresh=1.0, linscale=1.2)
            shown = table[["cost", "cost_high", "paper_cost"]].max().max()
            top = max(10.0, 1.5 * shown)
            row[0].set_xlim(-0.2, top)
            row[0].set_xticks([t for t in (0, 1, 10) if t <= top], ["0", "1", "10"])
            row[0].minorticks_off()
            for axis in row:
                axis.axvline(1.0, color="0.2", lw=0.8, ls=":")
        middle = 0.5 if len(methods) % 2 else 1.1  # between the two panels in the middle
        row[(len(methods) - 1) // 2].set_xlabel(SCORES[score], x=middle)
    for axis, method in zip(axes[0], methods, strict=True):
        axis.set_title(plotting.in_math(method_label(method)))
    axes[0][0].set_yticks(range(len(tasks)), tasks)
    axes[0][0].set_ylim(len(tasks) - 0.5, -0.5)

    notes = [source_note(table["source"].dropna())]
    if comparable:
        notes.append("Marks: ours with its 95 % interval; black bars: the paper's Table 1.")
    else:
        notes.append(
            "Ours alone, with 95 % intervals: the paper's numbers are on DSRL's data, and beside "
            "these they would say nothing."
        )
    gaps = table.dropna(subset="missing")
    if len(gaps):
        notes.append(f"Missing: {gaps_text(gaps, methods)}.")
    plotting.save(figure, args.output, table, " ".join(notes))


if __name__ == "__main__":
    cli.run(main)
