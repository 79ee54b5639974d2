"""Play one evaluated episode again, in this process, and look at the simulator on the way.

The policy acts through the code of the evaluation: same seed, same noise, same rows in a forward
pass, hence the same actions.
"""

from collections.abc import Callable
from dataclasses import dataclass, field

import gymnasium
import numpy as np

from prefine.evaluation.rollout import Block, Rollout
from prefine.evaluation.worker import STEP, answer, tick_type
from prefine.policies.stack import PolicyStack
from prefine.simulators.blocks import OneByOne
from prefine.simulators.make import SeededEnv
from prefine.tasks import Task


@dataclass(frozen=True)
class Reading:
    """A quantity that costs beyond a limit, such as a speed in m/s."""

    name: str
    value: float
    limit: float
    unit: str = ""


@dataclass
class Played:
    """An episode: ``rewards`` and ``costs`` (T,), and what was seen of it.

    ``steps`` (P,) are those after which it was looked at (0 is the start), ``pictures`` the P
    pictures (h, w, 3) uint8 and ``readings`` what was read beside them.
    """

    rewards: np.ndarray
    costs: np.ndarray
    terminated: bool
    steps: list[int] = field(default_factory=list)
    pictures: list[np.ndarray] = field(default_factory=list)
    readings: list[Reading | None] = field(default_factory=list)

    @property
    def sums(self) -> dict[str, float]:
        """Undiscounted sums of the whole episode, as the evaluation records them."""
        sums = {"return": _sum(self.rewards), "cost": _sum(self.costs)}
        return sums | {"length": float(len(self.rewards))}


def _sum(values: np.ndarray) -> float:
    """One after another, as the evaluation adds."""
    return float(np.cumsum(values)[-1]) if len(values) else 0.0


class Watched(gymnasium.Wrapper):
    """Keeps what the last step told besides."""

    def __init__(self, env: SeededEnv):
        super().__init__(env)
        self.told: dict = {}

    def reset(self, **options):
        self.told = {}
        return self.env.reset(**options)

    def step(self, action: np.ndarray):
        found = self.env.step(action)
        self.told = found[-1]
        return found


class _Here:
    """In place of a worker: does a tick at once, with one environment."""

    def __init__(self, env: gymnasium.Env, task: Task):
        self.task, self.envs = task, OneByOne(task)
        self.envs.envs[0] = env
        self.said: np.ndarray | None = None

    def send(self, block: Block, seeds=STEP, actions=0.0) -> None:
        tick = np.zeros(len(block.episodes), tick_type(self.task))
        tick["slot"], tick["seed"], tick["action"] = block.slots, seeds, actions
        self.said = answer(self.task, self.envs, tick)


def looked_at(every: int, most: int) -> set[int]:
    """The steps after which a film has a picture: the start, each ``every``th and the last."""
    return {*range(0, most, every), most}


def play(
    stack: PolicyStack,
    task: Task,
    env: gymnasium.Env,
    episode: int,
    mode: str,
    at: set[int],
    look: Callable[[], tuple[np.ndarray, Reading | None]],
) -> Played:
    """Play the evaluation's episode of a stack of one policy to its end.

    Args:
        env: the task's, as ``simulators.make`` gives it.
        mode: of ``registry.ACTION_MODES``.
        at: steps after which ``look`` is called; it is called at the end of the episode too,
            unless that comes after the last of them.
    """
    rollout = Rollout(stack, task, mode, ["film"], "evaluate", step_costs=False)
    block, here = Block(0, np.array([episode])), _Here(env, task)
    rollout.queue.append(block)
    rewards, costs = [], []
    played = Played(np.empty(0), np.empty(0), False)

    def see() -> None:
        picture, reading = look()
        played.steps.append(block.length)
        played.pictures.append(picture)
        played.readings.append(reading)

    rollout.start(here, lane=0)
    rollout.take(block, here.said)
    see()
    while len(block.episodes):
        here.send(block, actions=rollout.actions(block))
        (said,) = here.said
        rewards.append(float(said["reward"]))
        costs.append(float(said["cost"]))
        ended = rollout.take(block, here.said)
        if block.length in at or (ended and block.length < max(at)):
            see()
        played.terminated = bool(said["terminated"])
    played.rewards, played.costs = np.array(rewards), np.array(costs)
    return played
