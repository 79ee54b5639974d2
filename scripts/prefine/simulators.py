"""Make, seed and step the simulators of DSRL's tasks on Python 3.11.

Every workaround for a third-party package lives here, each with its reason.
"""

import contextlib
import copy
import dataclasses
import inspect
import os
import sys
from collections.abc import Iterator

import numpy as np

# pygame (a dependency of safety-gymnasium) greets on standard output, dsrl complains
# that MetaDrive, which no task of the paper uses, is not installed.
os.environ.setdefault("PYGAME_HIDE_SUPPORT_PROMPT", "1")
os.environ.setdefault("DSRL_SUPPRESS_IMPORT_ERROR", "1")

import gymnasium

from prefine.tasks import BULLET_GYM, TASKS, Task

EVALUATION_SEED = 10_000  # episode j of an evaluation starts from seed 10 000 + j (methods 2.9)


@contextlib.contextmanager
def mutable_array_defaults() -> Iterator[None]:
    """Let dataclasses have numpy arrays as field defaults, as safety-gymnasium does.

    Python 3.11 refuses any unhashable default ("mutable default ... use default_factory").
    safety-gymnasium imports its tasks lazily, so this is needed around ``gymnasium.make``
    as well as around the import.
    """
    original = dataclasses.dataclass

    def dataclass(cls=None, /, **options):
        def decorate(cls):
            for name in inspect.get_annotations(cls):
                default = cls.__dict__.get(name)
                if isinstance(default, np.ndarray):
                    factory = dataclasses.field(default_factory=lambda d=default: copy.copy(d))
                    setattr(cls, name, factory)
            return original(cls, **options)

        return decorate if cls is None else decorate(cls)

    dataclasses.dataclass = dataclass
    try:
        yield
    finally:
        dataclasses.dataclass = original


@contextlib.contextmanager
def process_streams() -> Iterator[None]:
    """Put the process's own standard streams back for the time of an import.

    bullet-safety-gym silences PyBullet by looking up the C stream named like the Python
    one that it saw when it was imported; that fails where a notebook or a test runner has
    replaced it ("undefined symbol: _io.FileIO ...").
    """
    with (
        contextlib.redirect_stdout(sys.__stdout__),
        contextlib.redirect_stderr(sys.__stderr__),
    ):
        yield


@contextlib.contextmanager
def global_numpy_seed(seed: int) -> Iterator[None]:
    """Seed numpy's global generator inside the block and restore its state after it.

    BulletSafetyGym ignores ``reset(seed=...)`` and draws an episode's start from there.
    """
    state = np.random.get_state()
    np.random.seed(seed)
    try:
        yield
    finally:
        np.random.set_state(state)


def release_motors(env) -> None:
    """Forget the last action's motor targets (cars, drone).

    PyBullet does not count them as state: restoring a state keeps them, and the step that
    BulletSafetyGym takes inside ``reset`` would follow the previous episode's last action.
    """
    for joint in range(env.bc.getNumJoints(env.agent.body_id)):
        env.bc.setJointMotorControl2(
            env.agent.body_id, joint, env.bc.VELOCITY_CONTROL, targetVelocity=0, force=0
        )


class SeededEnv(gymnasium.Wrapper):
    """An environment whose every episode is a function of one integer.

    A reset without a seed takes the next one of a stream that belongs to this environment,
    so that auto-resets (Stable-Baselines3) repeat too.
    """

    def __init__(self, env: gymnasium.Env, task: Task):
        super().__init__(env)
        self.task = task
        self._low, self._high = env.action_space.low, env.action_space.high
        self._seeds = np.random.default_rng(0)
        if task.suite == BULLET_GYM:
            # Stock resets go back to the state after the *first* reset, whose random
            # joint angles would then be part of every later episode.
            self.unwrapped.stored_state_id = self.unwrapped.bc.saveState()

    def reset(self, *, seed: int | None = None, options: dict | None = None):
        if seed is None:
            seed = int(self._seeds.integers(2**31))
        else:
            self._seeds = np.random.default_rng(seed)
        if self.task.suite == BULLET_GYM:
            release_motors(self.unwrapped)
        with global_numpy_seed(seed):
            return self.env.reset(seed=seed, options=options)

    def step(self, action: np.ndarray):
        """Clip ``action`` (act_dim,) to the box and step; the cost is ``info["cost"]``."""
        action = np.minimum(np.maximum(action, self._low), self._high)
        observation, reward, terminated, truncated, info = self.env.step(action)
        info["cost"] = float(info["cost"])
        return observation, float(reward), bool(terminated), bool(truncated), info


def make(task: str, stock: bool = False) -> SeededEnv:
    """Make a task of DSRL by its name, such as ``"BallCircle"``.

    Observations are float64 (obs_dim,), actions live in the box [-1, 1]^act_dim.

    Args:
        stock: leave a navigation task as slow as it comes (same episodes).

    Raises:
        KeyError: the task is not in the registry.
    """
    entry = TASKS[task]
    with mutable_array_defaults(), process_streams():
        import dsrl  # noqa: F401  (registers the ids)

        from prefine import fast_navigation

        env = gymnasium.make(entry.env_id, disable_env_checker=True)
    if fast_navigation.is_navigation(env):
        if stock:
            # The world is built at the first reset and rebuilt at later ones, and the two ways
            # differ in the last digits (1e-13). One reset ahead makes every episode a later one.
            env.reset(seed=0)
        else:
            fast_navigation.speed_up(env)
    return SeededEnv(env, entry)
