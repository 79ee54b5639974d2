"""Figure 3: normalised reward against normalised cost, one dot a task, one panel a method."""

from itertools import product

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from prefine import frames
from prefine.analysis import metrics
from prefine.analysis.names import columns_of, marks_note, source_note
from prefine.pipeline import cli
from prefine.report import labels
from prefine.report import style as plotting
from prefine.tasks import SUITES

FIGURES = {"fig3": {"file": "fig03_reward_cost", "title": "Figure 03: reward against cost"}}
SECTION = "Figures"
READS = {"table": "tables/table1.csv"}
NEEDS = ()


MOST = 8  # panels beside each other
MOST_NAMED = 3  # tasks that a panel lacks; of more their number is told


def bands_of(methods: list[str]) -> list[list[str]]:
    """The methods in lines of panels, as even as can be."""
    n = -(-len(methods) // MOST)
    width = -(-len(methods) // n)
    return [methods[start : start + width] for start in range(0, len(methods), width)]


def name_all(panels: list[tuple[plt.Axes, pd.DataFrame]]) -> None:
    """Names beside the marks of each panel."""
    for axis, own in panels:
        scores = own[["cost", "reward"]].to_numpy(float)
        spread = own[["cost_std", "reward_std"]].fillna(0).to_numpy(float)
        across = spread[:, :, None] * np.eye(2)  # of a mark the bar of its cost, and of its reward
        bars = np.stack([scores[:, None] - across, scores[:, None] + across], axis=2)
        labels.name_marks(axis, scores, own["label"].tolist(), bars)


def main() -> None:
    args = cli.parser(__doc__, "table output").parse_args()
    table = frames.read_csv(args.table, keep_default_na=False, na_values=[""])
    suites = [suite for suite in SUITES if suite in set(table["suite"])]
    titles = columns_of(table)
    others = set(table.loc[table["outside"].astype(bool), "method"])
    bands = bands_of(list(titles))

    plotting.use_style()
    figure, axes = plt.subplots(
        len(bands) * len(suites),
        len(bands[0]),
        figsize=(plotting.TEXT_WIDTH, 0.55 + 1.75 * len(bands) * len(suites)),
        sharex=True,
        sharey=True,
        squeeze=False,
    )
    top = np.nanmax([10.0, table["cost"].max() * 3])  # room for names behind the marks
    low, high = table["reward"].min(), table["reward"].max()
    floor = 0.25 if table["cost"].isna().any() else 0.05  # room to say what is missing
    panels = []
    for row, (band, suite) in zip(axes, product(bands, suites), strict=True):
        for axis in row[len(band) :]:
            axis.set_visible(False)
        row[0].set_ylabel(f"{SUITES[suite]}\nnormalised reward")
        for axis, method in zip(row, band, strict=False):
            if suite == suites[0]:
                axis.set_title(plotting.in_math(titles[method]).replace(" from ", "\nfrom "))
            cells = table[(table["suite"] == suite) & (table["method"] == method)]
            own = cells.dropna(subset=["reward", "cost"])
            axis.axvline(1.0, color="0.2", lw=0.8, ls=":")
            axis.set_xscale("symlog", linthresh=1.0, linscale=1.2)
            axis.set_xlim(-0.2, top)
            axis.set_ylim(min(0.0, low) - floor, max(1.0, high) + 0.12)
            ticks = [t for t in (0, 0.5, 1, 3, 10, 30) if t <= top]
            if len(bands[0]) > 4:  # narrow panels
                ticks = [t for t in (0, 1, 10) if t <= top]
            axis.set_xticks(ticks, [f"{tick:g}" for tick in ticks])
            axis.minorticks_off()
            for cell in own.dropna(subset="cost").itertuples():
                safe = metrics.is_safe(cell.cost)
                axis.errorbar(
                    cell.cost,
                    cell.reward,
                    xerr=None if pd.isna(cell.cost_std) else cell.cost_std,
                    yerr=None if pd.isna(cell.reward_std) else cell.reward_std,
                    fmt="o" if safe else "X",
                    ms=5,
                    lw=0.7,
                    color=plotting.SAFE_COLOR if safe else plotting.UNSAFE_COLOR,
                    mfc="white" if method in others else None,
                )
            panels.append((axis, own))
            for y, what, gone in (
                (0.02, "missing", cells[cells["reward"].isna()]),
                (0.09, "no cost limit", cells[cells["cost"].isna() & cells["reward"].notna()]),
            ):
                if len(gone):
                    few = len(gone) <= MOST_NAMED
                    names = ", ".join(gone["label"]) if few else f"{len(gone)} of {len(cells)}"
                    axis.text(
                        0.5,
                        y,
                        f"{what}: {names}",
                        transform=axis.transAxes,
                        ha="center",
                        fontsize=6,
                        color="0.4",
                    )
    axes[-1][(len(bands[-1]) - 1) // 2].set_xlabel("normalised cost (dotted: the limit)")
    note = source_note(table.loc[~table["outside"].astype(bool), "source"].dropna())
    note = f"{note}{marks_note(table)}"
    plotting.save(figure, args.output, table, note, lambda: name_all(panels))


if __name__ == "__main__":
    cli.run(main)
