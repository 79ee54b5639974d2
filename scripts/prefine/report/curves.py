"""Learning curves: what several runs have at the same iterations, as mean and spread."""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.ticker import FuncFormatter, MaxNLocator

from prefine.report.colors import method_color, method_marker


def summarize(curves: pd.DataFrame, by: list[str], scores: list[str]) -> pd.DataFrame:
    """Mean, standard deviation (ddof 1) and standard error over runs, by ``by`` and iteration.

    Args:
        curves: one row a run and iteration.

    Returns:
        Columns ``by``, iteration, runs and {score}, {score}_std, {score}_se of each score.
    """
    groups = curves.groupby([*by, "iteration"], dropna=False, sort=True)
    table = groups.size().rename("runs").to_frame()
    for score in scores:
        table[score] = groups[score].mean()
        table[f"{score}_std"] = groups[score].std(ddof=1)
        table[f"{score}_se"] = table[f"{score}_std"] / np.sqrt(table["runs"])
    return table.reset_index()


def look(method: str, place: int, points: int) -> dict:
    """A method's colour and mark; of many points every fourth has one, by ``place`` another."""
    every = (place % 4, 4) if points > 8 else 1  # not on one another
    own = {"color": method_color(method), "marker": method_marker(method)}
    return own | {"ms": 3.5, "markevery": every}


def draw(
    axis: plt.Axes, rows: pd.DataFrame, score: str, spread: str, shade: float = 0.18, **style
) -> None:
    """One line with its band of one ``spread``, std or se; a single run has no band."""
    x, mean = rows["iteration"].to_numpy(float), rows[score].to_numpy(float)
    around = rows[f"{score}_{spread}"].fillna(0).to_numpy(float)
    axis.plot(x, mean, lw=1.2, **style)
    axis.fill_between(x, mean - around, mean + around, color=style["color"], alpha=shade, lw=0)


def iteration_axis(axis: plt.Axes) -> None:
    """Iterations in thousands where there are many, with room for the first mark."""
    right = axis.get_xlim()[1]
    axis.set_xlim(-0.03 * right, right)
    axis.xaxis.set_major_locator(MaxNLocator(4, integer=True))
    axis.xaxis.set_major_formatter(FuncFormatter(_thousands))


def _thousands(value: float, place: int) -> str:
    return f"{value / 1000:g}k" if value >= 1000 else f"{value:g}"
