"""A policy before and after, on the same episodes: what became better, worse, and how surely."""

import numpy as np
import pandas as pd

from prefine.analysis.statistics import Estimate, interval

SCORES = ("return", "cost")


def mean(before: np.ndarray, after: np.ndarray) -> Estimate:
    """Mean of after alone, with its interval over episodes; (n,) each, in the same order."""
    return interval([after])


def difference(before: np.ndarray, after: np.ndarray) -> Estimate:
    """Mean of after minus before, each episode with its counterpart."""
    return interval([after - before])


def difference_apart(before: np.ndarray, after: np.ndarray) -> Estimate:
    """The same of episodes that have no counterpart, from the two means' intervals (MOVER)."""
    one, other = interval([before]), interval([after])
    gap = other.value - one.value
    low = gap - np.hypot(other.value - other.low, one.high - one.value)
    high = gap + np.hypot(other.high - other.value, one.value - one.low)
    return Estimate(gap, low, high)


def share(before: np.ndarray, after: np.ndarray) -> Estimate:
    """Mean of after as a share of the mean before; nothing where that is not positive."""
    whole = before.mean()
    if not whole > 0:
        return Estimate(np.nan)
    value = after.mean() / whole
    return interval([(after - value * before) / whole], value)


STATISTICS = {"mean": mean, "difference": difference, "share": share}


def compare(episodes: pd.DataFrame, against: str) -> pd.DataFrame:
    """One row a policy and score: its mean, its difference to ``against``, and its share of it.

    Args:
        episodes: who, episode, return, cost; everybody on the same episodes.
    """
    rows = []
    table = episodes.pivot(index="episode", columns="who", values=list(SCORES)).sort_index()
    for who in episodes["who"].unique():
        for score in SCORES:
            before, after = (table[score][name].to_numpy(float) for name in (against, who))
            row = {"who": who, "score": score, "episodes": len(after)}
            for name, statistic in STATISTICS.items():
                if name != "mean" and who == against:
                    continue
                own = statistic(before, after)
                row |= {
                    name: float(own.value),
                    f"{name}_low": float(own.low),
                    f"{name}_high": float(own.high),
                }
            rows.append(row)
    return pd.DataFrame(rows)
