"""Collect a dataset in a real simulator: PPO at several cost limits, every episode kept.

This stands in for DSRL where its files cannot be had. DSRL's authors logged Lagrangian
experts whose cost limit moved during training (methods 2.2); this does the same with
Stable-Baselines3's PPO. What comes out has DSRL's layout and spread, not its numbers.
"""

from collections.abc import Callable
from dataclasses import dataclass, field

import gymnasium
import numpy as np
import torch
from stable_baselines3 import PPO
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.vec_env import DummyVecEnv, VecNormalize

from prefine.errors import UserError, reason
from prefine.simulators import make as simulators
from prefine.streams import stream_seed

COLUMNS = (
    "observations",
    "next_observations",
    "actions",
    "rewards",
    "costs",
    "terminals",
    "timeouts",
)


@dataclass
class Multiplier:
    """The penalty weight of the Lagrangian, fixed or moved by the mean episode cost."""

    value: float = 0.0
    cost_limit: float | None = None
    rate: float = 0.5

    def update(self, mean_episode_cost: float, horizon: int) -> None:
        """Raise the weight while episodes cost more than the limit, lower it otherwise."""
        if self.cost_limit is not None:
            step = self.rate * (mean_episode_cost - self.cost_limit) / horizon
            self.value = max(0.0, self.value + step)


@dataclass
class Log:
    """Finished episodes in the order in which they ended."""

    episodes: list[dict[str, np.ndarray]] = field(default_factory=list)
    behaviours: list[int] = field(default_factory=list)  # which behaviour made each episode
    seeds: list[int] = field(default_factory=list)  # one for each behaviour that starts afresh
    behaviour: int = 0

    def add(self, steps: list[tuple]) -> None:
        columns = zip(COLUMNS, zip(*steps, strict=True), strict=True)
        arrays = {name: np.asarray(values, dtype=np.float32) for name, values in columns}
        for name in ("terminals", "timeouts"):
            arrays[name] = arrays[name].astype(bool)
        self.episodes.append(arrays)
        self.behaviours.append(self.behaviour)


class LoggedEnv(gymnasium.Wrapper):
    """Log each step as it happened and show PPO the penalised reward.

    The reward shown is (s r - w c) / (1 + w) with reward scale s and multiplier w.
    """

    def __init__(self, env, log: Log, multiplier: Multiplier, reward_scale: float):
        super().__init__(env)
        self.log, self.multiplier, self.reward_scale = log, multiplier, reward_scale
        # SB3 wants float32 spaces; DSRL stores float32 observations.
        space = env.observation_space
        self.observation_space = gymnasium.spaces.Box(
            space.low.astype(np.float32), space.high.astype(np.float32), dtype=np.float32
        )

    def reset(self, **options):
        observation, info = self.env.reset(**options)
        self._observation = np.asarray(observation, dtype=np.float32)
        self._steps = []
        return self._observation, info

    def step(self, action):
        action = np.clip(action, self.action_space.low, self.action_space.high)
        observation, reward, terminated, truncated, info = self.env.step(action)
        observation = np.asarray(observation, dtype=np.float32)
        cost = info["cost"]
        timeout = truncated and not terminated
        self._steps.append(
            (self._observation, observation, action, reward, cost, terminated, timeout)
        )
        self._observation = observation
        if terminated or truncated:
            self.log.add(self._steps)
        weight = self.multiplier.value
        shown = (self.reward_scale * reward - weight * cost) / (1.0 + weight)
        return observation, shown, terminated, truncated, info


class _Schedule(BaseCallback):
    """Move the multiplier after each rollout and report progress."""

    def __init__(self, log: Log, multiplier: Multiplier, horizon: int, on_steps: Callable):
        super().__init__()
        self.log, self.multiplier, self.horizon = log, multiplier, horizon
        self.on_steps, self.seen = on_steps, len(log.episodes)

    def _on_step(self) -> bool:
        return True

    def _on_rollout_end(self) -> None:
        new = self.log.episodes[self.seen :]
        self.seen = len(self.log.episodes)
        if new:
            mean_cost = float(np.mean([episode["costs"].sum() for episode in new]))
            mean_return = float(np.mean([episode["rewards"].sum() for episode in new]))
            self.multiplier.update(mean_cost, self.horizon)
            self.on_steps(self.model.n_steps * self.model.n_envs, mean_return, mean_cost)
        else:
            self.on_steps(self.model.n_steps * self.model.n_envs, float("nan"), float("nan"))


def collect(
    task: str, recipe: dict, on_steps: Callable[[int, float, float], None] = lambda *_: None
) -> Log:
    """Train the recipe's behaviour policies one after another and log every episode.

    Args:
        task: name in the registry.
        recipe: ``behaviours`` (a list of ``steps`` with ``penalty`` or ``cost_limit``, and
            ``continues`` to go on from the behaviour before), ``environments``, ``normalize``,
            ``reward_scale`` and PPO's own settings under ``ppo`` (config.yaml, ``collect``).
        on_steps: called after each rollout with (steps, mean return, mean cost).

    Returns:
        The log. The same task and recipe give the same episodes on the same machine.

    Raises:
        UserError: no episode ended, the policy diverged, or PPO refuses its settings.
    """
    torch.set_num_threads(1)
    log, multiplier = Log(), Multiplier()

    def environment():
        return LoggedEnv(simulators.make(task), log, multiplier, recipe["reward_scale"])

    def environments():
        vec = DummyVecEnv([environment] * recipe["environments"])
        return VecNormalize(vec, clip_obs=np.inf) if recipe["normalize"] else vec

    model = None
    for number, behaviour in enumerate(recipe["behaviours"]):
        log.behaviour = number
        multiplier.value = behaviour.get("penalty", 0.0)
        multiplier.cost_limit = behaviour.get("cost_limit")
        if not behaviour.get("continues", False) or model is None:
            log.seeds.append(stream_seed("collect", task, number) % 2**31)
            # PPO's seed seeds its environments too.
            vec, seed = environments(), log.seeds[-1]
            try:
                model = PPO("MlpPolicy", vec, seed=seed, device="cpu", **recipe["ppo"])
            except AssertionError as error:  # PPO's own checks, such as of a rollout of one step
                why = f"PPO does not take these settings: {reason(error)}"
                raise UserError(f"{task}: {why}") from None
        schedule = _Schedule(log, multiplier, simulators.TASKS[task].horizon, on_steps)
        try:
            model.learn(behaviour["steps"], callback=schedule, reset_num_timesteps=False)
        except ValueError as error:
            if "constraint" not in str(error):  # torch's word for a normal distribution of NaN
                raise
            raise UserError(
                f"{task}: behaviour {number} diverged: its policy is of no finite numbers; lower "
                "ppo.learning_rate or reward_scale"
            ) from None
    if not log.episodes:
        raise UserError(
            f"{task}: no episode ended; an episode has up to {simulators.TASKS[task].horizon} "
            f"steps in each of {recipe['environments']} environments, so take more steps"
        )
    return log
