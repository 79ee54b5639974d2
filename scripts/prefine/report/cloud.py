"""Runs, and points of fronts, as marks by cost and reward: what the page draws, with words."""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from matplotlib.markers import MarkerStyle
from matplotlib.path import Path

from prefine.analysis import pareto
from prefine.analysis.names import method_label, method_order
from prefine.config.plan import CONFIG
from prefine.numbers import count, four_digits
from prefine.report.colors import front_looks, method_color, method_marker

WIDTH, HEIGHT, LEFT, BOTTOM, RIGHT, TOP = 720, 400, 52, 44, 12, 12
SIZE = 10.5  # of a mark
LETTERS = {Path.MOVETO: "M", Path.LINETO: "L", Path.CURVE3: "Q", Path.CURVE4: "C"}
COST_TICKS = (0, 0.5, 1, 2, 5, 10, 20, 50, 100)


def squeezed(cost: np.ndarray | float) -> np.ndarray:
    """Cost as it is up to the limit 1, its logarithm beyond."""
    cost = np.maximum(np.asarray(cost, dtype=float), 0)
    return np.where(cost <= 1, cost, 1 + np.log2(np.maximum(cost, 1)))


def shape(marker: str | tuple) -> str:
    """A mark of the figures as a path of SVG around (0, 0)."""
    style = MarkerStyle(marker)
    path = style.get_path().transformed(style.get_transform().frozen().scale(SIZE, -SIZE))
    pieces = [
        "Z" if code == Path.CLOSEPOLY else LETTERS[code] + " ".join(f"{v:.4g}" for v in vertices)
        for vertices, code in path.iter_segments()
    ]
    return "".join(pieces)


def plane(groups: Sequence[Mapping]) -> dict:
    """Lay marks out for an SVG of WIDTH × HEIGHT.

    Args:
        groups: label, color, shape and marks of each; a mark has cost, reward, words, and
            whether the stairs of what its group reaches go by it (front).

    Returns:
        groups (label, color, shape, marks: x, y, words, front; stairs: a path of SVG or
        nothing), costs and rewards (place, text of a tick), limit (the place of cost 1).
    """
    every = [mark for own in groups for mark in own["marks"]]
    most = max(2.0, *(mark["cost"] for mark in every))
    low = min(0.0, *(mark["reward"] for mark in every))
    high = max(1.0, *(mark["reward"] for mark in every))

    def x(cost: float) -> float:
        share = squeezed(cost) / squeezed(most)
        return round(float(LEFT + 8 + share * (WIDTH - LEFT - RIGHT - 16)), 1)

    def y(reward: float) -> float:
        share = (reward - low) / (high - low)
        return round(float(HEIGHT - BOTTOM - 8 - share * (HEIGHT - BOTTOM - TOP - 16)), 1)

    def placed(own: Mapping) -> dict:
        marks = [(x(m["cost"]), y(m["reward"]), m["words"], m["front"]) for m in own["marks"]]
        # Upwards where two costs fall on one place: y grows downwards.
        best = sorted(((a, up) for a, up, _, front in marks if front), key=lambda m: (m[0], -m[1]))
        stairs = "".join(f"H{across}V{up}" for across, up in best[1:])
        if best:
            stairs = f"M{best[0][0]} {best[0][1]}{stairs}H{WIDTH - RIGHT}"
        return {**own, "marks": marks, "stairs": stairs}

    step = next(s for s in (0.25, 0.5, 1, 2, 5, 10, 1e9) if (high - low) / s <= 8)
    rewards = np.arange(np.ceil(low / step), np.floor(high / step) + 1) * step
    return {
        "groups": [placed(own) for own in groups],
        "costs": [(x(tick), f"{tick:g}") for tick in COST_TICKS if tick <= most],
        "rewards": [(y(tick), f"{tick + 0:g}") for tick in rewards],
        "limit": x(1),
    }


def of_runs(runs: pd.DataFrame) -> dict:
    """Every run of tables/runs.csv as a mark; empty if none has a normalised cost."""
    runs = runs.rename(columns={"return": "raw_return"})
    runs = runs.dropna(subset=["normalized_cost", "normalized_return"])
    groups = []
    for method in method_order(runs["method"]):
        marks = [
            {
                "cost": row.normalized_cost,
                "reward": row.normalized_return,
                "words": run_words(row),
                "front": False,
            }
            for row in runs[runs["method"] == method].itertuples()
        ]
        look = {"color": method_color(method), "shape": shape(method_marker(method))}
        groups.append({"label": method_label(method), "marks": marks, **look})
    return plane(groups) if groups else {}


def of_fronts(points: pd.DataFrame) -> dict:
    """A task's points of the trade-off as marks, with the stairs of each front.

    Args:
        points: figures/pareto_{task}.csv.
    """
    points = points[points["front"] != pareto.CONTROL]
    looks = front_looks(points["front"])
    groups = [
        {
            "label": pareto.front_label(name),
            "color": looks[name]["color"],
            "shape": shape(looks[name]["marker"]),
            "marks": [
                {
                    "cost": row.cost,
                    "reward": row.reward,
                    "words": point_words(row),
                    "front": row.undominated,
                }
                for row in own.itertuples()
            ],
        }
        for name, own in points.groupby("front", sort=False)
    ]
    return plane(groups) if groups else {}


def run_words(row: tuple) -> str:
    """What is said of a run."""
    limit = "" if pd.isna(row.tau) else f", τ = {row.tau:g}"
    seed = "" if pd.isna(row.seed) else f", seed {row.seed:g}"
    return (
        f"{method_label(row.method)}, {row.task}{limit}{seed}: reward {row.normalized_return:.2f}, "
        f"cost {row.normalized_cost:.2f} (return {four_digits(row.raw_return)}, "
        f"cost {four_digits(row.cost)} raw)"
    )


def point_words(row: tuple) -> str:
    """What is said of a point of a front."""

    def score(name: str) -> str:
        low, high = getattr(row, f"{name}_low"), getattr(row, f"{name}_high")
        between = "" if pd.isna(low) else f" [{low:.2f}, {high:.2f}]"
        return f"{name} {getattr(row, name):.2f}{between}"

    variant = "as in the config" if row.variant == CONFIG else row.variant
    beaten = "" if row.undominated else "; another point of it is better"
    runs = f"mean of {count(row.runs, 'run')}"
    label = pareto.front_label(row.front)
    return f"{label}, {variant}: {score('reward')}, {score('cost')} ({runs}{beaten})"
