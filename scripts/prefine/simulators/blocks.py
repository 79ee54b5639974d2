"""Many environments of one task, stepped together."""

from collections.abc import Iterable
from typing import Protocol

import gymnasium
import numpy as np

from prefine.errors import require
from prefine.simulators import make as simulators
from prefine.tasks import SAFETY_GYM, Task


class Environments(Protocol):
    """Environments of one task, each with a number, that are reset alone and stepped together."""

    def reset(self, slot: int, seed: int) -> np.ndarray:
        """Begin the seed's episode in one of them; return its observation (obs_dim,)."""

    def step(self, slots: np.ndarray, actions: np.ndarray) -> Iterable:
        """Step B of them; return observations, rewards, costs, terminated and truncated (B,)."""


class OneByOne:
    """Environments of one task, each with a number, that are stepped in turn."""

    def __init__(self, task: Task):
        self.task = task
        self.envs: dict[int, simulators.SeededEnv] = {}

    def reset(self, slot: int, seed: int) -> np.ndarray:
        """Begin the seed's episode in an environment, which is made when it is first reset."""
        if slot not in self.envs:
            self.envs[slot] = simulators.make(self.task)
        return self.envs[slot].reset(seed=seed)[0]

    def step(self, slots: np.ndarray, actions: np.ndarray) -> Iterable:
        """Step some environments with an action each; return the columns of an answer."""
        steps = [self.envs[slot].step(action) for slot, action in zip(slots, actions, strict=True)]
        obs, reward, terminated, truncated, info = zip(*steps, strict=True)
        return obs, reward, [known["cost"] for known in info], terminated, truncated


class NavigationBlock(OneByOne):
    """Navigation environments: what takes longer for one than its share of many is done last.

    They are reset through all wrappers and stepped without: an episode's end, which is all that
    these add, each environment knows itself.
    """

    def __init__(self, task: Task):
        super().__init__(task)
        self.cores: dict[int, gymnasium.Env] = {}

    def reset(self, slot: int, seed: int) -> np.ndarray:
        if slot not in self.envs:
            self.envs[slot] = env = simulators.make(self.task)
            self.cores[slot] = core = env.unwrapped
            core.task.lidars_later = True
            require(
                core.task.num_steps == env.spec.max_episode_steps,
                f"{env.spec.id}: its episodes are cut by a wrapper, which is not simulated here",
            )
        return self._with_lidars([slot], super().reset(slot, seed)[None])[0]

    def step(self, slots: np.ndarray, actions: np.ndarray) -> Iterable:
        box = self.envs[slots[0]].action_space
        actions = np.minimum(np.maximum(actions, box.low), box.high)
        steps = [self.cores[slot].step(action) for slot, action in zip(slots, actions, strict=True)]
        obs, reward, cost, terminated, truncated, _ = zip(*steps, strict=True)
        return self._with_lidars(slots, np.array(obs)), reward, cost, terminated, truncated

    def _with_lidars(self, slots: Iterable[int], obs: np.ndarray) -> np.ndarray:
        from prefine.simulators.fast.navigation import add_lidars

        add_lidars([self.cores[slot].task for slot in slots], obs)
        return obs


def environments(task: Task) -> Environments:
    """What plays the episodes of a task, the same whichever it is."""
    if task.is_velocity:  # needs mujoco, which an environment of one's own does not
        from prefine.simulators.fast.velocity import VelocityBlock

        return VelocityBlock(simulators.make(task, stock=True))
    return NavigationBlock(task) if task.suite == SAFETY_GYM else OneByOne(task)
