"""Known answers of the scores and of Table 1 (methods 2.4, 6, 9)."""

import io

import numpy as np
import pandas as pd
import pytest
from prefine.analysis import metrics, scores, tables
from prefine.analysis.names import columns_of
from prefine.report.tables import table1_latex, table1_markdown
from prefine.tasks import TASKS


def test_normalized_scores():
    assert metrics.normalized_cost(25.0, 20) == 1.25
    assert metrics.normalized_cost(0.0, 0) == 1.0
    assert metrics.normalized_cost(1.0, 0) == 2.0
    score = metrics.normalized_return(1400.0, TASKS["HalfCheetahVelocity"])
    assert score == pytest.approx(0.4977359412, abs=1e-9)
    assert metrics.is_safe(1.0) and not metrics.is_safe(1.0 + 1e-9)


def test_cvar():
    assert metrics.cvar(np.arange(1, 101), 0.1) == pytest.approx(95.5)
    assert metrics.cvar(np.arange(1, 7), 0.25) == pytest.approx(17 / 3)
    assert metrics.cvar(np.arange(1, 7), 1.0) == pytest.approx(3.5)
    assert metrics.cvar(np.full(9, 4.0), 0.05) == pytest.approx(4.0)


def test_cvar_is_the_minimum_of_its_variational_form():
    costs = np.random.default_rng(0).integers(0, 50, 37).astype(float)
    for level in metrics.CVAR_LEVELS:
        grid = np.linspace(0, 50, 5001)[:, None]
        values = grid[:, 0] + np.maximum(costs - grid, 0).sum(1) / (level * len(costs))
        assert metrics.cvar(costs, level) == pytest.approx(values.min(), abs=1e-9)


def test_summary_of_a_run():
    episodes = pd.DataFrame(
        {
            "return": [100.0, 300.0],
            "cost": [10.0, 50.0],
            "length": [100, 90],
            "terminated": [False, True],
        }
    )
    summary = metrics.summarize(episodes, TASKS["BallRun"], 20)
    assert summary["cost"] == 30.0 and summary["normalized_cost"] == 1.5
    assert summary["violation_rate"] == 0.5 and summary["severe_rate"] == 0.5
    assert summary["cvar_0.5"] == 50.0
    assert summary["terminated_rate"] == 0.5 and summary["length"] == 95


def runs(cells, method="prefine", task="BallRun"):
    rows = [
        {
            "run": f"{method}{tau}{seed}",
            "study": "main",
            "suite": TASKS[task].suite,
            "task": task,
            "label": TASKS[task].label,
            "method": method,
            "tau": tau,
            "seed": seed,
            "normalized_return": reward,
            "normalized_cost": cost,
            "cost": 20 * cost,
            "episodes": 20,
            "action_mode": "deterministic",
            "source": "collect",
        }
        for (tau, seed), (reward, cost) in cells.items()
    ]
    return pd.DataFrame(rows)


def test_table1_averages_thresholds_within_a_seed_first():
    cells = {(10, 0): (0.2, 2.0), (20, 0): (0.4, 0.0), (10, 1): (0.6, 1.0), (20, 1): (0.8, 0.0)}
    table = tables.table1(runs(cells), {"BallRun": [10, 20, 40]})
    row = table.iloc[0]
    assert row["reward"] == pytest.approx(0.5) and row["cost"] == pytest.approx(0.75)
    assert row["reward_std"] == pytest.approx(np.std([0.3, 0.7], ddof=1))
    assert row["reward_se"] == pytest.approx(row["reward_std"] / np.sqrt(2))
    assert row["cost_std"] == pytest.approx(np.std([1.0, 0.5], ddof=1))
    assert row["missing"] == "tau=40: no run"
    assert np.isnan([row["reward_low"], row["reward_high"]]).all()  # of two runs


def test_table1_compares_seeds_over_the_same_thresholds_and_names_the_others():
    cells = {(10, 0): (0.2, 2.0), (20, 0): (0.4, 0.0), (10, 1): (0.6, 1.0)}
    row = tables.table1(runs(cells), {"BallRun": [10, 20]}).iloc[0]
    assert row["reward"] == pytest.approx(0.3) and row["cost"] == pytest.approx(1.0)
    assert row["missing"] == "seed 1: not all runs with tau=20"


def test_an_infeasible_threshold_is_a_row_with_its_reason_and_marks_its_cells():
    cells = [
        {"tau": 20, "draw": 0, "feasible": True, "n_safe": 9, "n_unsafe": 9},
        {"tau": 40, "draw": 0, "feasible": False, "n_safe": 18, "n_unsafe": 0},
        {"tau": 40, "draw": 1, "feasible": False, "n_safe": 18, "n_unsafe": 0},
    ]
    own = pd.concat([runs({(20, 0): (0.5, 0.5)}, method) for method in ("bc", "prefine")])
    manifest = {"task": {"name": "BallRun"}, "source": "collect", "cells": cells}
    full = scores.with_infeasible_cells(own, [manifest])
    gone = full[full["missing"].notna()]
    assert gone[["method", "tau", "missing"]].to_dict("records") == [
        {"method": method, "tau": 40, "missing": "infeasible: no unsafe trajectory"}
        for method in ("bc", "prefine")
    ]
    assert gone["normalized_cost"].isna().all()
    table = tables.table1(full, {"BallRun": [20, 40]})
    assert (table["reward"] == 0.5).all() and (table["runs"] == 1).all()
    text = table1_markdown(table)
    assert text.count("†") == 3
    assert "BallRun (all methods): tau=40: infeasible: no unsafe trajectory" in text


def test_a_task_without_normalised_cost_says_so():
    """Sets that come from labels have no threshold to normalise with."""
    own = runs({(20, 0): (0.5, np.nan), (20, 1): (0.7, np.nan)}).assign(tau=np.nan)
    table = tables.table1(own, {"BallRun": []})
    row = table.iloc[0]
    assert row["reward"] == pytest.approx(0.6) and np.isnan(row["cost"]) and not row["safe"]
    assert row["missing"] == "no normalised cost without a threshold"
    assert "0.60 ± 0.14 / –†" in table1_markdown(table)


def test_table1_marks_the_best_of_the_safe_methods():
    table = tables.table1(
        pd.concat(
            [
                runs({(20, 0): (0.9, 1.5)}, "ppl"),
                runs({(20, 0): (0.5, 1.0)}, "bc"),
                runs({(20, 0): (0.6, 0.2)}, "prefine"),
            ]
        ),
        {"BallRun": [20]},
    ).set_index("method")
    assert table["safe"].to_dict() == {"ppl": False, "bc": True, "prefine": True}
    assert table["best_safe"].to_dict() == {"ppl": False, "bc": False, "prefine": True}
    text = table1_markdown(table.reset_index())
    assert "**0.60 / 0.20** ★" in text and "| 0.90 / 1.50 |" in text
    assert "not DSRL's" in text
    latex = table1_latex(table.reset_index())
    assert r"\textcolor{blue}{\textbf{0.60 / 0.20}}" in latex
    assert latex.count(r"\\") == 3


def test_a_method_with_no_runs_on_a_task_is_missing_not_averaged():
    table = tables.table1(
        pd.concat(
            [
                runs({(20, 0): (0.5, 0.5)}, "bc"),
                runs({(20, 0): (0.5, 0.5)}, "prefine"),
                runs({(20, 0): (0.5, 0.5)}, "bc", "CarRun"),
            ]
        ),
        {"BallRun": [20], "CarRun": [20]},
    )
    line = next(x for x in table1_markdown(table).splitlines() if "CarRun" in x)
    assert line.endswith("| missing |")
    assert "CarRun (PREFINE): tau=20: no run" in table1_markdown(table)
    gone = table[(table["task"] == "CarRun") & (table["method"] == "prefine")].iloc[0]
    assert np.isnan(gone["reward"]) and gone["runs"] == 0 and not gone["safe"]
    assert "CarRun" in table1_latex(table) and "missing" in table1_latex(table)


def test_scores_of_others_stand_behind_and_are_marked():
    """They take nobody's star, and who is given rewards and costs is marked, ours and theirs."""
    own = [runs({(20, 0): (0.5, 0.5)}, "cpq"), runs({(20, 0): (0.4, 0.1)}, "prefine")]
    seen = {"cpq": "everything", "prefine": "actions"}
    expected = {"BallRun": [20], "CarRun": [20]}
    table = tables.table1(pd.concat(own), expected, seen)
    row = {"task": "BallRun", "method": "CDT (OSRL)", "reward": 0.9, "cost": 0.8, "sees": "costs"}
    row |= {"source": "DSRL Table 5", "reward_std": np.nan, "cost_std": 0.1}
    elsewhere = row | {"task": "AntVelocity"}  # a task that this run does not have
    mild = row | {"method": "IL", "cost": 1.2, "sees": "labels", "source": "mine"}
    table = tables.with_outside(table, [row, elsewhere, mild])
    best = table.loc[table["best_safe"], "method"]
    assert best.tolist() == ["cpq"] and "AntVelocity" not in set(table["task"])
    text = table1_markdown(table)
    assert "| Task | CPQ‡ | PREFINE | CDT (OSRL)‡§ | IL§ |" in text
    assert (
        "| **0.50 / 0.50** ★ | **0.40 / 0.10** | **0.90 / 0.80 ± 0.10** | 0.90 / 1.20 ± 0.10 |"
        in text
    )
    assert "| missing | missing | – | – |" in text
    assert "‡: is given rewards and costs" in text
    assert "§: not run here, scores of others (CDT (OSRL): DSRL Table 5; IL: mine)" in text
    assert r"CDT (OSRL)$^\ddagger$$^\S$" in table1_latex(table)
    assert "‡" not in table1_markdown(table[table["method"] == "prefine"])
    same = pd.read_csv(
        io.StringIO(table.to_csv(index=False)), keep_default_na=False, na_values=[""]
    )
    assert columns_of(same) == columns_of(table)  # as Figure 3 reads them


def test_changes_against_the_reference_policy():
    own = pd.concat([runs({(20, 0): (0.4, 0.5)}), runs({(20, 0): (0.8, 2.0)}, "reference")])
    own = own.assign(cost=[10.0, 40.0], violation_rate=[0.1, 1.0], severe_rate=[0.0, 0.0])
    row = scores.against_reference(own).iloc[0]
    assert row["reward_kept"] == pytest.approx(0.5)
    assert row["cost_reduction"] == pytest.approx(0.75)
    assert row["violation_reduction"] == pytest.approx(0.9)
    assert np.isnan(row["severe_reduction"])  # nothing to reduce
    found = scores.task_scores(
        scores.against_reference(own), "prefine", "severe_reduction", {"BallRun": [20]}
    )
    assert not found.values
    assert found.missing == ("BallRun: tau=20: π_ref has no severe violation to reduce",)


def test_without_a_limit_the_cost_itself_is_shown_and_nothing_is_safe():
    own = runs({(np.nan, seed): (0.2 * seed, np.nan) for seed in (0, 1)}).assign(cost=7.25)
    table = tables.table1(own, {"BallRun": [None]})
    assert not table["safe"].any()
    assert table["missing"].iloc[0] == "no normalised cost without a threshold"
    text = table1_markdown(table)
    assert "0.10 ± 0.14 / (7.2)" in text and "where there is no limit" in text
    episodes = pd.DataFrame({"return": [1.0], "cost": [3.0], "length": [5], "terminated": [False]})
    summary = metrics.summarize(episodes, TASKS["BallRun"], np.nan)
    assert np.isnan(summary["violation_rate"]) and summary["cost"] == 3
