"""What a drawn view shows of a simulator: bodies, marks and limits, read from its state."""

from collections.abc import Callable

import gymnasium
import numpy as np
from scipy.spatial import ConvexHull

from prefine.films.drawn import Color, Disc, Line, Point, Polygon, Scene, Shape
from prefine.films.play import Reading, Watched
from prefine.tasks import BULLET_GYM, Task

AGENT, HEADING, TRAIL = (60, 60, 60), (255, 255, 255), (150, 150, 150)
LIMIT, BEYOND, CIRCLE = (217, 95, 2), (250, 222, 204), (86, 160, 211)
# Names of marks in Safety-Gymnasium's worlds begin so.
MARKS: dict[str, Color] = {
    "goal": (120, 200, 120),
    "hazard": (240, 150, 120),
    "vase": (90, 200, 200),
    "button": (240, 190, 90),
    "gremlin": (170, 110, 200),
    "pillar": (150, 150, 220),
    "push_box": (225, 205, 80),
    "circle": (205, 230, 205),
    "sigwall": LIMIT,
    "wall": (140, 140, 140),
}
FROM_ABOVE, FROM_THE_SIDE = (0, 1), (0, 2)  # the axes that are seen
SEEN_FROM_ABOVE = ("Ant", "Swimmer")
CIRCLE_WINDOW, RUN_WINDOW, NAVIGATION_WINDOW = 24.0, 8.0, 4.2  # m
ARROW_SECONDS = 0.4  # of motion that the arrow of speed shows
LONGEST_TRAIL = 400  # points


def scene_of(env: gymnasium.Env, task: Task) -> Callable[[], Scene]:
    """What draws the present state of a task of DSRL, each time it is called."""
    if task.suite == BULLET_GYM:
        return _Bullet(env)
    core = env.unwrapped
    return _Navigation(core.task) if hasattr(core, "task") else _Bodies(core, task)


def seen_from_above(task: Task) -> bool:
    """Whether a robot of a velocity task moves in a plane that is the ground."""
    return task.name.startswith(SEEN_FROM_ABOVE)


class _Bullet:
    """A robot from above, on its circle or in its corridor."""

    def __init__(self, env: gymnasium.Env):
        self._agent, self._task = env.unwrapped.agent, env.unwrapped.task
        self._trail: list[Point] = []

    def __call__(self) -> Scene:
        agent, task = self._agent, self._task
        here = tuple(map(float, agent.get_position()[:2]))
        x = here[0]
        _follow(self._trail, here)
        if hasattr(task, "circle"):
            scene = Scene((0.0, 0.0), CIRCLE_WINDOW)
            limit, far = task.x_lim, 100.0
            for side in (-1, 1):
                corners = [(side * limit, -far), (side * far, -far), (side * far, far)]
                scene.shapes.append(Polygon([*corners, (side * limit, far)], BEYOND))
            scene.shapes.append(Disc((0.0, 0.0), task.circle.radius, CIRCLE, 0.12))
            lines = [[(side * limit, -far), (side * limit, far)] for side in (-1, 1)]
        else:
            scene = Scene((x + 1.0, 0.0), RUN_WINDOW)
            limit, left, right = task.y_lim, x - 50.0, x + 50.0
            for side in (-1, 1):
                corners = [(left, side * limit), (left, side * 50.0), (right, side * 50.0)]
                scene.shapes.append(Polygon([*corners, (right, side * limit)], BEYOND))
            lines = [[(left, side * limit), (right, side * limit)] for side in (-1, 1)]
        scene.shapes += [Line(points, 0.12, LIMIT) for points in lines]
        velocity = np.asarray(agent.get_linear_velocity()[:2], dtype=float)
        # Its size in the simulator, but at least what can be seen.
        radius = max(float(agent.collision_radius), scene.height / 45)
        scene.shapes += _robot(here, radius, velocity, self._trail)
        return scene


def _robot(here: Point, radius: float, velocity: np.ndarray, trail: list[Point]) -> list[Shape]:
    """A disc with its way here, and an arrow as long as it moves in ``ARROW_SECONDS``."""
    shapes: list[Shape] = [Line(list(trail), 0.0, TRAIL)] if len(trail) > 1 else []
    speed = float(np.linalg.norm(velocity))
    shapes.append(Disc(here, radius, AGENT))
    if speed > 0.05:
        ahead = velocity / speed
        tip = np.array(here) + ahead * max(ARROW_SECONDS * speed, radius)
        side = np.array([-ahead[1], ahead[0]])
        head = [tip + 0.6 * radius * ahead, tip + 0.4 * radius * side, tip - 0.4 * radius * side]
        shapes.append(Line([here, tuple(tip)], 0.25 * radius, AGENT))
        shapes.append(Polygon([tuple(corner) for corner in head], AGENT))
    shapes.append(Disc(here, 0.3 * radius, HEADING))
    return shapes


def _follow(trail: list[Point], here: Point) -> None:
    trail.append(here)
    del trail[:-LONGEST_TRAIL]


class _Navigation:
    """A world of Safety-Gymnasium from above."""

    def __init__(self, task):
        self._task = task
        self._trail: list[Point] = []

    def __call__(self) -> Scene:
        model, data = self._task.model, self._task.data
        agent = model.body("agent").id
        here = tuple(map(float, data.xpos[agent][:2]))
        _follow(self._trail, here)
        scene = Scene((0.0, 0.0), NAVIGATION_WINDOW * zoom(here))
        marks = [n for n in range(model.ngeom) if model.body_rootid[model.geom_bodyid[n]] != agent]
        scene.shapes += geoms(model, data, marks, FROM_ABOVE)
        if len(self._trail) > 1:
            scene.shapes.append(Line(list(self._trail), 0.0, TRAIL))
        own = [n for n in range(model.ngeom) if n not in set(marks)]
        scene.shapes += geoms(model, data, own, FROM_ABOVE, AGENT)
        ahead = data.xmat[agent].reshape(3, 3)[:2, 0]
        scene.shapes.append(Line([here, tuple(np.array(here) + 0.25 * ahead)], 0.05, AGENT))
        return scene


def zoom(here: Point) -> float:
    """How many times as large a window must be in which a robot of navigation is seen."""
    return max(1.0, float(np.abs(here).max()) / (0.45 * NAVIGATION_WINDOW))


class _Bodies:
    """A walking or swimming robot, from the side or from above; the window goes with it."""

    def __init__(self, core: gymnasium.Env, task: Task):
        self._core = core
        self._axes = FROM_ABOVE if seen_from_above(task) else FROM_THE_SIDE
        self._trail: list[Point] = []

    def __call__(self) -> Scene:
        model, data = self._core.model, self._core.data
        place = data.xpos[1]  # the torso
        x, y = here = tuple(float(place[axis]) for axis in self._axes)
        if self._axes == FROM_THE_SIDE:
            scene = Scene((x, 0.9), 2.6)
            scene.shapes.append(Polygon([(x - 9, 0), (x + 9, 0), (x + 9, -9), (x - 9, -9)], TRAIL))
            scene.shapes += [
                Line([(metre, 0.0), (metre, -0.12)], 0.03, AGENT)
                for metre in np.arange(np.floor(x - 4), x + 5)
            ]
        else:
            _follow(self._trail, here)
            scene = Scene((x, y), 5.0)
            if len(self._trail) > 1:
                scene.shapes.append(Line(list(self._trail), 0.0, TRAIL))
        scene.shapes += geoms(model, data, range(model.ngeom), self._axes)
        return scene


def geoms(model, data, which, axes: tuple[int, int], color: Color | None = None) -> list[Shape]:
    """The outlines of some geoms seen along the third axis, the nearest last.

    Args:
        axes: of the world, those of the picture.
        color: of all; otherwise by name, or the model's own.
    """
    depth = ({0, 1, 2} - set(axes)).pop()
    toward = -1 if depth == 1 else 1  # from the side one looks along +y
    order = sorted(which, key=lambda n: toward * data.geom_xpos[n][depth])
    found = (_outline(model, data, n, axes, color or _color(model, n)) for n in order)
    return [shape for shape in found if shape]


def _color(model, number: int) -> Color:
    name = model.geom(number).name
    known = (own for start, own in MARKS.items() if name.startswith(start))
    rgba = 255 * model.geom_rgba[number][:3]
    return next(known, tuple(int(value) for value in rgba))


def _outline(model, data, number: int, axes: tuple[int, int], color: Color) -> Shape | None:
    import mujoco  # which environments of one's own need not have

    kind, size = mujoco.mjtGeom(model.geom_type[number]), model.geom_size[number]
    place, turn = data.geom_xpos[number], data.geom_xmat[number].reshape(3, 3)
    flat = list(axes)
    match kind:
        case mujoco.mjtGeom.mjGEOM_PLANE:
            return None
        case mujoco.mjtGeom.mjGEOM_BOX:
            corners = np.array(np.meshgrid(*[(-1, 1)] * 3)).reshape(3, 8).T * size
            seen = (place + corners @ turn.T)[:, flat]
            return Polygon([tuple(seen[n]) for n in ConvexHull(seen).vertices], color)
        case mujoco.mjtGeom.mjGEOM_CAPSULE | mujoco.mjtGeom.mjGEOM_CYLINDER:
            along = size[1] * turn[:, 2]
            ends = [tuple(end[flat]) for end in (place - along, place + along)]
            standing = np.linalg.norm(along[flat]) < 0.1 * size[0]
            if not standing:
                return Line(ends, 2 * size[0], color)
    return Disc(tuple(place[flat]), float(size[0] or model.geom_rbound[number]), color)


def reading_of(env: Watched, task: Task) -> Reading | None:
    """What costs beyond a limit, where it is one number."""
    core = env.unwrapped
    if task.suite == BULLET_GYM:
        if hasattr(core.task, "circle"):
            return Reading("|x|", abs(float(core.agent.get_position()[0])), core.task.x_lim, "m")
        speed = float(np.linalg.norm(core.agent.get_linear_velocity()[:2]))
        return Reading("speed", speed, core.agent.velocity_constraint, "m/s")
    limit = getattr(core, "_velocity_threshold", None)
    if limit is None:
        return None
    parts = [env.told.get(name, 0.0) for name in ("x_velocity", "y_velocity")]
    speed = float(np.hypot(*parts)) if task.name.startswith("Ant") else float(parts[0])
    return Reading("speed", speed, limit, "m/s")
