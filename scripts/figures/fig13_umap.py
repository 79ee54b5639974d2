"""Figure 13: states of D_p and D_np of each task, laid out together by UMAP."""

import textwrap
from pathlib import Path

import matplotlib.pyplot as plt
import pandas as pd
from prefine import frames, results
from prefine.analysis.names import source_note
from prefine.pipeline import cli
from prefine.report import style as plotting
from prefine.streams import generator

FIGURES = {"fig13": {"file": "fig13_umap", "title": "Figure 13: overlap of D_p and D_np"}}
SECTION = "Data"
READS = {"points": "overlap/{task}.csv", "numbers": "overlap/{task}.json"}
NEEDS = ()

COLUMNS = 4  # panels side by side
COLORS = plotting.SET_COLORS
LABELS = {"preferred": r"$D_p$", "nonpreferred": r"$D_{np}$"}


def panel(axis: plt.Axes, points: pd.DataFrame, numbers: dict) -> None:
    """One task; without points the reason."""
    chosen = "labels" if numbers["tau"] is None else f"τ = {numbers['tau']}"
    title = f"{numbers['task']}, {chosen}"
    if numbers["missing"]:
        reason = textwrap.fill(f"missing: {numbers['missing']}", 24)
        axis.text(0.5, 0.5, reason, transform=axis.transAxes, ha="center", va="center", color="0.4")
    else:
        own = next(row for row in numbers["sweep"] if row["grid"] == numbers["grid"])
        title += f"\nJ = {own['jaccard']:.2f}, J/J₀ = {own['ratio']:.2f}"
        # In random order, so that neither set hides the other.
        order = generator("fig13", numbers["task"]).permutation(len(points))
        axis.scatter(
            points["x"].to_numpy()[order],
            points["y"].to_numpy()[order],
            s=2 if len(points) < 4000 else 0.8,
            c=points["role"].map(COLORS).to_numpy()[order],
            lw=0,
            alpha=0.7,
            rasterized=True,  # ten thousand dots a panel are too many for a PDF
        )
    axis.set_title(title)
    axis.set_xticks([])
    axis.set_yticks([])
    axis.set_box_aspect(1)


def table_of(numbers: list[dict]) -> pd.DataFrame:
    """One row a (task, grid), the primary grid marked; one row with the reason without any."""
    rows = []
    for own in numbers:
        common = {name: value for name, value in own.items() if name not in ("sweep", "grids")}
        primary = common.pop("grid")
        rows += [common | row | {"primary": row["grid"] == primary} for row in own["sweep"]]
        rows += [] if own["sweep"] else [common]
    return pd.DataFrame(rows).astype({"tau": "Int64"})


def main() -> None:
    parser = cli.parser(__doc__, "output")
    for name in ("points", "numbers"):
        parser.add_argument(f"--{name}", type=Path, nargs="+", required=True)
    args = parser.parse_args()
    numbers = [results.read_object(path) for path in args.numbers]

    plotting.use_style()
    columns = min(COLUMNS, max(len(numbers), 2))
    rows = -(-len(numbers) // columns)
    side = plotting.TEXT_WIDTH / columns
    figure, axes = plt.subplots(
        rows, columns, figsize=(plotting.TEXT_WIDTH, rows * (side + 0.25) + 0.45), squeeze=False
    )
    for axis in axes.flat[len(numbers) :]:
        axis.set_axis_off()
    for axis, path, own in zip(axes.flat, args.points, numbers, strict=False):
        panel(axis, frames.read_csv(path), own)
    marks = [
        plt.Line2D([], [], color=COLORS[role], marker="o", ms=4, lw=0, label=label)
        for role, label in LABELS.items()
    ]
    figure.legend(handles=marks, loc="outside upper center", ncols=2, frameon=False)

    table = table_of(numbers)
    sizes = sorted({own["n_states"] for own in numbers if not own["missing"]})
    drawn = f"{sizes[0]}" if len(sizes) == 1 else f"{sizes[0]} to {sizes[-1]}" if sizes else "no"
    grids = ", ".join(sorted({f"{own['grid']} × {own['grid']}" for own in numbers}))
    note = (
        f"{source_note(table['source'])} {drawn} states of each set. J: Jaccard index of "
        f"the occupied cells, {grids}; J₀: the same of two halves of one set, with as many states."
    )
    plotting.save(figure, args.output, table, note)
    print(table.to_string())


if __name__ == "__main__":
    cli.run(main)
