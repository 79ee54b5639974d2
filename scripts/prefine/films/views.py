"""Pictures of a simulator: by its own renderer where it has one here, else drawn."""

from collections.abc import Callable

import gymnasium
import numpy as np
from PIL import Image, ImageDraw

from prefine.errors import UserError, reason
from prefine.films import gl
from prefine.films.drawn import paint
from prefine.films.play import Watched
from prefine.films.scenes import LONGEST_TRAIL, scene_of, seen_from_above, zoom
from prefine.simulators import make as simulators
from prefine.tasks import BULLET_GYM, OWN, Task

AUTO = "auto"
Size = tuple[int, int]  # (width, height) in pixels
Picture = Callable[[], np.ndarray]  # (height, width, 3) uint8 of the present state
PALE, ORANGE, OUT_OF_SIGHT = (0.88, 0.94, 1.0, 1), (0.9, 0.5, 0.1, 1), (0.0, 0.0, -50.0)
LARGER, PLANE = 20, 0  # times; a type of geom in MuJoCo
RED, FLAT_TEXTURE = (0.85, 0.2, 0.1, 0.8), 0  # of MuJoCo: an image, not the sky or a cube
UPRIGHT, WAY = (0, 0, 0, 1), (178, 24, 43)


class NoPicture(UserError):
    """Why an environment cannot be filmed, in one line."""


def make(task: Task) -> Watched:
    """Make a task's environment, that of the evaluation, such that it can be looked at.

    Raises:
        NoPicture: it is one's own and draws no pictures.
        UserError: it cannot be made.
    """
    if task.suite == OWN:
        return Watched(_make_own(task))
    # The fast navigation tasks leave hazards and goals out of the world; Bullet's stock robots
    # put a sphere that hides them where they cost. The episodes are the same to the last bit.
    return Watched(simulators.make(task, stock=task.suite != BULLET_GYM))


def _make_own(task: Task) -> simulators.SeededEnv:
    env = simulators.make(task)  # which runs the file that registers it
    modes = env.metadata.get("render_modes") or []
    if "rgb_array" not in modes:
        said = ", ".join(map(str, modes)) or "none"
        raise NoPicture(
            f'environment {task.env_id}: draws no pictures ("rgb_array" is not among its '
            f"render_modes: {said})"
        )
    if backend := gl.find():  # for one that draws with MuJoCo
        gl.use(backend)
    registered = gymnasium.registry[env.spec.id].kwargs
    before = registered.get("render_mode")
    env.close()
    registered["render_mode"] = "rgb_array"
    try:
        return simulators.make(task)
    finally:
        registered["render_mode"] = before


def open_view(env: Watched, task: Task, size: Size, wanted: str = AUTO) -> tuple[str, Picture]:
    """What gives pictures of an environment, after each reset and step, and what it is called.

    Args:
        wanted: ``auto``, the best that there is here; or ``drawn``, without any GL. One's own
            environment draws itself in any case.
    """
    if task.suite == OWN:
        return "by the environment itself", _own(env, task, size)
    if wanted == AUTO and task.suite == BULLET_GYM:
        return "by Bullet's software renderer", _bullet(env, size)
    if wanted == AUTO and (backend := gl.find()):
        return f"by MuJoCo ({backend.upper()})", _mujoco(env, task, size, backend)
    scene = scene_of(env, task)
    return "drawn from the simulator's state", lambda: paint(scene(), size)


def _own(env: Watched, task: Task, size: Size) -> Picture:
    def picture() -> np.ndarray:
        try:
            found = np.asarray(env.render())
        except Exception as error:
            raise NoPicture(f"environment {task.env_id}: render: {reason(error)}") from error
        if found.ndim != 3 or found.shape[2] not in (3, 4) or found.dtype != np.uint8:
            raise NoPicture(
                f"environment {task.env_id}: render gives {found.dtype} of shape {found.shape}; "
                "(height, width, 3) of uint8 is needed"
            )
        return fitted(Image.fromarray(found[..., :3]), size)

    return picture


def fitted(image: Image.Image, size: Size) -> np.ndarray:
    """A picture as large as fits into ``size``, on a grey ground."""
    scale = min(size[0] / image.width, size[1] / image.height)
    small = tuple(max(1, round(scale * n)) for n in image.size)
    ground = Image.new("RGB", size, (230, 230, 230))
    corner = tuple((own - n) // 2 for own, n in zip(size, small, strict=True))
    ground.paste(image.resize(small, Image.Resampling.LANCZOS), corner)
    return np.asarray(ground)


def _bullet(env: Watched, size: Size) -> Picture:
    import pybullet

    core, client = env.unwrapped, env.unwrapped.bc
    task, agent = core.task, core.agent
    of_circle = hasattr(task, "circle")
    for bound in (task.bound_1, task.bound_2):
        client.changeVisualShape(bound.body_id, -1, rgbaColor=ORANGE)
    if of_circle:
        client.changeVisualShape(task.circle.body_id, -1, rgbaColor=PALE)
    lens = client.computeProjectionMatrixFOV(
        fov=50, aspect=size[0] / size[1], nearVal=0.1, farVal=100
    )

    trail: list[np.ndarray] = []

    def picture() -> np.ndarray:
        # Shows costs to those who see alpha, which this renderer does not.
        client.resetBasePositionAndOrientation(agent.violation_body_id, OUT_OF_SIGHT, UPRIGHT)
        x = float(agent.get_position()[0])
        trail.append(np.array(agent.get_position()))
        del trail[:-LONGEST_TRAIL]
        place = ((0, 0, 0), 26, 0, -75) if of_circle else ((x + 1, 0, 0), 7, 0, -62)
        camera = client.computeViewMatrixFromYawPitchRoll(*place, 0, 2)
        found = client.getCameraImage(
            *size,
            viewMatrix=camera,
            projectionMatrix=lens,
            renderer=pybullet.ER_TINY_RENDERER,
            flags=pybullet.ER_NO_SEGMENTATION_MASK,
        )[2]
        image = Image.fromarray(np.reshape(found, (size[1], size[0], 4))[..., :3].astype(np.uint8))
        way = projected(np.array(trail), camera, lens, size)
        draw = ImageDraw.Draw(image)
        draw.line([tuple(point) for point in way], fill=WAY, width=1)
        if of_circle:  # where it is small
            radius = size[0] / 28
            draw.ellipse((*(way[-1] - radius), *(way[-1] + radius)), outline=WAY, width=2)
        return np.asarray(image)

    return picture


def hazards_red(model) -> None:
    """What costs is red in every view; Safety-Gymnasium's hazards are blue."""
    for number in range(model.ngeom):
        if model.geom(number).name.startswith("hazard"):
            model.geom_rgba[number] = RED


def paler_floor(model) -> None:
    """Blend what lies on the floor with grey: its black and white flicker as it passes."""
    for texture in range(model.ntex):
        if model.tex_type[texture] == FLAT_TEXTURE:
            begin = model.tex_adr[texture]
            end = begin + 3 * model.tex_height[texture] * model.tex_width[texture]
            dim = 0.3 * model.tex_rgb[begin:end].astype(float) + 0.7 * 200
            model.tex_rgb[begin:end] = dim.astype(np.uint8)


def endless_floor(model) -> None:
    """Make the floor larger, and its squares as many more: a cheetah runs off its 40 m.

    A plane has no end for the physics, whatever is drawn of it.
    """
    for number in np.flatnonzero(model.geom_type == PLANE):
        model.geom_size[number, :2] *= LARGER
        if (material := model.geom_matid[number]) >= 0:
            model.mat_texrepeat[material] *= LARGER


def projected(points: np.ndarray, camera, lens, size: Size) -> np.ndarray:
    """Where points (n, 3) of the world are in a picture, in pixels (n, 2).

    Args:
        camera, lens: Bullet's view and projection, 16 numbers each, column after column.
    """
    whole = np.reshape(lens, (4, 4), order="F") @ np.reshape(camera, (4, 4), order="F")
    x, y, _, w = whole @ np.column_stack([points, np.ones(len(points))]).T
    return np.stack([(1 + x / w) / 2 * size[0], (1 - y / w) / 2 * size[1]], axis=1)


def _mujoco(env: Watched, task: Task, size: Size, backend: str) -> Picture:
    import mujoco

    gl.use(backend)
    core = env.unwrapped
    of_navigation = hasattr(core, "task")
    world = core.task if of_navigation else core
    model, camera, options = world.model, mujoco.MjvCamera(), mujoco.MjvOption()
    # Smoothed by making a picture of twice the size smaller, which is faster in software.
    model.vis.quality.offsamples = 0
    large = tuple(2 * n for n in size)
    model.vis.global_.offwidth, model.vis.global_.offheight = large
    if not of_navigation:
        paler_floor(model)
        endless_floor(model)
    renderer = mujoco.Renderer(model, height=large[1], width=large[0])
    options.geomgroup[:] = 1  # hazards and goals have groups of their own
    if of_navigation:
        camera.elevation, camera.azimuth = -68, 90
        camera.lookat[:] = 0.0, -0.1, 0.0
        hazards_red(model)
    else:
        camera.distance, camera.azimuth = 4.0, 90
        camera.elevation = -50 if seen_from_above(task) else -12

    def picture() -> np.ndarray:
        if of_navigation:
            camera.distance = 4.9 * zoom(world.data.body("agent").xpos[:2])
        else:  # it goes with the torso
            camera.lookat[:] = *world.data.xpos[1][:2], 0.6
        renderer.update_scene(world.data, camera, options)
        for flag in (mujoco.mjtRndFlag.mjRND_SHADOW, mujoco.mjtRndFlag.mjRND_REFLECTION):
            renderer.scene.flags[flag] = 0
        return np.asarray(Image.fromarray(renderer.render()).resize(size, Image.Resampling.BOX))

    return picture
