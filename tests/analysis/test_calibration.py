"""The shares that the paper does not name are found again from what it says of its data."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from conftest import ROOT
from prefine.analysis import calibration
from prefine.analysis.metrics import normalized_return
from prefine.preferences.split import SplitSettings, split
from prefine.tasks import TASKS

PAPER = pd.read_csv(ROOT / "workflow/paper/tables2_3.csv")
NAMES = ["BallRun", "HalfCheetahVelocity"]


def trajectories(seed):
    rng = np.random.default_rng(seed)
    return pd.DataFrame({"return": rng.normal(500, 200, 900), "cost": rng.integers(0, 80, 900)})


def test_the_paper_s_returns_normalise_to_the_known_targets():
    known = {"AntVelocity": 0.835, "SwimmerVelocity": 0.554, "PointGoal1": 0.675, "BallRun": 0.192}
    table = PAPER.set_index("task")["mean_return_preferred"]
    for name, target in known.items():
        assert normalized_return(table[name], TASKS[name]) == pytest.approx(target, abs=5e-4)


@pytest.mark.parametrize("top", calibration.PREFERRED_TOPS)
def test_the_share_that_made_the_sets_has_the_smallest_error(top):
    tables = {name: trajectories(seed) for seed, name in enumerate(NAMES)}
    thresholds, settings = {name: [20, 40] for name in NAMES}, SplitSettings()
    paper = PAPER.set_index("task")
    for name, table in tables.items():
        returns, costs = table["return"].to_numpy(), table["cost"].to_numpy()
        own = replace(settings, preferred_top=top)
        sets = [split(returns, costs, name, tau, 0, own).preferred for tau in thresholds[name]]
        paper.loc[name, "mean_return_preferred"] = np.mean([returns[s].mean() for s in sets])
    rows = calibration.preferred_rows(tables, thresholds, 1, settings, paper.reset_index())
    best = calibration.errors(rows).iloc[0]
    assert best["value"] == top and best["error"] == pytest.approx(0, abs=1e-12)


def test_d_ref_is_compared_with_the_reference_policy():
    tables = {name: trajectories(seed) for seed, name in enumerate(NAMES)}
    targets = pd.read_csv(ROOT / "workflow/paper/table1.csv")
    rows = calibration.reference_rows(tables, SplitSettings(), targets)
    assert rows["value"].tolist() == [0.05, 0.05, 0.1, 0.1, 0.2, 0.2]
    assert rows.groupby("task")["paper"].nunique().tolist() == [1, 1]
    half = rows[rows["task"] == "BallRun"].set_index("value")["ours"]
    best = np.sort(tables["BallRun"]["return"])[::-1][:90].mean()
    assert half[0.1] == pytest.approx(normalized_return(best, TASKS["BallRun"]))


def test_a_copy_error_of_the_paper_does_not_count():
    tables = {"CarRun": trajectories(0)}
    rows = calibration.preferred_rows(tables, {"CarRun": [20]}, 1, SplitSettings(), PAPER)
    assert rows["cost_paper"].isna().all() and rows["paper"].notna().all()
