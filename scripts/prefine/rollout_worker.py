"""A process that owns environments and does what it is told, one tick after another.

It is given the number of an open socket, and ends when the other side does, however that comes
about.
"""

import sys
import traceback
from multiprocessing.connection import Connection
from typing import NamedTuple

import numpy as np

from prefine import simulators
from prefine.errors import UserError
from prefine.tasks import Task


class Tick(NamedTuple):
    """What to do next: reset some slots to seeds, step others with actions (n, act_dim)."""

    starts: list[tuple[int, int]]
    slots: list[int]
    actions: np.ndarray


class Answer(NamedTuple):
    """First observations of the starts; for each stepped slot what its environment said."""

    first: np.ndarray  # (n starts, obs_dim) float32
    obs: np.ndarray  # (n slots, obs_dim) float32
    reward: np.ndarray  # (n slots,) float64
    cost: np.ndarray
    terminated: np.ndarray  # (n slots,) bool
    truncated: np.ndarray


class Failure(NamedTuple):
    """An exception in the simulator; ``mendable`` if its text tells a user what to do."""

    text: str
    mendable: bool


def answer(task: Task, envs: dict[int, simulators.SeededEnv], tick: Tick) -> Answer:
    """Do one tick; environments are made when they are first started."""
    first = np.empty((len(tick.starts), task.obs_dim), dtype=np.float32)
    for row, (slot, seed) in enumerate(tick.starts):
        if slot not in envs:
            envs[slot] = simulators.make(task)
        first[row], _ = envs[slot].reset(seed=seed)
    n = len(tick.slots)
    obs, numbers = np.empty((n, task.obs_dim), dtype=np.float32), np.empty((2, n))
    flags = np.empty((2, n), dtype=bool)
    for row, slot in enumerate(tick.slots):
        obs[row], numbers[0, row], *flags[:, row], info = envs[slot].step(tick.actions[row])
        numbers[1, row] = info["cost"]
    return Answer(first, obs, *numbers, *flags)


def serve(connection: Connection) -> None:
    """Answer ticks until the other side is gone."""
    envs: dict[int, simulators.SeededEnv] = {}
    try:
        task = Task(**connection.recv())
        while True:
            tick = connection.recv()
            try:
                connection.send(answer(task, envs, tick))
            except Exception as error:
                known = isinstance(error, UserError)
                connection.send(Failure(str(error) if known else traceback.format_exc(), known))
    except (EOFError, ConnectionError, KeyboardInterrupt):
        return


def main() -> None:
    """Serve the open socket whose number is the argument."""
    serve(Connection(int(sys.argv[1])))
