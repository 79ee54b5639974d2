"""Seeded rollouts of stacked policies (methods 6, "Rollout").

Episode j starts from the same simulator seed and takes the same action noise for every
policy (common random numbers). Many environments run in lockstep so that one stacked
forward pass serves all of them.
"""

from collections.abc import Callable

import numpy as np
import pandas as pd
import torch

from prefine import simulators
from prefine.networks import Params
from prefine.streams import generator
from prefine.tasks import Task

MAX_ENVIRONMENTS = 64


class Slot:
    """One environment that plays a queue of (replica, episode) pairs one after another."""

    def __init__(self, task: Task, noise_dim: int):
        self.task, self.noise_dim = task, noise_dim
        self.env = simulators.make(task)
        self.obs = np.zeros(task.obs_dim, dtype=np.float32)
        self.noise = np.zeros((task.horizon, noise_dim), dtype=np.float32)
        self.length, self.active = 0, False

    def start(self, episode: int) -> None:
        """Reset to the named episode."""
        obs, _ = self.env.reset(seed=simulators.EVALUATION_SEED + episode)
        self.obs[:] = obs
        shape = (self.task.horizon, self.noise_dim)
        stream = generator("evaluate", self.task.name, episode)
        self.noise = stream.standard_normal(shape, dtype=np.float32)
        self.episode, self.returns, self.cost, self.length = episode, 0.0, 0.0, 0
        self.active = True

    def step(self, action: np.ndarray) -> dict | None:
        """Step once; return the episode's row when it ends."""
        obs, reward, terminated, truncated, info = self.env.step(action)
        self.obs[:] = obs
        self.returns += reward
        self.cost += info["cost"]
        self.length += 1
        if not (terminated or truncated):
            return None
        self.active = False
        return {
            "episode": self.episode,
            "return": self.returns,
            "cost": self.cost,
            "length": self.length,
            "terminated": terminated,
        }


def evaluate(
    policy,
    params: Params,
    mean: np.ndarray,
    std: np.ndarray,
    task: Task,
    n_episodes: int,
    action_mode: str,
    on_episode: Callable[[], None] = lambda: None,
) -> pd.DataFrame:
    """Roll out every replica for episodes 0 .. n_episodes - 1.

    Args:
        params: (R, ...) parameters.
        mean, std: (obs_dim,) standardisation constants of the policies.
        action_mode: ``deterministic``, ``bcq`` or ``sampled``.

    Returns:
        One row a replica and episode: replica, episode, return, cost, length, terminated.
        Undiscounted sums.
    """
    n_replicas = next(iter(params.values())).shape[0]
    n_slots = min(n_episodes, max(1, MAX_ENVIRONMENTS // n_replicas))
    queues = [list(range(n_episodes))[::-1] for _ in range(n_replicas)]
    slots = [[Slot(task, policy.sample_dim) for _ in range(n_slots)] for _ in range(n_replicas)]
    for queue, row in zip(queues, slots, strict=True):
        for slot in row:
            slot.start(queue.pop())

    rows, flat = [], [slot for row in slots for slot in row]
    obs = np.zeros((n_replicas, n_slots, task.obs_dim), dtype=np.float32)
    noise = np.zeros((n_replicas, n_slots, policy.sample_dim), dtype=np.float32)
    while any(slot.active for slot in flat):
        for replica, row in enumerate(slots):
            for place, slot in enumerate(row):
                obs[replica, place] = (slot.obs - mean) / std
                noise[replica, place] = slot.noise[min(slot.length, task.horizon - 1)]
        with torch.no_grad():
            chosen = policy.act(params, torch.from_numpy(obs), action_mode, torch.from_numpy(noise))
        actions = chosen.numpy()
        for replica, row in enumerate(slots):
            for place, slot in enumerate(row):
                finished = slot.step(actions[replica, place]) if slot.active else None
                if finished:
                    rows.append({"replica": replica} | finished)
                    on_episode()
                    if queues[replica]:
                        slot.start(queues[replica].pop())
    for slot in flat:
        slot.env.close()
    return pd.DataFrame(rows).sort_values(["replica", "episode"], ignore_index=True)
