"""Point estimates against rliable's definitions, intervals against a known distribution."""

import numpy as np
import pytest
from prefine.analysis import statistics
from prefine.streams import generator, stream_seed
from scipy.stats import trim_mean


@pytest.fixture
def matrix():
    """Scores (runs x tasks) with ties."""
    return np.random.default_rng(1).integers(0, 8, (5, 4)) / 4


def tasks(matrix):
    return list(matrix.T)


@pytest.mark.parametrize("shape", [(8, 1), (5, 4), (3, 2), (1, 3), (15, 12)])
def test_iqm_is_the_mean_with_a_quarter_cut_at_each_end(shape):
    matrix = np.random.default_rng(sum(shape)).normal(size=shape)
    expected = trim_mean(matrix, proportiontocut=0.25, axis=None)
    assert statistics.iqm(tasks(matrix)) == pytest.approx(expected, abs=1e-12)


def test_iqm_known_answers():
    assert statistics.iqm([np.arange(1.0, 9.0)]) == 4.5
    assert statistics.iqm([np.array([0.0, 100.0]), np.array([1.0, 3.0])]) == 2.0


def test_probability_of_improvement_counts_wins_and_half_the_ties(matrix):
    other = np.random.default_rng(2).integers(0, 8, (3, 4)) / 4
    expected = []
    for task in range(4):
        pairs = [(a, b) for a in matrix[:, task] for b in other[:, task]]
        wins, ties = sum(a > b for a, b in pairs), sum(a == b for a, b in pairs)
        expected.append((wins + ties / 2) / len(pairs))
    found = statistics.probability_of_improvement(tasks(matrix), tasks(other))
    assert found == pytest.approx(np.mean(expected)) and 0 < found < 1
    back = statistics.probability_of_improvement(tasks(other), tasks(matrix))
    assert found + back == pytest.approx(1)
    assert statistics.probability_of_improvement(tasks(matrix), tasks(matrix)) == 0.5


def test_a_task_with_more_runs_weighs_no_more_in_means_over_tasks():
    scores = [np.zeros(9), np.ones(1)]
    assert statistics.mean_of_tasks(scores) == 0.5


def test_fraction_solved_is_over_task_means_and_one_is_safe():
    costs = [np.array([0.0, 2.0]), np.array([0.9, 1.2]), np.array([0.0, 0.0]), np.array([9.0])]
    assert statistics.fraction_solved(costs) == 0.5


def test_standard_error():
    assert statistics.standard_error([1.0, 3.0]) == pytest.approx(np.sqrt(2) / np.sqrt(2))
    assert statistics.standard_error(np.arange(5.0)) == pytest.approx(np.sqrt(2.5 / 5))
    assert np.isnan(statistics.standard_error([1.0]))


def test_statistics_of_replicates_are_those_of_each(matrix):
    drawn = statistics.resample(tasks(matrix), 6, generator("test"))
    other = statistics.resample(tasks(matrix[:3]), 6, generator("other"))
    for replicate in range(6):
        own, their = [[s[replicate] for s in group] for group in (drawn, other)]
        for name in ("iqm", "mean_of_tasks", "fraction_solved"):
            statistic = getattr(statistics, name)
            assert statistic(drawn)[replicate] == pytest.approx(statistic(own))
        found = statistics.probability_of_improvement(drawn, other)[replicate]
        assert found == pytest.approx(statistics.probability_of_improvement(own, their))


def test_resampling_stays_within_the_task():
    scores = [np.array([1.0, 2.0]), np.array([10.0, 20.0, 30.0])]
    drawn = statistics.resample(scores, 500, generator("strata"))
    assert [own.shape for own in drawn] == [(500, 2), (500, 3)]
    assert [set(np.unique(own)) for own in drawn] == [{1.0, 2.0}, {10.0, 20.0, 30.0}]
    # A stratum is resampled as a whole: each run is drawn equally often.
    assert np.mean(drawn[1] == 30.0) == pytest.approx(1 / 3, abs=0.05)


def interval(scores, statistic, *names, **options):
    return statistics.bootstrap(statistic, scores, generator=generator(*names), **options)


def test_the_interval_of_a_constant_has_no_width():
    found = interval([np.full(5, 0.7), np.full(3, 0.7)], statistics.iqm, "constant")
    assert found.low == found.high == found.value == pytest.approx(0.7)


def test_one_run_a_task_gives_no_interval():
    found = interval([np.array([0.5]), np.array([0.1, 0.2])], statistics.mean_of_tasks, "one")
    assert found.value == pytest.approx(0.325) and np.isnan([found.low, found.high]).all()


def test_intervals_are_a_function_of_the_name(matrix):
    first = interval(tasks(matrix), statistics.iqm, "claims", "a")
    assert first == interval(tasks(matrix), statistics.iqm, "claims", "a")
    few = [interval(tasks(matrix), statistics.iqm, name, replicates=50) for name in "ab"]
    assert few[0] != few[1]
    assert stream_seed("claims", "a") != stream_seed("claims", "b")


def test_interval_covers_the_mean_as_often_as_it_says():
    """Ten runs of four tasks from a normal: 95 % nominal, a little less for so few runs."""
    random, centres, hits = np.random.default_rng(0), np.arange(4.0), 0
    for trial in range(400):
        scores = list(random.normal(centres[:, None], 1.0, (4, 10)))
        found = interval(scores, statistics.mean_of_tasks, trial, replicates=400)
        hits += found.low <= centres.mean() <= found.high
    assert 0.90 <= hits / 400 <= 0.97


def test_interval_is_as_wide_as_theory_says():
    scores = list(np.random.default_rng(3).normal(size=(4, 50)))
    found = interval(scores, statistics.mean_of_tasks, "width", replicates=20_000)
    error = np.sqrt(sum(own.var() / len(own) for own in scores)) / len(scores)
    assert found.high - found.low == pytest.approx(2 * 1.959964 * error, rel=0.03)
    narrow = interval(scores, statistics.mean_of_tasks, "width", replicates=20_000, level=0.5)
    assert narrow.high - narrow.low == pytest.approx(2 * 0.67449 * error, rel=0.05)


def test_a_profile_has_an_interval_at_each_level(matrix):
    levels = np.array([-1.0, 0.9])

    def profile(scores):
        return np.mean([(own[..., None] > levels).mean(axis=-2) for own in scores], axis=0)

    found = interval(tasks(matrix), profile, "profile", replicates=500)
    assert found.low.shape == found.high.shape == (2,)
    assert found.low[0] == found.high[0] == 1
    assert found.low[1] < found.value[1] < found.high[1]
