"""Statistics of few runs (methods 6), by the definitions of Agarwal et al. (2021).

Scores are one array a task, of shape (..., runs of the task): tasks may have different numbers
of runs, and leading axes are simulated trials. A (runs x tasks) matrix M is ``list(M.T)``.

Intervals are t intervals over runs, stratified over tasks (`interval`), and not bootstraps: with
3 or 5 runs a percentile bootstrap that says 95 % covers 60 to 85 (docs/readings.md).
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.special import stdtr, stdtrit

from prefine.analysis.metrics import is_safe

LEVEL = 0.95
LEAST_RUNS = 3  # of a task; fewer give no interval
# An error of 5 % is made 5 % df / (df + 4): 1.7 % with 3 runs, 4.6 % with 5 of 12 tasks. Without,
# skewed costs are covered less often than is said (docs/readings.md).
CAUTION = 4.0

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
    middle = pooled[..., cut : pooled.shape[-1] - cut].mean(axis=-1)
    return np.where(np.isnan(pooled[..., -1]), np.nan, middle)  # NaN is sorted to the end


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
        wins = (a > b) + 0.5 * (a == b)
        # A score that is no number has neither won nor lost.
        tasks.append(np.where(np.isnan(a) | np.isnan(b), np.nan, wins).mean(axis=(-2, -1)))
    return np.mean(tasks, axis=0)


# Intervals -----------------------------------------------------------------------------------


@dataclass(frozen=True)
class Moments:
    """An estimate that is a sum of means over strata, its standard error, skewness and freedom."""

    value: np.ndarray
    error: np.ndarray
    skewness: np.ndarray
    freedom: np.ndarray

    @classmethod
    def of(cls, strata: Scores, freedom: float = 1.0) -> "Moments":
        """Add up the strata.

        Args:
            strata: (..., runs) each, LEAST_RUNS at least: what each run contributes, weights
                included, so that the estimate is the sum of the means.
            freedom: share of the degrees of freedom that a robust estimate leaves.
        """
        size = np.max([np.abs(own).max(-1) for own in strata], axis=0)
        # By a power of two, which changes no digit: third powers leave what float64 holds.
        power = np.frexp(np.where(np.isfinite(size), size, 1.0))[1]
        size = np.ldexp(size, -power)
        strata = [np.ldexp(own, -power[..., None]) for own in strata]
        value = np.sum([own.mean(-1) for own in strata], axis=0)
        counts = np.array([own.shape[-1] for own in strata])
        centred = [own - own.mean(-1, keepdims=True) for own in strata]
        parts = np.stack(
            [(c**2).sum(-1) / (n - 1) / n for c, n in zip(centred, counts, strict=True)]
        )
        third = [
            (c**3).sum(-1) / ((n - 1) * (n - 2) * n) for c, n in zip(centred, counts, strict=True)
        ]
        variance = parts.sum(0)
        rounding = np.isfinite(variance) & (variance <= (1e-12 * size) ** 2)
        variance = np.where(rounding, 0.0, np.where(np.isfinite(variance), variance, np.nan))
        some = np.where(variance > 0, variance, 1.0)
        below = np.tensordot(1.0 / (counts - 1), parts**2, 1)
        # Satterthwaite's: a few tasks may hold all of the variance.
        degrees = np.where(
            variance > 0, some**2 / np.where(below > 0, below, 1.0), counts.min() - 1
        )
        return cls(
            np.ldexp(value, power),
            np.ldexp(np.sqrt(variance), power),
            np.where(variance > 0, np.sum(third, axis=0) / some**1.5, 0.0),
            np.maximum(degrees * freedom, LEAST_RUNS - 1.0),
        )

    def bounds(self, level: float = LEVEL) -> tuple[np.ndarray, np.ndarray]:
        """The two ends of an interval: the farther one of Student's and of Hall's (1992).

        Hall's cubic transformation takes the skewness out of t. For costs it moves the upper end
        away, where a t interval misses; the lower end of neither is moved in.
        """
        error = (1 - level) * self.freedom / (self.freedom + CAUTION)
        t = stdtrit(self.freedom, 1 - error / 2)
        below = np.maximum(t, _back(t, self.skewness)) * self.error
        above = np.maximum(t, -_back(-t, self.skewness)) * self.error
        return self.value - below, self.value + above

    def doubt(self, comparison: str, limit: float) -> np.ndarray:
        """One-sided p value of "the estimate is not ``at least``, ``above``, ... the limit".

        It is below (1 - level) / 2 exactly where the whole of ``bounds`` keeps to the rule.
        """
        sign = 1.0 if comparison in ("at least", "above") else -1.0
        distance = sign * (self.value - limit)
        some = np.where(self.error > 0, self.error, 1.0)
        t, k = distance / some, sign * self.skewness
        hall = t + k * t**2 / 3 + k**2 * t**3 / 27 + k / 6
        p = stdtr(self.freedom, -np.minimum(t, hall)) * (self.freedom + CAUTION) / self.freedom
        kept = distance >= 0 if comparison in ("at least", "at most") else distance > 0
        known = np.where(self.error > 0, np.minimum(p, 1.0), np.where(kept, 0.0, 1.0))
        return np.where(np.isnan(self.error), 1.0, known)


def _back(t: np.ndarray, skewness: np.ndarray) -> np.ndarray:
    """The inverse of Hall's transformation t + k t^2 / 3 + k^2 t^3 / 27 + k / 6."""
    k = np.where(np.abs(skewness) < 1e-6, 1e-6, skewness)
    return 3 / k * (np.cbrt(1 + k * (t - k / 6)) - 1)


def interval(strata: Scores, value=None, freedom: float = 1.0, level: float = LEVEL) -> Estimate:
    """The interval of a sum of means over strata, which are tasks or methods (`Moments.of`).

    Runs that do not differ give an interval of no width: nothing is known of their spread.

    Args:
        value: where it is not the sum of the strata's means but close to it.
    """
    strata = [np.asarray(own, dtype=np.float64) for own in strata]
    if any(own.shape[-1] < LEAST_RUNS for own in strata):
        value = np.sum([own.mean(-1) for own in strata], axis=0) if value is None else value
        return Estimate(value)
    moments = Moments.of(strata, freedom)
    low, high = moments.bounds(level)
    if value is not None:
        low, high = low + value - moments.value, high + value - moments.value
    return Estimate(moments.value if value is None else value, low, high)


def mean_interval(scores: Scores, level: float = LEVEL) -> Estimate:
    """`mean_of_tasks` with its interval."""
    return interval([np.asarray(own) / len(scores) for own in scores], level=level)


def iqm_interval(scores: Scores, level: float = LEVEL) -> Estimate:
    """`iqm` with its interval: a run counts as its winsorised score (Tukey and McLaughlin)."""
    scores = [np.asarray(own, dtype=np.float64) for own in scores]
    ordered = np.sort(np.concatenate(scores, axis=-1), axis=-1)
    n = ordered.shape[-1]
    cut = n // 4
    low, high = ordered[..., cut, None], ordered[..., n - cut - 1, None]
    kept = n - 2 * cut
    strata = [np.clip(own, low, high) * own.shape[-1] / kept for own in scores]
    return interval(strata, iqm(scores), (kept - 1) / max(n - 1, 1), level)


def improvement_interval(x: Scores, y: Scores, level: float = LEVEL) -> Estimate:
    """`probability_of_improvement` with its interval.

    Wilson's, with a continuity correction: as many trials as give the variance of Mann and
    Whitney's statistic for equal laws. Its width is not 0 where all runs of one are better.
    """
    value = probability_of_improvement(x, y)
    sizes = [(own.shape[-1], other.shape[-1]) for own, other in zip(x, y, strict=True)]
    if min(map(min, sizes)) < LEAST_RUNS:
        return Estimate(value)
    variance = np.mean([(n + m + 1) / (3 * n * m) for n, m in sizes]) / len(sizes)
    step = np.mean([1 / (2 * n * m) for n, m in sizes]) / len(sizes)
    z2 = stdtrit(1e6, (1 + level) / 2) ** 2 * variance

    def end(p, sign):
        root = np.sqrt(z2 * p * (1 - p) + z2**2 / 4)
        return (p + z2 / 2 + sign * root) / (1 + z2)

    low, high = end(np.maximum(value - step, 0), -1), end(np.minimum(value + step, 1), 1)
    return Estimate(value, np.minimum(low, value), np.maximum(high, value))


def share_interval(value, shown, refuted, level: float = LEVEL) -> Estimate:
    """The interval of a share of tasks, from one-sided p values of each task.

    The lower end is the share of tasks for which it is shown, the upper one that for which it is
    not refuted, each with an error of (1 - level) / 2 in all: of n tasks k are shown if
    (n - k + 1) p_(k) is small enough (partial conjunction, Benjamini and Heller 2008).
    """
    counts, n = [], len(shown)
    for p in (np.sort(shown), np.sort(refuted)):
        enough = [k for k in range(1, n + 1) if (n - k + 1) * p[k - 1] <= (1 - level) / 2]
        counts.append(max(enough, default=0))
    # Not 1 - k / n: its last bit may put the end below a share of just as many tasks.
    return Estimate(value, counts[0] / n, (n - counts[1]) / n)


def solved_interval(costs: Scores, level: float = LEVEL) -> Estimate:
    """`fraction_solved` with its interval."""
    value = fraction_solved(costs)
    if any(len(own) < LEAST_RUNS for own in costs):
        return Estimate(value)
    moments = [Moments.of([np.asarray(own, dtype=np.float64)]) for own in costs]
    return share_interval(
        value,
        [own.doubt("at most", 1.0) for own in moments],
        [own.doubt("above", 1.0) for own in moments],
        level,
    )
