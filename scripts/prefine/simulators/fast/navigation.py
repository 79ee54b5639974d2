"""Safety-Gymnasium's navigation tasks without the work that changes nothing.

`speed_up` replaces parts of one environment; the package itself and every other environment
stay as they are. Observations, rewards, costs and terminations keep every bit: whatever reaches
them is computed by the stock floating-point operations in the stock order.

safety-gymnasium can only be imported inside `simulators.mutable_array_defaults`, and so can
this module.
"""

import math
import types
from collections.abc import Sequence
from pathlib import Path

import gymnasium
import mujoco
import numpy as np
import yaml
from safety_gymnasium import world as stock_world
from safety_gymnasium.bases.base_agent import BaseAgent
from safety_gymnasium.bases.base_task import BaseTask
from safety_gymnasium.builder import Builder
from safety_gymnasium.utils.random_generator import RandomGenerator
from safety_gymnasium.utils.task_utils import quat2mat

from prefine.errors import require
from prefine.simulators.fast.lidar import read_lidars
from prefine.simulators.fast.obstacles import OBSTACLES, Marking, Thing

AFTER_VELOCITY = mujoco.mjtStage.mjSTAGE_VEL
NO_SENSORS = int(mujoco.mjtDisableBit.mjDSBL_SENSOR)


def build_without_pictures() -> types.FunctionType:
    """`World.build` with a plain sky and the assets' table read once.

    Each reset compiles the world anew, and the compiler decodes the sky's six large pictures
    each time (seconds), which only a renderer looks at. `build` finds `yaml` among the globals
    of its module; this copy of the function finds the table here instead.
    """
    text = Path(stock_world.BASE_DIR, "configs/assets.yaml").read_text(encoding="utf-8")
    assets = yaml.safe_load(text)
    sky = {"@type": "skybox", "@builtin": "flat", "@width": 1, "@height": 6}
    assets["textures"]["skybox"] = sky
    table = types.SimpleNamespace(load=lambda *_, **__: assets, FullLoader=None)
    stock = stock_world.World.build
    return types.FunctionType(stock.__code__, vars(stock_world) | {"yaml": table}, stock.__name__)


def is_marking(geom: dict) -> bool:
    """Whether a geom of a world's configuration is a mere mark: fixed, and touching nothing."""
    return geom.get("contype", 1) == geom.get("conaffinity", 1) == 0


class World(stock_world.World):
    """A world less its marks (most bodies of a Goal task): only their places matter."""

    _build = build_without_pictures()

    def build(self) -> None:
        self.geoms = {name: geom for name, geom in self.geoms.items() if not is_marking(geom)}
        self._build()


class Sampler(RandomGenerator):
    """Tries layouts with plain numbers: where it is crowded, each reset tries thousands."""

    def sample_layout(self) -> bool:
        layout, taken = {}, []
        for name, (placements, keepout) in self.placements.items():
            for _ in range(100):
                xy = self.draw_placement(placements, keepout)
                x, y = xy.tolist()
                if not any(
                    math.sqrt((x - x_other) * (x - x_other) + (y - y_other) * (y - y_other))
                    < reserved + keepout
                    for x_other, y_other, reserved in taken
                ):
                    break
            else:
                return False
            layout[name] = xy
            taken.append((x, y, keepout + self.placements_margin))
        self.layout = layout
        return True


class Agent(BaseAgent):
    """Reads its body and sensors by number; stock code looks names up at each access."""

    def bind(self, model: mujoco.MjModel, data: mujoco.MjData) -> None:
        """Find what the methods read in a world that was just compiled."""
        body = model.body("agent").id
        self.position, self.rotation = data.xpos[body], data.xmat[body].reshape(3, 3)
        self._ctrl, self._sensors, self._contact = data.ctrl, data.sensordata, data.contact
        self._geoms = np.zeros(model.ngeom, dtype=bool)
        self._geoms[[model.geom(name).id for name in self.body_info.geom_names]] = True
        self._low, self._high = model.actuator_ctrlrange.T.copy()
        info = self.sensor_info
        joints = info.hinge_pos_names or info.freejoint_pos_name or info.freejoint_qvel_name
        require(
            self.sensor_conf.sensors_angle_components and not joints,
            f"{type(self).__name__}: a robot with sensors that are not simulated here",
        )
        plain = [*self.sensor_conf.sensors, *info.hinge_vel_names, *info.ballangvel_names]
        places = {
            name: np.arange(model.sensor(name).adr[0], model.sensor(name).adr[0] + dim)
            for name, dim in info.sensor_dim.items()
        }
        self._plain = np.concatenate([places[name] for name in plain])
        self._quaternions = [places[name] for name in info.ballquat_names]

    def apply_action(self, action: np.ndarray, noise: None = None) -> None:
        np.minimum(np.maximum(action, self._low), self._high, out=self._ctrl)

    def read_sensors(self) -> list[np.ndarray]:
        """The agent's own part of the flat observation."""
        values = self._sensors
        return [values[self._plain]] + [quat2mat(values[q]).ravel() for q in self._quaternions]

    def touched(self) -> np.ndarray:
        """(n,) numbers of the geoms that touch the agent, one for each of its contacts."""
        first, second = self._contact.geom1, self._contact.geom2
        is_first, is_second = self._geoms[first], self._geoms[second]
        return np.where(is_first, second, first)[is_first | is_second]

    def dist_xy(self, pos: np.ndarray) -> float:
        x, y, _ = self.position.tolist()
        x_other, y_other = pos[:2].tolist()
        dx, dy = x_other - x, y_other - y
        return math.sqrt(dx * dx + dy * dy)  # rounded as in stock code; hypot is not

    @property
    def pos(self) -> np.ndarray:
        return self.position.copy()


class Task(BaseTask):
    """Steps the physics in one call and makes the flat observation without a dictionary."""

    lidars_later = False  # whether somebody else adds them to the observations

    def _build(self) -> None:
        if self.world is None:
            # Stock code runs `mj_forward` once after building the first world and twice after
            # later ones, so the first step's contact forces are solved from another start. A
            # world that is there already makes the first episode like every other.
            self.world = World(self.agent, self._obstacles)
        super()._build()
        model, data = self._physics = self.model, self.data
        self._options, self._qpos = model.opt, data.qpos
        self._with_sensors = self._options.disableflags
        self._is_normal = False  # whether normalising the quaternions is known to move no digit
        self.agent.bind(model, data)
        self._all = self._obstacles
        for obstacle in self._all:
            if isinstance(obstacle, Marking):
                obstacle.bind(self.world_info.world_config_dict["geoms"])
            elif isinstance(obstacle, Thing):
                obstacle.bind(model, data)
        self._seen = [obstacle for obstacle in self._all if obstacle.is_lidar_observed]
        n_bins = self.lidar_conf.num_bins
        self._no_lidars = np.zeros(n_bins * len(self._seen))
        counts = [len(kind.places) for kind in self._seen]
        self._first_bins = n_bins * np.repeat(np.arange(len(counts)), counts)
        self._points = np.concatenate([kind.places for kind in self._seen])
        parts = zip(self._seen, np.split(self._points, np.cumsum(counts)[:-1]), strict=True)
        self._moving = []
        for kind, places in parts:
            if isinstance(kind, Marking):
                kind.places = places
            else:
                self._moving.append((kind, places))

    def seen(self) -> np.ndarray:
        """(n, 3) where the obstacles are that lidars see."""
        for kind, places in self._moving:
            places[:] = kind.places
        return self._points

    def dist_goal(self) -> float:
        return self.agent.dist_xy(self.goal.places[0])

    def _set_goal(self, pos: np.ndarray) -> None:
        self.goal.places[0, : len(pos)] = pos

    def update_layout(self) -> None:
        mujoco.mj_forward(self.model, self.data)
        layout, marks = self.world_info.layout, self.world_info.world_config_dict["geoms"]
        for name in layout:
            if name == "goal":
                layout[name] = self.goal.pos[:2]
            elif "gremlin" not in name and not (name in marks and is_marking(marks[name])):
                layout[name] = self.data.body(name).xpos[:2].copy()

    def simulation_forward(self, action: np.ndarray) -> bool:
        """Apply an action (2,) for ten physics steps; False, for no exception."""
        model, data = self._physics
        self._is_normal = False
        self.agent.apply_action(action)
        # Always ten, but the draw moves the generator that later places the goals.
        n_steps = self.random_generator.binomial(
            self.sim_conf.frameskip_binom_n, self.sim_conf.frameskip_binom_p
        )
        # They are read after the last step only.
        self._options.disableflags = self._with_sensors | NO_SENSORS
        if self._mocaps:
            for _ in range(n_steps):
                for mocap in self._mocaps.values():
                    mocap.move()
                mujoco.mj_step(model, data)
        else:
            mujoco.mj_step(model, data, nstep=n_steps)
        self._options.disableflags = self._with_sensors
        mujoco.mj_forward(model, data)
        return False

    def _forward_again(self, without_sensors: bool) -> None:
        """`mj_forward` in the state of the last one, less what comes out the same.

        Contact forces do not: each solution starts from the one before. Positions do, unless
        normalising the quaternions, which `mj_forward` begins with, moves a last digit again.
        """
        model, data = self._physics
        if not self._is_normal:
            qpos = self._qpos.copy()
            mujoco.mj_normalizeQuat(model, qpos)
            self._is_normal = qpos.tobytes() == self._qpos.tobytes()
        if self._is_normal:
            mujoco.mj_forwardSkip(model, data, AFTER_VELOCITY, without_sensors)
        else:
            mujoco.mj_forward(model, data)

    def calculate_cost(self) -> dict[str, float]:
        self._forward_again(without_sensors=True)
        cost = {}
        for obstacle in self._all:
            cost.update(obstacle.cal_cost())
        cost["cost_sum"] = sum(cost.values())
        return cost

    def obs(self) -> np.ndarray:
        """(obs_dim,): the agent's sensors, then a lidar for each kind of obstacle."""
        self._forward_again(without_sensors=False)
        obs = np.concatenate([*self.agent.read_sensors(), self._no_lidars])
        if not self.lidars_later:
            add_lidars([self], obs[None])
        return obs

    def hide(self, lidars: np.ndarray) -> None:
        """Clear the lidars (n_bins each) of what cannot be seen now."""


class ButtonTask(Task):
    def hide(self, lidars: np.ndarray) -> None:
        if self.buttons.timer != 0:  # one was just pressed: they cannot be seen for a while
            n_bins = self.lidar_conf.num_bins
            first = n_bins * self._seen.index(self.buttons)
            lidars[first : first + n_bins] = 0.0

    @property
    def goal_achieved(self) -> bool:
        return self.buttons.goal_contacts() > 0


def add_lidars(tasks: Sequence[Task], obs: np.ndarray) -> None:
    """Write the lidars into observations (E, obs_dim) that were made without.

    Args:
        tasks: one environment's each, of the same kind, none stepped since.
    """
    first, agents = tasks[0], [task.agent for task in tasks]
    width = len(first._no_lidars)
    obs[:, -width:] = read_lidars(
        np.array([task.seen() for task in tasks]),
        np.array([agent.position for agent in agents]),
        np.array([agent.rotation for agent in agents]),
        first._first_bins,
        width,
        first.lidar_conf.num_bins,
        first.lidar_conf.max_dist,
    )
    for task, row in zip(tasks, obs, strict=True):
        task.hide(row[-width:])


def is_navigation(env: gymnasium.Env) -> bool:
    """Whether an environment is one of the tasks that this module is for."""
    return isinstance(env.unwrapped, Builder)


def replace(part: object, methods: type) -> None:
    """Give one object the methods of a class, ahead of those of its own class."""
    kind = type(part)
    part.__class__ = type(kind.__name__, (methods, kind), {})


def speed_up(env: gymnasium.Env) -> None:
    """Replace the slow parts of a navigation task that was not reset yet and renders nothing."""
    task = env.unwrapped.task
    odd = task.debug or task.observe_vision or task.action_noise
    require(
        task.world is None and not odd,
        f"{env.spec.id if env.spec else env}: cannot be simulated fast; it was reset, renders, or "
        "adds noise",
    )
    replace(task, ButtonTask if hasattr(task, "buttons") else Task)
    replace(task.agent, Agent)
    replace(task.random_generator, Sampler)
    for obstacle in task._obstacles:
        if obstacle.name in OBSTACLES:
            replace(obstacle, OBSTACLES[obstacle.name])
