"""Shared fixtures: small real datasets, made by the project's own collector."""

import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "scripts"))  # for processes that do not read pyproject.toml

TINY_RECIPE = {
    "environments": 2,
    "normalize": False,
    "reward_scale": 1.0,
    "ppo": {"n_steps": 100, "batch_size": 50, "n_epochs": 1},
    "behaviours": [{"steps": 800, "penalty": 0.0}, {"steps": 800, "penalty": 4.0}],
}


@pytest.fixture(scope="session")
def ball_run_log():
    """A log of 16 BallRun episodes from the simulator."""
    from prefine.collect import collect

    return collect("BallRun", TINY_RECIPE)


@pytest.fixture(scope="session")
def ball_run_file(ball_run_log, tmp_path_factory):
    """The same episodes as a file in DSRL's layout."""
    from prefine import dataset

    path = tmp_path_factory.mktemp("data") / "BallRun.hdf5"
    dataset.write(path, ball_run_log.episodes, {"source": "collect", "task": "BallRun"})
    return path
