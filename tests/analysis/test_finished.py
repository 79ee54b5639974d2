"""What was run of what was asked for, and whether learning curves are flat."""

import pandas as pd
from prefine.analysis.finished import finished, flatness

JOB = {"study": "main", "task": "A", "method": "prefine", "arm": "prefine"}


def test_what_was_asked_for_and_not_run_has_a_row():
    runs = pd.DataFrame(
        [JOB | {"run": f"r{k}", "train_iterations": 3000, "train_seconds": 8.0} for k in range(3)]
        + [JOB | {"run": "π", "method": "reference", "train_iterations": 1}]
    )
    runs = pd.concat([runs, runs])  # a run of two studies
    asked = [JOB | {"runs": 5}, JOB | {"method": "cpl", "arm": "cpl", "runs": 5}]
    table = finished(runs, asked).set_index("method")
    assert list(table["asked"]) == [5, 5] and list(table["made"]) == [3, 0]
    assert table.loc["prefine", "iterations"] == 3000 and table.loc["prefine", "seconds"] == 8
    assert pd.isna(table.loc["cpl", "iterations"])
    assert list(table["iterations_published"]) == [500_000, 300_000]


def curve(changes, costs=None):
    """Runs whose reward changes so between the last two of three points."""
    rows = []
    for k, change in enumerate(changes):
        for iteration, score in ((0, 9.0), (50, k), (100, k + change)):
            cost = 1.0 + (costs[k] if costs and iteration == 100 else 0.0)
            rows.append(
                {"task": "A", "method": "prefine", "run": f"r{k}", "iteration": iteration}
                | {"normalized_return": score, "normalized_cost": cost}
            )
    return flatness(pd.DataFrame(rows)).set_index("score")


def test_a_curve_is_flat_where_the_whole_interval_is_within_the_bounds():
    table = curve([0.01, -0.01, 0.0, 0.02, -0.02], costs=[0.5, 0.6, 0.4, 0.5, 0.55])
    assert table.loc["reward", "verdict"] == "flat"  # runs differ by far more than they change
    assert (
        table.loc["cost", "verdict"] == "moves" and abs(table.loc["cost", "change"] - 0.51) < 1e-9
    )
    assert (table["from_iteration"] == 50).all() and (table["to_iteration"] == 100).all()


def test_a_wide_interval_or_too_few_runs_leave_it_open():
    assert curve([0.5, -0.5, 0.3, -0.4, 0.1]).loc["reward", "verdict"] == "open"
    assert curve([0.0, 0.0]).loc["reward", "verdict"] == "open"
    assert curve([0.0, 0.0, 0.0]).loc["reward", "verdict"] == "flat"
