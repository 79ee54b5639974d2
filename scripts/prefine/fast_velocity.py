"""Steps of Safety-Gymnasium's velocity tasks without unseen work, the same to the last bit.

Stock environments ask six wrappers at each step, compute forces that no observation holds, and
keep a model of their own each, which drives that of the others out of the processor's cache.
What they compute beside the physics takes Python as long as the physics takes: where many are
stepped, a ``VelocityBlock`` computes it for all at once.
"""

import functools
from typing import NamedTuple

import gymnasium
import mujoco
import numpy as np
from gymnasium.envs.mujoco.ant_v4 import AntEnv
from gymnasium.envs.mujoco.hopper_v4 import HopperEnv
from gymnasium.envs.mujoco.walker2d_v4 import Walker2dEnv

# The process's first model of each environment: nothing changes one after it was made.
MODELS: dict[str, mujoco.MjModel] = {}


class VelocityEnv(gymnasium.Wrapper):
    """Resets through all stock wrappers and steps without them."""

    def __init__(self, env: gymnasium.Env):
        super().__init__(env)
        core = self.unwrapped
        assert not getattr(core, "_use_contact_forces", False)  # the forces that are left out
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


def is_velocity(env: gymnasium.Env) -> bool:
    """Whether an environment is one of these tasks."""
    return hasattr(env.unwrapped, "_velocity_threshold")


def simulate(model: mujoco.MjModel, data: mujoco.MjData, action, n_frames: int) -> None:
    """Step the physics; stock code then computes contact forces (``mj_rnePostConstraint``)."""
    data.ctrl[:] = action
    mujoco.mj_step(model, data, nstep=n_frames)


class State(NamedTuple):
    """One environment's physics, and views of what a step reads and writes."""

    data: mujoco.MjData
    ctrl: np.ndarray
    qpos: np.ndarray
    qvel: np.ndarray
    place: np.ndarray  # x and y of the part whose velocity counts


class VelocityBlock:
    """Environments of one task, each with a number, that step together.

    A stock environment resets them one by one; each is a state of its model.
    """

    def __init__(self, env: gymnasium.Env):
        self.env, self.core, self.horizon = env, env.unwrapped, env.spec.max_episode_steps
        assert not getattr(self.core, "_use_contact_forces", False)
        assert getattr(self.core, "_terminate_when_unhealthy", True)
        model, n_observed = self.core.model, env.observation_space.shape[0]
        self.n_hidden = model.nq + model.nv - n_observed  # coordinates that are not observed
        self.is_ant = isinstance(self.core, AntEnv)
        self.states: dict[int, State] = {}
        self.elapsed: dict[int, int] = {}

    def reset(self, slot: int, seed: int) -> np.ndarray:
        """Begin the seed's episode in an environment, which is made when it is first reset."""
        if slot not in self.states:
            data = mujoco.MjData(self.core.model)
            place = data.body("torso").xpos if self.is_ant else data.qpos
            self.states[slot] = State(data, data.ctrl, data.qpos, data.qvel, place[:2])
        self.core.data, self.elapsed[slot] = self.states[slot].data, 0
        return self.env.reset(seed=seed)[0]

    def step(self, slots: list[int], actions: np.ndarray) -> tuple[np.ndarray, ...]:
        """Step some environments with an action each: (B, act_dim).

        Returns:
            Observations (B, obs_dim), rewards, costs, terminated and truncated (B,).
        """
        core, box = self.core, self.env.action_space
        actions = np.minimum(np.maximum(actions, box.low), box.high)
        *simulated, qpos, qvel, place = zip(*map(self.states.get, slots), strict=True)
        before = np.array(place)
        for data, ctrl, action in zip(*simulated, actions, strict=True):
            ctrl[:] = action
            mujoco.mj_step(core.model, data, nstep=core.frame_skip)
        velocity = (np.array(place) - before) / core.dt
        qpos, qvel = np.array(qpos), np.array(qvel)

        # Sums have the actions' precision, as in stock code; what follows has twice as much.
        effort = np.square(actions).sum(axis=1).astype(float)
        forward = getattr(core, "_forward_reward_weight", 1.0) * velocity[:, 0]
        reward = forward + getattr(core, "_healthy_reward", 0.0) - core._ctrl_cost_weight * effort
        # Squares by ``**`` of single numbers and of arrays differ in the last bit.
        speed = np.sqrt([x**2 + y**2 for x, y in velocity]) if self.is_ant else velocity[:, 0]
        terminated = ~is_healthy(core, qpos, qvel)
        for slot in slots:
            self.elapsed[slot] += 1
        truncated = np.array([self.elapsed[slot] for slot in slots]) >= self.horizon
        if isinstance(core, HopperEnv | Walker2dEnv):
            qvel = np.clip(qvel, -10, 10)
        obs = np.concatenate([qpos[:, self.n_hidden :], qvel], axis=1)
        return obs, reward, speed > core._velocity_threshold, terminated, truncated


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
