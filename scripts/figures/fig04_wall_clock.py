"""Figure 4: wall-clock time of training, every method timed alone."""

import matplotlib.pyplot as plt
import pandas as pd
from prefine import frames
from prefine.analysis.hours import MATCHED, totals
from prefine.analysis.names import method_label, method_order, source_note
from prefine.pipeline import cli
from prefine.report import style as plotting

FIGURES = {"fig4": {"file": "fig04_wall_clock", "title": "Figure 04: wall-clock time"}}
SECTION = "Timing"
READS = {"timing": "tables/timing.csv", "table": "tables/table1.csv"}
NEEDS = ()

PAPER_TASK = "Walker2dVelocity"  # the paper's Figure 4
LARGEST = 500  # area of the largest marker, points squared
LEAST = 35  # what can still be seen


def scatter(axis: plt.Axes, own: pd.DataFrame, task: str) -> None:
    """Cost and reward of each method on one task; the area is the time."""
    axis.axvline(1.0, color="0.2", lw=0.8, ls=":")
    for row in own.sort_values("hours", ascending=False).itertuples():  # small ones on top
        area = max(LEAST, LARGEST * row.hours / own["hours"].max())
        color = plotting.method_color(row.method)
        style = {"color": color, "marker": plotting.method_marker(row.method), "alpha": 0.7}
        axis.scatter(row.cost, row.reward, area, **style, ec="white", lw=0.5)
    axis.set_xscale("symlog", linthresh=1.0, linscale=1.2)
    top = max(10.0, own["cost"].max() * 2.5) if len(own) else 10.0
    axis.set_xlim(-0.4, top)
    ticks = [tick for tick in (0, 0.5, 1, 3, 10, 30) if tick <= top]
    axis.set_xticks(ticks, [f"{tick:g}" for tick in ticks])
    axis.minorticks_off()
    axis.margins(y=0.25)
    axis.set_xlabel("normalised cost (dotted: the limit)")
    axis.set_ylabel("normalised reward")
    if own.empty:
        axis.text(0.5, 0.5, "no normalised cost", transform=axis.transAxes, ha="center")
    axis.set_title(f"{task}\n(area: time of a run, small ones enlarged)")


def hour_bars(axis: plt.Axes, table: pd.DataFrame) -> None:
    """Hours of a run; π_ref's on top, hatched; a diamond at matched iterations."""
    for place, row in enumerate(table.itertuples()):
        color = plotting.method_color(row.method)
        axis.barh(place, row.hours, 0.7, color=color)
        if pd.notna(row.hours_reference):
            style = {"color": "none", "edgecolor": color, "hatch": "////", "lw": 0.6}
            axis.barh(place, row.hours_reference, 0.7, left=row.hours, **style)
        key = {"color": color, "marker": plotting.method_marker(row.method), "ms": 5}
        axis.plot(-0.06, place, **key, transform=axis.get_yaxis_transform(), clip_on=False)
        axis.plot(row.hours_matched, place, "D", ms=4, mfc="white", mec="0.2", mew=0.8)
    axis.set_xlabel("hours of one run")
    axis.set_xlim(left=0)


def step_bars(axis: plt.Axes, table: pd.DataFrame) -> None:
    """Milliseconds of an iteration: median and quartiles over blocks."""
    for place, row in enumerate(table.itertuples()):
        around = [[row.ms - row.ms_q25], [row.ms_q75 - row.ms]]
        color = plotting.method_color(row.method)
        axis.barh(place, row.ms, 0.7, color=color)
        style = {"ecolor": "0.2", "capsize": 2, "path_effects": plotting.outlined(1.5)}
        axis.errorbar(row.ms, place, xerr=around, fmt="none", **style)
    axis.set_xlabel("milliseconds an iteration")
    axis.set_xlim(left=0)


def main() -> None:
    parser = cli.parser(__doc__, "timing table output")
    args = parser.parse_args()
    blocks = frames.read_csv(args.timing)
    task, device = blocks["task"].iloc[0], blocks["device"].iloc[0]
    cells = frames.read_csv(args.table)
    own = cells.loc[cells["task"] == task, ["method", "reward", "cost"]]
    table = totals(blocks).merge(own, on="method", how="left")
    order = method_order(table["method"])
    table = table.set_index("method").loc[order].reset_index()

    plotting.use_style()
    figure, axes = plt.subplots(
        1, 3, figsize=(plotting.TEXT_WIDTH, 2.7), width_ratios=(1.25, 1, 1), layout="constrained"
    )
    scatter(axes[0], table.dropna(subset=["reward", "cost"]), task)
    hour_bars(axes[1], table)
    axes[1].set_title("the protocol's iterations\n" r"(hatched: $\pi_\mathrm{ref}$'s)")
    step_bars(axes[2], table)
    axes[2].set_title("one iteration, one run")
    for axis in axes[1:]:
        axis.set_yticks(range(len(table)), [])
        axis.set_ylim(len(table) - 0.4, -0.6)
        axis.grid(axis="y", visible=False)
    axes[1].set_yticks(range(len(table)), [plotting.in_math(method_label(m)) for m in order])
    axes[1].tick_params(axis="y", length=0, pad=14)  # the mark stands there
    axes[2].tick_params(axis="y", length=0)

    threads = blocks["threads"].iloc[0]
    of = f"{blocks['block'].nunique()} blocks" if len(blocks) else ""
    notes = [
        f"One run alone on {device}, {threads} thread{'s' if threads > 1 else ''} (CPU); medians "
        f"of {of}, extrapolated to the protocol's iterations; diamonds: {MATCHED:,} "
        "iterations of every method.",
        source_note(cells["source"].dropna()),
    ]
    if task != PAPER_TASK:
        notes.append(f"{PAPER_TASK}, the paper's task, is none of the config's.")
    gone = [method_label(m) for m in order if m not in set(own.dropna()["method"])]
    if gone:
        notes.append(f"No reward and cost on {task}: {', '.join(gone)}.")
    plotting.save(figure, args.output, table.assign(task=task, device=device), " ".join(notes))


if __name__ == "__main__":
    cli.run(main)
