"""Log a reckless and a careful controller in SafeReach, as a user would log policies.

    python examples/own_task/make_data.py data/safe_reach

writes data/safe_reach.hdf5 in DSRL's layout, data/safe_reach_no_costs.hdf5 without its costs,
and data/safe_reach_labels.csv, which says which of the episodes somebody liked.
"""

import argparse
from pathlib import Path

import gymnasium
import h5py
import numpy as np
from safe_reach import GOAL, HAZARD_RADIUS, MAX_FORCE  # (its import registers the environment)

VECTORS = ("observations", "next_observations", "actions")


def force(observation, detour, rng):
    """A noisy spring to the goal, or to a point beside the hazard first."""
    position, velocity = observation[:2], observation[2:]
    beside = np.array([0.0, detour])
    target = beside if position[0] < -0.1 and detour else GOAL
    wanted = 3.0 * (target - position) - 1.5 * velocity + rng.normal(0, 0.4, 2)
    return np.clip(wanted, -MAX_FORCE, MAX_FORCE)


def main(prefix: str) -> None:
    env, rng = gymnasium.make("SafeReach-v0"), np.random.default_rng(0)
    steps, labels = [], []
    for episode in range(160):
        careful = episode % 2 == 0
        detour = rng.uniform(1.5, 2.5) * HAZARD_RADIUS if careful else 0.0
        observation, _ = env.reset(seed=episode)
        done = False
        while not done:
            action = force(observation, detour, rng)
            after, reward, terminal, timeout, info = env.step(action)
            steps.append((observation, after, action, reward, info["cost"], terminal, timeout))
            observation, done = after, terminal or timeout
        labels.append((episode, "preferred" if careful else "nonpreferred"))

    names = (*VECTORS, "rewards", "costs", "terminals", "timeouts")
    columns = dict(zip(names, map(np.array, zip(*steps, strict=True)), strict=True))
    Path(prefix).parent.mkdir(parents=True, exist_ok=True)
    for suffix, left_out in (("", ()), ("_no_costs", ("costs",))):
        with h5py.File(f"{prefix}{suffix}.hdf5", "w") as file:
            for name in (name for name in names if name not in left_out):
                file[name] = columns[name]
    rows = [f"{episode},{label}" for episode, label in labels[:60]]  # who looks at more?
    Path(f"{prefix}_labels.csv").write_text("\n".join(["trajectory,label", *rows, ""]))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("prefix", help="of the three files, such as data/safe_reach")
    main(**vars(parser.parse_args()))
