"""Log BallCircle's policy while somebody takes over near the walls, as a user would bring a log.

    python examples/own_policy/make_log.py data/own_policy/BallCircle.hdf5

Left to itself this policy never keeps inside, whatever noise is added: there would be nothing to
prefer. So the log is of the policy with a hand on the brake: where the ball would be beyond
5.8 m within 0.6 s, somebody pushes it back. That is three lines here, and a person elsewhere.
"""

import argparse
import sys
from pathlib import Path

import h5py
import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "scripts"))

from prefine.simulators import make as simulators
from stable_baselines3 import PPO

EPISODES, FIRST_SEED = 60, 5000
WALL, AHEAD = 5.8, 0.6  # m, s; the walls, beyond which steps cost, are at 6 m
POSITION, VELOCITY = 10.0, 5.0  # units of the observation's columns, in m and m/s


def guarded(action: np.ndarray, observation: np.ndarray) -> np.ndarray:
    """Push the ball back where it is about to be beyond the wall."""
    ahead = POSITION * observation[0] + AHEAD * VELOCITY * observation[2]
    if abs(ahead) > WALL:
        action[0] = -np.sign(ahead)
    return action


def main(path: str) -> None:
    model = PPO.load(Path(__file__).with_name("BallCircle.zip"), device="cpu")
    model.set_random_seed(0)
    env, steps = simulators.make("BallCircle"), []
    for episode in range(EPISODES):
        observation, _ = env.reset(seed=FIRST_SEED + episode)
        done = False
        while not done:
            action, _ = model.predict(observation)  # sampled, and clipped to the box
            action = guarded(action, observation)
            after, reward, terminal, timeout, info = env.step(action)
            steps.append((observation, after, action, reward, info["cost"], terminal, timeout))
            observation, done = after, terminal or timeout
    names = ("observations", "next_observations", "actions", "rewards", "costs")
    names += ("terminals", "timeouts")
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    with h5py.File(path, "w") as file:
        for name, column in zip(names, zip(*steps, strict=True), strict=True):
            file[name] = np.array(column)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("path", help="of the HDF5 file that is written")
    main(**vars(parser.parse_args()))
