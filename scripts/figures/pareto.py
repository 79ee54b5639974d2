"""Fronts of return against cost of one task, and what choosing a point of them gives."""

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

MARKS = "osDv^P<>Xp*h"
SHOWN = 0.12  # of the height, above the best reward and below the least


def numbers(runs: pd.DataFrame, task: str) -> pd.DataFrame:
    """One row a point: mean reward and cost with their intervals over runs."""
    rows = []
    for name in pareto.fronts_of(runs):
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


def color_of(front: str, others: list[str]) -> tuple | str:
    """A method's colour; methods of one's own, which would share a grey, differ."""
    if front.startswith(pareto.MIXED):
        return "#999999"
    if front in plotting.METHOD_COLORS:
        return plotting.method_color(front)
    return plt.get_cmap("Set1")(others.index(front) % 9)


def draw_front(axis: plt.Axes, points: pd.DataFrame, right: float, **style) -> None:
    """The points, those of the front with intervals, and the stairs of what it reaches."""
    best = points[points["undominated"]].sort_values("cost")
    rest = points[~points["undominated"]]
    color, mark = style["color"], style["marker"]
    axis.scatter(rest["cost"], rest["reward"], s=9, marker=mark, color=color, alpha=0.35, lw=0)
    spread = [
        np.nan_to_num([best[k] - best[f"{k}_low"], best[f"{k}_high"] - best[k]]).clip(min=0)
        for k in ("cost", "reward")
    ]
    axis.errorbar(
        best["cost"],
        best["reward"],
        xerr=spread[0],
        yerr=spread[1],
        fmt=mark,
        ms=4,
        lw=0.5,
        color=color,
        mec="white",
        mew=0.4,
        zorder=3,
    )
    if len(best):
        x, y = [*best["cost"], right], [*best["reward"], best["reward"].iloc[-1]]
        axis.step(x, y, where="post", color=color, lw=1.0, alpha=0.8)


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
    names = list(dict.fromkeys(points["front"]))
    others = [name for name in names if name not in plotting.METHOD_COLORS]
    styles = {
        name: {"color": color_of(name, others), "marker": MARKS[place % len(MARKS)]}
        for place, name in enumerate(names)
    }

    plotting.use_style()
    figure, (left, right) = plt.subplots(
        1, 2, figsize=(plotting.TEXT_WIDTH, 3.6), width_ratios=[1.7, 1]
    )
    most = max(points["cost"].max(), reference[pareto.COST].max(), 1.5) * 1.15
    for name, style in styles.items():
        draw_front(left, points[points["front"] == name], most, **style)
    left.plot(reference[pareto.COST], reference[pareto.REWARD], "*", ms=9, color="black", zorder=4)
    left.axvline(pareto.LIMIT, color="0.2", lw=0.8, ls=":")
    left.set_xscale("symlog", linthresh=1.0, linscale=1.6)
    left.set_xlim(-0.05, most)
    ticks = [tick for tick in (0, 0.25, 0.5, 0.75, 1, 2, 3, 5, 10, 20, 30) if tick <= most]
    left.set_xticks(ticks, [f"{tick:g}" for tick in ticks])
    left.minorticks_off()
    shown = [*points["reward"], *reference[pareto.REWARD]]
    room = SHOWN * max(max(shown) - min(shown), 0.1)
    left.set_ylim(min(shown) - room, max(shown) + room)
    left.set_xlabel("normalised cost (dotted: the limit)")
    left.set_ylabel("normalised reward")
    left.set_title(args.task)
    for name, own in choice.groupby("front", sort=False):
        right.plot(own["k"], own["score"], lw=1.0, ms=3, mec="white", mew=0.3, **styles[name])
    right.set_xlabel("points tried, one chosen by validation")
    right.set_ylabel("reward, 0 above the limit")
    right.set_title("What choosing gives")
    right.xaxis.set_major_locator(plt.MaxNLocator(integer=True))
    keys = [
        plt.Line2D([], [], lw=1.0, ms=4, label=key_of(table.loc[name]), **styles[name])
        for name in names
    ]
    keys.append(
        plt.Line2D([], [], ls="", marker="*", ms=8, color="black", label=r"$\pi_\mathrm{ref}$")
    )
    figure.legend(handles=keys, loc="outside upper center", ncols=3, frameon=False)
    each = plotting.count(points["runs"], "run")
    tried = choice["episodes"].iloc[0] if len(choice) else 0
    notes = [
        f"Mean and 95 % interval, {each} a point{plotting.having(args.fixed)}; faint: points that "
        "another one of the method beats in both. In the legend the hypervolume inside the limit. "
        f"Right: mean over runs, {tried} validation episodes a point.",
        source_note(runs["source"].dropna()),
    ]
    plotting.save(
        figure, args.output, points.assign(source=table["source"].iloc[0]), " ".join(notes)
    )


def key_of(row: pd.Series) -> str:
    """A front's name with its hypervolume."""
    value = f"{row['hypervolume']:.2f}"
    if pd.notna(row["hypervolume_low"]):
        value += f" [{row['hypervolume_low']:.2f}, {row['hypervolume_high']:.2f}]"
    return f"{plotting.in_math(row['label'])}: {value}"


if __name__ == "__main__":
    cli.run(main)
