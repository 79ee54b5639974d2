"""What an environment of one's own hands over is copied and checked; same seed, same episode."""

import asyncio
import os
import random
import re
import sys
from dataclasses import replace
from pathlib import Path

import gymnasium
import numpy as np
import pytest
import torch
from gymnasium.spaces import Box
from prefine.data import rollouts
from prefine.errors import UserError
from prefine.evaluation.rollout import evaluate
from prefine.policies.gaussian import GaussianPolicy
from prefine.policies.networks import stack
from prefine.policies.stack import PolicyStack
from prefine.simulators.own import BEGIN, own_task
from prefine.tasks import TASKS

SHARED = np.zeros(2, np.float32)  # a buffer of all environments of a process


class Steady(gymnasium.Env):
    """Gives what its class says: the base of everything below."""

    observation_space, action_space = Box(-9, 9, (2,), np.float32), Box(-2, 2, (1,), np.float32)
    said = (np.zeros(2, np.float32), 0.0, False, False, {"cost": 0.0})

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        return np.zeros(2, np.float32), {}

    def step(self, action):
        return self.said


def task_of(kind, has_costs=True):
    """Register a class, and describe it as a task of 4 steps."""
    name = f"{kind.__name__}-v0"
    gymnasium.registry.pop(name, None)
    gymnasium.register(name, entry_point=kind, max_episode_steps=4)
    return own_task(kind.__name__, {"env_id": name}, has_costs)


def constant(task, action):
    """A policy that always does the same."""
    policy = GaussianPolicy(task.obs_dim, task.act_dim, (), squash_mean=False, fixed_std=True)
    params = {"trunk.0.weight": torch.zeros(1, task.obs_dim, task.act_dim)}
    params["trunk.0.bias"] = torch.full((1, 1, task.act_dim), action)
    params["log_std"] = torch.zeros(1, 1, task.act_dim)
    return PolicyStack(policy, params, np.zeros(task.obs_dim, "f4"), np.ones(task.obs_dim, "f4"))


def play(task, episodes=2, action=0.0, noise=0.0):
    settings = {"episodes": episodes, "seed": 0, "gains": [1.0], "noises": [noise]}
    return rollouts.play(task, constant(task, action), settings | {"actions": "deterministic"})


def said(**changes):
    """A step's values, some of them replaced."""
    names = ("observation", "reward", "terminated", "truncated", "info")
    return tuple((dict(zip(names, Steady.said, strict=True)) | changes).values())


FAULTS = {
    "none": (None, "step 1 gives nothing, but five are needed"),
    "observation alone": (Steady.said[0], "step 1 gives an array of float32 alone"),
    "three": (Steady.said[:3], "step 1 gives 3 values"),
    "six": ((*Steady.said, 0.0), 'step 1 gives 6 values.*info["cost"]'),
    "no info": (said(info=None), "info is None; a dict is needed"),
    "dict": (said(observation={"a": 1.0}), "gives a dict as observation; an array of numbers"),
    "ragged": (said(observation=[[1.0], [1.0, 2.0]]), "gives a list as observation"),
    "text": (said(observation=["1", "2"]), "gives a list as observation"),
    "row": (said(observation=np.zeros((1, 2))), r"shape (1, 2), its observation_space says (2,)"),
    "nan": (said(observation=[0.0, np.nan]), "not finite: number 1 is nan"),
    "too large": (said(observation=np.array([1e300, 0.0])), "not finite: number 0 is 1e+300"),
    "reward none": (said(reward=None), "gives None as reward; a number is needed"),
    "reward text": (said(reward="1.0"), "gives a str as reward"),
    "reward nan": (said(reward=np.float32("nan")), "gives nan as reward"),
    "rewards": (said(reward=np.ones(3)), "gives 3 numbers as reward (shape (3,))"),
    "cost in its place": (said(terminated=0.0), "gives 0.0 as terminated; True or False"),
    "done none": (said(truncated=None), "gives None as truncated"),
    "done 2": (said(truncated=2), "gives 2 as truncated"),
    "cost text": (said(info={"cost": "1"}), 'gives a str as info["cost"]'),
    "cost nan": (said(info={"cost": np.nan}), 'gives nan as info["cost"]'),
    "cost list": (said(info={"cost": [1.0, 2.0]}), 'gives 2 numbers as info["cost"]'),
    "reward beyond float32": (said(reward=1e39), "gives 1e+39 as reward; one of at most 1e+37"),
    "cost beyond float32": (said(info={"cost": 1e300}), 'gives 1e+300 as info["cost"]'),
    "cost masked": (said(info={"cost": np.ma.masked}), "gives a masked array as info"),
    "observation masked": (said(observation=np.ma.array([0, 7], mask=[0, 1])), "a masked array as"),
    "cost below zero": (said(info={"cost": np.float32(-0.25)}), "gives -0.25 as info"),
    "cost empty": (said(info={"cost": np.zeros(0)}), 'gives 0 numbers as info["cost"]'),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_step_that_cannot_be_used_ends_in_one_line(fault):
    values, finding = FAULTS[fault]
    kind = type("Faulty", (Steady,), {"said": values})
    with pytest.raises(UserError, match=r"^environment Faulty-v0: ") as error:
        play(task_of(kind))
    pattern = ".*".join(map(re.escape, finding.split(".*")))
    assert re.search(pattern, str(error.value)) and "\n" not in str(error.value)


def cancelled():
    raise asyncio.CancelledError


def wordless():
    raise type("E", (Exception,), {"__str__": lambda self: 1 / 0})


RESETS = {
    "alone": (lambda self, *, seed=None, options=None: np.zeros(2), "an array of float64 alone"),
    "two numbers": (lambda self, *, seed=None, options=None: [0.0, 0.0], "as its second value"),
    "no seed": (lambda self: (np.zeros(2), {}), "reset takes no seed: write def reset(self, *"),
    "none": (lambda self, *, seed=None, options=None: None, "reset gives nothing"),
    "cancelled": (lambda self, *, seed=None, options=None: cancelled(), "raised CancelledError"),
    "fails in words": (lambda self, *, seed=None, options=None: wordless(), "raised E: E ("),
    "fails": (lambda self, *, seed=None, options=None: 1 / 0, "raised ZeroDivisionError: divis"),
    "ends": (lambda self, *, seed=None, options=None: sys.exit(0), "reset raised SystemExit: 0"),
}


@pytest.mark.parametrize("fault", RESETS)
def test_a_reset_that_cannot_be_used_ends_in_one_line(fault):
    reset, finding = RESETS[fault]
    with pytest.raises(UserError, match=f"^environment Faulty-v0: .*{re.escape(finding)}"):
        task_of(type("Faulty", (Steady,), {"reset": reset}))


class Spaceless(Steady):
    @property
    def observation_space(self):
        raise ValueError("no space yet")


SPACES = {
    "integers": ({"action_space": Box(0, 3, (1,), np.int32)}, "whole numbers; a Box of real"),
    "small integers": ({"action_space": Box(-1, 1, (1,), np.int8)}, "whole numbers"),
    "no action": ({"action_space": Box(-1, 1, (0,))}, "vectors of no numbers"),
    "no observation": ({"observation_space": Box(-1, 1, (0,))}, "vectors of no numbers"),
    "wider than float32": ({"action_space": Box(-3e38, 3e38, (1,))}, "no bounds that can be used"),
}


@pytest.mark.parametrize("space", SPACES)
def test_spaces_that_cannot_be_used_end_in_one_line(space):
    changes, finding = SPACES[space]
    with pytest.raises(UserError, match=re.escape(finding)):
        task_of(type("Faulty", (Steady,), changes))
    with pytest.raises(UserError, match=r"has no observation_space \(no space yet\)"):
        task_of(Spaceless)


class Meddler(Steady):
    """Changes what belongs to the whole process."""

    def step(self, action):
        os.chdir("/")
        np.seterr(all="raise")
        torch.set_default_dtype(torch.float64)
        torch.set_num_threads(torch.get_num_threads() + 1)
        torch.set_grad_enabled(False)
        return self.said


def test_what_an_environment_changes_in_the_process_stays_its_own():
    """Else files go elsewhere, and policies compute with other numbers."""

    def settings():
        of_torch = torch.get_default_dtype(), torch.get_num_threads(), torch.is_grad_enabled()
        return Path.cwd(), np.geterr(), of_torch

    before, steady = settings(), type("Meddler", (Steady,), {})  # noise goes by the task's name
    meddled, steady = play(task_of(Meddler), noise=0.5), play(task_of(steady), noise=0.5)
    assert settings() == before
    np.testing.assert_array_equal(meddled[0]["actions"], steady[0]["actions"])


def test_what_is_unusual_and_meant_is_taken():
    class Lenient(Steady):
        said = ([0, 1], np.float64(2), np.bool_(False), 0, {"cost": np.array([True])})

        def reset(self, seed=None):  # without options
            return torch.zeros(2), {}

    (episode, _) = play(task_of(Lenient))
    assert episode["observations"].dtype == np.float32 and episode["observations"][1, 1] == 1.0
    assert (episode["rewards"] == 2).all() and (episode["costs"] == 1).all()
    assert episode["timeouts"].tolist() == [False, False, False, True]


def test_one_array_for_all_steps_and_environments_is_copied():
    class Buffered(Steady):
        def reset(self, *, seed=None, options=None):
            SHARED[:] = 0, (seed or 0) % 7
            return SHARED, {}

        def step(self, action):
            action *= 100  # its own copy
            SHARED[0] += 1
            return SHARED, float(action[0]), False, False, {"cost": 0.0}

    for episode in play(task_of(Buffered), action=0.5):
        before, after = episode["observations"], episode["next_observations"]
        np.testing.assert_array_equal(after[:-1, 1], before[1:, 1])
        assert len(set(after[:, 0])) == 4
        assert (episode["actions"] == 0.5).all() and (episode["rewards"] == 100).all()


class Dice(Steady):
    """Draws from every global generator, at each step."""

    observation_space = Box(-np.inf, np.inf, (3,), np.float32)
    made = 0.0

    def __init__(self):
        self.made = random.random()

    def draw(self):
        return np.array([random.random() + self.made, np.random.random(), torch.rand(1).item()])

    def reset(self, *, seed=None, options=None):
        return self.draw(), {}

    def step(self, action):
        return self.draw(), 0.0, False, False, {"cost": 0.0}


def test_global_generators_are_each_episode_s_own_and_given_back():
    task = task_of(Dice)
    random.seed(1), np.random.seed(1), torch.manual_seed(1)
    expected = random.random(), np.random.random(), torch.rand(1).item()
    random.seed(1), np.random.seed(1), torch.manual_seed(1)
    few = play(task, 2)
    assert (random.random(), np.random.random(), torch.rand(1).item()) == expected
    many = play(task, 9)  # other environments beside it, and one that plays twice
    for one, other in zip(few, many[:2], strict=True):
        np.testing.assert_array_equal(one["next_observations"], other["next_observations"])
    drawn = np.concatenate([episode["next_observations"] for episode in many])
    assert all(len(np.unique(column)) == len(column) for column in drawn.T)


MODULE = """
import random
import gymnasium
import numpy as np
from gymnasium.spaces import Box


class Dice(gymnasium.Env):
    observation_space, action_space = Box(-9, 9, (1,), np.float32), Box(-2, 2, (1,), np.float32)

    def __init__(self):
        self.offset = random.random()

    def reset(self, *, seed=None, options=None):
        return np.array([self.offset]), {}

    def step(self, action):
        return np.array([random.random()]), random.random(), False, False, {"cost": 0.0}


gymnasium.register("DiceFile-v0", entry_point=Dice, max_episode_steps=5)
"""


def test_episodes_do_not_depend_on_the_number_of_workers(tmp_path):
    (tmp_path / "dice_file.py").write_text(MODULE)
    settings = {"env_id": "DiceFile-v0", "module": str(tmp_path / "dice_file.py")}
    task = own_task("Dice", settings, True)
    policy = GaussianPolicy(1, 1, (4,))
    params = stack([policy.init(torch.Generator().manual_seed(k)) for k in range(2)])
    own = PolicyStack(policy, params, np.zeros(1, np.float32), np.ones(1, np.float32))
    tables = [evaluate(own, task, 6, "deterministic", workers=n) for n in (1, 2)]
    assert tables[0].equals(tables[1])
    returns = tables[0].pivot(index="episode", columns="replica", values="return")
    assert (returns[0] == returns[1]).all() and returns[0].nunique() == 6


def test_costs_are_told_in_every_step_or_in_none():
    class Sometimes(Steady):
        def reset(self, *, seed=None, options=None):
            self.steps = 0
            return np.zeros(2), {}

        def step(self, action):
            self.steps += 1
            tells = self.steps in self.telling
            return np.zeros(2), 0.0, False, False, {"cost": 1.0} if tells else {}

    first, later = (type("Sometimes", (Sometimes,), {"telling": {n}}) for n in (1, 2))
    for has_costs in (True, False):
        with pytest.raises(UserError, match=r'Sometimes-v0: step 2 has no info\["cost"\], which'):
            task_of(first, has_costs=has_costs)
        with pytest.raises(UserError, match=r'step 2 has info\["cost"\], which earlier steps lack'):
            task_of(later, has_costs=has_costs)
    late = type("Sometimes", (Sometimes,), {"telling": set(range(1, BEGIN + 1))})
    with pytest.raises(UserError, match=r'has no info\["cost"\]; tell it in every step'):
        play(replace(task_of(late), horizon=BEGIN + 9))
    never = type("Sometimes", (Sometimes,), {"telling": set()})
    assert np.isnan(play(task_of(never, has_costs=False))[0]["costs"]).all()


def test_a_task_that_dsrl_does_not_have_names_its_environment():
    assert own_task("BallRun", {}, has_costs=True) is TASKS["BallRun"]
    with pytest.raises(UserError, match=r"task BalRun: is none of DSRL's; name .* env_id"):
        own_task("BalRun", {}, has_costs=True)


def test_another_episode_from_the_same_seed_is_said(caplog):
    class Unseeded(Steady):
        def reset(self, *, seed=None, options=None):
            return np.random.default_rng().normal(size=2), {}

    task_of(Unseeded)
    assert "two episodes from the same seed are not the same" in caplog.text
    caplog.clear()

    class Remembers(Steady):  # as a wrapper that scales costs by those it has seen
        seen = 0

        def step(self, action):
            type(self).seen += 1
            observation, reward, terminated, truncated, info = super().step(action)
            return observation, reward + self.seen // 7, terminated, truncated, info

    task_of(Remembers)
    assert "two episodes from the same seed are not the same" in caplog.text
    caplog.clear()
    task_of(Steady)
    assert not caplog.text


def test_an_environment_that_resets_itself_is_refused():
    wrappers = gymnasium.wrappers  # its name since gymnasium 1.0, and before
    autoreset = getattr(wrappers, "Autoreset", None) or wrappers.AutoResetWrapper

    def restarting():
        return autoreset(Steady())

    with pytest.raises(UserError, match="begins a new episode by itself"):
        task_of(restarting)


def test_a_failing_environment_names_its_line_in_the_worker(tmp_path):
    text = MODULE.replace("DiceFile", "Broken").replace("np.array([random.random()]), ", "1 / 0, ")
    (tmp_path / "broken_file.py").write_text(text)
    settings = {"env_id": "Broken-v0", "module": str(tmp_path / "broken_file.py")}
    with pytest.raises(UserError, match="step 1 raised ZeroDivisionError"):
        own_task("Broken", settings, True)
