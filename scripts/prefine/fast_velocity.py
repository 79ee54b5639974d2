"""Steps of Safety-Gymnasium's velocity tasks without unseen work, the same to the last bit.

Stock environments ask six wrappers at each step, compute forces that no observation holds, and
keep a model of their own each, which drives that of the others out of the processor's cache.
"""

import functools

import gymnasium
import mujoco

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
