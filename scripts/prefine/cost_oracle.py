"""Step costs recomputed from the record: data and simulator belong together (methods 2.5).

In every task the cost of a step is a function of recorded quantities: the next observation,
or, where speed is what costs, the reward, which holds the mean velocity of the step.
"""

from typing import NamedTuple

import numpy as np

from prefine.tasks import Task

AGREEMENT = 0.999  # below this, data and task do not belong together


class Velocity(NamedTuple):
    """reward = v_x - control_weight ||a||^2 + healthy_reward; a cost above ``limit`` m/s."""

    control_weight: float
    healthy_reward: float
    limit: float


VELOCITY = {
    "AntVelocity": Velocity(0.5, 1.0, 2.6222),
    "HalfCheetahVelocity": Velocity(0.1, 0.0, 3.2096),
    "HopperVelocity": Velocity(0.001, 1.0, 0.7402),
    "SwimmerVelocity": Velocity(0.0001, 0.0, 0.2282),
    "Walker2dVelocity": Velocity(0.001, 1.0, 2.3415),
}
# Observations of Bullet tasks hold positions / 10, and the ball's and drone's velocities / 5.
RUN = {
    "BallRun": (slice(2, 4), 5.0, 2.5),
    "CarRun": (slice(2, 4), 1.0, 1.5),
    "DroneRun": (slice(3, 5), 5.0, 1.5),
}
POSITION_SCALE, CIRCLE_LIMIT, CORRIDOR = 10.0, 6.0, 2.0
HAZARD_LIDAR = {"PointGoal1": slice(28, 44), "CarGoal1": slice(40, 56)}
HAZARD_SIZE, LIDAR_RANGE = 0.2, 3.0


def recomputed_cost(
    task: Task, next_obs: np.ndarray, actions: np.ndarray, rewards: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Return the cost of every step (N,) and where the record determines it (N,).

    Args:
        next_obs: (N, obs_dim) raw; actions (N, act_dim); rewards (N,).
    """
    known = np.ones(len(rewards), dtype=bool)
    if task.name in VELOCITY:
        weight, healthy, limit = VELOCITY[task.name]
        squared = np.square(actions.astype(np.float64)).sum(axis=1)
        cost = rewards.astype(np.float64) + weight * squared - healthy > limit
        # Ant's speed has a part along y that the reward does not hold: a lower bound.
        return cost, cost if task.name == "AntVelocity" else known
    if task.name in RUN:
        columns, scale, limit = RUN[task.name]
        speed = np.linalg.norm(scale * next_obs[:, columns].astype(np.float64), axis=1)
        outside = np.abs(POSITION_SCALE * next_obs[:, 1]) > CORRIDOR
        return outside | (speed > limit), known
    if task.name in HAZARD_LIDAR:
        nearest = next_obs[:, HAZARD_LIDAR[task.name]].max(axis=1)
        return nearest >= 1 - HAZARD_SIZE / LIDAR_RANGE, known
    return np.abs(POSITION_SCALE * next_obs[:, 0]) > CIRCLE_LIMIT, known


def agreement(
    task: Task,
    next_obs: np.ndarray,
    actions: np.ndarray,
    rewards: np.ndarray,
    costs: np.ndarray,
) -> dict[str, float]:
    """Return the share of ``known`` steps and, of those, of recorded costs that agree.

    ``agreement`` is NaN if the record determines no step.
    """
    cost, known = recomputed_cost(task, next_obs, actions, rewards)
    same = cost[known] == (costs[known] > 0.5)
    return {
        "known": float(known.mean()),
        "agreement": float(same.mean()) if len(same) else float("nan"),
    }
