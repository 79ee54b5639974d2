"""How much of the safe ones is D_p drawn from, and how much of all is D_ref? (methods 2.6)

The paper names neither share. Both are chosen by its own descriptions of the data, Tables 2
and 3 and pi_ref's row of Table 1, never by the results of a method.
"""

from collections.abc import Iterable, Mapping
from dataclasses import replace

import numpy as np
import pandas as pd

from prefine.analysis.metrics import normalized_return
from prefine.preferences.split import SplitSettings, reference_set, split
from prefine.tasks import TASKS

PREFERRED_TOPS = (0.25, 0.5, 0.75, 1.0)
REFERENCE_TOPS = (0.05, 0.1, 0.2)
# Its cost in the paper is a copy of the non-preferred set's.
COPY_ERRORS = {("CarRun", "mean_cost_preferred")}


def preferred_rows(
    tables: Mapping[str, pd.DataFrame],
    thresholds: Mapping[str, list[int]],
    draws: int,
    settings: SplitSettings,
    paper: pd.DataFrame,
) -> pd.DataFrame:
    """One row a share and task: D_p's normalised return and cost, ours and the paper's."""
    rows, paper = [], paper.set_index("task")
    for top in PREFERRED_TOPS:
        for name, table in tables.items():
            returns, costs = table["return"].to_numpy(), table["cost"].to_numpy()
            cells = [
                split(returns, costs, name, tau, draw, replace(settings, preferred_top=top))
                for tau in thresholds[name]
                for draw in range(draws)
            ]
            sets = [cell.preferred for cell in cells if cell.feasible]
            own = {"parameter": "preferred_top", "value": top, "task": name}
            target = paper.loc[name]
            rows.append(
                own
                | {
                    "ours": _mean(normalized_return(returns, TASKS[name]), sets),
                    "paper": normalized_return(target["mean_return_preferred"], TASKS[name]),
                    "cost": _mean(costs, sets),
                    "cost_paper": np.nan
                    if (name, "mean_cost_preferred") in COPY_ERRORS
                    else target["mean_cost_preferred"],
                }
            )
    return pd.DataFrame(rows)


def reference_rows(
    tables: Mapping[str, pd.DataFrame], settings: SplitSettings, paper: pd.DataFrame
) -> pd.DataFrame:
    """One row a share and task: D_ref's normalised return and pi_ref's in the paper."""
    targets = paper[paper["method"] == "reference"].set_index("task")["reward"]
    rows = []
    for top in REFERENCE_TOPS:
        for name, table in tables.items():
            returns = table["return"].to_numpy()
            chosen = reference_set(returns, replace(settings, reference_top=top))
            rows.append(
                {
                    "parameter": "reference_top",
                    "value": top,
                    "task": name,
                    "ours": _mean(normalized_return(returns, TASKS[name]), [chosen]),
                    "paper": targets[name],
                    "cost": _mean(table["cost"].to_numpy(), [chosen]),
                    "cost_paper": np.nan,
                }
            )
    return pd.DataFrame(rows)


def errors(rows: pd.DataFrame) -> pd.DataFrame:
    """Mean absolute error of the normalised return over tasks, smallest first."""
    table = rows.assign(
        error=(rows["ours"] - rows["paper"]).abs(),
        cost_error=(rows["cost"] - rows["cost_paper"]).abs(),
    )
    means = table.groupby(["parameter", "value"])[["error", "cost_error"]].mean()
    return means.reset_index().sort_values(["parameter", "error", "value"], ignore_index=True)


def _mean(values: np.ndarray, sets: Iterable[np.ndarray]) -> float:
    """Mean over sets of the mean over their trajectories; NaN without any."""
    means = [values[indices].mean() for indices in sets if len(indices)]
    return float(np.mean(means)) if means else float("nan")
