"""A page to label trajectories on: a small plot of each, two buttons, a table to save.

It is one file without anything from elsewhere, so it opens on any machine.
"""

import html
import json
from collections.abc import Sequence

import numpy as np
import pandas as pd

POINTS = 120  # of a curve
WIDTH, HEIGHT = 120, 90  # of a plot, in pixels

PAGE = """<!doctype html><meta charset="utf-8"><title>Labels of {title}</title>
<style>
body {{ font: 14px sans-serif; margin: 1em 2em; color: #222 }}
header {{ position: sticky; top: 0; background: #fff; padding: .5em 0 }}
main {{ display: flex; flex-wrap: wrap; gap: .6em; padding: .6em 0 }}
section {{ border: 3px solid #ddd; padding: .3em; width: {card}px }}
section.preferred {{ border-color: #1B9E50 }} section.nonpreferred {{ border-color: #D7301F }}
svg {{ background: #f7f7f7; margin-right: 2px }}
polyline {{ fill: none; stroke-width: 1.2 }}
small {{ display: block; color: #555 }} button {{ font-size: 12px }}
</style>
<header><b>{title}</b>: which of these do you want more of? Left: {left}; it starts at the dot.
Right: reward of each step. All plots of a kind have the same axes.<br>
Click what you can judge; the others stay out. <button id="save">Save {file}</button>
<span id="count"></span></header>
<main>{cards}</main>
<script>
const rows = {rows}, labels = {{}};
function show() {{
  const n = name => Object.values(labels).filter(label => label === name).length;
  document.getElementById("count").textContent =
    n("preferred") + " preferred, " + n("nonpreferred") + " nonpreferred of " + rows.length;
}}
document.querySelectorAll("section button").forEach(button => button.onclick = () => {{
  const card = button.closest("section"), key = card.dataset.trajectory;
  if (labels[key] === button.value) delete labels[key]; else labels[key] = button.value;
  card.className = labels[key] || "";
  show();
}});
document.getElementById("save").onclick = () => {{
  const lines = rows.map(row => [...row, labels[row[0]] || ""].join(","));
  const text = ["trajectory,return,length,label", ...lines, ""].join("\\n");
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([text], {{type: "text/csv"}}));
  link.download = "{file}";
  link.click();
}};
show();
</script>
"""
CARD = """<section data-trajectory="{trajectory}">{plots}
<small><b>{trajectory}</b>: return {total:.1f}, {length} steps</small>
<button value="preferred">preferred</button>
<button value="nonpreferred">nonpreferred</button></section>"""


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
        cards.append(
            CARD.format(
                trajectory=row.trajectory,
                total=table.at[row.Index, "return"],
                length=row.length,
                plots=plots,
            )
        )
    left = f"observation {axes[0]} across, observation {axes[1]} upwards"
    rows = json.dumps(table[["trajectory", "return", "length"]].to_numpy().tolist())
    names = {"title": html.escape(title), "file": f"{html.escape(title)}.csv", "left": left}
    return PAGE.format(**names, cards="\n".join(cards), rows=rows, card=2 * WIDTH + 14)


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
