"""What the page for labelling draws of trajectories: ways, marks that are named, curves.

Costs are not among it: a person judges by what can be seen.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

from prefine.errors import UserError
from prefine.simulators import ways
from prefine.simulators.costs import CIRCLE, CIRCLE_LIMIT, CORRIDOR, NAVIGATION, RUN
from prefine.tasks import OWN, Task

POINTS = 240  # of a line
LANE_RADIUS, NAVIGATION_LANE = 7.0, 1.5  # m, of the circles on which robots are to run
Mark = dict  # is: hazard, goal, circle (at, radius) or limit (axis, at, beyond: -1 or 1)


class Curve(NamedTuple):
    """A quantity over the steps of each trajectory, and where it must stay below."""

    name: str
    values: list[np.ndarray]
    limit: float | None = None


@dataclass
class Drawing:
    """Of each trajectory a way (n, 2) and marks of its own; marks that all of them have.

    ``equal``: one unit is as long across as upwards.
    """

    names: Sequence[str]
    ways: list[np.ndarray]
    curves: list[Curve]
    equal: bool = False
    marks: list[Mark] = field(default_factory=list)
    own_marks: list[list[Mark]] = field(default_factory=list)

    def to_dict(self) -> dict:
        """As the page reads it: lines as whole numbers, thousandths of their axis."""
        low, high = _frame(self.ways, self.marks)
        shown = [_shown(curve) for curve in self.curves]
        drawn = [
            {
                "way": _thousandths(_thinned(way), low, high).ravel().tolist(),
                "marks": self.own_marks[n] if self.own_marks else [],
                "curves": [
                    _thousandths(envelope(curve.values[n]), *frame).tolist()
                    for curve, frame in zip(self.curves, shown, strict=True)
                ],
            }
            for n, way in enumerate(self.ways)
        ]
        curves = [
            {"name": curve.name, "low": float(frame[0]), "high": float(frame[1])}
            | ({} if curve.limit is None else {"limit": curve.limit})
            for curve, frame in zip(self.curves, shown, strict=True)
        ]
        axes = {"names": list(self.names), "low": low.tolist(), "high": high.tolist()}
        return {
            "axes": axes | {"equal": self.equal},
            "marks": self.marks,
            "curves": curves,
            "drawn": drawn,
        }


def draw(
    task: Task,
    data: dict[str, np.ndarray],
    spans: Sequence[slice],
    wanted: Sequence[int] | dict | None = None,
) -> Drawing:
    """What there is to see of the trajectories of a task.

    Args:
        data: observations, actions and rewards of all steps.
        spans: the steps of each trajectory.
        wanted: ``sheet_axes`` of the config: two observations, or what is to be drawn of them.

    Raises:
        UserError: there are no such observations.
    """
    parts = [[data[key][span] for key in ("observations", "actions", "rewards")] for span in spans]
    curves = []
    if task.suite != OWN and ways.speed(task, *(part[:1] for part in parts[0])) is not None:
        speeds = [ways.speed(task, *part) for part in parts]
        curves.append(Curve("speed, m/s", speeds, ways.speed_limit(task)))
    curves.append(Curve("reward of a step", [part[2] for part in parts]))
    if task.suite == OWN or wanted is not None:
        return _of_observations(task, [part[0] for part in parts], curves, wanted)
    paths = [ways.way(task, *part) for part in parts]
    if task.name in NAVIGATION:
        return _navigation(task, [part[0] for part in parts], paths, curves)
    if task.name in CIRCLE:
        marks = [*_limits(0, CIRCLE_LIMIT), _disc("circle", (0, 0), LANE_RADIUS)]
        return Drawing(("x, m", "y, m"), paths, curves, True, marks)
    if task.name in RUN:
        return Drawing(("x, m", "y, m"), paths, curves, False, _limits(1, CORRIDOR))
    if task.name in ways.SEEN_FROM_ABOVE:
        return Drawing(("x, m", "y, m"), paths, curves)
    return Drawing(("distance, m", "height, m"), paths, curves)


def _navigation(task: Task, seen: list[np.ndarray], paths: list[np.ndarray], curves) -> Drawing:
    """Hazards and goals are where the robot's lidars saw them."""
    place = NAVIGATION[task.name]
    if "Circle" in task.name:
        marks = [_disc("circle", (0, 0), NAVIGATION_LANE), *_limits(0, place.size)]
        marks += _limits(1, place.size) if place.both_axes else []
        return Drawing(("x, m", "y, m"), paths, curves, True, marks)
    own = [
        [
            *(_disc("goal", at, ways.GOAL_RADIUS) for at in ways.goals(task, obs, path)),
            *(_disc("hazard", at, place.size) for at in ways.hazards(task, obs, path)),
        ]
        for obs, path in zip(seen, paths, strict=True)
    ]
    names = ("x from the start, m", "y from the start, m")
    return Drawing(names, paths, curves, True, [], own)


def _of_observations(task: Task, seen: list[np.ndarray], curves, wanted) -> Drawing:
    """Two observations against each other, with the names and marks that the config has."""
    told = wanted if isinstance(wanted, dict) else {"observations": wanted}
    axes = told.get("observations") or (0, min(1, task.obs_dim - 1))
    if max(axes) >= task.obs_dim:
        raise UserError(
            f"config: sheet_axes.{task.name}: {list(axes)} is not allowed; observations are "
            f"0 to {task.obs_dim - 1}"
        )
    names = told.get("names") or [f"observation {n}" for n in axes]
    marks = [_disc("goal", (x, y), radius) for x, y, radius in told.get("goals", [])]
    marks += [_disc("hazard", (x, y), radius) for x, y, radius in told.get("hazards", [])]
    for axis, name in enumerate(("across", "upwards")):
        for beyond, at in zip((-1, 1), told.get(name) or (None, None), strict=True):
            if at is not None:
                marks.append(_limit(axis, at, beyond))
    paths = [np.asarray(own[:, list(axes)], dtype=float) for own in seen]
    equal = any(mark["is"] != "limit" for mark in marks)
    return Drawing(names, paths, curves, equal, marks)


def _disc(kind: str, at, radius: float) -> Mark:
    return {"is": kind, "at": [round(float(own), 3) for own in at], "radius": float(radius)}


def _limit(axis: int, at: float, beyond: int) -> Mark:
    return {"is": "limit", "axis": axis, "at": float(at), "beyond": beyond}


def _limits(axis: int, at: float) -> list[Mark]:
    return [_limit(axis, side * at, side) for side in (-1, 1)]


def _frame(paths: list[np.ndarray], marks: list[Mark]) -> tuple[np.ndarray, np.ndarray]:
    """Lowest and highest corner of all that is drawn; a few far points may leave it."""
    low, high = np.quantile(np.concatenate(paths), [0.002, 0.998], axis=0)
    for mark in marks:
        if mark["is"] == "limit":
            axis, at = mark["axis"], mark["at"]
            low[axis], high[axis] = min(low[axis], at), max(high[axis], at)
        else:
            low = np.minimum(low, np.subtract(mark["at"], mark["radius"]))
            high = np.maximum(high, np.add(mark["at"], mark["radius"]))
    return _wider(low, high)


def _shown(curve: Curve) -> tuple[np.ndarray, np.ndarray]:
    values = np.concatenate(curve.values)
    low, high = np.quantile(values, [0.001, 0.999])
    if curve.limit is not None:
        low, high = min(low, 0.0), max(high, curve.limit)
    return _wider(low, high)


def _wider(low, high):
    room = np.maximum(0.05 * (high - low), 1e-6)
    return low - room, high + room


def _thousandths(values: np.ndarray, low, high) -> np.ndarray:
    """Where values are between two ends, clipped to a little beyond, 0 to 1000."""
    share = np.clip((np.asarray(values, dtype=float) - low) / (high - low), -0.05, 1.05)
    return np.round(1000 * share).astype(int)


def _thinned(points: np.ndarray) -> np.ndarray:
    return points[np.linspace(0, len(points) - 1, min(len(points), POINTS)).round().astype(int)]


def envelope(values: np.ndarray) -> np.ndarray:
    """At most ``POINTS`` values that keep the extremes: of each part its least and its largest."""
    if len(values) <= POINTS:
        return values
    kept = []
    for part in np.array_split(values, POINTS // 2):
        kept += [part[n] for n in sorted((part.argmin(), part.argmax()))]
    return np.array(kept)
