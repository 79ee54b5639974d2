"""The test of Endorse that was set before its runs (docs/beyond.md), from the published tables."""

from collections.abc import Iterable

import numpy as np
import pandas as pd
from scipy.stats import t

from prefine.analysis.names import method_label
from prefine.analysis.pareto import hypervolume
from prefine.report.tables import markdown

# The tasks that Endorse was not developed on.
HELD_OUT = ("AntVelocity", "HopperVelocity", "Walker2dVelocity", "PointGoal1", "CarGoal1")
HELD_OUT += ("CarCircle", "DroneRun")
ENCODER = "prefine_encoder"  # PREFINE with encoder_update: all, of the study likelihood
LABELS = {ENCODER: "PREFINE, encoder trains"}
COLUMNS = ("endorse", "prefine", ENCODER, "bc_from_reference", "bc")
PAIRS = [("endorse", other) for other in COLUMNS[1:]]
OVER_ALL = [(ENCODER, "prefine"), ("prefine", "bc_from_reference")]


def area(runs: pd.DataFrame) -> pd.Series:
    """The hypervolume of each run alone: reward x (1 - cost), 0 where the cost is above 1."""
    scores = runs[["normalized_return", "normalized_cost"]].to_numpy()
    return pd.Series([hypervolume(*run.reshape(2, 1)) for run in scores], runs.index)


def means(runs: pd.DataFrame, likelihood: pd.DataFrame) -> pd.DataFrame:
    """Mean area of a method's runs, one row a task, one column a method.

    Args:
        runs: tables/runs.csv.
        likelihood: tables/studies/likelihood.csv.
    """
    trains = likelihood[likelihood["variant"] == "encoder_update=all"].assign(method=ENCODER)
    both = pd.concat([runs, trains], ignore_index=True)
    return both.assign(area=area(both)).groupby(["task", "method"])["area"].mean().unstack()


def difference(table: pd.DataFrame, one: str, other: str, tasks: Iterable[str]) -> str:
    """Mean over tasks of the difference, with half the width of its 95 % interval (t)."""
    values = (table[one] - table[other]).loc[list(tasks)].to_numpy()
    half = t.ppf(0.975, len(values) - 1) * values.std(ddof=1) / np.sqrt(len(values))
    return f"{round(values.mean(), 2) + 0.0:+.2f} ± {half:.2f}"  # no -0.00


def filled(runs: pd.DataFrame, likelihood: pd.DataFrame) -> dict[str, str]:
    """``areas``, a row a held-out task; ``area.{one}.{other}`` over these, or ``....all``."""
    table = means(runs, likelihood)
    if not set(COLUMNS) <= set(table) or not set(HELD_OUT) <= set(table.index):
        return {}
    lines = [["Task", *(LABELS.get(name) or method_label(name) for name in COLUMNS)]]
    lines += [[task, *(f"{table.loc[task, name]:.3f}" for name in COLUMNS)] for task in HELD_OUT]
    found = {"areas": markdown(lines, "Area of a run, mean over five.")}
    found |= {f"area.{a}.{b}": difference(table, a, b, HELD_OUT) for a, b in PAIRS}
    return found | {f"area.{a}.{b}.all": difference(table, a, b, table.index) for a, b in OVER_ALL}
