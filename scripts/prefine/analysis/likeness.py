"""How like DSRL's datasets ours are: the numbers that the paper and DSRL tell of theirs."""

from collections.abc import Mapping

import numpy as np
import pandas as pd

from prefine.analysis.metrics import normalized_cost, normalized_return
from prefine.tasks import TASKS

SETS = [
    f"mean_{score}_{role}" for role in ("preferred", "nonpreferred") for score in ("return", "cost")
]


def likeness(
    statistics: pd.DataFrame,
    returns: Mapping[str, pd.Series],
    thresholds: Mapping[str, list],
    table1: pd.DataFrame,
) -> pd.DataFrame:
    """One row a dataset: its numbers and, as ``paper_{column}``, those of DSRL's.

    ``reference_reward`` and ``reference_cost`` are D_ref's mean normalised return, and its mean
    cost over each threshold, averaged; beside them stands what the paper's reference policy
    pi_ref, which is cloned from D_ref, reaches in Table 1.

    Args:
        statistics: Tables 2 and 3 (``analysis.tables.dataset_statistics``).
        returns: by task, of all trajectories.
        thresholds: by task.
        table1: the paper's.
    """
    paper = table1[table1["method"] == "reference"].set_index("task")
    rows = []
    for own in statistics.to_dict("records"):
        task, limits = TASKS[own["task"]], [tau for tau in thresholds[own["task"]] if tau]
        reached = returns[task.name]
        cost = own["mean_cost_reference"]
        costs = [normalized_cost(cost, tau) for tau in limits]
        row = {
            **{name: own[name] for name in ("suite", "task", "source", "trajectories")},
            "paper_trajectories": task.n_trajectories,
            "max_cost": own["max_cost"],
            "paper_max_cost": task.max_cost,
            "min_return": reached.min(),
            "paper_min_return": task.min_return,
            "max_return": reached.max(),
            "paper_max_return": task.max_return,
        }
        for name in SETS:
            row |= {name: own[name], f"paper_{name}": own.get(f"paper_{name}", np.nan)}
        row["reference_reward"] = normalized_return(own["mean_return_reference"], task)
        row["paper_reference_reward"] = paper["reward"].get(task.name, np.nan)
        row["reference_cost"] = np.mean(costs) if costs else np.nan
        row["paper_reference_cost"] = paper["cost"].get(task.name, np.nan)
        rows.append(row)
    return pd.DataFrame(rows)
