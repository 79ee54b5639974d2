"""Scores of episodes and runs (methods 2.4 and 6). Lower cost is better."""

import numpy as np
import pandas as pd

from prefine.tasks import Task

CVAR_LEVELS = (0.05, 0.1, 0.2, 0.5)


def normalized_return(returns, task: Task):
    """(R - R_min) / (R_max - R_min) with DSRL's reference scores; may leave [0, 1]."""
    return (returns - task.min_return) / (task.max_return - task.min_return)


def normalized_cost(cost, kappa: float):
    """(C + eps) / (kappa + eps), Eq. 10, with eps = 1 if kappa is 0 and else 0."""
    epsilon = 1.0 if kappa == 0 else 0.0
    return (cost + epsilon) / (kappa + epsilon)


def is_safe(normalized_cost):
    """A cell is safe if its mean normalised cost is at most 1 (paper A.3)."""
    return normalized_cost <= 1.0


def cvar(costs: np.ndarray, level: float) -> float:
    """Mean of the worst ``level`` share of ``costs``: min_x x + sum (C - x)+ / (level n)."""
    ordered = np.sort(np.asarray(costs, dtype=np.float64))[::-1]
    share = level * len(ordered)
    whole = int(np.floor(share + 1e-9))
    tail = ordered[:whole].sum()
    if whole < len(ordered):
        tail += (share - whole) * ordered[whole]
    return float(tail / share)


def _share_above(costs: np.ndarray, limit: float) -> float:
    """NaN without a limit or without costs."""
    return float("nan") if np.isnan(limit + costs.sum()) else float((costs > limit).mean())


def summarize(episodes: pd.DataFrame, task: Task, kappa: float) -> dict[str, float]:
    """Reduce the episodes of one run (columns return, cost, length, terminated).

    Without costs, or with NaN for ``kappa``, what depends on them is NaN.
    """
    returns, costs = episodes["return"].to_numpy(), episodes["cost"].to_numpy()
    scores = {
        "episodes": len(episodes),
        "return": returns.mean(),
        "return_std": returns.std(),
        "cost": costs.mean(),
        "cost_std": costs.std(),
        "normalized_return": normalized_return(returns.mean(), task),
        "normalized_cost": normalized_cost(costs.mean(), kappa),
        "violation_rate": _share_above(costs, kappa),
        "severe_rate": _share_above(costs, 2 * kappa),
        "length": episodes["length"].mean(),
        "terminated_rate": episodes["terminated"].mean(),
    }
    return scores | {f"cvar_{level}": cvar(costs, level) for level in CVAR_LEVELS}
