"""Numbers of several methods and tasks, with intervals from tests of each task.

A share of tasks has no bootstrap worth the name: at a clear margin it never moves, near the limit
it jumps. Its ends are the tasks for which a thing is shown, and those for which it is not refuted.
"""

from collections.abc import Sequence

import numpy as np

from prefine.analysis.metrics import is_safe
from prefine.analysis.scores import TaskScores, contrast
from prefine.analysis.statistics import (
    LEAST_RUNS,
    LEVEL,
    Estimate,
    Moments,
    Scores,
    interval,
    share_interval,
    solved_interval,
)

ERROR = (1 - LEVEL) / 2  # of one end


def _enough(scores: Sequence[TaskScores], tasks: Sequence[str]) -> bool:
    return all(len(own.values[task]) >= LEAST_RUNS for own in scores for task in tasks)


def lead(own: Scores, *others: Scores) -> Estimate:
    """The share of safe tasks less the best of the others', each end with half of the error."""
    ours, *theirs = (solved_interval(costs, 1 - ERROR) for costs in (own, *others))
    return Estimate(
        ours.value - max(one.value for one in theirs),
        ours.low - np.max([one.high for one in theirs]),
        ours.high - np.max([one.low for one in theirs]),
    )


def highest(scores: Sequence[TaskScores], tasks: Sequence[str], tolerance: float) -> Estimate:
    """Share of tasks where the first's mean is at least every other's, less a tolerance."""
    own, *others = scores
    values, shown, refuted = [], [], []
    for task in tasks:
        best = max(other.values[task].mean() for other in others)
        values.append(own.values[task].mean() + tolerance >= best)
    if not _enough(scores, tasks):
        return Estimate(np.mean(values))
    for task in tasks:
        leads = [Moments.of(contrast(own, other, task)) for other in others]
        shown.append(max(one.doubt("at least", -tolerance) for one in leads))
        refuted.append(len(leads) * min(one.doubt("below", -tolerance) for one in leads))
    return share_interval(np.mean(values), shown, refuted)


def best_safe(
    rewards: Sequence[TaskScores], costs: Sequence[TaskScores], tasks: Sequence[str]
) -> Estimate:
    """Share of tasks where the first is safe and no other that is safe has more reward."""
    values, shown, refuted = [], [], []
    for task in tasks:
        safe = [is_safe(own.values[task].mean()) for own in costs]
        reward = [own.values[task].mean() for own in rewards]
        better = [s and r > reward[0] for s, r in zip(safe[1:], reward[1:], strict=True)]
        values.append(safe[0] and not any(better))
    if not _enough([*rewards, *costs], tasks):
        return Estimate(np.mean(values))
    for task in tasks:
        own, *others = (Moments.of([cost.values[task]]) for cost in costs)
        leads = [Moments.of(contrast(rewards[0], other, task)) for other in rewards[1:]]
        # Each other one is unsafe, or has no more reward: two ways, hence twice the error.
        passed = [
            2 * min(cost.doubt("above", 1.0), reward.doubt("at least", 0.0))
            for cost, reward in zip(others, leads, strict=True)
        ]
        shown.append(max(own.doubt("at most", 1.0), *passed))
        beaten = [
            max(cost.doubt("at most", 1.0), reward.doubt("below", 0.0))
            for cost, reward in zip(others, leads, strict=True)
        ]
        refuted.append(2 * min(own.doubt("above", 1.0), len(beaten) * min(beaten)))
    return share_interval(np.mean(values), shown, refuted)


def spread(scores: Sequence[TaskScores], tasks: Sequence[str]) -> Estimate:
    """Mean over tasks of the largest minus the smallest mean of several settings.

    Noise makes the number larger, so that its upper end is on the safe side. The lower end must not
    see noise: it is that of the largest difference of two settings that all tasks share.
    """
    extremes, strata = [], []
    for task in tasks:
        means = [own.values[task].mean() for own in scores]
        high, low = (scores[place(means)] for place in (np.argmax, np.argmin))
        extremes.append(max(means) - min(means))
        strata += [part / len(tasks) for part in contrast(high, low, task)]
    value = np.mean(extremes)
    if not _enough(scores, tasks):
        return Estimate(value)
    pairs = [(a, b) for a in scores for b in scores if a is not b]
    ends = []
    for a, b in pairs:
        parts = [part / len(tasks) for task in tasks for part in contrast(a, b, task)]
        ends.append(interval(parts, level=1 - (1 - LEVEL) / len(pairs)).low)
    return Estimate(value, np.maximum(np.max(ends), 0.0), interval(strata, value).high)
