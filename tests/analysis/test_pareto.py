"""Fronts and their hypervolume, worked by hand; which runs they have; what choosing gives."""

import itertools

import forked
import numpy as np
import pandas as pd
import pytest
from conftest import ROOT
from prefine.analysis import pareto
from prefine.analysis.pareto import CONTROL, Front, hypervolume

MIXED_BC = "mixed:bc"


def volume(*points):
    reward, cost = np.array(points, dtype=float).reshape(-1, 2).T
    return hypervolume(reward, cost)


@pytest.mark.parametrize(
    ("points", "area"),
    [
        ([], 0.0),
        ([(1.0, 0.0)], 1.0),  # all of it
        ([(0.8, 0.25)], 0.8 * 0.75),
        ([(1.2, 0.5)], 0.6),  # a reward may be above 1
        ([(0.4, 0.25), (0.8, 0.5)], 0.4 * 0.25 + 0.8 * 0.5),
        ([(0.8, 0.5), (0.4, 0.25)], 0.4 * 0.25 + 0.8 * 0.5),  # in any order
        ([(0.4, 0.25), (0.8, 0.5), (0.3, 0.6)], 0.5),  # beaten in both
        ([(0.4, 0.25), (0.8, 0.5), (0.8, 0.7), (0.7, 0.5)], 0.5),  # beaten in one
        ([(0.4, 0.25), (0.8, 0.5), (0.9, 1.5)], 0.5),  # above the limit
        ([(0.9, 1.5)], 0.0),
        ([(0.9, 1.0)], 0.0),  # on the limit there is no room behind it
        ([(-0.2, 0.1), (0.5, 0.5)], 0.25),  # a negative reward takes nothing away
        ([(0.0, 0.0)], 0.0),
    ],
)
def test_hypervolumes_worked_by_hand(points, area):
    assert volume(*points) == pytest.approx(area, abs=1e-12)


def test_the_hypervolume_is_the_mean_best_reward_over_budgets():
    random = np.random.default_rng(0)
    budgets = (np.arange(20_000) + 0.5) / 20_000
    for n in (1, 2, 9):
        reward, cost = random.normal(0.4, 0.5, n), random.exponential(0.7, n)
        within = np.where(cost[:, None] <= budgets, reward[:, None], 0.0)
        best = np.maximum(within.max(axis=0), 0.0)
        assert hypervolume(reward, cost) == pytest.approx(best.mean(), abs=1e-3)


def test_a_point_more_never_makes_it_smaller_and_a_beaten_one_never_larger():
    random = np.random.default_rng(1)
    for _ in range(50):
        points = np.c_[random.normal(0.5, 0.4, 6), random.exponential(0.6, 6)]
        more = np.vstack([points, points[0] + [0.1, -0.05]])
        assert volume(*more) > volume(*points) - 1e-12
        beaten = [*points, points[0] + [-0.1, 0.05]]
        assert volume(*beaten) == pytest.approx(volume(*points))
        kept = pareto.non_dominated(*points.T)
        assert volume(*points[kept]) == pytest.approx(volume(*points))


def test_non_dominated_points_and_those_that_are_the_same():
    reward = np.array([0.4, 0.8, 0.3, 0.8, 0.4, 0.9])
    cost = np.array([0.2, 0.5, 0.2, 0.6, 0.2, 3.0])
    assert pareto.non_dominated(reward, cost).tolist() == [True, True, False, False, True, True]
    assert pareto.non_dominated(np.array([0.1]), np.array([9.0])).tolist() == [True]


def of_seeds(reward, cost, reference=(1.0, 4.0)):
    reward, cost = np.atleast_2d(reward), np.atleast_2d(cost)
    n, seeds = reward.shape
    names = tuple(map(str, range(n)))
    own = np.array(reference, dtype=float)
    return Front(names, tuple(range(seeds)), reward, cost, own, frozenset(names))


def test_jackknife_values_of_one_point_worked_by_hand():
    """One point: r(1 - c) of means; without seed 0 (0.6, 0.5), 1 (0.4, 0.3), 2 (0.5, 0.4)."""
    own = of_seeds([0.3, 0.7, 0.5], [0.2, 0.6, 0.4])
    without = np.array([0.6 * 0.5, 0.4 * 0.7, 0.5 * 0.6])
    whole = 0.5 * 0.6
    assert own.volumes() == pytest.approx(whole + 2 * (without.mean() - without))
    assert own.volumes().mean() == pytest.approx(whole)


def test_the_mean_of_the_jackknife_is_the_volume_of_mean_points_and_no_spread_is_none():
    random = np.random.default_rng(2)
    reward, cost = random.normal(0.5, 0.3, (7, 4)), random.exponential(0.6, (7, 4))
    own = of_seeds(reward, cost)
    mean = [*zip(reward.mean(1), cost.mean(1), strict=True), (1.0, 4.0)]
    assert own.volumes().mean() == pytest.approx(volume(*mean))
    still = of_seeds(reward[:, :1].repeat(3, 1), cost[:, :1].repeat(3, 1))
    assert np.ptp(still.volumes()) < 1e-12


def test_what_pi_ref_has_inside_the_limit_every_front_has():
    own = of_seeds([0.2, 0.2, 0.2], [0.1, 0.1, 0.1], (0.9, 0.5))
    assert own.volumes().mean() == pytest.approx(0.2 * 0.4 + 0.9 * 0.5)


# Which runs a front has -----------------------------------------------------------------------


def row(method, variant, seed, reward, cost, **settings):
    own = {"run": f"{method}/{variant}/{seed}", "method": method, "variant": variant}
    own |= {"task": "BallRun", "tau": 20, "seed": seed, "arm": variant, "source": "collect"}
    return own | {"normalized_return": reward, "normalized_cost": cost, "episodes": 5} | settings


def study(scores, seeds=3):
    """A study's table: (method, variant) -> (reward, cost) of every seed, and π_ref's row."""
    rows = [
        row(method, variant, seed, *score, mix=float(variant[4:]) if "mix=" in variant else 1.0)
        for (method, variant), score in scores.items()
        for seed in range(seeds)
    ]
    rows.append(row("reference", None, np.nan, 1.0, 4.0, mix=np.nan))
    return pd.DataFrame(rows).assign(missing=np.nan)


SCORES = {
    ("bc", "config"): (0.5, 0.25),
    ("bc", "iterations=9"): (0.2, 0.125),
    ("bc", "mix=0.5"): (0.75, 0.75),
    ("bc_from_reference", "config"): (0.6, 0.5),
    ("prefine", "config"): (0.8, 0.5),
    ("prefine", "lam=0.1"): (0.4, 0.0),
}


def test_a_method_is_a_front_and_its_mixed_actions_another():
    runs = study(SCORES)
    fronts = ["bc", MIXED_BC, "bc_from_reference", "prefine"]
    assert pareto.fronts_of(runs) == fronts
    points = {name: pareto.front(runs, "BallRun", name).variants for name in [*fronts, CONTROL]}
    assert points == {
        "bc": ("config", "iterations=9"),
        MIXED_BC: ("config", "mix=0.5"),
        "bc_from_reference": ("config",),
        "prefine": ("config", "lam=0.1"),
        CONTROL: ("config", "iterations=9", "mix=0.5"),
    }
    assert pareto.front_label("bc") == "BC, stopped early"
    assert pareto.front_label(MIXED_BC) == "π_ref and BC mixed"


def test_the_table_of_hypervolumes_and_of_their_differences():
    table = pareto.hypervolumes(study(SCORES))
    own = table[table["task"] == "BallRun"].set_index("front")
    bc, mixed = 0.2 * 0.125 + 0.5 * 0.75, 0.5 * 0.5 + 0.75 * 0.25
    both = 0.2 * 0.125 + 0.5 * 0.5 + 0.75 * 0.25
    cloning, prefine = 0.3, 0.4 * 0.5 + 0.8 * 0.5
    expected = {"bc": bc, MIXED_BC: mixed, "bc_from_reference": cloning}
    expected |= {"prefine": prefine, CONTROL: both}
    assert own["hypervolume"].to_dict() == pytest.approx(expected)
    assert own.loc["prefine", "over_controls"] == pytest.approx(prefine - both)
    assert own.loc["prefine", "over_cloning"] == pytest.approx(prefine - cloning)
    assert np.isnan(own.loc[CONTROL, "over_controls"])
    assert own.loc["prefine", "over_cloning_low"] == pytest.approx(prefine - cloning)
    assert own["points"].to_dict()[CONTROL] == 3 and set(own["runs"]) == {3}
    whole = table[table["task"] == pareto.ALL].set_index("front")
    assert whole["hypervolume"].to_dict() == pytest.approx(expected)


def test_no_front_encloses_less_than_nothing():
    runs = study(SCORES)
    one = (runs["method"] == "bc") & (runs["seed"] > 0)
    reward = runs["normalized_return"].mask(one, 0)
    table = pareto.hypervolumes(runs.assign(normalized_return=reward))
    low = table["hypervolume_low"]
    assert low.min() == 0 and (low <= table["hypervolume"]).all()


def test_a_task_that_lacks_a_front_is_left_out_of_the_mean():
    one, other = study(SCORES), study(SCORES).assign(task="CarRun")
    other = other[other["method"] != "prefine"]
    table = pareto.hypervolumes(pd.concat([one, other.assign(normalized_return=0.9)]))
    assert set(table.loc[table["front"] == "prefine", "task"]) == {"BallRun", pareto.ALL}
    assert set(table.loc[table["task"] == pareto.ALL, "tasks"]) == {1}


def test_without_a_cost_limit_or_common_seeds_there_is_no_front():
    runs = study(SCORES)
    assert pareto.hypervolumes(runs.assign(normalized_cost=np.nan)).empty
    apart = runs[~((runs["variant"] == "lam=0.1") & (runs["seed"] != 2))]
    apart = apart[~((apart["method"] == "prefine") & (apart["seed"] == 2))]
    assert pareto.front(apart, "BallRun", "prefine").variants == ("config",)
    assert pareto.front(runs, "CarRun", "prefine") is None


# Choosing -------------------------------------------------------------------------------------


def test_inside_the_limit_reward_decides_and_outside_cost():
    reward = np.array([0.5, 0.9, 0.7, 0.1, 0.99])
    cost = np.array([0.2, 1.5, 1.0, 0.0, 1.2])
    assert pareto.choice_order(reward, cost).tolist() == [2, 0, 3, 4, 1]


@pytest.mark.parametrize("n", [1, 2, 5, 7])
def test_the_best_of_k_is_the_mean_over_all_subsets(n):
    random = np.random.default_rng(n)
    tried, reported = random.normal(size=n), random.normal(size=(n, 2))
    order = np.argsort(-tried)
    for k in range(1, n + 1):
        sets = list(itertools.combinations(range(n), k))
        chosen = [max(own, key=lambda point: tried[point]) for own in sets]
        assert pareto.best_of(reported[order], k) == pytest.approx(reported[chosen].mean(axis=0))


def test_what_is_chosen_by_validation_counts_as_it_is_reported():
    """Validation takes the point of 0.9 for safe; it is not, and the other one is worth 0.4."""
    reported = study({("prefine", "config"): (0.9, 1.5), ("prefine", "lam=0.1"): (0.4, 0.5)})
    validation = study({("prefine", "config"): (0.8, 0.9), ("prefine", "lam=0.1"): (0.5, 0.5)})
    one, two = pareto.choices(reported, validation).to_dict("records")
    assert (one["k"], one["points"]) == (1, 2) and two["k"] == 2
    assert one["reward"] == pytest.approx(0.65) and one["cost"] == pytest.approx(1.0)
    assert [one[key] for key in ("score", "unsafe", "oracle")] == pytest.approx([0.2, 0.5, 0.2])
    assert (two["reward"], two["cost"], two["score"], two["unsafe"]) == (0.9, 1.5, 0.0, 1.0)
    assert two["oracle"] == pytest.approx(0.4)


def test_each_run_chooses_for_itself():
    reported = study({("prefine", "config"): (0.9, 0.5), ("prefine", "lam=0.1"): (0.4, 0.5)})
    validation = reported.copy()
    turned = (validation["seed"] == 1) & (validation["variant"] == "config")
    validation.loc[turned, "normalized_return"] = 0.1
    last = pareto.choices(reported, validation).iloc[-1]
    assert last["score"] == pytest.approx((0.9 + 0.4 + 0.9) / 3)
    assert last["score_low"] < last["score"] < last["score_high"]


def test_a_validation_of_other_runs_is_refused():
    reported = study(SCORES)
    with pytest.raises(ValueError, match="other runs"):
        pareto.choices(reported, reported[reported["seed"] != 1])


# The figure -----------------------------------------------------------------------------------


def test_fronts_that_pi_ref_beats_everywhere_are_drawn_without_stairs(tmp_path):
    """The controls too, which are dashed in the panels of others."""
    beaten = {point: (0.5, 5.0) for point in SCORES if point[0] == "bc"}
    tables = {"runs": study(SCORES | beaten)}
    tables["table"] = pareto.hypervolumes(tables["runs"]).assign(source="collect")
    tables["choice"] = pareto.choices(tables["runs"], tables["runs"]).assign(episodes=5)
    command = [ROOT / "scripts", "figures/pareto.py", "--task", "BallRun", "--fixed", "{}"]
    for name, made in tables.items():
        made.to_csv(tmp_path / f"{name}.csv", index=False)
        command += [f"--{name}", tmp_path / f"{name}.csv"]
    done = forked.run(*command, "--output", tmp_path / "pareto.png")
    assert done.returncode == 0, done.stderr[-2000:]
    drawn = pd.read_csv(tmp_path / "pareto.csv").groupby("front")["undominated"].sum()
    assert not drawn[["bc", MIXED_BC, CONTROL]].any() and drawn["prefine"] == 2
