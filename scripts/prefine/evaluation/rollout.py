"""Seeded rollouts of stacked policies in worker processes (methods 6, "Rollout").

Episode j starts from the same simulator seed and takes the same action noise for every
policy (common random numbers). Workers step environments; the policies stay here.

A block is a few consecutive episodes of one policy. A forward pass always has ``rows_of(task)``
rows, and episode j the row j modulo that, so that its numbers do not depend on how many workers
there are, what runs beside it, or in which order. A worker plays two blocks in turn: while it
steps one, the other's next actions are computed.
"""

import contextlib
import json
import logging
import os
import selectors
import signal
import socket
import subprocess
import sys
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from prefine import kernels
from prefine.errors import UserError
from prefine.evaluation.worker import STEP, Failure, read_reply, tick_type
from prefine.policies.networks import Params
from prefine.policies.registry import check_mode
from prefine.policies.stack import PolicyStack
from prefine.simulators.make import FIRST_SEEDS
from prefine.streams import generator
from prefine.tasks import BULLET_GYM, Task

log = logging.getLogger(__name__)

ROWS, ROWS_OF_SUITE = 64, {BULLET_GYM: 32}  # of a forward pass; part of the numbers (rounding)
LANES = 2  # blocks that a worker plays in turn
# Most episodes of a block. A turn of process and policy costs as much as many steps, hence as
# many as there are rows; but a world of Bullet takes 30 MB (Ball) to 85 MB, and its making (25
# to 400 ms) as long as an episode or two, hence a few episodes for each.
BLOCK_OF_SUITE, BLOCK_OF_TASK = {BULLET_GYM: 8}, {"BallRun": 24, "BallCircle": 24}
EPISODES_OF_A_WORLD = {BULLET_GYM: 3}
SMALLEST_BLOCK = 8  # where there are enough episodes
SILENCE_SECONDS = 300.0  # of a worker before it is given up
START = "from prefine.evaluation.worker import main; main()"  # so that its classes have its name


@dataclass
class Block:
    """Consecutive episodes of one replica, those that are still to be played."""

    replica: int
    episodes: np.ndarray
    attempts: int = 0
    started: bool = False
    lane: int = 0
    length: int = 0
    rows: np.ndarray | None = None  # each episode's row in the forward pass
    slots: np.ndarray | None = None  # where a worker keeps the episodes' environments
    obs: np.ndarray | None = None  # (1, rows_of(task), obs_dim) float32
    noise: np.ndarray | None = None  # (horizon, 1, rows_of(task), noise_dim) float32
    returns: np.ndarray | None = None  # (rows_of(task),) so far
    paid: np.ndarray | None = None  # (rows_of(task),) costs so far
    costs: list[np.ndarray] | None = None  # (rows_of(task),) of each step so far
    record: dict[str, np.ndarray] | None = None  # all steps so far (prefine.evaluation.record)
    params: Params | None = None  # the replica's own, (1, ...)

    def begin(self, lane: int, rows: int) -> None:
        """Give each episode a row of a forward pass of so many, and an environment of the lane."""
        self.lane, self.length, self.started = lane, 0, False
        self.rows = self.episodes % rows
        # By its place, not its row: a world of Bullet is large, and none is made without need.
        self.slots = lane * rows + np.arange(len(self.episodes))

    def keep(self, which: np.ndarray) -> None:
        """Go on with some of the episodes."""
        self.episodes, self.rows, self.slots = (
            of_each[which] for of_each in (self.episodes, self.rows, self.slots)
        )


def rows_of(task: Task) -> int:
    """Rows of a forward pass of the task's policies."""
    return ROWS_OF_SUITE.get(task.suite, ROWS)


def blocks_of(task: Task, n_episodes: Sequence[int], workers: int) -> list[Block]:
    """Cut all episodes into blocks, in the order in which they are played.

    They get smaller towards the end, so that all workers have something to do until then.

    Args:
        n_episodes: of each replica.
    """
    largest = BLOCK_OF_TASK.get(task.name) or BLOCK_OF_SUITE.get(task.suite, rows_of(task))
    at_once = workers * LANES * EPISODES_OF_A_WORLD.get(task.suite, 1)
    left = sum(n_episodes)
    smallest = min(SMALLEST_BLOCK, -(-left // at_once))
    blocks = []
    for replica, n in enumerate(n_episodes):
        first = 0
        while first < n:
            limit = min(largest, max(smallest, -(-left // at_once)))
            parts = -(-(n - first) // limit)  # of one size, those that are left of this replica
            size = -(-(n - first) // parts)
            blocks.append(Block(replica, np.arange(first, first + size)))
            first, left = first + size, left - size
    return blocks


class Worker:
    """A process with environments, and the blocks that it plays, the next to answer first."""

    def __init__(self, task: Task):
        ours, theirs = socket.socketpair()
        library = str(Path(__file__).resolve().parents[2])
        paths = os.pathsep.join(filter(None, [library, os.environ.get("PYTHONPATH")]))
        with theirs:
            self.process = subprocess.Popen(
                [sys.executable, "-c", START, str(theirs.fileno())],
                pass_fds=[theirs.fileno()],
                env=os.environ | kernels.common() | {"PYTHONPATH": paths, "OMP_NUM_THREADS": "1"},
                stdin=subprocess.DEVNULL,
            )
        self.connection = Connection(ours.detach())
        self.blocks: deque[Block] = deque()
        self.sent = time.monotonic()
        self.task = task
        self._tell(json.dumps(task.to_dict()).encode())

    def _tell(self, message: bytes) -> None:
        """Send it; a dead worker, whenever it died, is noticed when its answer is due."""
        try:
            self.connection.send_bytes(message)
        except OSError:
            log.debug("worker %d is gone", self.process.pid)

    def send(self, block: Block, seeds=STEP, actions=0.0) -> None:
        """Reset or step a block's slots."""
        tick = np.zeros(len(block.episodes), tick_type(self.task))
        tick["slot"], tick["seed"], tick["action"] = block.slots, seeds, actions
        self.blocks.append(block)
        self.sent = time.monotonic()
        self._tell(tick.tobytes())

    def reply(self) -> np.ndarray | Failure | None:
        """What the worker says; None if it is gone, also in the midst of a reply."""
        try:
            return read_reply(self.connection.recv_bytes(), self.task)
        except (EOFError, OSError):
            return None

    def close(self, gone: bool = False) -> str:
        """End the process; say how it ended if it did so by itself."""
        with contextlib.suppress(subprocess.TimeoutExpired):  # its socket closes before it ends
            self.process.wait(timeout=5.0 if gone else 0.0)
        code = self.process.returncode
        self.process.kill()
        self.process.wait()
        self.connection.close()
        if code is None:
            return "did not answer"
        return f"was ended by {signal.Signals(-code).name}" if code < 0 else f"ended with {code}"


@dataclass(frozen=True)
class Mix:
    """Actions of two policies, mixed: (1 - weight) of ``other``, one policy, and weight of each."""

    other: PolicyStack
    weight: float


class Rollout:
    """Everything that is to be played, and the rows of what has been."""

    mix: Mix | None = None

    def __init__(
        self,
        stack: PolicyStack,
        task: Task,
        mode: str,
        names: Sequence[str],
        purpose: str,
        step_costs: bool,
    ):
        self.stack, self.policy, self.task, self.mode = stack, stack.policy, task, mode
        self.purpose, self.step_costs = purpose, step_costs
        self.names, self.width = names, rows_of(task)
        self.no_noise = torch.zeros(1, self.width, self.policy.sample_dim)
        self.queue: deque[Block] = deque()
        self.rows: list[dict] = []

    def start(self, worker: Worker, lane: int) -> None:
        """Begin the next block of the queue, if there is one."""
        if not self.queue:
            return
        block, task = self.queue.popleft(), self.task
        block.begin(lane, self.width)
        block.obs = np.zeros((1, self.width, task.obs_dim), dtype=np.float32)
        block.costs, block.record = [], self.new_record()
        block.returns, block.paid = np.zeros((2, self.width))
        block.params = self.stack.replica(block.replica).params
        if self.mode != "deterministic":
            shape = (task.horizon, self.policy.sample_dim)
            block.noise = np.zeros((shape[0], 1, self.width, shape[1]), dtype=np.float32)
            for episode, row in zip(block.episodes, block.rows, strict=True):
                stream = self.stream(block.replica, int(episode))
                block.noise[:, 0, row] = stream.standard_normal(shape, dtype=np.float32)
        worker.send(block, seeds=self.seeds(block))

    def new_record(self) -> dict[str, np.ndarray] | None:
        """Room for the steps of a block that begins; none is kept here."""
        return None

    def seeds(self, block: Block) -> np.ndarray:
        """The simulator seeds of a block's episodes, the same for every policy."""
        return FIRST_SEEDS[self.purpose] + block.episodes

    def stream(self, replica: int, episode: int) -> np.random.Generator:
        """Where an episode's action noise comes from, the same for every policy."""
        return generator(self.purpose, self.task.name, episode)

    def actions(self, block: Block) -> np.ndarray:
        """The next actions of a block's episodes, (n, act_dim) in [-1, 1]."""
        noise = self.no_noise
        if block.noise is not None:
            noise = torch.from_numpy(block.noise[min(block.length, self.task.horizon - 1)])
        actions = self._act(self.stack, block.params, block.obs, noise)
        if self.mix:
            other, weight = self.mix.other, np.float32(self.mix.weight)
            none = torch.zeros(1, self.width, other.policy.sample_dim)  # both are deterministic
            theirs = self._act(other, other.params, block.obs, none)
            actions = (1 - weight) * theirs + weight * actions
        return actions[block.rows]

    def _act(self, stack: PolicyStack, params: Params, obs: np.ndarray, noise) -> np.ndarray:
        """Actions of one policy in raw observations, (rows_of(task), act_dim)."""
        scaled = torch.from_numpy((obs - stack.mean) / stack.std)
        with torch.inference_mode():
            return stack.policy.act(params, scaled, self.mode, noise)[0].numpy()

    def take(self, block: Block, answer: np.ndarray) -> int:
        """Take the answer to a block's tick; return how many episodes have ended."""
        rows = block.rows
        block.obs[0, rows] = answer["obs"]
        if not block.started:
            block.started = True
            return 0
        if self.step_costs:
            block.costs.append(np.zeros(self.width, dtype=np.float32))
            block.costs[-1][rows] = answer["cost"]
        block.length += 1
        block.returns[rows] += answer["reward"]
        block.paid[rows] += answer["cost"]
        ended = answer["terminated"] | answer["truncated"]
        for place in np.flatnonzero(ended):
            self.rows.append(
                {
                    "replica": block.replica,
                    "episode": block.episodes[place],
                    "return": block.returns[rows[place]],
                    "cost": block.paid[rows[place]],
                    "length": block.length,
                    "terminated": answer["terminated"][place],
                    "step_costs": np.array([costs[rows[place]] for costs in block.costs]),
                }
            )
        if ended.any():
            block.keep(~ended)
        return int(ended.sum())

    def give_back(self, blocks: Sequence[Block], reason: str) -> None:
        """Put a lost worker's unfinished episodes back.

        A worker answers in order, so the first block is the one that it was lost in.

        Raises:
            UserError: that block lost a worker before.
        """
        lost, *_ = blocks
        lost.attempts += 1
        episodes = ", ".join(map(str, lost.episodes))
        where = f"{self.task.name}: policy {self.names[lost.replica]}, episodes {episodes}"
        if lost.attempts > 1:
            raise UserError(f"{where}: {reason}, for the second time")
        log.warning("%s: %s; they are played again", where, reason)
        self.queue.extend(blocks)


def evaluate(
    stack: PolicyStack,
    task: Task,
    n_episodes: int,
    action_mode: str,
    on_episode: Callable[[int], None] = lambda n: None,
    workers: int = 1,
    names: Sequence[str] | None = None,
    silence: float = SILENCE_SECONDS,
    purpose: str = "evaluate",
    step_costs: bool = False,
    mix: Mix | None = None,
) -> pd.DataFrame:
    """Roll out every replica for episodes 0 .. n_episodes - 1.

    Args:
        stack: R policies.
        action_mode: ``deterministic``, ``bcq`` or ``sampled``.
        on_episode: called with the number of episodes that have ended since.
        workers: processes that step environments.
        names: of the replicas, for messages.
        silence: seconds without an answer after which a worker is taken for dead.
        purpose: ``evaluate``, or ``validate``: other starts and other noise.
        step_costs: also return the cost of each step, an array an episode.
        mix: mix their actions with those of another policy; deterministic ones alone.

    Returns:
        One row a replica and episode: replica, episode, return, cost, length, terminated.
        Undiscounted sums.

    Raises:
        UserError: the environment cannot be made, an episode failed twice, or there is nothing
            to play, nobody to play it, or no such way to act.
    """
    check_mode(action_mode)
    if n_episodes < 1 or workers < 1:
        raise UserError(f"{n_episodes} episodes, {workers} workers: at least one of each is needed")
    names = names or [str(replica) for replica in range(len(stack))]
    rollout = Rollout(stack, task, action_mode, names, purpose, step_costs)
    if mix and action_mode != "deterministic":
        raise ValueError(f"no mix of {action_mode} actions: each policy has noise of its own kind")
    rollout.mix = mix
    play(rollout, [n_episodes] * len(stack), on_episode, workers, silence)
    table = pd.DataFrame(rollout.rows).sort_values(["replica", "episode"], ignore_index=True)
    return table if step_costs else table.drop(columns="step_costs")


def play(
    rollout: Rollout,
    n_episodes: Sequence[int],
    on_episode: Callable[[int], None],
    workers: int,
    silence: float = SILENCE_SECONDS,
) -> None:
    """Play so many episodes of each replica in worker processes (`evaluate`)."""
    task = rollout.task
    rollout.queue.extend(blocks_of(task, n_episodes, workers))
    busy: set[Worker] = set()
    answers = selectors.DefaultSelector()

    def employ() -> None:
        worker = Worker(task)
        busy.add(worker)
        answers.register(worker.connection, selectors.EVENT_READ, worker)
        for lane in range(LANES):
            rollout.start(worker, lane)

    try:
        while rollout.queue and len(busy) < workers:  # a worker takes several blocks at once
            employ()
        while busy:
            oldest = min(worker.sent for worker in busy)
            ready = answers.select(max(0.0, oldest + silence - time.monotonic()))
            heard = {key.data for key, _ in ready}
            late = time.monotonic() - silence
            for worker in [*heard, *(w for w in busy - heard if w.sent <= late)]:
                reply = worker.reply() if worker in heard else None
                if isinstance(reply, np.ndarray):
                    block = worker.blocks.popleft()
                    on_episode(rollout.take(block, reply))
                    if len(block.episodes):
                        worker.send(block, actions=rollout.actions(block))
                    else:
                        rollout.start(worker, block.lane)
                    if worker.blocks:
                        continue
                elif isinstance(reply, Failure) and reply.mendable:
                    raise UserError(reply.text)
                busy.remove(worker)
                answers.unregister(worker.connection)
                how = worker.close(gone=worker in heard and reply is None)
                if worker.blocks:
                    said = reply.text.strip() if reply else f"the simulator's process {how}"
                    rollout.give_back(worker.blocks, said)
                    employ()
    finally:
        answers.close()
        for worker in busy:
            worker.close()
