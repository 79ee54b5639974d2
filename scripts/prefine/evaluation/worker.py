"""A process that owns environments and does what it is told, one tick after another.

It is given the number of an open socket, and ends when the other side does, however that comes
about.
"""

import json
import sys
import traceback
from collections.abc import Iterable
from multiprocessing.connection import Connection
from typing import NamedTuple

import numpy as np

from prefine.errors import UserError
from prefine.simulators import make as simulators
from prefine.simulators.fast.velocity import VelocityBlock, is_velocity
from prefine.tasks import SAFETY_GYM, Task

STEP = -1  # in place of a seed
ANSWER, FAILURE = b"A", b"F"  # first byte of a reply


def tick_type(task: Task) -> np.dtype:
    """What to do with a slot: reset it to a seed, or step it with an action (act_dim,)."""
    return np.dtype([("slot", "i8"), ("seed", "i8"), ("action", "f4", (task.act_dim,))])


def answer_type(task: Task) -> np.dtype:
    """What an environment said; after a reset everything but ``obs`` is 0."""
    numbers = [("reward", "f8"), ("cost", "f8"), ("terminated", "?"), ("truncated", "?")]
    return np.dtype([("obs", "f4", (task.obs_dim,)), *numbers])


class Failure(NamedTuple):
    """An exception in the simulator; ``mendable`` if its text tells a user what to do."""

    text: str
    mendable: bool


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
    """Navigation environments: what takes longer for one than its share of many is done last."""

    def reset(self, slot: int, seed: int) -> np.ndarray:
        if slot not in self.envs:
            self.envs[slot] = simulators.make(self.task)
            self.envs[slot].unwrapped.task.lidars_later = True
        return self._with_lidars([slot], super().reset(slot, seed)[None])[0]

    def step(self, slots: np.ndarray, actions: np.ndarray) -> Iterable:
        obs, *others = super().step(slots, actions)
        return self._with_lidars(slots, np.array(obs)), *others

    def _with_lidars(self, slots: Iterable[int], obs: np.ndarray) -> np.ndarray:
        from prefine.simulators.fast.navigation import add_lidars

        add_lidars([self.envs[slot].unwrapped.task for slot in slots], obs)
        return obs


def environments(task: Task) -> OneByOne | VelocityBlock:
    """What plays the episodes of a task, the same whichever it is."""
    if is_velocity(task):
        return VelocityBlock(simulators.make(task, stock=True))
    return NavigationBlock(task) if task.suite == SAFETY_GYM else OneByOne(task)


def answer(task: Task, envs: OneByOne | VelocityBlock, tick: np.ndarray) -> np.ndarray:
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
                failure = Failure(str(error) if known else traceback.format_exc(), known)
                reply = FAILURE + json.dumps(failure).encode()
            connection.send_bytes(reply)
    except (EOFError, ConnectionError, KeyboardInterrupt):
        return


def read_reply(reply: bytes, task: Task) -> np.ndarray | Failure:
    """Turn the bytes of a reply into an answer or a failure."""
    if reply[:1] == FAILURE:
        return Failure(*json.loads(reply[1:]))
    return np.frombuffer(reply, answer_type(task), offset=1)


def main() -> None:
    """Serve the open socket whose number is the argument."""
    serve(Connection(int(sys.argv[1])))
