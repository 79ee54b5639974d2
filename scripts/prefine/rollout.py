"""Seeded rollouts of stacked policies in worker processes (methods 6, "Rollout").

Episode j starts from the same simulator seed and takes the same action noise for every
policy (common random numbers). Workers step environments; the policies stay here, and one
batched forward pass serves all blocks of a worker.

A block is ``ROWS`` consecutive episodes of one policy, each with a row of its own. Every matrix
product has that many rows, so that an episode's numbers do not depend on how many workers there
are, what runs beside it, or in which order.
"""

import logging
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from multiprocessing.connection import Connection, wait
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from prefine.errors import UserError
from prefine.networks import Params
from prefine.rollout_worker import Answer, Failure, Tick
from prefine.simulators import EVALUATION_SEED
from prefine.streams import generator
from prefine.tasks import Task

log = logging.getLogger(__name__)

ROWS = 8  # episodes of a block; part of the numbers (rounding)
ENVIRONMENTS = 32  # of a worker
START = "from prefine.rollout_worker import main; main()"  # so that its classes have its name
SILENCE_SECONDS = 300.0  # of a worker before it is given up


@dataclass
class Block:
    """Consecutive episodes of one replica; ``todo`` are the rows that are still to be played."""

    replica: int
    first: int
    todo: list[int]
    slots: dict[int, int] = field(default_factory=dict)  # row -> slot, while it is played
    obs: np.ndarray | None = None  # (ROWS, obs_dim) float32
    noise: np.ndarray | None = None  # (horizon, ROWS, noise_dim) float32
    sums: np.ndarray | None = None  # (2, ROWS) return and cost so far
    length: int = 0
    attempts: int = 0

    def start(self, task: Task, noise_dim: int, slots: Sequence[int]) -> list[tuple[int, int]]:
        """Give every row its slot; return the slots with the seeds of their episodes."""
        self.slots, self.length = dict(zip(self.todo, slots, strict=True)), 0
        self.obs = np.zeros((ROWS, task.obs_dim), dtype=np.float32)
        self.noise = np.zeros((task.horizon, ROWS, noise_dim), dtype=np.float32)
        self.sums = np.zeros((2, ROWS))
        for row in self.todo:
            stream = generator("evaluate", task.name, self.first + row)
            shape = (task.horizon, noise_dim)
            self.noise[:, row] = stream.standard_normal(shape, dtype=np.float32)
        return [(slot, EVALUATION_SEED + self.first + row) for row, slot in self.slots.items()]


def blocks_of(n_replicas: int, n_episodes: int) -> list[Block]:
    """Cut all episodes into blocks, in the order in which they are played."""
    return [
        Block(replica, first, list(range(min(ROWS, n_episodes - first))))
        for replica in range(n_replicas)
        for first in range(0, n_episodes, ROWS)
    ]


class Worker:
    """A process with environments, and the blocks that it plays."""

    def __init__(self, task: Task):
        ours, theirs = socket.socketpair()
        library = str(Path(__file__).resolve().parents[1])
        paths = os.pathsep.join(filter(None, [library, os.environ.get("PYTHONPATH")]))
        with theirs:
            self.process = subprocess.Popen(
                [sys.executable, "-c", START, str(theirs.fileno())],
                pass_fds=[theirs.fileno()],
                env=os.environ | {"PYTHONPATH": paths, "OMP_NUM_THREADS": "1"},
                stdin=subprocess.DEVNULL,
            )
        self.connection = Connection(ours.detach())
        self.connection.send(task.to_dict())
        self.blocks: list[Block] = []
        self.free = set(range(ENVIRONMENTS))
        self.starting: list[tuple[Block, int]] = []
        self.stepping: list[tuple[Block, int]] = []
        self.sent = time.monotonic()

    def send(self, tick: Tick) -> None:
        """Hand over a tick; a dead worker is noticed when its answer is due."""
        self.sent = time.monotonic()
        try:
            self.connection.send(tick)
        except ConnectionError:
            log.debug("worker %d is gone", self.process.pid)

    def close(self) -> str:
        """End the process; say how it ended if it did so by itself."""
        code = self.process.poll()
        self.process.kill()
        self.process.wait()
        self.connection.close()
        if code is None:
            return "did not answer"
        return f"was ended by {signal.Signals(-code).name}" if code < 0 else f"ended with {code}"


class Rollout:
    """All blocks of a set of policies, and the workers that play them."""

    def __init__(self, policy, params: Params, mean, std, task: Task, mode: str, names):
        self.policy, self.params, self.task, self.mode = policy, params, task, mode
        self.mean, self.std, self.names = mean, std, names
        self.queue: list[Block] = []
        self.rows: list[dict] = []
        self.gathered: tuple[tuple[int, ...], Params] = ((), {})

    def actions(self, blocks: Sequence[Block]) -> np.ndarray:
        """One forward pass for blocks of any replicas: (n, ROWS, act_dim)."""
        replicas = tuple(block.replica for block in blocks)
        if self.gathered[0] != replicas:
            index = torch.tensor(replicas)
            chosen = {name: value.index_select(0, index) for name, value in self.params.items()}
            self.gathered = (replicas, chosen)
        obs = (np.stack([block.obs for block in blocks]) - self.mean) / self.std
        noise = np.stack([b.noise[min(b.length, self.task.horizon - 1)] for b in blocks])
        with torch.no_grad():
            states, draws = torch.from_numpy(obs), torch.from_numpy(noise)
            return self.policy.act(self.gathered[1], states, self.mode, draws).numpy()

    def next_tick(self, worker: Worker) -> bool:
        """Send a worker what comes next; False if nothing is left for it."""
        stepping = [block for block in worker.blocks if block.slots]
        worker.blocks, starts = stepping.copy(), []
        while self.queue and len(self.queue[0].todo) <= len(worker.free):
            block = self.queue.pop(0)
            slots = sorted(worker.free)[: len(block.todo)]
            worker.free -= set(slots)
            starts += block.start(self.task, self.policy.sample_dim, slots)
            worker.blocks.append(block)
        if not worker.blocks:
            return False
        worker.starting = [(b, row) for b in worker.blocks[len(stepping) :] for row in b.slots]
        worker.stepping = [(block, row) for block in stepping for row in block.slots]
        actions = np.empty((0, self.task.act_dim), dtype=np.float32)
        if stepping:
            chosen = dict(zip(map(id, stepping), self.actions(stepping), strict=True))
            actions = np.stack([chosen[id(block)][row] for block, row in worker.stepping])
        slots = [block.slots[row] for block, row in worker.stepping]
        worker.send(Tick(starts, slots, actions))
        return True

    def receive(self, worker: Worker, answer: Answer) -> int:
        """Take a worker's answer; return how many episodes have ended."""
        for (block, row), obs in zip(worker.starting, answer.first, strict=True):
            block.obs[row] = obs
        ended = 0
        for block in {id(block): block for block, _ in worker.stepping}.values():
            block.length += 1
        for number, (block, row) in enumerate(worker.stepping):
            block.obs[row] = answer.obs[number]
            block.sums[:, row] += answer.reward[number], answer.cost[number]
            if not (answer.terminated[number] or answer.truncated[number]):
                continue
            self.rows.append(
                {
                    "replica": block.replica,
                    "episode": block.first + row,
                    "return": block.sums[0, row],
                    "cost": block.sums[1, row],
                    "length": block.length,
                    "terminated": bool(answer.terminated[number]),
                }
            )
            worker.free.add(block.slots.pop(row))
            block.todo.remove(row)
            ended += 1
        return ended

    def give_back(self, worker: Worker, reason: str) -> None:
        """Put a lost worker's unfinished episodes back, once.

        Raises:
            UserError: an episode was lost for the second time.
        """
        how = worker.close()
        reason = reason or f"the simulator's process {how}"
        for block in (block for block in worker.blocks if block.todo):
            block.slots, block.attempts = {}, block.attempts + 1
            episodes = ", ".join(str(block.first + row) for row in block.todo)
            where = f"{self.task.name}: policy {self.names[block.replica]}, episodes {episodes}"
            if block.attempts > 1:
                raise UserError(f"{where}: {reason}, for the second time")
            log.warning("%s: %s; they are played again", where, reason)
            self.queue.append(block)


def evaluate(
    policy,
    params: Params,
    mean: np.ndarray,
    std: np.ndarray,
    task: Task,
    n_episodes: int,
    action_mode: str,
    on_episode: Callable[[int], None] = lambda n: None,
    workers: int = 1,
    names: Sequence[str] | None = None,
    silence: float = SILENCE_SECONDS,
) -> pd.DataFrame:
    """Roll out every replica for episodes 0 .. n_episodes - 1.

    Args:
        params: (R, ...) parameters.
        mean, std: (obs_dim,) standardisation constants of the policies.
        action_mode: ``deterministic``, ``bcq`` or ``sampled``.
        on_episode: called with the number of episodes that have ended since.
        workers: processes that step environments.
        names: of the replicas, for messages.
        silence: seconds without an answer after which a worker is taken for dead.

    Returns:
        One row a replica and episode: replica, episode, return, cost, length, terminated.
        Undiscounted sums.

    Raises:
        UserError: the environment cannot be made, or an episode failed twice.
    """
    n_replicas = next(iter(params.values())).shape[0]
    names = names or [str(replica) for replica in range(n_replicas)]
    rollout = Rollout(policy, params, mean, std, task, action_mode, names)
    rollout.queue = blocks_of(n_replicas, n_episodes)
    busy: dict[Connection, Worker] = {}

    def employ(worker: Worker) -> None:
        busy[worker.connection] = worker
        if not rollout.next_tick(worker):
            del busy[worker.connection]
            worker.close()

    try:
        for _ in range(min(workers, len(rollout.queue))):
            employ(Worker(task))
        while busy:
            oldest = min(worker.sent for worker in busy.values())
            ready = wait(list(busy), timeout=max(0.0, oldest + silence - time.monotonic()))
            late = time.monotonic() - silence
            for connection in ready or [c for c, w in busy.items() if w.sent <= late]:
                worker = busy[connection]
                reply = _reply(connection) if ready else None
                if isinstance(reply, Answer):
                    on_episode(rollout.receive(worker, reply))
                    employ(worker)
                    continue
                if isinstance(reply, Failure) and reply.mendable:
                    raise UserError(reply.text)
                del busy[connection]
                rollout.give_back(worker, reply.text.strip() if reply else "")
                employ(Worker(task))
    finally:
        for worker in busy.values():
            worker.close()
    return pd.DataFrame(rollout.rows).sort_values(["replica", "episode"], ignore_index=True)


def _reply(connection: Connection) -> Answer | Failure | None:
    """What a worker says; None if it is gone."""
    try:
        return connection.recv()
    except (EOFError, ConnectionError):
        return None
