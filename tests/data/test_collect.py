"""The collector logs what happened in the simulator, and repeats."""

import numpy as np
import pytest
from conftest import TINY_RECIPE
from prefine.data.collect import Multiplier, collect
from prefine.errors import UserError


def test_logged_costs_follow_from_the_record(ball_run_log):
    """Methods 2.5: the step cost is a function of the next observation."""
    for episode in ball_run_log.episodes:
        y = 10 * episode["next_observations"][:, 1]
        speed = np.linalg.norm(5 * episode["next_observations"][:, 2:4], axis=1)
        expected = (np.abs(y) > 2) | (speed > 2.5)
        np.testing.assert_array_equal(episode["costs"], expected.astype(np.float32))


def test_episodes_are_whole_and_consecutive(ball_run_log):
    for episode in ball_run_log.episodes:
        assert len(episode["rewards"]) == 100
        assert episode["timeouts"].tolist() == [False] * 99 + [True]
        assert not episode["terminals"].any()
        assert (np.abs(episode["actions"]) <= 1).all()
        np.testing.assert_array_equal(
            episode["observations"][1:], episode["next_observations"][:-1]
        )


def test_collecting_repeats_bitwise(ball_run_log):
    again = collect("BallRun", TINY_RECIPE)
    assert len(again.episodes) == len(ball_run_log.episodes) == 16
    for one, two in zip(ball_run_log.episodes, again.episodes, strict=True):
        for name in one:
            np.testing.assert_array_equal(one[name], two[name])
    assert again.behaviours == ball_run_log.behaviours
    assert set(again.behaviours) == {0, 1}


def test_multiplier_follows_the_cost():
    multiplier = Multiplier(value=1.0, cost_limit=20.0)
    multiplier.update(mean_episode_cost=60.0, horizon=100)
    assert multiplier.value == 1.0 + 0.5 * 40 / 100
    multiplier.update(mean_episode_cost=0.0, horizon=10)
    assert multiplier.value == 1.2 - 1.0
    multiplier.update(mean_episode_cost=0.0, horizon=10)
    assert multiplier.value == 0.0
    fixed = Multiplier(value=3.0)
    fixed.update(mean_episode_cost=1000.0, horizon=10)
    assert fixed.value == 3.0


@pytest.mark.parametrize(
    ("change", "ppo", "says"),
    [
        ({"behaviours": [{"steps": 20}]}, {"n_steps": 20, "batch_size": 10}, "no episode ended"),
        ({"environments": 1}, {"n_steps": 1}, "PPO does not take these settings"),
        ({}, {"learning_rate": 1e10}, "behaviour 0 diverged"),
    ],
)
def test_a_recipe_of_which_nothing_comes_is_refused(change, ppo, says):
    with pytest.raises(UserError, match=f"BallRun: {says}"):
        collect("BallRun", TINY_RECIPE | change | {"ppo": TINY_RECIPE["ppo"] | ppo})
