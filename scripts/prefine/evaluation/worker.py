"""A process that owns environments and does what it is told, one tick after another.

It is given the number of an open socket, and ends when the other side does, however that comes
about.
"""

import functools
import json
import sys
import traceback
from multiprocessing.connection import Connection
from typing import NamedTuple

import numpy as np

from prefine.errors import UserError
from prefine.simulators.blocks import Environments, environments
from prefine.simulators.checked import EnvironmentRaised
from prefine.tasks import Task

STEP = -1  # in place of a seed
ANSWER, FAILURE = b"A", b"F"  # first byte of a reply


@functools.cache
def tick_type(task: Task) -> np.dtype:
    """What to do with a slot: reset it to a seed, or step it with an action (act_dim,)."""
    return np.dtype([("slot", "i8"), ("seed", "i8"), ("action", "f4", (task.act_dim,))])


@functools.cache
def answer_type(task: Task) -> np.dtype:
    """What an environment said; after a reset everything but ``obs`` is 0."""
    numbers = [("reward", "f8"), ("cost", "f8"), ("terminated", "?"), ("truncated", "?")]
    return np.dtype([("obs", "f4", (task.obs_dim,)), *numbers])


class Failure(NamedTuple):
    """An exception in the simulator; ``mendable`` if its text tells a user what to do."""

    text: str
    mendable: bool


def answer(task: Task, envs: Environments, tick: np.ndarray) -> np.ndarray:
    """Do one tick, which resets all its slots or steps them all."""
    said, slots = np.zeros(len(tick), answer_type(task)), tick["slot"]
    if tick["seed"][0] == STEP:
        for name, column in zip(said.dtype.names, envs.step(slots, tick["action"]), strict=True):
            said[name] = column
    else:
        for row, slot in enumerate(slots):
            said["obs"][row] = envs.reset(slot, int(tick["seed"][row]))
    return said


def serve(connection: Connection) -> None:
    """Answer ticks until the other side is gone.

    What goes over is a table's bytes, or a failure as JSON: nothing that is run when it is read.
    """
    envs = None
    try:
        task = Task(**json.loads(connection.recv_bytes()))
        while True:
            tick = np.frombuffer(connection.recv_bytes(), tick_type(task))
            try:
                envs = envs or environments(task)
                reply = ANSWER + answer(task, envs, tick).tobytes()
            except Exception as error:
                known = isinstance(error, UserError)
                # What an environment raised once it may not raise again; it is played once more.
                mendable = known and not isinstance(error, EnvironmentRaised)
                failure = Failure(str(error) if known else traceback.format_exc(), mendable)
                reply = FAILURE + json.dumps(failure).encode()
            connection.send_bytes(reply)
    except (EOFError, OSError, KeyboardInterrupt):
        return


def read_reply(reply: bytes, task: Task) -> np.ndarray | Failure:
    """Turn the bytes of a reply into an answer or a failure."""
    if reply[:1] == FAILURE:
        return Failure(*json.loads(reply[1:]))
    return np.frombuffer(reply, answer_type(task), offset=1)


def main() -> None:
    """Serve the open socket whose number is the argument."""
    serve(Connection(int(sys.argv[1])))
