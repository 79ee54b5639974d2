"""Verdicts on small hand-made tables: every rule, both ways, and what is missing."""

import numpy as np
import pytest
from hand_made import PAPER, SUITES, TAUS, table
from prefine.analysis import scores, statistics
from prefine.analysis.claims import evidence as results
from prefine.analysis.claims import main as claims
from prefine.analysis.claims import verdict as verdicts
from prefine.analysis.claims.verdict import FAILS, HOLDS, OPEN, Rule
from prefine.analysis.statistics import Estimate
from scipy.stats import trim_mean


def check(runs, *names, tasks=tuple(SUITES)):
    """The rows of the claims called ``names``, by name."""
    expected = {task: list(TAUS) for task in tasks}
    ours = results.Results.of(runs, expected, SUITES)
    wanted = [claim for claim in claims.CLAIMS if claim.name in names]
    assert len(wanted) == len(names)
    found = verdicts.check(wanted, ours, results.from_paper(PAPER))
    return {row["claim"]: row for row in found}


# Claim, its number where all runs are AS_CLAIMED, a change that refutes it, the number then.
BOTH_WAYS = [
    ("cost_reduction", 0.9, {"prefine": (0.95, 2.0)}, 0.5),
    ("violation_reduction", 0.9, {"prefine": (0.95, 2.0)}, 0.5),
    ("severe_reduction", 0.9, {"prefine": (0.95, 2.0)}, 0.5),
    ("reward_kept", 0.95, {"prefine": (0.8, 0.4)}, 0.8),
    ("safe_safety_gym", 1.0, {"prefine": (0.95, 1.1)}, 0.0),
    ("safe_bullet_gym", 1.0, {"prefine": (0.95, 1.1)}, 0.0),
    ("safe_on_most_tasks", 0.0, {"prefine": (0.95, 1.1)}, -1.0),
    ("highest_reward_safety_gym", 1.0, {"bc": (0.96, 1.5)}, 0.0),
    ("highest_reward_bullet_gym", 1.0, {"ppl": (1.01, 1.2)}, 0.0),
    ("best_trade_off", 1.0, {"safedice": (0.99, 0.8)}, 0.0),
    ("lower_cost_than_bc", 1.0, {"bc": (0.6, 0.3)}, 0.0),
    ("lower_cost_than_ppl", 1.0, {"ppl": (0.6, 0.4)}, 0.5),  # a tie is no improvement
    ("more_reward_than_safedice", 1.0, {"safedice": (0.99, 0.8)}, 0.0),
    ("more_reward_than_cpq", 1.0, {"cpq": (0.99, 0.8)}, 0.0),
    ("more_reward_than_dpo", 1.0, {"dpo": (0.99, 0.1)}, 0.0),
    ("dpo_collapses", 0.5 - 0.95, {"dpo": (0.95, 0.1)}, 0.0),
    ("dpo_has_lower_cost", 1.0, {"dpo": (0.5, 0.9)}, 0.0),
    ("preference_term_lowers_cost", 1.0, {"bc_from_reference": (0.9, 0.3)}, 0.0),
    ("preference_term_adds_reward", 1.0, {"bc_from_reference": (0.95, 0.3)}, 0.5),
    ("preference_term_cost", 0.1, {"bc_from_reference": (0.9, 0.3)}, -0.1),
    ("preference_term_reward", 0.05, {"bc_from_reference": (0.97, 0.3)}, -0.02),
]
RIVALS = claims.RIVALS
BOTH_WAYS += [(f"lower_cost_than_{rival}", 1.0, {rival: (0.7, 0.2)}, 0.0) for rival in RIVALS]
BOTH_WAYS += [(f"more_reward_than_{rival}", 1.0, {rival: (0.99, 0.9)}, 0.0) for rival in RIVALS]
BY_TAU = {"reward_robust_to_tau", "safety_robust_to_tau", "cost_rises_with_tau"}


@pytest.mark.parametrize(("name", "value", "change", "refuted"), BOTH_WAYS, ids=lambda v: str(v))
def test_a_claim_holds_where_it_is_so_and_not_where_it_is_not(name, value, change, refuted):
    row = check(table(), name)[name]
    assert (row["verdict"], row["reason"]) == (HOLDS, "")
    assert row["ours"] == pytest.approx(value)
    if "better in more than half" in row["rule"]:  # an interval of wins is never of no width
        assert row["low"] < row["ours"] <= row["high"]
    else:
        assert [row[name] for name in ("low", "high")] == pytest.approx([value] * 2)
    row = check(table(**change), name)[name]
    tied = refuted == 0.5 and "half of all pairs" in row["rule"]
    assert row["verdict"] == FAILS
    assert row["reason"].startswith("not shown" if tied else "contradicted")
    assert row["ours"] == pytest.approx(refuted)


def test_a_claim_of_a_rival_is_left_out_where_it_was_not_run():
    runs = table()
    names = [f"{what}_than_{rival}" for rival in RIVALS for what in ("lower_cost", "more_reward")]
    assert list(check(runs, *names)) == names
    without = check(runs[runs["method"] != "trac"], *names)
    assert list(without) == [name for name in names if not name.endswith("trac")]


def test_robustness_to_the_threshold():
    found = check(table(), *BY_TAU)
    assert {row["verdict"] for row in found.values()} == {HOLDS}
    assert found["reward_robust_to_tau"]["ours"] == 0
    assert found["safety_robust_to_tau"]["ours"] == pytest.approx(0.02)
    runs = table()
    largest = (runs["method"] == "prefine") & (runs["tau"] == 20)
    runs.loc[largest, ["normalized_return", "normalized_cost"]] += [0.15, -0.3]
    found = check(runs, *BY_TAU)
    assert {row["verdict"] for row in found.values()} == {FAILS}
    assert found["reward_robust_to_tau"]["ours"] == pytest.approx(0.15)
    assert found["cost_rises_with_tau"]["ours"] == pytest.approx(-0.28)


def test_runs_are_counted_once_and_only_on_the_tasks_compared():
    runs = table()
    row = check(runs, "best_trade_off")["best_trade_off"]
    assert row["runs"] == 5 * 12 * 2 * 3  # methods, tasks, thresholds, seeds
    runs = runs[(runs["task"] != "CarRun") | (runs["method"] != "ppl")]
    row = check(runs, "best_trade_off")["best_trade_off"]
    assert row["runs"] == 5 * 11 * 2 * 3 and "CarRun" not in row["tasks"]


def test_every_claim_says_where_and_has_its_own_name():
    names = [claim.name for claim in claims.CLAIMS]
    assert len(set(names)) == len(names)
    assert all(claim.where and claim.says for claim in claims.CLAIMS)


def test_the_paper_s_number_is_the_same_formula_on_its_table_1():
    found = check(table(), *(claim.name for claim in claims.CLAIMS))
    own = {name: row["paper_table1"] for name, row in found.items()}
    assert (own["safe_safety_gym"], own["safe_bullet_gym"]) == (1.0, 0.8)  # Figure 8
    assert own["best_trade_off"] == 9 / 12  # all but PointGoal, BallCircle and CarCircle
    assert own["highest_reward_safety_gym"] == own["highest_reward_bullet_gym"] == 1.0
    assert own["safe_on_most_tasks"] == pytest.approx(1 / 12)  # 11 of 12 against 10
    cost = PAPER.pivot(index="task", columns="method", values="cost")
    expected = trim_mean(1 - cost["prefine"] / cost["reference"], 0.25)
    assert own["cost_reduction"] == pytest.approx(expected)
    for name in ("violation_reduction", "more_reward_than_dpo", "preference_term_adds_reward"):
        assert np.isnan(own[name])


def test_an_interval_that_goes_beyond_the_limit_does_not_show_the_claim():
    runs = table()
    low = (runs["method"] == "prefine") & (runs["seed"] > 0)
    runs.loc[low, "normalized_return"] = 0.85  # of three runs one keeps 0.95
    row = check(runs, "reward_kept")["reward_kept"]
    assert row["low"] < 0.9 < row["high"] and row["verdict"] == FAILS
    rule = Rule("at least", 0.9, percent=True)
    evidence = results.Evidence(Estimate(0.93, 0.88, 0.97), ("a",), (), 9, ())
    assert verdicts.verdict(rule, evidence) == (
        FAILS,
        "not shown: the interval goes beyond 90 %",
    )


def verdict(rule, low, high, absent=()):
    evidence = results.Evidence(Estimate((low + high) / 2, low, high), ("a",), absent, 9, ())
    return verdicts.verdict(rule, evidence)[0]


def test_the_limit_itself_belongs_to_at_least_and_at_most_but_not_to_above():
    assert verdict(Rule("at least", 0.5), 0.5, 0.7) == HOLDS
    assert verdict(Rule("at most", 0.5), 0.3, 0.5) == HOLDS
    assert verdict(Rule("above", 0.5), 0.5, 0.7) == FAILS
    assert verdict(Rule("at most", 0.5), 0.3, 0.51) == FAILS


def test_a_claim_about_every_task_needs_them_all_but_one_refutes_it():
    every = Rule("at least", 1.0, every_task=True)
    assert verdict(every, 1.0, 1.0) == HOLDS
    assert verdict(every, 1.0, 1.0, absent=("b",)) == OPEN
    assert verdict(every, 0.0, 0.5, absent=("b",)) == FAILS
    assert verdict(every, 0.5, 1.0, absent=("b",)) == OPEN  # not certain that one fails
    most = Rule("at least", 0.8, every_task=True)
    assert verdict(most, 0.0, 0.5, absent=("b",)) == OPEN  # the others may make up for it
    assert verdict(most, 0.0, 0.5) == FAILS


def test_tasks_that_were_not_run_are_counted():
    few = ("AntVelocity", "BallRun")
    runs = table()
    runs = runs[runs["task"].isin(few)]
    found = check(runs, "safe_safety_gym", "cost_reduction", tasks=few)
    row = found["safe_safety_gym"]
    assert (row["verdict"], row["tasks"], row["tasks_of_claim"]) == (OPEN, "AntVelocity", 7)
    assert row["reason"] == "a claim about 7 tasks; measured: 1" and row["ours"] == 1.0
    assert (row["runs"], found["cost_reduction"]["runs"]) == (6, 12)
    assert found["cost_reduction"]["verdict"] == HOLDS
    row = check(runs[runs["task"] == "BallRun"], "safe_safety_gym", tasks=["BallRun"])
    assert row["safe_safety_gym"]["reason"] == "none of its tasks was run"


def test_on_tasks_of_one_s_own_only_our_question_is_measured():
    runs = table()
    runs = runs[runs["task"] == "BallRun"].assign(task="Mine", suite="own", label="m")
    names = ["cost_reduction", "safe_bullet_gym", "preference_term_reward"]
    found = check(runs, *names, tasks=["Mine"])
    assert [found[name]["verdict"] for name in names] == [OPEN, OPEN, HOLDS]
    assert found["preference_term_reward"]["tasks"] == "Mine"
    assert found["cost_reduction"]["reason"] == "none of its tasks was run"


def test_too_few_runs_or_none_are_not_measured():
    runs = table()
    row = check(runs[runs["seed"].isna() | (runs["seed"] == 0)], "reward_kept")["reward_kept"]
    assert (row["verdict"], row["reason"]) == (OPEN, "fewer than 3 runs of a task give no interval")
    assert row["ours"] == pytest.approx(0.95)
    row = check(runs[runs["method"] != "ppl"], "safe_on_most_tasks")["safe_on_most_tasks"]
    assert (row["verdict"], row["reason"]) == (OPEN, "no run of PPL")
    row = check(runs[runs["tau"] == 10], "cost_rises_with_tau")["cost_rises_with_tau"]
    assert row["verdict"] == OPEN and "tau=20: no run" in row["reason"]


def test_what_is_missing_is_named_and_not_averaged_away():
    cell = {"tau": 20, "feasible": False, "n_safe": 0, "n_unsafe": 9}
    manifest = {"task": {"name": "BallRun"}, "source": "collect", "cells": [cell]}
    runs = table()
    runs = runs[(runs["task"] != "BallRun") | (runs["tau"] != 20)]
    runs = runs[(runs["task"] != "CarRun") | (runs["method"] != "prefine")]
    runs = scores.with_infeasible_cells(runs, [manifest])
    row = check(runs, "safe_bullet_gym")["safe_bullet_gym"]
    assert row["missing"] == ("BallRun: tau=20: infeasible: no safe trajectory; CarRun: no run")
    assert row["verdict"] == OPEN and row["tasks"] == "BallCircle BallRun CarCircle DroneRun"
    # Without its costlier threshold BallRun alone has no spread over thresholds.
    row = check(runs, "safety_robust_to_tau")["safety_robust_to_tau"]
    assert "BallRun" not in row["tasks"] and "infeasible" in row["missing"]


def test_a_reference_policy_without_cost_leaves_nothing_to_reduce():
    runs = table(reference=(1.0, 0.0))
    row = check(runs, "cost_reduction")["cost_reduction"]
    assert row["verdict"] == OPEN and "π_ref has no cost to reduce" in row["reason"]


def test_a_claim_is_measured_the_same_alone_and_among_others():
    runs = table()
    noise = np.random.default_rng(0).normal(0, 0.1, len(runs))
    runs["normalized_return"] += noise
    alone = check(runs, "reward_kept")["reward_kept"]
    among = check(runs, "cost_reduction", "reward_kept", "best_trade_off")["reward_kept"]
    assert alone == among and alone["low"] < alone["ours"] < alone["high"]


def test_no_more_than_all_of_the_cost_can_be_gone():
    gone = [np.array([0.5, 0.9, 1.0])] * 4
    assert statistics.iqm_interval(gone).high > 1
    found = claims.reduction_interval(gone)
    assert found.low < found.value < found.high == 1.0
