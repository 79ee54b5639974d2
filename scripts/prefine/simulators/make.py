"""Make, seed and step the simulators of DSRL's tasks on Python 3.11.

Every workaround for a third-party package lives here, each with its reason.
"""

import contextlib
import copy
import dataclasses
import functools
import importlib
import importlib.util
import inspect
import os
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np

# pygame (a dependency of safety-gymnasium) greets on standard output, dsrl complains
# that MetaDrive, which no task of the paper uses, is not installed.
os.environ.setdefault("PYGAME_HIDE_SUPPORT_PROMPT", "1")
os.environ.setdefault("DSRL_SUPPRESS_IMPORT_ERROR", "1")

import gymnasium

from prefine import caches
from prefine.errors import UserError, reason
from prefine.simulators.checked import (
    SAFETY_GYMNASIUM,
    CheckedEnv,
    GlobalGenerators,
    classes,
    of_package,
)
from prefine.simulators.fast import bullet as fast_bullet
from prefine.tasks import BULLET_GYM, OWN, TASKS, Task

OF_DSRL = ("dsrl", "safety_gymnasium", "bullet_safety_gym", "mujoco", "pybullet", "imageio")
EVALUATION_SEED = 10_000  # episode j of an evaluation starts from seed 10 000 + j (methods 2.9)
# ... and of a validation, on which one of several policies is chosen, from another one.
FIRST_SEEDS = {"evaluate": EVALUATION_SEED, "validate": 1_000_000}


@contextlib.contextmanager
def mutable_array_defaults() -> Iterator[None]:
    """Let dataclasses have arrays and other dataclasses as field defaults.

    Before Python 3.11 only lists, dicts and sets were refused; it refuses any unhashable default
    ("mutable default ... use default_factory"), of which safety-gymnasium and others have many.
    safety-gymnasium imports its tasks lazily, so this is needed around ``gymnasium.make``
    as well as around the import.
    """
    original = dataclasses.dataclass

    def dataclass(cls=None, /, **options):
        def decorate(cls):
            for name in inspect.get_annotations(cls):
                default = cls.__dict__.get(name)
                if isinstance(default, dataclasses.Field) and _refused_by_311(default.default):
                    own = default.default
                    default.default = dataclasses.MISSING
                    default.default_factory = functools.partial(copy.copy, own)
                elif _refused_by_311(default):
                    factory = functools.partial(copy.copy, default)
                    setattr(cls, name, dataclasses.field(default_factory=factory))
            return original(cls, **options)

        return decorate if cls is None else decorate(cls)

    dataclasses.dataclass = dataclass
    try:
        yield
    finally:
        dataclasses.dataclass = original


def _refused_by_311(default: object) -> bool:
    """Whether a field's default is one that Python 3.11 refuses and 3.10 took."""
    return type(default).__hash__ is None and not isinstance(default, list | dict | set)


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
def third_party() -> Iterator[None]:
    """What packages of environments need while they are imported and make one.

    What they draw from the process's global generators is the same in every process.
    """
    with mutable_array_defaults(), process_streams(), GlobalGenerators(0).inside(0):
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
            fast_bullet.before_reset(self)
        with global_numpy_seed(seed):
            return self.env.reset(seed=seed, options=options)

    def step(self, action: np.ndarray):
        """Clip ``action`` (act_dim,) to the box and step; the cost is ``info["cost"]``."""
        action = np.minimum(np.maximum(action, self._low), self._high)
        observation, reward, terminated, truncated, info = self.env.step(action)
        info["cost"] = float(info["cost"])
        return observation, float(reward), bool(terminated), bool(truncated), info


def make_own(env_id: str, module: str | None, horizon: int | None, needs_costs: bool) -> CheckedEnv:
    """Make a registered environment, importing the file that registers it first.

    Args:
        horizon: steps after which an episode is cut; None leaves the environment's own.
        needs_costs: every step must tell a cost.

    Raises:
        UserError: there is no such environment, or it is not one of vectors of numbers.
    """
    try:
        if module:
            with third_party():
                _import_file(module)
        limit = {} if horizon is None else {"max_episode_steps": horizon}
        with third_party():
            env = gymnasium.make(env_id, disable_env_checker=True, **limit)
    except UserError:
        raise
    except (Exception, SystemExit) as error:
        unknown = isinstance(error, gymnasium.error.UnregisteredEnv) and not module
        hint = "; `module` must name the Python file that registers it" if unknown else ""
        raise UserError(f"environment {env_id}: cannot be made ({reason(error)}){hint}") from error
    layers = {base.__name__ for base in classes(env)}
    if layers & {"AutoResetWrapper", "Autoreset"}:
        raise UserError(
            f"environment {env_id}: begins a new episode by itself (autoreset), so that the last "
            "observation of an episode is lost; register it without"
        )
    for name in ("observations", "actions"):
        try:
            space = getattr(env, f"{name[:-1]}_space", None)
        except Exception as error:
            raise UserError(f"environment {env_id}: has no {name[:-1]}_space ({error})") from error
        if not isinstance(space, gymnasium.spaces.Box) or len(space.shape) != 1:
            raise UserError(f"environment {env_id}: {name} are {space}; a vector (Box) is needed")
        if not space.shape[0]:
            raise UserError(f"environment {env_id}: {name} are {space}, vectors of no numbers")
    box = env.action_space
    if box.dtype.kind != "f":
        raise UserError(
            f"environment {env_id}: actions are {box}, whole numbers; a Box of real numbers "
            "(float32) is needed"
        )
    with np.errstate(over="ignore", invalid="ignore"):
        width = box.high - box.low
    if not (
        np.isfinite(box.low).all() and np.isfinite(box.high).all() and np.isfinite(width).all()
    ):
        raise UserError(f"environment {env_id}: actions have no bounds that can be used: {box}")
    if not (box.low < box.high).all():
        raise UserError(
            f"environment {env_id}: actions have a low bound that is not below the high one: {box}"
        )
    return CheckedEnv(env, env_id, needs_costs)


@functools.cache
def _import_file(path: str) -> None:
    """Run a Python file once; what it registers with Gymnasium stays."""
    file = Path(path).resolve()
    if not file.is_file():
        raise UserError(f"{path}: is not there")
    sys.path.append(str(file.parent))  # for modules beside it, and entry points by its name
    module = importlib.import_module(file.stem)
    if Path(module.__file__ or "").resolve() != file:
        raise UserError(f"{path}: another module is called {file.stem}; give the file another name")


def import_dsrl() -> None:
    """Register DSRL's ids; the import makes a folder in the home, which may not be writable.

    Raises:
        UserError: its simulators are not installed, which an environment of one's own needs not.
    """
    if missing := [name for name in OF_DSRL if importlib.util.find_spec(name) is None]:
        raise UserError(
            f"DSRL's simulators are not installed here (no {', '.join(missing)}); they need Python "
            '3.11, pip install ".[simulators]" and pip install --no-deps -r envs/lock-no-deps.txt'
        )
    named = os.environ.get("DSRL_DATASET_DIR")
    if not caches.usable(Path(named) if named else caches.of_home(".dsrl/datasets")):
        os.environ["DSRL_DATASET_DIR"] = str(caches.own("dsrl"))
    try:
        import dsrl  # noqa: F401
    finally:
        os.environ.pop("DSRL_DATASET_DIR", None)
        if named is not None:
            os.environ["DSRL_DATASET_DIR"] = named


def unit_box(env: gymnasium.Env) -> gymnasium.Env:
    """Let actions live in [-1, 1], whatever the environment's own box."""
    box = env.action_space
    if (box.low == -1).all() and (box.high == 1).all():
        return env
    # Arrays of the box's own type: of numbers gymnasium 1.4 warns that it casts them.
    return gymnasium.wrappers.RescaleAction(env, -np.ones_like(box.low), np.ones_like(box.low))


def make(task: str | Task, stock: bool = False) -> SeededEnv:
    """Make a task: one of DSRL by its name, such as ``"BallCircle"``, or any that is described.

    Observations are (obs_dim,), actions live in the box [-1, 1]^act_dim.

    Args:
        stock: leave a task as slow as it comes (same episodes).

    Raises:
        KeyError: the name is not in the registry.
        UserError: a task of the user's own cannot be made, or DSRL's simulators are not here.
    """
    entry = TASKS[task] if isinstance(task, str) else task
    if entry.suite == OWN:
        own = make_own(entry.env_id, entry.module, entry.horizon, entry.has_costs)
        if of_package(own, SAFETY_GYMNASIUM):
            own.reset(seed=0)  # as below: one reset ahead makes every episode a later one
        return SeededEnv(unit_box(own), entry)
    with mutable_array_defaults(), process_streams():
        import_dsrl()
        from prefine.simulators.fast import navigation as fast_navigation

        env = gymnasium.make(entry.env_id, disable_env_checker=True)
    if entry.suite == BULLET_GYM and not stock:
        fast_bullet.speed_up(env)
    if entry.is_velocity and not stock:
        from prefine.simulators.fast import velocity as fast_velocity

        env = fast_velocity.VelocityEnv(env)
    if fast_navigation.is_navigation(env):
        if stock:
            # The world is built at the first reset and rebuilt at later ones, and the two ways
            # differ in the last digits (1e-13). One reset ahead makes every episode a later one.
            env.reset(seed=0)
        else:
            fast_navigation.speed_up(env)
    return SeededEnv(env, entry)
