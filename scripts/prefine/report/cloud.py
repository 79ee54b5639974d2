"""Every run as a mark by its cost and reward: what the page draws, with words for each mark."""

import numpy as np
import pandas as pd

from prefine.analysis.names import method_label, method_order
from prefine.report.colors import method_color

WIDTH, HEIGHT, LEFT, BOTTOM, RIGHT, TOP = 720, 400, 52, 44, 12, 12
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
        methods (label, color, marks: x, y, words), costs and rewards (place, text of a tick),
        limit (the place of cost 1); empty if no run has a normalised cost.
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
        methods.append(
            {"label": method_label(method), "color": method_color(method), "marks": marks}
        )
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
        f"cost {row.normalized_cost:.2f} (return {row.raw_return:.4g}, cost {row.cost:.4g} raw)"
    )
