"""Each dataset beside DSRL's: the table's numbers in closed form, and the figure of the plane."""

import json

import forked
import matplotlib.image
import numpy as np
import pandas as pd
import pytest
import yaml
from conftest import ROOT
from prefine import files, frames
from prefine.analysis.likeness import THRESHOLDS as LIMITS
from prefine.analysis.likeness import likeness, out_of_bounds
from prefine.report.tables import likeness_lines, likeness_note, markdown
from prefine.tasks import TASKS

TASK_NAMES = ["BallRun", "AntRun"]  # AntRun is none of the paper's
PAPER = {
    "mean_return_preferred": 300.0,
    "mean_cost_preferred": 5.0,
    "mean_return_nonpreferred": 900.0,
    "mean_cost_nonpreferred": 80.0,
}
THRESHOLDS = {"BallRun": [10, 40], "AntRun": [20]}


@pytest.fixture
def statistics():
    common = {"suite": "bullet_gym", "source": "collect", "max_cost": 70.0, "trajectories": 900}
    sets = {f"paper_{name}": value for name, value in PAPER.items()}
    return pd.DataFrame([common | {"task": "BallRun"} | sets, common | {"task": "AntRun"}])


def rows(cost=80.0, returned=300.0):
    """200 safe trajectories that return the same, and 300 unsafe ones."""
    costs = [5.0] * 200 + [cost] * 300
    return pd.DataFrame({"return": [returned] * 200 + [900.0] * 300, "cost": costs})


@pytest.fixture
def table(statistics):
    played = {name: pd.DataFrame({"return": [1200.0], "cost": [40.0]}) for name in TASK_NAMES}
    paper = frames.read_csv(ROOT / "workflow/paper/table1.csv")
    return likeness(statistics, {name: rows() for name in TASK_NAMES}, played, paper)


def test_a_dataset_stands_beside_dsrls(table):
    ball, ant = table.to_dict("records")
    task = TASKS["BallRun"]
    assert (ball["trajectories"], ball["paper_trajectories"]) == (900, 940)
    assert (ball["max_cost"], ball["paper_max_cost"]) == (70, 80)
    assert (ball["min_return"], ball["max_return"]) == (300, 900)
    assert {name: ball[name] for name in PAPER} == PAPER
    assert (ball["n_safe"], ball["n_unsafe"]) == (200, 300)
    reward = (1200 - task.min_return) / (task.max_return - task.min_return)
    assert ball["reference_reward"] == pytest.approx(reward)
    assert ball["reference_cost"] == pytest.approx((4 + 2 + 1) / 3)  # over 10, 20 and 40
    assert ball["d_ref_cost"] == pytest.approx((8 + 4 + 2) / 3)
    assert (ball["paper_reference_reward"], ball["paper_reference_cost"]) == (0.95, 3.88)
    assert np.isnan([ant["paper_reference_reward"], ant["paper_mean_cost_preferred"]]).all()


def test_what_is_out_of_bounds_is_named(table, statistics):
    ball, ant = table.to_dict("records")
    assert ball["out_of_bounds"] == "reference_cost"  # 2.33 against 3.88, a factor of 1.66
    assert ant["out_of_bounds"] == ""
    like = ball | {"reference_cost": 3.88 / 1.59}
    assert out_of_bounds(like) == []
    for name, value in {
        "mean_return_preferred": 300 * 0.84,
        "mean_cost_preferred": 15.1,
        "mean_cost_nonpreferred": 80 * 1.16,
        "reference_reward": 0.95 + 0.16,
        "reference_cost": 3.88 * 1.61,
    }.items():
        assert out_of_bounds(like | {name: value}) == [name]
    # Without a safe trajectory D_p is empty and has no mean.
    assert out_of_bounds(like | {"mean_return_preferred": np.nan}) == ["mean_return_preferred"]
    # A cost of 0 is far from any other; where the paper prints one number twice, one is none.
    assert out_of_bounds(like | {"reference_cost": 0.0}) == ["reference_cost"]
    copied = {"mean_cost_preferred": 50.0, "paper_mean_cost_preferred": 80.0}
    assert out_of_bounds(like | copied) == []


def test_the_paper_has_the_thresholds_of_the_config():
    asked = yaml.safe_load((ROOT / "config.yaml").read_text())["thresholds"]
    assert {suite: list(limits) for suite, limits in LIMITS.items()} == asked


def test_the_table_shows_both_numbers(table, tmp_path):
    files.write_table(tmp_path / "likeness.csv", table)
    for own in (table, frames.read_csv(tmp_path / "likeness.csv")):
        text = markdown(likeness_lines(own), likeness_note(own))
        ball, ant = text.splitlines()[2:4]
        assert ball.startswith("| BallRun | cost π_ref / τ | 900 (940) | 70 (80) | 300 (26) | ")
        assert ball.endswith("| 2.33 (3.88) | 200 / 300 |")
        assert ant.startswith("| AntRun | not in the paper | 900 (1816)")
        assert "not DSRL's" in text


def test_the_plane_is_drawn(statistics, tmp_path):
    sets = dict.fromkeys(PAPER, 5.0)
    files.write_table(tmp_path / "statistics.csv", statistics.assign(**sets))
    rng = np.random.default_rng(0)
    for name in TASK_NAMES:
        own = pd.DataFrame({"cost": rng.integers(0, 80, 50), "return": rng.normal(300, 99, 50)})
        files.write_table(tmp_path / f"{name}.csv", own)
    command = [ROOT / "scripts", "figures/data_plane.py", "--statistics"]
    command += [tmp_path / "statistics.csv", "--output", tmp_path / "plane.png", "--trajectories"]
    command += [tmp_path / f"{name}.csv" for name in TASK_NAMES]
    command += ["--thresholds", json.dumps(THRESHOLDS)]
    done = forked.run(*command)
    assert done.returncode == 0, done.stderr
    picture = matplotlib.image.imread(tmp_path / "plane.png")
    assert picture.shape[1] == 2100 and picture[..., :3].std() > 0.05
    assert b"not DSRL's" in (tmp_path / "plane.png").read_bytes()


def test_datasets_that_have_nothing_beside_them_are_named_in_one_line(tmp_path):
    (tmp_path / "SafeReach.csv").write_text("task,return,cost\nSafeReach,1,1\n")
    pd.DataFrame({"return": [1.0], "cost": [1.0]}).to_parquet(tmp_path / "SafeReach.parquet")
    table, paper = tmp_path / "SafeReach.csv", ROOT / "workflow/paper"
    outputs = ["--csv", tmp_path / "a.csv", "--markdown", tmp_path / "a.md"]
    split = json.dumps({"split": {}, "thresholds": {}, "draws": 1, "source": "file"})
    reference = ["--reference", tmp_path / "SafeReach.parquet", "--table1", paper / "table1.csv"]
    papers = ["--tables1", paper / "table1.csv", "--tables23", paper / "tables2_3.csv"]
    for words, says in (
        (["analysis/likeness.py", "--statistics", table, *reference, *outputs], "is DSRL's, so"),
        (["analysis/calibrate.py", *papers, "--settings", split, *outputs], "can be compared"),
        (["figures/data_plane.py", "--thresholds", "{}", "--output", "a.png"], "the user's own"),
    ):
        done = forked.run(ROOT / "scripts", *words, "--trajectories", table, cwd=tmp_path)
        assert done.returncode == 1 and says in done.stderr, done.stderr
        assert "unexpected" not in done.stderr and "usage" not in done.stderr
