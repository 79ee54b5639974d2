"""Whole episodes of navigation tasks with random actions: is every bit the stock one's?

Arguments: names of tasks; without any, the two Goal tasks of the paper. Exits with 1 if an
episode differs.
"""

import sys
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "scripts"))

from prefine.simulators import make as simulators
from prefine.simulators.make import SeededEnv

GOAL_TASKS = ("PointGoal1", "CarGoal1")
SEEDS = 50


def episode(env: SeededEnv, seed: int) -> list[bytes]:
    """The bytes of every step's observation, reward, cost, and ends."""
    observation, _ = env.reset(seed=seed)
    steps, over, rng = [observation.tobytes()], False, np.random.default_rng(seed)
    while not over:
        action = rng.uniform(-1, 1, env.action_space.shape)
        observation, reward, terminated, truncated, info = env.step(action)
        outcome = np.array([reward, info["cost"], terminated, truncated])
        steps.append(observation.tobytes() + outcome.tobytes())
        over = terminated or truncated
    return steps


def main() -> None:
    different = 0
    for task in sys.argv[1:] or GOAL_TASKS:
        fast, stock = simulators.make(task), simulators.make(task, stock=True)
        n_steps, unequal = 0, []
        for seed in range(SEEDS):
            ours, theirs = episode(fast, seed), episode(stock, seed)
            n_steps += len(theirs) - 1
            if ours != theirs:
                unequal.append(seed)
        print(f"{task}: {SEEDS} seeds, {n_steps} steps, unequal seeds: {unequal or 'none'}")
        different += len(unequal)
    sys.exit(different > 0)


if __name__ == "__main__":
    main()
