"""A process that owns environments and does what it is told, one tick after another.

It is given the number of an open socket, and ends when the other side does, however that comes
about.
"""

import pickle
import sys
import traceback
from multiprocessing.connection import Connection
from typing import NamedTuple

import numpy as np

from prefine import simulators
from prefine.errors import UserError
from prefine.tasks import Task

PROTOCOL = pickle.HIGHEST_PROTOCOL  # Connection's own way to pickle is several times slower


class Tick(NamedTuple):
    """What to do with some slots: reset them to seeds (n,), or step with actions (n, act_dim)."""

    slots: np.ndarray
    seeds: np.ndarray | None = None
    actions: np.ndarray | None = None


class Answer(NamedTuple):
    """What the environments said; after a reset everything but ``obs`` is 0."""

    obs: np.ndarray  # (n, obs_dim) float32
    reward: np.ndarray  # (n,) float64
    cost: np.ndarray
    terminated: np.ndarray  # (n,) bool
    truncated: np.ndarray


class Failure(NamedTuple):
    """An exception in the simulator; ``mendable`` if its text tells a user what to do."""

    text: str
    mendable: bool


def answer(task: Task, envs: dict[int, simulators.SeededEnv], tick: Tick) -> Answer:
    """Do one tick; environments are made when they are first reset."""
    n = len(tick.slots)
    obs, numbers = np.empty((n, task.obs_dim), dtype=np.float32), np.zeros((2, n))
    flags = np.zeros((2, n), dtype=bool)
    for row, slot in enumerate(tick.slots):
        if tick.seeds is not None:
            if slot not in envs:
                envs[slot] = simulators.make(task)
            obs[row], _ = envs[slot].reset(seed=int(tick.seeds[row]))
        else:
            obs[row], numbers[0, row], *flags[:, row], info = envs[slot].step(tick.actions[row])
            numbers[1, row] = info["cost"]
    return Answer(obs, *numbers, *flags)


def serve(connection: Connection) -> None:
    """Answer ticks until the other side is gone."""
    envs: dict[int, simulators.SeededEnv] = {}
    try:
        task = Task(**connection.recv())
        while True:
            tick = pickle.loads(connection.recv_bytes())
            try:
                reply = answer(task, envs, tick)
            except Exception as error:
                known = isinstance(error, UserError)
                reply = Failure(str(error) if known else traceback.format_exc(), known)
            connection.send_bytes(pickle.dumps(reply, PROTOCOL))
    except (EOFError, ConnectionError, KeyboardInterrupt):
        return


def main() -> None:
    """Serve the open socket whose number is the argument."""
    serve(Connection(int(sys.argv[1])))
