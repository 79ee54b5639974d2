"""Faster steps of BulletSafetyGym are the stock ones, to the last bit."""

import numpy as np
import pytest
from prefine.simulators import make as simulators
from prefine.tasks import BULLET_GYM, TASKS

BULLET = [name for name, task in TASKS.items() if task.suite == BULLET_GYM]


def play(env, seed, steps):
    """Actions held for a while, so that a robot leaves the limits and comes back."""
    rng, rows = np.random.default_rng(seed), [(env.reset(seed=seed)[0], 0.0, 0.0, False)]
    for step in range(steps):
        if step % 10 == 0:
            action = rng.uniform(-1, 1, env.action_space.shape)
        obs, reward, terminated, truncated, info = env.step(action)
        rows.append((obs, reward, info["cost"], terminated))
        if terminated or truncated:
            rows.append((env.reset(seed=seed + 1)[0], 0.0, 0.0, False))
    return [np.array(column) for column in zip(*rows, strict=True)]


@pytest.mark.parametrize("name", BULLET)
def test_episodes_are_the_stock_environment_s_bit_for_bit(name):
    fast, stock = simulators.make(name), simulators.make(name, stock=True)
    assert type(fast.unwrapped.agent) is not type(stock.unwrapped.agent)
    for seed in (0, 1):
        ours, theirs = play(fast, seed, 250), play(stock, seed, 250)
        for one, other in zip(ours, theirs, strict=True):
            np.testing.assert_array_equal(one, other)
    if name in ("BallRun", "BallCircle", "DroneRun"):
        assert 0 < ours[2].mean() < 1  # both sides of the limit were seen
