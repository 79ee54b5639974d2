"""How like DSRL's datasets ours are: the numbers that the paper and DSRL tell of theirs."""

from collections.abc import Mapping

import numpy as np
import pandas as pd

from prefine.analysis.metrics import normalized_cost, normalized_return
from prefine.preferences.split import SplitSettings, reference_set, split
from prefine.tasks import TASKS, Task

ROLES, SCORES = ("preferred", "nonpreferred"), ("return", "cost")
SETS = [f"mean_{score}_{role}" for role in ROLES for score in SCORES]


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


def scores(
    returns: np.ndarray, costs: np.ndarray, task: Task, thresholds: list[int], draws: int = 5
) -> dict[str, float]:
    """The numbers of a dataset that the paper tells, means over thresholds and draws.

    Args:
        returns, costs: (n,) by trajectory.
    """
    settings = SplitSettings()
    cells = [
        split(returns, costs, task.name, tau, draw, settings)
        for tau in thresholds
        for draw in range(draws)
    ]
    found: dict[str, float] = {"trajectories": len(returns), "max_return": returns.max()}
    for role in ROLES:
        sets = [getattr(cell, role) for cell in cells if len(getattr(cell, role))]
        for score, values in zip(SCORES, (returns, costs), strict=True):
            means = [values[own].mean() for own in sets]
            found[f"mean_{score}_{role}"] = np.mean(means) if means else np.nan
    best = reference_set(returns, settings)
    found["reference_reward"] = normalized_return(returns[best], task).mean()
    costs_over = [normalized_cost(costs[best], tau).mean() for tau in thresholds]
    found["reference_cost"] = np.mean(costs_over)
    found["n_safe"] = min(cell.n_safe for cell in cells)
    found["n_unsafe"] = min(cell.n_unsafe for cell in cells)
    return found


def distance(found: Mapping[str, float], paper: Mapping[str, float], task: Task) -> float:
    """How far a dataset is from the paper's numbers; each term is 0 well within its bounds.

    The bounds: 15 % of D_p's return and D_np's cost, 10 of D_p's cost, .15 of D_ref's reward and a
    factor of 1.6 of its cost; at least 100 safe and 100 unsafe trajectories at every threshold, and
    no fewer than DSRL has.
    """

    def share(name: str) -> float:
        return max(0.0, abs(found[name] / paper[name] - 1) / 0.15 - 0.4)

    terms = [1.5 * share("mean_return_preferred"), share("mean_cost_nonpreferred")]
    printed = paper["mean_cost_preferred"]
    if printed != paper["mean_cost_nonpreferred"]:  # on CarRun one is a copy of the other
        terms.append(max(0.0, abs(found["mean_cost_preferred"] - printed) / 10 - 0.5))
    reward, cost = (f"reference_{name}" for name in ("reward", "cost"))
    terms.append(max(0.0, abs(found[reward] - paper[reward]) / 0.15 - 0.4))
    # Hardest to meet: an even density has few of the costliest among the best.
    terms.append(2.5 * max(0.0, abs(np.log(found[cost] / paper[cost])) / np.log(1.6) - 0.6))
    terms += [4 * max(0.0, 1.25 - found[name] / 100) for name in ("n_safe", "n_unsafe")]
    size = 10 * max(0.0, 1 - found["trajectories"] / task.n_trajectories)
    above = 10 * max(0.0, found["max_return"] / task.max_return - 1.06)
    return 3 * sum(terms) + size + above
