"""Rollouts of which every step is kept: how behaviour policies give a dataset (methods 2.2)."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from prefine.evaluation.rollout import Block, Rollout, play
from prefine.evaluation.worker import answer_type
from prefine.policies.stack import PolicyStack
from prefine.streams import generator, stream_seed
from prefine.tasks import Task


@dataclass(frozen=True)
class Episode:
    """One episode, by which policy, its number, and its steps in DSRL's layout (raw, float32)."""

    replica: int
    number: int
    steps: dict[str, np.ndarray]


class Recording(Rollout):
    """Rollouts with sampled actions; each policy's episodes have starts and noise of their own.

    Both come from names (task, policy, episode), so that a dataset does not depend on what else
    is played.
    """

    def __init__(self, stack: PolicyStack, task: Task, max_cost: float = np.inf):
        super().__init__(stack, task, "sampled", stack.names, "collect", step_costs=False)
        self.max_cost = max_cost
        self.episodes: list[Episode] = []

    def stream(self, replica: int, episode: int) -> np.random.Generator:
        """The episode's own noise."""
        return generator("collect", self.task.name, self.names[replica], episode)

    def new_record(self) -> dict[str, np.ndarray]:
        """Room for a block's actions, (horizon, rows, act_dim), and for one answer more."""
        task, shape = self.task, (self.task.horizon, self.width)
        return {
            "actions": np.zeros((*shape, task.act_dim), np.float32),
            "answers": np.zeros((shape[0] + 1, self.width), answer_type(task)),
        }

    def seeds(self, block: Block) -> np.ndarray:
        """The episodes' own starts."""
        names = "collect", self.task.name, self.names[block.replica]
        return np.array([stream_seed(*names, int(e), "start") % 2**31 for e in block.episodes])

    def actions(self, block: Block) -> np.ndarray:
        """The next actions, which are kept as they are sent."""
        actions = super().actions(block)
        block.record["actions"][block.length, block.rows] = actions
        return actions

    def take(self, block: Block, answer: np.ndarray) -> int:
        """Keep the answer; episodes that have ended are cut out of the block's record."""
        steps = block.length + block.started  # that were made with this one
        block.record["answers"][steps, block.rows] = answer
        for place in np.flatnonzero(answer["terminated"] | answer["truncated"]):
            steps_of = cut(block.record, block.rows[place], steps)
            self.episodes.append(Episode(block.replica, int(block.episodes[place]), steps_of))
        ended = super().take(block, answer)
        too_costly = block.paid[block.rows] > self.max_cost
        if too_costly.any():
            block.keep(~too_costly)
        return ended + int(too_costly.sum())


def cut(record: dict[str, np.ndarray], row: int, length: int) -> dict[str, np.ndarray]:
    """One episode of a block's record, (length, ...) each; it ends in a terminal or a timeout."""
    answers = record["answers"][: length + 1, row]
    obs, after = answers["obs"], answers[1:]
    last = np.arange(length) == length - 1
    return {
        "observations": obs[:-1].copy(),
        "next_observations": obs[1:].copy(),
        "actions": record["actions"][:length, row].copy(),
        "rewards": after["reward"].astype(np.float32),
        "costs": after["cost"].astype(np.float32),
        "terminals": last & after["terminated"],
        "timeouts": last & ~after["terminated"],
    }


def record(
    stack: PolicyStack,
    task: Task,
    n_episodes: Sequence[int],
    on_episode: Callable[[int], None] = lambda n: None,
    workers: int = 1,
    max_cost: float = np.inf,
) -> list[Episode]:
    """Play so many episodes of each policy with sampled actions and keep all steps.

    Args:
        stack: policies whose metadata names each (``runs``).
        n_episodes: of each policy.
        workers: processes that step environments; they change no number.
        max_cost: an episode that costs more is broken off; the others are what they are without.

    Returns:
        The episodes by policy and number, less those that were broken off.
    """
    rollout = Recording(stack, task, max_cost)
    play(rollout, n_episodes, on_episode, workers)
    return sorted(rollout.episodes, key=lambda own: (own.replica, own.number))
