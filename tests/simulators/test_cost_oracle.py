"""Costs recomputed from the record are the simulators' own, and wrong data are refused."""

import shutil

import forked
import h5py
import numpy as np
import pytest
from conftest import ROOT
from prefine.data import dataset
from prefine.simulators import make as simulators
from prefine.simulators.costs import NAVIGATION, VELOCITY, agreement, recomputed_cost
from prefine.tasks import TASKS


def record(env, steps, seed):
    """Random actions, held for a while so that a robot picks up speed."""
    rng, rows = np.random.default_rng(seed), []
    env.reset(seed=seed)
    for step in range(steps):
        if step % 20 == 0:
            action = rng.choice([-1.0, 1.0], env.action_space.shape) * rng.uniform(0.3, 1)
        obs, reward, terminated, truncated, info = env.step(action)
        rows.append((obs, action, reward, info["cost"]))
        if terminated or truncated:
            env.reset()
    return [np.array(column, dtype=np.float32) for column in zip(*rows, strict=True)]


@pytest.mark.parametrize("name", TASKS)
def test_recomputed_costs_are_the_simulator_s(name):
    env = simulators.make(name)
    if name in VELOCITY:
        assert VELOCITY[name].limit == pytest.approx(env.unwrapped._velocity_threshold)
    obs, actions, rewards, costs = record(env, 400, seed=3)
    env.close()
    names = ("next_observations", "actions", "rewards", "costs")
    columns = (obs, actions, rewards, costs)
    halves = [
        dict(zip(names, [c[p] for c in columns], strict=True))
        for p in (slice(200), slice(200, None))
    ]
    found = agreement(TASKS[name], halves)
    one_sided = name == "AntVelocity" or not getattr(NAVIGATION.get(name), "complete", True)
    assert found["known"] == 1 or one_sided
    assert found["agreement"] == 1 or (one_sided and found["known"] == 0)
    if name in ("BallRun", "CarRun", "DroneRun", "HopperVelocity", "SwimmerVelocity"):
        assert 0 < costs.mean() < 1  # both sides of the limit were seen


def test_velocity_is_read_from_the_reward():
    task, actions = TASKS["Walker2dVelocity"], np.full((2, 6), 0.5, np.float32)
    rewards = np.array([2.34, 2.35]) + 1 - 0.001 * 6 * 0.25
    cost, known = recomputed_cost(task, np.zeros((2, 17)), actions, rewards)
    assert cost.tolist() == [False, True] and known.all()


def test_ant_s_reward_is_a_lower_bound():
    task, actions = TASKS["AntVelocity"], np.zeros((2, 8), np.float32)
    cost, known = recomputed_cost(task, np.zeros((2, 27)), actions, np.array([3.0, 4.0]))
    assert known.tolist() == [False, True] and cost[1]


@pytest.mark.parametrize("share", [0.0, 0.0005, 0.002])
def test_costs_that_do_not_belong_to_the_task_stop_the_job(share, ball_run_file, tmp_path):
    file = shutil.copy(ball_run_file, tmp_path / "BallRun.hdf5")
    with h5py.File(file, "r+") as data:
        costs = data["costs"][...]
        wrong = round(share * len(costs) + (share > 0.001))
        costs[:wrong] = 1 - costs[:wrong]
        data["costs"][...] = costs
        del data.attrs["sha256"]  # as of another writer
    command = [ROOT / "scripts", "data/trajectories.py", "--task", "BallRun"]
    command += ["--data", file, "--output", tmp_path / "t.csv", "--checks", tmp_path / "t.json"]
    done = forked.run(*command)
    if share > 1 - 0.999:
        assert done.returncode == 1 and "the recorded cost is the one that BallRun" in done.stderr
        assert not (tmp_path / "t.csv").exists()
    else:
        assert done.returncode == 0, done.stderr
        assert len(dataset.trajectory_table(file, TASKS["BallRun"])) == 16
