"""Learning curves: what several runs have at the same iterations, as mean and spread."""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.ticker import FuncFormatter, MaxNLocator


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


def draw(axis: plt.Axes, rows: pd.DataFrame, score: str, spread: str, **style) -> None:
    """One line with its band of one ``spread``, std or se; a single run has no band."""
    x, mean = rows["iteration"].to_numpy(float), rows[score].to_numpy(float)
    around = rows[f"{score}_{spread}"].fillna(0).to_numpy(float)
    axis.plot(x, mean, lw=1.2, **style)
    axis.fill_between(x, mean - around, mean + around, color=style["color"], alpha=0.18, lw=0)


def iteration_axis(axis: plt.Axes) -> None:
    """Iterations in thousands where there are many."""
    axis.set_xlim(left=0)
    axis.xaxis.set_major_locator(MaxNLocator(4, integer=True))
    axis.xaxis.set_major_formatter(FuncFormatter(_thousands))


def _thousands(value: float, place: int) -> str:
    return f"{value / 1000:g}k" if value >= 1000 else f"{value:g}"
