"""A page to label trajectories on: a small plot of each, two buttons, a table to save.

It is one file without anything from elsewhere, so it opens on any machine.
"""

import html
import json
from collections.abc import Sequence

import numpy as np
import pandas as pd

from prefine.files import template

POINTS = 120  # of a curve
WIDTH, HEIGHT = 120, 90  # of a plot, in pixels

PAGE, CARD = template(__file__, ".html"), template(__file__, ".card.html")


def page(
    title: str,
    table: pd.DataFrame,
    paths: Sequence[np.ndarray],
    rewards: Sequence[np.ndarray],
    axes: tuple[int, int],
) -> str:
    """Return the page's text.

    Args:
        table: the sheet: trajectory, return, length, label.
        paths: (n, 2) of each trajectory, the two observations that are drawn.
        rewards: (n,) of each trajectory.
    """
    frame = _frame(np.concatenate(list(paths)))
    steps = [np.stack([np.arange(len(own)), own], 1) for own in rewards]
    times = _frame(np.concatenate(steps))
    cards = []
    for row, path, curve in zip(table.itertuples(), paths, steps, strict=True):
        plots = _plot(path, frame, "#0072B2", dot=True) + " " + _plot(curve, times, "#E69F00")
        total = f"{table.at[row.Index, 'return']:.1f}"
        own = {"trajectory": row.trajectory, "total": total, "length": row.length, "plots": plots}
        cards.append(CARD.substitute(own).rstrip("\n"))
    left = f"observation {axes[0]} across, observation {axes[1]} upwards"
    rows = json.dumps(table[["trajectory", "return", "length"]].to_numpy().tolist())
    names = {"title": html.escape(title), "file": f"{html.escape(title)}.csv", "left": left}
    return PAGE.substitute(names, cards="\n".join(cards), rows=rows, card=2 * WIDTH + 14)


def _frame(points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Lowest corner and extent of all points; a few far ones may leave it."""
    low, high = np.quantile(points, [0.002, 0.998], axis=0)
    return low, np.maximum(high - low, 1e-9)


def _plot(points: np.ndarray, frame, color: str, dot: bool = False) -> str:
    low, extent = frame
    chosen = points[np.linspace(0, len(points) - 1, min(len(points), POINTS)).astype(int)]
    placed = np.clip((chosen - low) / extent, -0.05, 1.05) * 0.9 + 0.05
    placed = placed * [WIDTH, -HEIGHT] + [0, HEIGHT]
    line = " ".join(f"{x:.1f},{y:.1f}" for x, y in placed)
    start = f'<circle cx="{placed[0, 0]:.1f}" cy="{placed[0, 1]:.1f}" r="2.5"/>' if dot else ""
    return (
        f'<svg width="{WIDTH}" height="{HEIGHT}">'
        f'<polyline stroke="{color}" points="{line}"/>{start}</svg>'
    )
