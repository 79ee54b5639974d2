"""Each dataset beside DSRL's: the table's numbers in closed form, and the figure of the plane."""

import json

import forked
import matplotlib.image
import numpy as np
import pandas as pd
import pytest
from conftest import ROOT
from prefine import files, frames
from prefine.analysis.likeness import likeness
from prefine.report.tables import likeness_lines, likeness_note, markdown
from prefine.tasks import TASKS

TASK_NAMES = ["BallRun", "AntRun"]  # AntRun is none of the paper's
ROLES = ("preferred", "nonpreferred")
THRESHOLDS = {"BallRun": [10, 40], "AntRun": [20]}


@pytest.fixture
def table():
    ball, ant = (TASKS[name] for name in TASK_NAMES)
    common = {"suite": "bullet_gym", "source": "collect", "max_cost": 70.0}
    sets = {f"mean_{s}_{role}": 5.0 for s in ("return", "cost") for role in ROLES}
    printed = {f"paper_{name}": 6.0 for name in sets}
    middle = (ball.min_return + ball.max_return) / 2
    rows = [
        {"task": "BallRun", "trajectories": 900, "mean_return_reference": middle, **printed},
        {"task": "AntRun", "trajectories": 9, "mean_return_reference": ant.max_return},
    ]
    statistics = pd.DataFrame([common | sets | {"mean_cost_reference": 20.0} | r for r in rows])
    returns = {name: pd.Series([-1.0, 3.0, 2.0]) for name in TASK_NAMES}
    paper = frames.read_csv(ROOT / "workflow/paper/table1.csv")
    return likeness(statistics, returns, THRESHOLDS, paper)


def test_a_dataset_stands_beside_dsrls(table):
    ball, ant = table.to_dict("records")
    assert (ball["trajectories"], ball["paper_trajectories"]) == (900, 940)
    assert (ball["max_cost"], ball["paper_max_cost"]) == (70, 80)
    assert (ball["min_return"], ball["max_return"]) == (-1, 3)
    assert ball["reference_reward"] == pytest.approx(0.5) and ant["reference_reward"] == 1
    assert ball["reference_cost"] == (20 / 10 + 20 / 40) / 2 and ant["reference_cost"] == 1
    assert (ball["paper_reference_reward"], ball["paper_reference_cost"]) == (0.95, 3.88)
    assert ball["paper_mean_cost_preferred"] == 6
    assert np.isnan([ant["paper_reference_reward"], ant["paper_mean_cost_preferred"]]).all()


def test_the_table_shows_both_numbers(table):
    text = markdown(likeness_lines(table), likeness_note(table))
    ball, ant = text.splitlines()[2:4]
    assert ball.startswith("| BallRun | 900 (940) | 70 (80) | -1 (26) | 3 (1327) | 5.0 (6.0) |")
    assert ball.endswith("| 0.50 (0.95) | 1.25 (3.88) |")
    assert ant.endswith("| 5.0 | 5.0 | 5.0 | 5.0 | 1.00 | 1.00 |")
    assert "not DSRL's" in text and "1.25 (3.88)" in text


def test_the_plane_is_drawn(table, tmp_path):
    files.write_table(tmp_path / "likeness.csv", table)
    rng = np.random.default_rng(0)
    for name in TASK_NAMES:
        own = pd.DataFrame({"cost": rng.integers(0, 80, 50), "return": rng.normal(300, 99, 50)})
        files.write_table(tmp_path / f"{name}.csv", own)
    command = [ROOT / "scripts", "figures/data_plane.py", "--likeness"]
    command += [tmp_path / "likeness.csv", "--output", tmp_path / "plane.png", "--trajectories"]
    command += [tmp_path / f"{name}.csv" for name in TASK_NAMES]
    command += ["--thresholds", json.dumps(THRESHOLDS)]
    done = forked.run(*command)
    assert done.returncode == 0, done.stderr
    picture = matplotlib.image.imread(tmp_path / "plane.png")
    assert picture.shape[1] == 2100 and picture[..., :3].std() > 0.05
    assert b"not DSRL's" in (tmp_path / "plane.png").read_bytes()
