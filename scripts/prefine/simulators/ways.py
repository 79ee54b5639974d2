"""Where a robot was and how fast, from the record alone, and what lay in its way.

Observations of DSRL's tasks hold no map, but one can be read off them: Bullet's have the place;
velocity tasks tell the speed; a robot of navigation measures its speed, its heading and, by
lidars, the distance and direction of hazards and goals. Metres and seconds; no simulator runs.
"""

import numpy as np

from prefine.simulators.costs import (
    CIRCLE,
    HAZARD_RANGE,
    MAGNETOMETER,
    NAVIGATION,
    POSITION_SCALE,
    RUN,
    VELOCITY,
    circle_position,
)
from prefine.tasks import Task

# Seconds of a step, and where observations hold the velocity (x, y); one that is seen from the
# side has its height in column 0.
STEP_SECONDS = {
    "AntVelocity": 0.05,
    "HalfCheetahVelocity": 0.05,
    "HopperVelocity": 0.008,
    "SwimmerVelocity": 0.04,
    "Walker2dVelocity": 0.008,
}
SEEN_FROM_ABOVE = {"AntVelocity": slice(13, 15), "SwimmerVelocity": slice(3, 5)}
VELOCIMETER = slice(3, 5)  # forward, left
NAVIGATION_SECONDS = {"Point": 0.02, "Car": 0.04}
GOAL_RADIUS = 0.3  # m, of Safety-Gymnasium's goals
SAME = 0.2  # m; sightings that are nearer to each other are of one thing
FEWEST_SIGHTINGS = 3


def speed(task: Task, observations: np.ndarray, actions: np.ndarray, rewards: np.ndarray):
    """Return the speed that has a limit, m/s (n,), where there is one.

    Args:
        observations: (n, obs_dim) raw, of the state before each step; actions (n, act_dim);
            rewards (n,), which hold the mean speed of a step in velocity tasks.
    """
    if task.name in RUN:
        columns, scale, _ = RUN[task.name]
        return np.linalg.norm(scale * observations[:, columns].astype(np.float64), axis=1)
    if task.name not in VELOCITY:
        return None
    weight, healthy, _ = VELOCITY[task.name]
    forward = rewards + weight * np.square(actions.astype(np.float64)).sum(axis=1) - healthy
    if task.name != "AntVelocity":
        return forward
    return np.hypot(forward, observations[:, SEEN_FROM_ABOVE[task.name]][:, 1])


def speed_limit(task: Task) -> float | None:
    """The limit of ``speed`` in m/s."""
    return RUN[task.name][2] if task.name in RUN else VELOCITY[task.name].limit


def way(task: Task, observations: np.ndarray, actions: np.ndarray, rewards: np.ndarray):
    """Return the places (n, 2) in m of a task of DSRL, one before each step.

    They are (x, y) on the ground, or distance and height of a robot that is seen from the side.
    Where the record has no place of the start, the start is (0, 0).
    """
    seen = observations.astype(np.float64)
    if task.name in RUN or task.name in CIRCLE:
        return POSITION_SCALE * seen[:, :2]
    if task.name in SEEN_FROM_ABOVE:
        return _integral(seen[:, SEEN_FROM_ABOVE[task.name]], STEP_SECONDS[task.name])
    if task.name in VELOCITY:
        forward = speed(task, observations, actions, rewards)
        run = STEP_SECONDS[task.name] * np.concatenate([[0.0], np.cumsum(forward[:-1])])
        return np.stack([run, seen[:, 0]], axis=1)
    robot = next(name for name in NAVIGATION_SECONDS if task.name.startswith(name))
    run = _integral(_turned(seen, seen[:, VELOCIMETER]), NAVIGATION_SECONDS[robot])
    if "Circle" in task.name:  # whose lidar does not reach everywhere
        run += circle_position(seen[:1], NAVIGATION[task.name].lidar)
    return run


def _integral(velocity: np.ndarray, seconds: float) -> np.ndarray:
    """Places from velocities (n, 2), by the trapezoidal rule from (0, 0)."""
    between = seconds * (velocity[1:] + velocity[:-1]) / 2
    return np.concatenate([np.zeros((1, 2)), np.cumsum(between, axis=0)])


def _turned(observations: np.ndarray, vectors: np.ndarray) -> np.ndarray:
    """Vectors (n, 2), forward and left of a robot of navigation, in the axes of the world."""
    sine, cosine = -2 * observations[:, MAGNETOMETER].T
    forward, left = vectors.T
    return np.stack([cosine * forward - sine * left, sine * forward + cosine * left], axis=1)


def hazards(task: Task, observations: np.ndarray, places: np.ndarray) -> np.ndarray:
    """Where a robot of navigation has seen hazards, (k, 2) in the axes of its ``way``."""
    return _sighted(observations, places, NAVIGATION[task.name].lidar)


def goals(task: Task, observations: np.ndarray, places: np.ndarray) -> np.ndarray:
    """Where its goals were, (k, 2), one after another."""
    hazard = NAVIGATION[task.name].lidar  # whose lidar comes after the goal's
    return _sighted(observations, places, slice(hazard.start - 16, hazard.start))


def _sighted(observations: np.ndarray, places: np.ndarray, columns: slice) -> np.ndarray:
    """Things that a lidar has seen often, each (x, y).

    A thing is told by three bins: its own has the distance, how far it is from the bin's begin
    is the share that the next one has of it, and the one before has the rest. Where the two do
    not add up to it, another thing is in one of them and the direction is not known.
    """
    lidar = observations[:, columns].astype(np.float64)
    before, after = np.roll(lidar, 1, axis=1), np.roll(lidar, -1, axis=1)
    alone = (lidar > 0.05) & (np.abs(before + after - lidar) < 0.01 * lidar)
    steps, bins = np.nonzero(alone)
    closeness, past = lidar[alone], after[alone] / lidar[alone]
    angle = (bins + past) * 2 * np.pi / lidar.shape[1]
    away = HAZARD_RANGE * (1 - closeness)
    vectors = np.stack([away * np.cos(angle), away * np.sin(angle)], axis=1)
    seen = observations[steps].astype(np.float64)
    return _clusters(places[steps] + _turned(seen, vectors))


def _clusters(points: np.ndarray) -> np.ndarray:
    """Centres of points (n, 2) that lie together, the most frequent first."""
    found = []
    while len(points) >= FEWEST_SIGHTINGS:
        _, of_cell, counts = np.unique(
            np.round(points / SAME), axis=0, return_inverse=True, return_counts=True
        )
        if counts.max() < FEWEST_SIGHTINGS:
            break
        fullest = points[of_cell.ravel() == counts.argmax()]
        centre = np.median(fullest, axis=0)
        centre = np.median(points[np.linalg.norm(points - centre, axis=1) < SAME], axis=0)
        found.append(centre)
        points = points[np.linalg.norm(points - centre, axis=1) >= 1.5 * SAME]
    return np.array(found).reshape(-1, 2)
