"""Every run as a mark by its cost and reward: what the page draws, with words for each mark."""

import numpy as np
import pandas as pd

from prefine.analysis.names import method_label, method_order
from prefine.numbers import four_digits
from prefine.report.colors import method_color, method_marker

WIDTH, HEIGHT, LEFT, BOTTOM, RIGHT, TOP = 720, 400, 52, 44, 12, 12
# The marks of the figures as paths of SVG around (0, 0).
SHAPES = {
    "o": "M-5 0a5 5 0 1 0 10 0a5 5 0 1 0-10 0z",
    "s": "M-4.4-4.4h8.8v8.8h-8.8z",
    "D": "M0-6l6 6l-6 6l-6-6z",
    "d": "M0-7l3.6 7l-3.6 7l-3.6-7z",
    "^": "M0-5.8l5.6 10h-11.2z",
    "v": "M0 5.8l5.6-10h-11.2z",
    "<": "M-5.8 0l10-5.6v11.2z",
    ">": "M5.8 0l-10-5.6v11.2z",
    "P": "M-2-5.6h4v3.6h3.6v4h-3.6v3.6h-4v-3.6h-3.6v-4h3.6z",
    "X": "M-5.4-2.6l2.8-2.8l2.6 2.6l2.6-2.6l2.8 2.8l-2.6 2.6l2.6 2.6l-2.8 2.8l-2.6-2.6l-2.6 2.6"
    "l-2.8-2.8l2.6-2.6z",
    "p": "M0-5.8l5.5 4l-2.1 6.5h-6.8l-2.1-6.5z",
    "*": "M0-7l1.7 4.7l5 .1l-4 3.1l1.4 4.8l-4.1-2.8l-4.1 2.8l1.4-4.8l-4-3.1l5-.1z",
    "h": "M0-5.8l5 2.9v5.8l-5 2.9l-5-2.9v-5.8z",
}
COST_TICKS = (0, 0.5, 1, 2, 5, 10, 20, 50, 100)


def squeezed(cost: np.ndarray | float) -> np.ndarray:
    """Cost as it is up to the limit 1, its logarithm beyond."""
    cost = np.maximum(np.asarray(cost, dtype=float), 0)
    return np.where(cost <= 1, cost, 1 + np.log2(np.maximum(cost, 1)))


def cloud(runs: pd.DataFrame) -> dict:
    """Lay the runs out for an SVG of WIDTH × HEIGHT.

    Args:
        runs: tables/runs.csv.

    Returns:
        methods (label, color, shape, marks: x, y, words), costs and rewards (place,
        text of a tick), limit (the place of cost 1); empty if no run has a normalised cost.
    """
    runs = runs.dropna(subset=["normalized_cost", "normalized_return"])
    if runs.empty:
        return {}
    most = max(2.0, runs["normalized_cost"].max())
    low, high = min(0.0, runs["normalized_return"].min()), max(1.0, runs["normalized_return"].max())

    def x(cost: float) -> float:
        share = squeezed(cost) / squeezed(most)
        return round(float(LEFT + 8 + share * (WIDTH - LEFT - RIGHT - 16)), 1)

    def y(reward: float) -> float:
        share = (reward - low) / (high - low)
        return round(float(HEIGHT - BOTTOM - 8 - share * (HEIGHT - BOTTOM - TOP - 16)), 1)

    methods = []
    for method in method_order(runs["method"]):
        own = runs[runs["method"] == method]
        marks = [
            (x(row.normalized_cost), y(row.normalized_return), words(row))
            for row in own.itertuples()
        ]
        look = {"color": method_color(method), "shape": SHAPES[method_marker(method)]}
        methods.append({"label": method_label(method), "marks": marks, **look})
    step = next(s for s in (0.25, 0.5, 1, 2, 5, 10, 1e9) if (high - low) / s <= 8)
    rewards = np.arange(np.ceil(low / step), np.floor(high / step) + 1) * step
    return {
        "methods": methods,
        "costs": [(x(tick), f"{tick:g}") for tick in COST_TICKS if tick <= most],
        "rewards": [(y(tick), f"{tick + 0:g}") for tick in rewards],
        "limit": x(1),
    }


def words(row: tuple) -> str:
    """What is said of a run."""
    limit = "" if pd.isna(row.tau) else f", τ = {row.tau:g}"
    seed = "" if pd.isna(row.seed) else f", seed {row.seed:g}"
    return (
        f"{method_label(row.method)}, {row.task}{limit}{seed}: reward {row.normalized_return:.2f}, "
        f"cost {row.normalized_cost:.2f} (return {four_digits(row.raw_return)}, "
        f"cost {four_digits(row.cost)} raw)"
    )
