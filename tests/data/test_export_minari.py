"""What Minari loads is what was written, and what it wrote is read again."""

import subprocess
import sys

import numpy as np
import pytest
from conftest import ROOT
from prefine.data import dataset, own
from prefine.data.hdf5 import KEYS, read
from prefine.tasks import TASKS


@pytest.fixture(scope="module")
def exported(ball_run_file, tmp_path_factory):
    """The folder that MINARI_DATASETS_PATH names, after an export of a small dataset."""
    folder = tmp_path_factory.mktemp("minari")
    output = "BallRun/trajectories-v0"  # relative, as a rule gives it
    command = [sys.executable, ROOT / "scripts", "data/export_minari.py", "--task", "BallRun"]
    subprocess.run(
        list(map(str, [*command, "--data", ball_run_file, "--output", output])),
        check=True,
        cwd=folder,
    )
    return folder


def test_minari_loads_every_trajectory(exported, ball_run_file, monkeypatch):
    monkeypatch.setenv("MINARI_DATASETS_PATH", str(exported))
    import minari

    table = dataset.trajectory_table(ball_run_file, TASKS["BallRun"])
    loaded = minari.load_dataset("BallRun/trajectories-v0")
    assert loaded.total_episodes == len(table)
    for episode, (_, row) in zip(loaded, table.iterrows(), strict=True):
        assert len(episode.observations) == row["length"] + 1
        assert episode.rewards.sum(dtype=float) == pytest.approx(row["return"])
        assert episode.infos["cost"].sum() == pytest.approx(row["cost"])
        assert episode.truncations[-1] == (row["ended_by"] == "timeout")
    assert minari.get_normalized_score(loaded, np.array([TASKS["BallRun"].max_return])) == 1


def test_what_was_written_is_read_as_data_of_one_s_own(exported, ball_run_file):
    task = TASKS["BallRun"]
    again = own.load(exported / "BallRun/trajectories-v0", task)
    for key, values in read(ball_run_file, task, KEYS).items():
        np.testing.assert_array_equal(again[key], values, err_msg=key)


def test_what_a_killed_export_left_is_gone(exported, ball_run_file):
    left = exported / "BallRun/.trajectories-v0.part/BallRun/trajectories-v0/data/half.hdf5"
    left.parent.mkdir(parents=True)
    left.write_bytes(b"half")
    command = [sys.executable, ROOT / "scripts", "data/export_minari.py", "--task", "BallRun"]
    command += ["--data", ball_run_file, "--output", "BallRun/trajectories-v0"]
    subprocess.run(list(map(str, command)), check=True, cwd=exported)
    assert [path.name for path in (exported / "BallRun").iterdir()] == ["trajectories-v0"]


@pytest.mark.parametrize("arguments", [[], ["data/colect.py"], ["data"]])
def test_a_script_that_is_not_there_is_one_line(arguments):
    command = [sys.executable, ROOT / "scripts", *arguments]
    done = subprocess.run(list(map(str, command)), capture_output=True, text=True)
    assert done.returncode == 1 and done.stderr.startswith("ERROR: name one of the files in")
    assert len(done.stderr.splitlines()) == 1
