"""Faster steps of the velocity tasks are the stock ones, to the last bit."""

import numpy as np
import pytest
from prefine.simulators import make as simulators
from prefine.simulators.blocks import environments
from prefine.simulators.fast.velocity import VelocityBlock
from prefine.tasks import TASKS

VELOCITY = [name for name in TASKS if name.endswith("Velocity")]


def play(env, seed, steps):
    """Actions held for a while; the next episode begins where one ends or is cut."""
    rng, rows, ends = np.random.default_rng(seed), [(env.reset(seed=seed)[0], 0.0, 0.0)], []
    for step in range(steps):
        if step % 10 == 0:
            action = rng.uniform(-1.2, 1.2, env.action_space.shape)
        obs, reward, terminated, truncated, info = env.step(action)
        rows.append((obs, reward, info["cost"]))
        ends.append((terminated, truncated))
        if terminated or truncated:
            rows.append((env.reset(seed=seed + step)[0], 0.0, 0.0))
    return [np.array(column) for column in zip(*rows, strict=True)], np.array(ends)


@pytest.mark.parametrize("name", VELOCITY)
def test_episodes_are_the_stock_environment_s_bit_for_bit(name):
    """Two environments in turn, which share a model; 1100 steps, so that a limit is passed."""
    first, second = simulators.make(name), simulators.make(name)
    assert first.unwrapped.model is second.unwrapped.model
    assert first.unwrapped.data is not second.unwrapped.data
    for seed, fast in enumerate((first, second, first)):
        stock = simulators.make(name, stock=True)
        (ours, our_ends), (theirs, their_ends) = play(fast, seed, 1100), play(stock, seed, 1100)
        for one, other in zip(ours, theirs, strict=True):
            np.testing.assert_array_equal(one, other)
        np.testing.assert_array_equal(our_ends, their_ends)
        assert our_ends.any()


@pytest.mark.parametrize("name", VELOCITY)
def test_a_block_s_environments_are_stock_ones_bit_for_bit(name):
    """Some step while others wait, so that limits are not passed together."""
    block, rng = environments(TASKS[name]), np.random.default_rng(0)
    assert isinstance(block, VelocityBlock)
    stock, ends = [simulators.make(name, stock=True) for _ in range(4)], np.zeros(4, int)
    waits = rng.permutation(1150)[:3]  # at each of these steps, one of the last three

    def reset(slot, seed):
        assert block.reset(slot, seed).tobytes() == stock[slot].reset(seed=seed)[0].tobytes()

    for slot in range(4):
        reset(slot, slot)
    for step in range(1150):
        if step % 10 == 0:
            actions = rng.uniform(-1.2, 1.2, (4, TASKS[name].act_dim)).astype(np.float32)
        slots = [slot for slot in (2, 0, 3, 1) if not (slot and step == waits[slot - 1])]
        columns = block.step(slots, actions[slots])
        for slot, obs, reward, cost, *ended in zip(slots, *columns, strict=True):
            theirs, their_reward, *their_ends, info = stock[slot].step(actions[slot])
            assert obs.tobytes() == theirs.tobytes()
            assert reward.tobytes() == np.float64(their_reward).tobytes()
            assert (cost, ended) == (info["cost"], their_ends)
            if any(ended):
                ends[slot] += 1
                reset(slot, 100 * step + slot)
    assert ends.all()
