"""Step costs recomputed from the record: data and simulator belong together (methods 2.5).

In every task the cost of a step is a function of recorded quantities: the next observation,
or, where speed is what costs, the reward, which holds the mean velocity of the step.
"""

from collections.abc import Iterable, Mapping
from typing import NamedTuple

import numpy as np

from prefine.errors import UserError
from prefine.simulators.record import Links, check_links, check_range
from prefine.tasks import OWN, Task

AGREEMENT = 0.999  # below this, data and task do not belong together
REPLAY_AGREEMENT = 0.99  # of replayed costs; below it a panel of Figure 2 is marked (methods 8.3)


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
# Observations of Bullet tasks hold positions / 10; columns of the velocity, its scale, the limit.
RUN = {
    "BallRun": (slice(2, 4), 5.0, 2.5),
    "CarRun": (slice(2, 4), 1.0, 1.5),
    "DroneRun": (slice(3, 5), 5.0, 1.5),
    "AntRun": (slice(3, 5), 1 / 0.3, 1.5),
}
CIRCLE = ("BallCircle", "CarCircle", "DroneCircle", "AntCircle")
POSITION_SCALE, CIRCLE_LIMIT, CORRIDOR = 10.0, 6.0, 2.0


class Navigation(NamedTuple):
    """Columns of a lidar in the observation, and what its object must keep to."""

    lidar: slice
    size: float  # m: radius of a hazard, or distance of the walls from the centre
    complete: bool = True  # false: contacts cost too, and they are not recorded
    both_axes: bool = False


def _navigation() -> dict[str, Navigation]:
    tasks = {}
    # A robot's own sensors come first; objects' lidars of 16 bins follow.
    for robot, own in {"Point": 12, "Car": 24}.items():
        first, second, third = (slice(own + 16 * i, own + 16 * (i + 1)) for i in range(3))
        tasks |= {
            f"{robot}Goal1": Navigation(second, 0.2),
            f"{robot}Goal2": Navigation(second, 0.2, complete=False),  # vases
            f"{robot}Button1": Navigation(third, 0.2, complete=False),  # gremlins, wrong buttons
            f"{robot}Button2": Navigation(third, 0.2, complete=False),
            f"{robot}Push1": Navigation(second, 0.3),
            f"{robot}Push2": Navigation(second, 0.3, complete=False),  # pillars
            f"{robot}Circle1": Navigation(first, 1.125),
            f"{robot}Circle2": Navigation(first, 1.125, both_axes=True),
        }
    return tasks


NAVIGATION = _navigation()
HAZARD_RANGE, CIRCLE_RANGE = 3.0, 6.0  # m, where a lidar reads 0
MAGNETOMETER = slice(9, 11)  # the field (0, -0.5) as the robot sees it: its heading


def recomputed_cost(
    task: Task, next_obs: np.ndarray, actions: np.ndarray, rewards: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Return the cost of every step (N,) and where the record determines it (N,).

    Args:
        next_obs: (N, obs_dim) raw; actions (N, act_dim); rewards (N,).

    Raises:
        KeyError: the task is none of DSRL's.
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
    if task.name in CIRCLE:
        return np.abs(POSITION_SCALE * next_obs[:, 0]) > CIRCLE_LIMIT, known
    place = NAVIGATION[task.name]
    if "Circle" in task.name:
        position = np.abs(circle_position(next_obs, place.lidar))
        outside = position > place.size
        return outside.any(axis=1) if place.both_axes else outside[:, 0], known
    cost = next_obs[:, place.lidar].max(axis=1) >= 1 - place.size / HAZARD_RANGE
    return cost, known if place.complete else cost


def circle_position(next_obs: np.ndarray, columns: slice) -> np.ndarray:
    """Where the robot is (N, 2), from its heading and the lidar of the circle's centre.

    The lidar's largest bin holds the distance, the bin after it how far the angle is from
    that bin's begin.
    """
    lidar, rows = next_obs[:, columns].astype(np.float64), np.arange(len(next_obs))
    n_bins, nearest = lidar.shape[1], lidar.argmax(axis=1)
    closeness = np.maximum(lidar[rows, nearest], 1e-6)
    past = lidar[rows, (nearest + 1) % n_bins] / closeness
    angle = (nearest + past) * 2 * np.pi / n_bins
    forward, left = CIRCLE_RANGE * (1 - closeness) * np.stack([np.cos(angle), np.sin(angle)])
    sine, cosine = -2 * next_obs[:, MAGNETOMETER].astype(np.float64).T
    return -np.stack([cosine * forward - sine * left, sine * forward + cosine * left], axis=1)


# What a step can cost at most where more than one thing costs: hazards, gremlins, buttons.
MOST_COST = 4


def agreement(task: Task, blocks: Iterable[Mapping[str, np.ndarray]]) -> dict[str, float]:
    """Return the share of ``known`` steps and, of those, of recorded costs that agree.

    ``agreement`` is NaN if the record determines no step, as in every task but DSRL's.

    Args:
        blocks: parts of a dataset with next_observations, actions, rewards and costs; with
            observations and flags too it is checked that each step follows on the one before.

    Raises:
        UserError: a cost is none of the task's, a number is beyond the task's range, or steps do
            not follow on each other.
    """
    steps = known_steps = same = 0
    links = Links()
    for block in blocks:
        start, steps = steps, steps + len(block["rewards"])
        if task.suite == OWN or not task.has_costs:
            continue
        check_range(task, block, start)
        record = (block[key] for key in ("next_observations", "actions", "rewards"))
        cost, known = recomputed_cost(task, *record)
        complete = task.name not in NAVIGATION or NAVIGATION[task.name].complete
        check_costs(task, block["costs"], start, 1 if complete else MOST_COST)
        known_steps += int(known.sum())
        recorded = block["costs"] if complete else np.minimum(block["costs"], 1)
        same += int((cost[known] == recorded[known]).sum())
        if {"observations", "terminals", "timeouts"} <= set(block):
            links.add(block)
    check_links(task, links)
    return {
        "known": known_steps / steps,
        "agreement": same / known_steps if known_steps else float("nan"),
    }


def check_costs(task: Task, costs: np.ndarray, start: int, most: int) -> None:
    """Raise UserError for a step's cost that is not 0, 1, ... ``most``."""
    wrong = ~np.isin(costs, np.arange(most + 1))
    if wrong.any():
        step = int(wrong.argmax())
        allowed = " or ".join(map(str, range(most + 1))) if most == 1 else f"0 to {most}"
        raise UserError(
            f"costs: {costs[step]:g} at step {start + step} is no cost of {task.name}, whose "
            f"steps cost {allowed}; the file is damaged, or of another task or simulator"
        )
