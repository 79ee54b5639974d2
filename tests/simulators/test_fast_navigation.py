"""The fast navigation tasks play the stock ones' episodes, bit for bit."""

import dataclasses

import numpy as np
import pytest
from prefine.simulators import make as simulators
from prefine.simulators.blocks import NavigationBlock, environments
from prefine.tasks import TASKS

GOAL_TASKS = ["PointGoal1", "CarGoal1"]
# Every kind of obstacle: vases, buttons, gremlins, pillars, a box to push, a circle, walls.
OTHER_TASKS = ["CarGoal2", "PointButton2", "CarPush2", "PointCircle2"]


def navigation(name):
    """A task that this project may have no data of."""
    env_id = f"Offline{name}Gymnasium-v0"
    return dataclasses.replace(TASKS["PointGoal1"], name=name, env_id=env_id)


def play(env, seed, actions):
    """Observations, (reward, cost, terminated, truncated) a step, and whether goals were met."""
    observations, outcomes, met = [env.reset(seed=seed)[0]], [], []
    for action in actions:
        observation, *outcome, info = env.step(action)
        observations.append(observation)
        outcomes.append([*outcome, info["cost"]])
        met.append(info.get("goal_met", False))
    return np.array(observations), np.array(outcomes, dtype=float), np.array(met)


def assert_same_episode(fast, stock, seed, actions):
    ours, theirs = play(fast, seed, actions), play(stock, seed, actions)
    assert ours[0].dtype == theirs[0].dtype == np.float64
    for a, b in zip(ours, theirs, strict=True):
        np.testing.assert_array_equal(a, b)
    return ours


@pytest.fixture(params=GOAL_TASKS)
def pair(request):
    return simulators.make(request.param), simulators.make(request.param, stock=True)


def test_goal_episodes_equal_stock_ones_bit_for_bit(pair):
    costs = 0.0
    for seed, bias in ((0, 0.0), (3, 0.5), (18, 0.5)):  # two that drive on, over a hazard
        actions = np.random.default_rng(seed).uniform(-1, 1, (150, 2)) + bias
        costs += assert_same_episode(*pair, seed, actions)[1][:, -1].sum()
    assert costs > 0  # or the comparison saw no cost


def seek(env, seed, steps):
    """Steer a point to the goals by their lidar; return the actions."""
    lidar = slice(12, 28)  # after four sensors of three numbers
    observation, actions = env.reset(seed=seed)[0], []
    for _ in range(steps):
        angle = (np.argmax(observation[lidar]) + 0.5) * 2 * np.pi / 16
        angle = (angle + np.pi) % (2 * np.pi) - np.pi
        actions.append(np.array([np.cos(angle), np.clip(2 * angle, -1, 1)]))
        observation = env.step(actions[-1])[0]
    return np.array(actions)


def test_goals_that_are_met_move_to_the_same_places():
    fast, stock = simulators.make("PointGoal1"), simulators.make("PointGoal1", stock=True)
    actions = seek(fast, seed=1, steps=300)
    *_, met = assert_same_episode(fast, stock, 1, actions)
    assert met.sum() >= 2


@pytest.mark.parametrize("name", OTHER_TASKS)
def test_other_navigation_tasks_equal_stock_ones(name):
    task = navigation(name)
    fast, stock = simulators.make(task), simulators.make(task, stock=True)
    actions = np.random.default_rng(0).uniform(-0.5, 1, (60, 2))
    assert_same_episode(fast, stock, 5, actions)


@pytest.mark.parametrize("name", ["CarGoal1", "PointButton1"])
def test_a_block_s_environments_are_stock_ones_bit_for_bit(name):
    """Three in one block, each at another step of its episode; one begins a second one."""
    block, rng = environments(navigation(name)), np.random.default_rng(0)
    assert isinstance(block, NavigationBlock)
    stock = [simulators.make(navigation(name), stock=True) for _ in range(3)]
    for step in range(90):
        for slot, first in enumerate((0, 10, 20)):
            if step == first or (slot == 1 and step == 60):
                ours, theirs = block.reset(slot, step), stock[slot].reset(seed=step)[0]
                assert ours.tobytes() == theirs.tobytes()
        slots = [slot for slot, first in ((2, 20), (0, 0), (1, 10)) if step >= first]
        actions = rng.uniform(-0.5, 1, (3, 2)).astype(np.float32)
        columns = block.step(slots, actions[slots])
        for slot, obs, reward, cost, *ends in zip(slots, *columns, strict=True):
            theirs, their_reward, *their_ends, info = stock[slot].step(actions[slot])
            assert obs.tobytes() == theirs.tobytes()
            assert (reward, cost, ends) == (their_reward, info["cost"], their_ends)


def test_other_environments_stay_as_they_are():
    simulators.make("PointGoal1").reset(seed=0)
    stock = simulators.make("PointGoal1", stock=True)
    fast = simulators.make("PointGoal1")
    fast.reset(seed=0)
    pictures = stock.unwrapped.task.model.ntexdata, fast.unwrapped.task.model.ntexdata
    assert pictures[0] > 1_000_000 > pictures[1]
    assert type(stock.unwrapped.task).__module__.startswith("safety_gymnasium.")
