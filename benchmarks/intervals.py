"""How often intervals that say 95 % hold the truth, with few runs: candidates by simulation.

    python benchmarks/intervals.py --trials 2000

Cells are 1, 3, 12 tasks x 3, 5 runs, laws of a run's score, and two statistics. The truth is the
statistic of the law itself. Runs of one cell that do not differ at all have no spread to go by:
they are counted apart (`equal`).
"""

import argparse
import sys
from pathlib import Path

import numpy as np
import pandas as pd

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "scripts"))

from prefine import files
from prefine.analysis import statistics
from prefine.report.tables import markdown
from scipy.special import ndtr, ndtri, stdtrit

RESULTS = Path("results/bench/coverage.csv")
REPLICATES = 400  # of a bootstrap
MANY = 400_000  # draws for the truth


def normal(random, shape):
    """Normalised returns."""
    return random.normal(1.0, 0.3, shape)


def exponential(random, shape):
    """Skewed costs."""
    return random.exponential(1.0, shape)


def zeros(random, shape):
    """Costs of which 30 % are exactly 0."""
    return random.exponential(1.0, shape) * (random.random(shape) < 0.7)


def episodes(random, shape):
    """Means of 20 episodes, of which four in five cost nothing; runs differ too."""
    each = np.exp(random.normal(0.0, 1.0, (*shape, 20))) * (random.random((*shape, 20)) < 0.2)
    return each.mean(-1) * np.exp(random.normal(0.0, 0.5, shape))


def heavy(random, shape):
    """Costs of a few bad runs: a log-normal of skewness 6."""
    return np.exp(random.normal(0.0, 1.0, shape))


LAWS = {law.__name__: law for law in (normal, exponential, zeros, episodes, heavy)}
STATISTICS = {
    "mean": (statistics.mean_of_tasks, statistics.mean_interval),
    "iqm": (statistics.iqm, statistics.iqm_interval),
}
TASKS, RUNS = (1, 3, 12), (3, 5)


def scale_of(n_tasks: int) -> np.ndarray:
    """Tasks differ in scale."""
    return np.linspace(0.5, 2.0, n_tasks) if n_tasks > 1 else np.ones(1)


def resampled(random, scores, statistic):
    """Statistic of bootstrap replicates, runs drawn within each task."""
    n = scores[0].shape[-1]
    places = random.integers(n, size=(len(scores), REPLICATES, n))
    return statistic([own[place] for own, place in zip(scores, places, strict=True)])


def percentile(random, scores, statistic, _):
    """The percentile bootstrap, stratified over tasks."""
    return np.quantile(resampled(random, scores, statistic), [0.025, 0.975])


def bca(random, scores, statistic, _):
    """Efron's bias-corrected and accelerated bootstrap, jackknifed within tasks."""
    value, draws = statistic(scores), resampled(random, scores, statistic)
    share = np.clip(np.mean(draws < value) + np.mean(draws == value) / 2, 1e-3, 1 - 1e-3)
    left = []
    for task, own in enumerate(scores):
        for run in range(len(own)):
            without = [*scores[:task], np.delete(own, run), *scores[task + 1 :]]
            left.append(statistic(without))
    d = np.mean(left) - np.array(left)
    spread = (d**2).sum()
    a = (d**3).sum() / (6 * spread**1.5) if spread > 0 else 0.0
    z = ndtri(share) + ndtri(np.array([0.025, 0.975]))
    return np.quantile(draws, ndtr(ndtri(share) + z / (1 - a * z)))


def bootstrap_t(random, scores, statistic, _):
    """The bootstrap of t; an infinite end where replicates of equal runs are too many."""
    value = statistic(scores)
    n = scores[0].shape[-1]
    places = random.integers(n, size=(len(scores), REPLICATES, n))
    drawn = [own[place] for own, place in zip(scores, places, strict=True)]

    def error(groups):
        parts = [own.var(-1, ddof=1) / own.shape[-1] for own in groups]
        return np.sqrt(np.sum(parts, axis=0)) / len(groups)

    with np.errstate(divide="ignore", invalid="ignore"):
        t = np.nan_to_num(
            (statistic(drawn) - value) / error(drawn), nan=0.0, posinf=1e9, neginf=-1e9
        )
    low, high = np.quantile(t, [0.025, 0.975])
    return value - high * error(scores), value - low * error(scores)


def student(random, scores, statistic, ours):
    """t over runs, stratified over tasks, Satterthwaite's degrees of freedom."""
    found = ours(scores)
    parts = [own.var(ddof=1) / len(own) / len(scores) ** 2 for own in scores]
    v = np.sum(parts)
    degrees = v**2 / np.sum([p**2 / (len(own) - 1) for p, own in zip(parts, scores, strict=True)])
    half = stdtrit(degrees, 0.975) * np.sqrt(v)
    return found.value - half, found.value + half


def chosen(random, scores, statistic, ours):
    """`statistics.interval`: the farther ends of Student's and Hall's t, with caution."""
    found = ours(scores)
    return found.low, found.high


CANDIDATES = {f.__name__: f for f in (percentile, bca, bootstrap_t, student, chosen)}


def cell(law: str, statistic: str, n_tasks: int, n_runs: int, trials: int, names) -> dict:
    """Coverage of each candidate in one cell, and the mean width of the chosen one."""
    random = np.random.default_rng([trials, n_tasks, n_runs, len(law), len(statistic)])
    of, ours = STATISTICS[statistic]
    scale = scale_of(n_tasks)
    truth = float(of([LAWS[law](random, (MANY,)) * s for s in scale]))
    hits, equal, widths = dict.fromkeys(names, 0), 0, []
    for _ in range(trials):
        scores = [LAWS[law](random, (n_runs,)) * s for s in scale]
        if all(np.ptp(own) == 0 for own in scores):
            equal += 1
            continue
        for name in names:
            low, high = CANDIDATES[name](random, scores, of, ours)
            hits[name] += low <= truth <= high
            if name == "chosen":
                widths.append(high - low)
    row = {"law": law, "statistic": statistic, "tasks": n_tasks, "runs": n_runs}
    row |= {name: count / (trials - equal) for name, count in hits.items()}
    return row | {"width": float(np.mean(widths)) if widths else np.nan, "equal": equal / trials}


def table(trials: int, names=tuple(CANDIDATES), laws=tuple(LAWS)) -> pd.DataFrame:
    """Every cell, one row each."""
    return pd.DataFrame(
        [
            cell(law, statistic, n_tasks, n_runs, trials, names)
            for law in laws
            for statistic in STATISTICS
            for n_tasks in TASKS
            for n_runs in RUNS
        ]
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--trials", type=int, default=2000)
    found = table(parser.parse_args().trials)
    RESULTS.parent.mkdir(parents=True, exist_ok=True)
    files.write_table(RESULTS, found)
    rows = [[f"{v:.3f}" if isinstance(v, float) else str(v) for v in r] for r in found.to_numpy()]
    print(markdown([list(found.columns), *rows], ""))
    print(found.drop(columns=["width", "equal"]).min(numeric_only=True).to_string())


if __name__ == "__main__":
    main()
