"""Steps of Safety-Gymnasium's velocity tasks without unseen work, the same to the last bit.

Stock environments ask six wrappers at each step, compute forces that no observation holds, and
keep a model of their own each, which drives that of the others out of the processor's cache.
What they compute beside the physics takes Python as long as the physics takes: where many are
stepped, a ``VelocityBlock`` computes it for all at once.
"""

import functools

import gymnasium
import mujoco
import numpy as np
from gymnasium.envs.mujoco.ant_v4 import AntEnv
from gymnasium.envs.mujoco.hopper_v4 import HopperEnv
from gymnasium.envs.mujoco.walker2d_v4 import Walker2dEnv

from prefine.errors import require

# The process's first model of each environment: nothing changes one after it was made.
MODELS: dict[str, mujoco.MjModel] = {}


def check_core(env: gymnasium.Env) -> None:
    """Raise UserError for an environment that has what is left out here."""
    core = env.unwrapped
    plain = not getattr(core, "_use_contact_forces", False)
    require(
        plain and getattr(core, "_terminate_when_unhealthy", True),
        f"{env.spec.id}: has contact forces or goes on when unhealthy, which is not simulated here",
    )


class VelocityEnv(gymnasium.Wrapper):
    """Resets through all stock wrappers and steps without them."""

    def __init__(self, env: gymnasium.Env):
        super().__init__(env)
        core = self.unwrapped
        check_core(env)
        core.model = MODELS.setdefault(env.spec.id, core.model)
        core.do_simulation = functools.partial(simulate, core.model, core.data)
        self._step, self._horizon, self._elapsed = core.step, env.spec.max_episode_steps, 0

    def reset(self, **options):
        self._elapsed = 0
        return self.env.reset(**options)

    def step(self, action):
        """As Gymnasium's step, with the cost in ``info``."""
        obs, reward, cost, terminated, truncated, info = self._step(action)
        self._elapsed += 1
        info["cost"] = cost
        return obs, reward, terminated, truncated or self._elapsed >= self._horizon, info


def simulate(model: mujoco.MjModel, data: mujoco.MjData, action, n_frames: int) -> None:
    """Step the physics; stock code then computes contact forces (``mj_rnePostConstraint``)."""
    data.ctrl[:] = action
    mujoco.mj_step(model, data, nstep=n_frames)


class VelocityBlock:
    """Environments of one task, each with a number, that step together.

    They are rows of numbers. One stock environment resets them, and its state of the physics,
    which therefore stays in the processor's cache, is each one's in turn.
    """

    def __init__(self, env: gymnasium.Env):
        self.env, self.core = env, env.unwrapped
        self.horizon, self.box = env.spec.max_episode_steps, env.action_space
        core, data = self.core, self.core.data
        check_core(env)
        self.n_hidden = len(data.qpos) + len(data.qvel) - env.observation_space.shape[0]
        self.is_ant = isinstance(core, AntEnv)
        # All that one step hands on to the next, and the place, of which rewards know the change.
        place = (data.body("torso").xpos if self.is_ant else data.qpos)[:2]
        self.physics = data.qpos, data.qvel, data.qacc_warmstart, place
        self.rows = [np.empty((0, len(part))) for part in self.physics]
        self.elapsed = np.empty(0, dtype=int)

    def reset(self, slot: int, seed: int) -> np.ndarray:
        """Begin the seed's episode in one of the environments."""
        if slot >= len(self.elapsed):
            self.elapsed = np.resize(self.elapsed, slot + 1)
            self.rows = [np.resize(rows, (slot + 1, rows.shape[1])) for rows in self.rows]
        obs, _ = self.env.reset(seed=seed)
        for rows, part in zip(self.rows, self.physics, strict=True):
            rows[slot] = part
        self.elapsed[slot] = 0
        return obs

    def step(self, slots: np.ndarray, actions: np.ndarray) -> tuple[np.ndarray, ...]:
        """Step some environments (B,) with an action each (B, act_dim).

        Returns:
            Observations (B, obs_dim), rewards, costs, terminated and truncated (B,).
        """
        core = self.core
        actions = np.minimum(np.maximum(actions, self.box.low), self.box.high)
        before = self.rows[-1][slots]
        qpos, qvel, place = self._simulate(slots, actions)
        velocity = (place - before) / core.dt

        # Sums have the actions' precision, as in stock code; what follows has twice as much.
        effort = np.square(actions).sum(axis=1).astype(float)
        forward = getattr(core, "_forward_reward_weight", 1.0) * velocity[:, 0]
        reward = forward + getattr(core, "_healthy_reward", 0.0) - core._ctrl_cost_weight * effort
        # Squares by ``**`` of single numbers and of arrays differ in the last bit.
        speed = np.sqrt([x**2 + y**2 for x, y in velocity]) if self.is_ant else velocity[:, 0]
        self.elapsed[slots] += 1
        ends = ~is_healthy(core, qpos, qvel), self.elapsed[slots] >= self.horizon
        if isinstance(core, HopperEnv | Walker2dEnv):
            qvel = np.clip(qvel, -10, 10)
        obs = np.concatenate([qpos[:, self.n_hidden :], qvel], axis=1)
        return obs, reward, speed > core._velocity_threshold, *ends

    def _simulate(self, slots: np.ndarray, actions: np.ndarray) -> tuple[np.ndarray, ...]:
        """Step the physics; return qpos (B, nq), qvel (B, nv) and place (B, 2)."""
        model, data, n_frames = self.core.model, self.core.data, self.core.frame_skip
        ctrl, (qpos, qvel, warmstart, place) = data.ctrl, self.physics
        state = [rows[slots] for rows in self.rows]
        for action, my_qpos, my_qvel, my_warmstart, my_place in zip(actions, *state, strict=True):
            ctrl[:], qpos[:], qvel[:], warmstart[:] = action, my_qpos, my_qvel, my_warmstart
            mujoco.mj_step(model, data, nstep=n_frames)
            my_qpos[:], my_qvel[:], my_warmstart[:], my_place[:] = qpos, qvel, warmstart, place
        for rows, new in zip(self.rows, state, strict=True):
            rows[slots] = new
        return state[0], state[1], state[3]


def is_healthy(core: gymnasium.Env, qpos: np.ndarray, qvel: np.ndarray) -> np.ndarray:
    """Whether robots go on, (B,), by their positions (B, nq) and velocities (B, nv)."""
    state = np.concatenate([qpos, qvel], axis=1)
    if isinstance(core, AntEnv):
        low, high = core._healthy_z_range
        return np.isfinite(state).all(axis=1) & (low <= state[:, 2]) & (state[:, 2] <= high)
    healthy = np.ones(len(state), dtype=bool)
    if isinstance(core, HopperEnv | Walker2dEnv):
        healthy &= inside(state[:, 1], core._healthy_z_range)
        healthy &= inside(state[:, 2], core._healthy_angle_range)
    if isinstance(core, HopperEnv):
        healthy &= inside(state[:, 2:], core._healthy_state_range).all(axis=1)
    return healthy


def inside(values: np.ndarray, bounds: tuple[float, float]) -> np.ndarray:
    """Whether each value lies between two others."""
    return (bounds[0] < values) & (values < bounds[1])
