"""Each dataset in the plane of episode cost and return, with the paper's D_p and D_np."""

from pathlib import Path

import matplotlib.pyplot as plt
import pandas as pd
from prefine import frames
from prefine.analysis.names import source_note
from prefine.errors import UserError
from prefine.pipeline import cli
from prefine.report import style as plotting
from prefine.tasks import TASKS

FIGURES = {"plane": {"file": "data_plane", "title": "Datasets in the plane of cost and return"}}
SECTION = "Data"
READS = {"trajectories": "trajectories/{task}.csv", "statistics": "tables/dataset_statistics.csv"}
NEEDS = ("thresholds",)

COLUMNS = 4  # panels side by side
SETS = {"preferred": r"$D_p$", "nonpreferred": r"$D_{np}$"}
COLORS, MARKERS = plotting.SET_COLORS, plotting.SET_MARKERS


def panel(axis: plt.Axes, trajectories: pd.DataFrame, row: pd.Series, limits: list) -> None:
    """One dataset: its trajectories, DSRL's bounds, the sets of both."""
    task = TASKS[row["task"]]
    axis.scatter(
        trajectories["cost"],
        trajectories["return"],
        s=2,
        lw=0,
        alpha=0.5,
        color="0.45",
        rasterized=True,  # thousands of dots a panel are too many for a PDF
    )
    for tau in limits:
        axis.axvline(tau, color="0.2", lw=0.6, ls=":")
    axis.axvline(task.max_cost, color="0.6", lw=0.6, ls="--")
    for bound in (task.min_return, task.max_return):
        axis.axhline(bound, color="0.6", lw=0.6, ls="--")
    for role in SETS:
        color = COLORS[role]
        for prefix, filled in (("", True), ("paper_", False)):
            cost, reached = (
                row.get(f"{prefix}mean_{score}_{role}") for score in ("cost", "return")
            )
            inside = color if filled else "white"
            axis.plot(cost, reached, MARKERS[role], ms=5, mfc=inside, mec=color)
    axis.set_title(f"{task.name}\n{row['trajectories']} (DSRL: {task.n_trajectories})")


def main() -> None:
    parser = cli.parser(__doc__, "output", thresholds=cli.json_argument)
    parser.add_argument("--statistics", type=Path, nargs="*", default=[])
    parser.add_argument("--trajectories", type=Path, nargs="+", required=True)
    args = parser.parse_args()
    if not args.statistics:
        raise UserError("the plane sets datasets beside DSRL's, and these are the user's own")
    table = frames.read_csv(*args.statistics).set_index("task", drop=False)

    plotting.use_style()
    n = len(args.trajectories)
    columns = min(COLUMNS, max(n, 2))
    rows = -(-n // columns)
    figure, axes = plt.subplots(
        rows, columns, figsize=(plotting.TEXT_WIDTH, 0.75 + 1.75 * rows), squeeze=False
    )
    for axis in axes.flat[n:]:
        axis.set_axis_off()
    for axis, path in zip(axes.flat, args.trajectories, strict=False):
        limits = [tau for tau in args.thresholds[path.stem] if tau]
        panel(axis, frames.read_csv(path), table.loc[path.stem], limits)
    for axis in axes[:, 0]:
        axis.set_ylabel("return")
    for axis in axes.flat[max(0, n - columns) : n]:
        axis.set_xlabel("cost")
    marks = [
        plt.Line2D(
            [],
            [],
            lw=0,
            marker=MARKERS[role],
            ms=5,
            mec=COLORS[role],
            mfc=COLORS[role] if whose == "here" else "white",
            label=f"{label}, {whose}",
        )
        for role, label in SETS.items()
        for whose in ("here", "paper")
    ]
    figure.legend(handles=marks, loc="outside upper center", ncols=4, frameon=False)
    note = f"{source_note(table['source'])} Dotted: thresholds; dashed: DSRL's bounds."
    plotting.save(figure, args.output, table, note)


if __name__ == "__main__":
    cli.run(main)
