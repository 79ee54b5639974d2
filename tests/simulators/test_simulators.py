"""Every task runs on Python 3.11, and an episode is a function of its seed."""

import dataclasses

import numpy as np
import pytest
from prefine.analysis import metrics
from prefine.simulators import make as simulators
from prefine.tasks import BULLET_GYM, PAPER_TASKS, SAFETY_GYM, TASKS


def episode(env, seed, steps=30):
    observations = [env.reset(seed=seed)[0]]
    rng = np.random.default_rng(seed)
    rewards, costs = [], []
    for _ in range(steps):
        action = rng.uniform(-1, 1, env.action_space.shape)
        obs, reward, terminated, truncated, info = env.step(action)
        observations.append(obs)
        rewards.append(reward)
        costs.append(info["cost"])
        if terminated or truncated:
            break
    return np.array(observations), np.array(rewards), np.array(costs)


@pytest.mark.parametrize("name", TASKS)
def test_task_matches_the_registry_and_dsrl(name):
    from dsrl import infos

    task, env = TASKS[name], simulators.make(name)
    assert env.observation_space.shape == (task.obs_dim,)
    assert env.action_space.shape == (task.act_dim,)
    assert (env.action_space.low == -1).all() and (env.action_space.high == 1).all()
    assert env.spec.max_episode_steps == task.horizon == infos.DEFAULT_MAX_EPISODE_STEPS[name]
    assert task.min_return == infos.MIN_EPISODE_REWARD[name]
    assert task.max_return == infos.MAX_EPISODE_REWARD[name]
    assert task.max_cost == infos.MAX_EPISODE_COST[name]
    assert infos.DATASET_URLS[name].endswith("/" + task.file)
    offline = env.unwrapped
    offline.set_target_cost(20)
    expected = offline.get_normalized_score(123.4, 25.0)
    ours = metrics.normalized_return(123.4, task), metrics.normalized_cost(25.0, 20)
    assert ours == pytest.approx(expected, abs=1e-12)
    observations, rewards, costs = episode(env, seed=1, steps=5)
    assert np.isfinite(observations).all() and np.isfinite(rewards).all()
    assert set(costs) <= {0.0, 1.0}
    env.close()


def test_suites_are_complete():
    for tasks, expected in ((PAPER_TASKS, (7, 5)), (TASKS, (21, 8))):
        suites = [task.suite for task in tasks.values()]
        assert (suites.count(SAFETY_GYM), suites.count(BULLET_GYM)) == expected


@pytest.mark.parametrize("name", TASKS)
def test_same_seed_same_episode(name):
    env = simulators.make(name)
    first = episode(env, seed=3)
    other = episode(env, seed=4)
    np.random.rand(7)  # the caller's use of the global generator must not matter
    again = episode(env, seed=3)
    fresh = episode(simulators.make(name), seed=3)
    for a, b, c in zip(first, again, fresh, strict=True):
        np.testing.assert_array_equal(a, b)
        np.testing.assert_array_equal(a, c)
    assert not np.array_equal(first[0][0], other[0][0])


def test_bullet_itself_ignores_the_seed():
    """The reason for SeededEnv; if this fails, the workaround can go."""
    env = simulators.make("BallCircle").env
    starts = [env.reset(seed=0)[0] for _ in range(2)]
    assert not np.array_equal(*starts)


def test_reset_leaves_the_global_generator_alone():
    env = simulators.make("BallRun")
    np.random.seed(5)
    expected = np.random.rand(3)
    np.random.seed(5)
    env.reset(seed=0)
    np.testing.assert_array_equal(np.random.rand(3), expected)


def test_resets_without_a_seed_follow_the_last_one():
    env = simulators.make("BallRun")

    def starts():
        return [env.reset(seed=9)[0], env.reset()[0], env.reset()[0]]

    first, again = starts(), starts()
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first[1], first[2])


def test_actions_are_clipped_to_the_box():
    inside, outside = simulators.make("BallRun"), simulators.make("BallRun")
    inside.reset(seed=0), outside.reset(seed=0)
    one, far = np.ones(2), np.full(2, 50.0)
    np.testing.assert_array_equal(inside.step(one)[0], outside.step(far)[0])


def test_array_defaults_are_refused_by_python_and_allowed_inside_the_block():
    def define():
        @dataclasses.dataclass
        class Config:
            array: np.ndarray = np.zeros(2)  # noqa: RUF009
            number: int = 3

        return Config

    original = dataclasses.dataclass
    with pytest.raises(ValueError, match="mutable default"):
        define()
    with simulators.mutable_array_defaults():
        config = define()
    assert dataclasses.dataclass is original
    a, b = config(), config()
    a.array[0] = 1.0
    assert b.array[0] == 0.0 and b.number == 3
