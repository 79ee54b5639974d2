"""Whole episodes of the Goal tasks, reset and 1000 given actions: ours against the stock ones.

`ms_physics` is what MuJoCo's own steps of an episode take, which no faster code around them can
save: ``times_at_most`` is the factor if nothing else were left.
"""

import sys
from pathlib import Path

import mujoco
import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "scripts"))

from paired import Subject, compare, report
from prefine.simulators import make as simulators
from prefine.tasks import TASKS

GOAL_TASKS = ("PointGoal1", "CarGoal1")
PAIRS = 11


class Episodes:
    """Plays one episode a step: the n-th from seed n, with actions of that seed."""

    def __init__(self, task: str, stock: bool):
        self.env = simulators.make(task, stock=stock)
        self.horizon, self.seed = TASKS[task].horizon, 0

    def steps(self, n: int) -> None:
        """Play ``n`` whole episodes."""
        for _ in range(n):
            actions = np.random.default_rng(self.seed).uniform(-1, 1, (self.horizon, 2))
            self.play(actions)
            self.seed += 1

    def play(self, actions: np.ndarray) -> None:
        """Play one episode with ``actions`` (horizon, 2)."""
        self.env.reset(seed=self.seed)
        for action in actions:
            self.env.step(action)


class Physics(Episodes):
    """The same episodes, but only their 10 000 steps of MuJoCo, in our smaller world."""

    def play(self, actions: np.ndarray) -> None:
        """Play one episode with ``actions`` (horizon, 2)."""
        self.env.reset(seed=self.seed)
        model, data = self.env.unwrapped.task.model, self.env.unwrapped.task.data
        model.opt.disableflags |= int(mujoco.mjtDisableBit.mjDSBL_SENSOR)
        for action in actions:
            data.ctrl[:] = action
            mujoco.mj_step(model, data, nstep=10)


def main() -> None:
    rows = []
    for task in GOAL_TASKS:
        with (
            Subject(Episodes, task, stock=False) as ours,
            Subject(Episodes, task, stock=True) as theirs,
            Subject(Physics, task, stock=False) as physics,
        ):
            row = {"task": task, **compare(ours, theirs, PAIRS, steps=1)}
            bound = compare(physics, theirs, PAIRS, steps=1)
            row |= {"ms_physics": bound["ms_ours"], "times_at_most": bound["times_as_fast"]}
            rows.append(row)
    report("goal", rows)


if __name__ == "__main__":
    main()
