"""Fronts of return against cost of one task, and what choosing a point of them gives."""

import matplotlib.colors as mcolors
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from prefine import frames
from prefine.analysis import pareto
from prefine.analysis.names import source_note
from prefine.analysis.statistics import interval
from prefine.methods import REFERENCE
from prefine.pipeline import cli
from prefine.report import style as plotting
from prefine.report.colors import front_looks

FIGURES = {
    "pareto": {
        "file": "pareto",
        "title": "Reward against cost, each method along its dial",
        "study": "pareto",
        "each": True,
    },
}
SECTION = "Beyond the paper"
READS = {
    "runs": "tables/studies/{study}.csv",
    "table": "tables/pareto.csv",
    "choice": "tables/pareto_choice.csv",
}
NEEDS = ("task", "fixed")

ACROSS = 4  # panels beside each other
ROOM = 0.06  # of the height, above the best reward and below the least


def numbers(runs: pd.DataFrame, task: str) -> pd.DataFrame:
    """One row a point: mean reward and cost with their intervals over runs."""
    rows = []
    for name in [*pareto.fronts_of(runs), pareto.CONTROL]:
        own = pareto.front(runs, task, name)
        if own is None:
            continue
        best = pareto.non_dominated(*own.points())
        for place, variant in enumerate(own.variants):
            row = {"task": task, "front": name, "variant": variant, "runs": len(own.seeds)}
            row |= {"undominated": bool(best[place])}
            for key, values in (("reward", own.reward[place]), ("cost", own.cost[place])):
                of = interval([values])
                row |= {key: of.value, f"{key}_low": of.low, f"{key}_high": of.high}
            rows.append(row)
    return pd.DataFrame(rows)


def draw_stairs(axis: plt.Axes, points: pd.DataFrame, right: float, **style) -> None:
    """What the points of a front reach, as stairs; none where π_ref's point beats them all."""
    best = points[points["undominated"]].sort_values("cost")
    if len(best):
        reward = [*best["reward"], best["reward"].iloc[-1]]
        axis.step([*best["cost"], right], reward, where="post", **style)


def draw_front(axis: plt.Axes, points: pd.DataFrame, right: float, color, marker) -> None:
    """The points, those of the front with intervals, and the stairs of what it reaches."""
    best, rest = points[points["undominated"]], points[~points["undominated"]]
    axis.scatter(rest["cost"], rest["reward"], s=14, marker=marker, color=color, alpha=0.4, lw=0)
    spread = [
        np.nan_to_num([best[key] - best[f"{key}_low"], best[f"{key}_high"] - best[key]])
        for key in ("cost", "reward")
    ]
    axis.errorbar(
        best["cost"],
        best["reward"],
        xerr=spread[0],
        yerr=spread[1],
        ls="",
        marker=marker,
        ms=4.5,
        color=color,
        mec="white",
        mew=0.4,
        ecolor=mcolors.to_rgba(color, 0.45),
        elinewidth=0.7,
        zorder=3,
    )
    draw_stairs(axis, points, right, color=color, lw=1.2)


def set_up(axis: plt.Axes, shown: np.ndarray, most: float) -> None:
    """The plane of cost and reward: linear to the limit, which is dotted, logarithmic above."""
    axis.axvline(pareto.LIMIT, color="0.2", lw=0.8, ls=":")
    axis.set_xscale("symlog", linthresh=1.0, linscale=2.0)
    axis.set_xlim(-0.06, most)
    ticks = [tick for tick in (0, 0.5, 1, 3, 10, 30) if tick <= most]
    axis.set_xticks(ticks, [f"{tick:g}" for tick in ticks])
    axis.minorticks_off()
    room = ROOM * max(np.ptp(shown), 0.1)
    axis.set_ylim(shown.min() - room, shown.max() + room)


def draw_choice(axis: plt.Axes, choice: pd.DataFrame, styles: dict[str, dict]) -> None:
    """What is had when so many points are tried, a line a front, its marks a little aside."""
    fronts = choice["front"].unique()
    aside = dict(zip(fronts, np.linspace(-0.12, 0.12, len(fronts)), strict=True))
    for name, own in choice.groupby("front", sort=False):
        label = plotting.in_math(own["label"].iloc[0])
        style = {"lw": 1, "ms": 5, "mec": "white", "mew": 0.4} | styles[name]
        axis.plot(own["k"] + aside[name], own["score"], **style, label=label)
    axis.set_xlabel("points tried, one chosen by validation")
    axis.set_title("Reward of the point that is chosen, 0 above the limit")
    axis.xaxis.set_major_locator(plt.MaxNLocator(integer=True))


def main() -> None:
    parser = cli.parser(__doc__, "output", task=str, fixed=cli.json_argument)
    for name in READS:
        parser.add_argument(f"--{name}", required=True)
    args = parser.parse_args()
    runs, table, choice = (frames.read_csv(getattr(args, name)) for name in READS)
    points = numbers(runs, args.task)
    if points.empty:
        return plotting.save_missing(args.output, "No front: the runs have no cost limit.")
    table = table[table["task"] == args.task].set_index("front")
    choice = choice[choice["task"] == args.task]
    reference = runs[(runs["method"] == REFERENCE) & (runs["task"] == args.task)]
    names = [name for name in dict.fromkeys(points["front"]) if name != pareto.CONTROL]
    styles = front_looks(names)

    plotting.use_style()
    rows = -(-(len(names) + 2) // ACROSS)
    figure = plt.figure(figsize=(plotting.TEXT_WIDTH, 0.5 + 1.7 * rows))
    grid = figure.add_gridspec(rows, ACROSS)
    shown = np.array([*points["reward"], *reference[pareto.REWARD]])
    most = max(points["cost"].max(), reference[pareto.COST].max(), 1.5) * 1.4
    controls = points[points["front"] == pareto.CONTROL]
    first = None
    for place, (name, style) in enumerate(styles.items()):
        axis = figure.add_subplot(grid[divmod(place, ACROSS)], sharex=first, sharey=first)
        first = first or axis
        if name not in pareto.CONTROLS:
            draw_stairs(axis, controls, most, color="0.55", lw=0.9, ls="--")
        draw_front(axis, points[points["front"] == name], most, **style)
        start = {"color": plotting.method_color(REFERENCE), "ms": 5.5, "mec": "white"}
        mark = plotting.method_marker(REFERENCE)
        axis.plot(reference[pareto.COST], reference[pareto.REWARD], mark, **start)
        set_up(axis, shown, most)
        axis.set_title(key_of(table.loc[name]))
        axis.tick_params(labelleft=place % ACROSS == 0)
        if place % ACROSS == 0:
            axis.set_ylabel("normalised reward")
        axis.set_xlabel("normalised cost" if place + ACROSS >= len(names) else "")
    start = len(names) % ACROSS if len(names) > ACROSS * (rows - 1) else 0
    last, beside = (figure.add_subplot(grid[rows - 1, own]) for own in (slice(start, -1), -1))
    draw_choice(last, choice, styles)
    beside.set_axis_off()
    beside.legend(*last.get_legend_handles_labels(), loc="center left", frameon=False)
    figure.suptitle(args.task, fontsize=9)
    each = plotting.count(points["runs"], "run")
    tried = choice["episodes"].iloc[0] if len(choice) else 0
    notes = [
        f"Mean and 95 % interval, {each} a point{plotting.having(args.fixed)}; faint: points that "
        "another one beats. Above each panel the hypervolume inside the limit (dotted); dashed: "
        "the trivial controls as one front; black square: π_ref. Last panel: mean over runs, "
        f"{tried} validation episodes a point.",
        source_note(runs["source"].dropna()),
    ]
    numbers_drawn = points.assign(source=table["source"].iloc[0])
    plotting.save(figure, args.output, numbers_drawn, " ".join(notes))


def key_of(row: pd.Series) -> str:
    """A front's name, and below it its hypervolume."""
    value = f"{row['hypervolume']:.2f}"
    if pd.notna(row["hypervolume_low"]):
        value += f" [{row['hypervolume_low']:.2f}, {row['hypervolume_high']:.2f}]"
    return f"{plotting.in_math(row['label'])}\n{value}"


if __name__ == "__main__":
    cli.run(main)
