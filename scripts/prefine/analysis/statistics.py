"""Statistics of few runs (methods 6), by the definitions of Agarwal et al. (2021).

Scores are one array a task, of shape (..., runs of the task): tasks may have different numbers
of runs, and leading axes are bootstrap replicates. A (runs x tasks) matrix M is ``list(M.T)``.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from prefine.analysis.metrics import is_safe

REPLICATES = 50_000  # of a bootstrap; methods 6 asks for as many in a final report
LEVEL = 0.95

Scores = Sequence[np.ndarray]


@dataclass(frozen=True)
class Estimate:
    """A point estimate with its interval; NaN bounds where too few runs give none."""

    value: float | np.ndarray
    low: float | np.ndarray = np.nan
    high: float | np.ndarray = np.nan


def standard_error(values: np.ndarray) -> np.ndarray:
    """Standard error of the mean over the last axis: std (ddof 1) / sqrt n."""
    values = np.asarray(values, dtype=np.float64)
    n = values.shape[-1]
    return values.std(axis=-1, ddof=1) / np.sqrt(n) if n > 1 else values[..., 0] * np.nan


def iqm(scores: Scores) -> np.ndarray:
    """Interquartile mean: of all runs of all tasks, a quarter is cut off at each end."""
    pooled = np.sort(np.concatenate(scores, axis=-1), axis=-1)
    cut = pooled.shape[-1] // 4
    return pooled[..., cut : pooled.shape[-1] - cut].mean(axis=-1)


def mean_of_tasks(scores: Scores) -> np.ndarray:
    """Mean over tasks of the mean over runs: a task with more runs weighs no more."""
    return np.mean([own.mean(axis=-1) for own in scores], axis=0)


def fraction_solved(costs: Scores) -> np.ndarray:
    """Share of tasks that are safe: mean normalised cost over runs at most 1 (Figure 8)."""
    return np.mean([is_safe(own.mean(axis=-1)) for own in costs], axis=0)


def probability_of_improvement(x: Scores, y: Scores) -> np.ndarray:
    """P(X > Y) + P(X = Y) / 2 for a run of each, averaged over tasks."""
    tasks = []
    for own, other in zip(x, y, strict=True):
        a, b = own[..., :, None], other[..., None, :]
        tasks.append(((a > b) + 0.5 * (a == b)).mean(axis=(-2, -1)))
    return np.mean(tasks, axis=0)


def resample(scores: Scores, replicates: int, generator: np.random.Generator) -> Scores:
    """Draw runs with replacement within each task: one (replicates, runs) array a task."""
    return [own[generator.integers(len(own), size=(replicates, len(own)))] for own in scores]


def bootstrap(
    statistic: Callable[..., np.ndarray],
    *groups: Scores,
    generator: np.random.Generator,
    replicates: int = REPLICATES,
    level: float = LEVEL,
) -> Estimate:
    """Percentile bootstrap of ``statistic(*groups)``, stratified by task.

    A task with a single run says nothing about the spread, so that there is no interval then.
    """
    groups = [[np.asarray(own, dtype=np.float64) for own in scores] for scores in groups]
    value = statistic(*groups)
    if any(len(own) < 2 for scores in groups for own in scores):
        return Estimate(value, value * np.nan, value * np.nan)
    draws = statistic(*(resample(scores, replicates, generator) for scores in groups))
    low, high = np.quantile(draws, [(1 - level) / 2, (1 + level) / 2], axis=0)
    return Estimate(value, low, high)
