"""A policy before and after, on the same episodes: what became better, worse, and how surely."""

import numpy as np
import pandas as pd

from prefine.analysis.statistics import LEVEL, REPLICATES, Estimate

SCORES = ("return", "cost")


def paired(before: np.ndarray, after: np.ndarray, statistic, generator) -> Estimate:
    """Percentile bootstrap over episodes, each drawn with its counterpart.

    Args:
        before, after: (n,) of the same episodes in the same order.
        statistic: of (..., n) before and after.
    """
    value = float(statistic(before, after))
    if len(before) < 2:
        return Estimate(value)
    drawn = generator.integers(len(before), size=(min(REPLICATES, 10_000), len(before)))
    draws = statistic(before[drawn], after[drawn])
    low, high = np.nanquantile(draws, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return Estimate(value, float(low), float(high))


def difference(before: np.ndarray, after: np.ndarray) -> np.ndarray:
    """Mean of after minus before."""
    return after.mean(-1) - before.mean(-1)


def share(before: np.ndarray, after: np.ndarray) -> np.ndarray:
    """Mean of after as a share of the mean before; nothing where that is not positive."""
    whole = before.mean(-1)
    return np.where(whole > 0, after.mean(-1) / np.where(whole > 0, whole, 1.0), np.nan)


def mean(before: np.ndarray, after: np.ndarray) -> np.ndarray:
    """Mean of after alone."""
    return after.mean(-1)


STATISTICS = {"mean": mean, "difference": difference, "share": share}


def compare(episodes: pd.DataFrame, against: str, streams) -> pd.DataFrame:
    """One row a policy and score: its mean, its difference to ``against``, and its share of it.

    Args:
        episodes: who, episode, return, cost; everybody on the same episodes.
        streams: name -> generator of the bootstrap's draws.
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
                own = paired(before, after, statistic, streams(who, score, name))
                row |= {name: own.value, f"{name}_low": own.low, f"{name}_high": own.high}
            rows.append(row)
    return pd.DataFrame(rows)
