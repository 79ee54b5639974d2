"""A task of the user's own as its environment and its data describe it."""

import logging

import numpy as np

from prefine.errors import UserError
from prefine.simulators import make as simulators
from prefine.tasks import OWN, TASKS, Task

log = logging.getLogger(__name__)
# Of an entry under `file` in the config.
KEYS = {"data", "env_id", "module", "horizon", "label", "thresholds", "min_return", "max_return"}


def describe(name: str, settings: dict, has_costs: bool) -> tuple[Task, dict]:
    """Return a task and the reference scores that are known of it.

    Args:
        settings: its entry under ``file`` in the config; DSRL's tasks need none.
        has_costs: whether the environment must tell costs.

    Raises:
        UserError: the environment cannot be made or used.
    """
    known = {key: settings[key] for key in ("min_return", "max_return") if key in settings}
    if name in TASKS:
        task = TASKS[name]
        scores = {"min_return": task.min_return, "max_return": task.max_return}
        return task, scores | known
    return own_task(name, settings, has_costs), known


BEGIN = 100  # steps that are compared; what remembers earlier episodes may show late


def _begin(env: simulators.CheckedEnv) -> np.ndarray:
    """The begin of an episode from seed 0: all that its first steps give, (n,)."""
    start, _ = env.reset(seed=0)
    box = env.action_space
    action = (box.low + 0.75 * (box.high - box.low)).astype(box.dtype)
    seen = [start]
    for _ in range(BEGIN):
        after, reward, terminated, truncated, info = env.step(action)
        seen.append(np.array([*after, reward, info["cost"]]))
        if terminated or truncated:
            break
    return np.concatenate(seen)


def own_task(name: str, settings: dict, has_costs: bool) -> Task:
    """Ask the environment for its sizes; scores and horizon may still be missing.

    One of DSRL's tasks is known by its name; it needs no environment of its own.

    Raises:
        UserError: the environment is not named, or cannot be made or used; an unknown setting.
    """
    if unknown := sorted(set(settings) - KEYS):
        raise UserError(f"{name}: unknown setting {unknown[0]}; known: {', '.join(sorted(KEYS))}")
    if "env_id" not in settings:
        if name in TASKS:
            return TASKS[name]
        raise UserError(f"task {name}: is none of DSRL's; name its environment by env_id")
    env_id, module = settings["env_id"], settings.get("module")
    env = simulators.make_own(env_id, module, settings.get("horizon"), needs_costs=False)
    horizon = settings.get("horizon") or env.spec.max_episode_steps
    if horizon is None:
        raise UserError(
            f"config: file.{name}: lacks horizon; {env_id} has no limit of steps of its own"
        )
    first, again = (_begin(env) for _ in range(2))
    if has_costs and np.isnan(first[-1]):
        raise UserError(
            f'environment {env_id}: a step gives no info["cost"]; add it, or give labels instead'
        )
    if len(first) != len(again) or not np.allclose(first, again, 1e-4, 1e-4, equal_nan=True):
        log.warning(
            "environment %s: two episodes from the same seed are not the same; policies will be "
            "compared on different episodes. Draw from self.np_random, which reset(seed) seeds",
            env_id,
        )
    box = env.action_space
    sizes = env.observation_space.shape[0], env.action_space.shape[0]
    env.close()
    label = settings.get("label", name[:8])
    scores = {"max_cost": np.nan, "min_return": np.nan, "max_return": np.nan}
    return Task(
        name=name,
        label=label,
        suite=OWN,
        env_id=env_id,
        horizon=horizon,
        obs_dim=sizes[0],
        act_dim=sizes[1],
        **scores,
        n_trajectories=0,
        licence="the user's own",
        module=module,
        has_costs=has_costs,
        action_low=tuple(box.low.tolist()),
        action_high=tuple(box.high.tolist()),
    )
