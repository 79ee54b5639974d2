"""The way of a robot, and what lay in it, as read off a record: against the simulator itself."""

import numpy as np
import pytest
from prefine.simulators import make as simulators
from prefine.simulators import ways
from prefine.simulators.costs import NAVIGATION, VELOCITY, recomputed_cost
from prefine.tasks import TASKS

STEPS = 250


def played(task, place, seed=3):
    """(observations, actions, rewards) of a winding episode, and its places (n, 2)."""
    env, rng = simulators.make(task, stock=True), np.random.default_rng(seed)
    observation, _ = env.reset(seed=seed)
    record, places, costs = [], [], []
    action = np.zeros(task.act_dim)
    for step in range(STEPS):
        if step % 10 == 0:
            action = rng.uniform(-1, 1, task.act_dim).astype(np.float32)
            if task.name in NAVIGATION:
                action[0] = abs(action[0]) / 4
        before, at = observation, np.array(place(env.unwrapped), dtype=float)
        observation, reward, ended, _, info = env.step(action)
        record.append((before, action, reward))
        places.append(at)
        costs.append(info["cost"])
        if ended:
            break
    rows = [np.array(column) for column in zip(*record, strict=True)]
    return env.unwrapped, rows, np.array(places), np.array(costs)


def on_the_ground(core):
    return core.task.agent.pos[:2]


@pytest.mark.parametrize("name", ["PointGoal1", "CarGoal1", "PointPush1", "PointCircle1"])
def test_navigation_is_followed_to_centimetres(name):
    core, rows, places, _ = played(TASKS[name], on_the_ground)
    found = ways.way(TASKS[name], *rows)
    start = 0.0 if "Circle" in name else places[0]
    assert np.ptp(places, axis=0).max() > 0.3
    np.testing.assert_allclose(found + start, places, atol=0.03)
    if "Circle" in name:
        return
    true = np.array([place[:2] for place in core.task.hazards.pos])
    seen = ways.hazards(TASKS[name], rows[0], found) + start
    apart = np.linalg.norm(seen[:, None] - true[None], axis=2)
    assert len(seen) and apart.min(axis=1).max() < 0.05  # each that is seen is there
    near = np.linalg.norm(places[:, None] - true[None], axis=2).min(axis=0) < 0.5
    assert (apart.min(axis=0)[near] < 0.05).all()  # and each that could be run into is seen
    goals = ways.goals(TASKS[name], rows[0], found) + start
    assert np.linalg.norm(goals - core.task.goal.pos[:2], axis=1).min() < 0.05


def of_bullet(core):
    return core.agent.get_position()[:2]


@pytest.mark.parametrize("name", ["BallRun", "CarCircle"])
def test_the_place_is_in_bullet_s_observations(name):
    _, rows, places, _ = played(TASKS[name], of_bullet)
    np.testing.assert_allclose(ways.way(TASKS[name], *rows), places, atol=1e-3)


@pytest.mark.parametrize("name", ["HalfCheetahVelocity", "Walker2dVelocity", "SwimmerVelocity"])
def test_velocity_tasks_are_summed_up(name):
    _, rows, places, costs = played(TASKS[name], lambda core: core.data.qpos[:2])
    found = ways.way(TASKS[name], *rows)
    columns = 2 if name == "SwimmerVelocity" else 1  # the others have their height in the second
    np.testing.assert_allclose(
        (found - found[0])[:, :columns], (places - places[0])[:, :columns], atol=0.05
    )
    beyond = ways.speed(TASKS[name], *rows) > ways.speed_limit(TASKS[name])
    known = recomputed_cost(TASKS[name], *rows)[0]
    assert (beyond == known).all() and (beyond == (costs > 0)).all()


def test_every_task_of_dsrl_has_a_way():
    for name, task in TASKS.items():
        rows = np.zeros((5, task.obs_dim)), np.zeros((5, task.act_dim)), np.zeros(5)
        assert ways.way(task, *rows).shape == (5, 2)
        assert (ways.speed(task, *rows) is None) == (name not in VELOCITY and "Run" not in name)
