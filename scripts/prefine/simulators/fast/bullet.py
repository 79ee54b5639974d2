"""Steps of BulletSafetyGym without work that nobody sees, the same to the last bit.

Stock environments ask the physics engine for the robot's state eight times a step, and move a
red sphere that shows costs to a camera that is not there.
"""

import functools

import gymnasium
import numpy as np


def speed_up(env: gymnasium.Env) -> None:
    """Change the robot of this one environment; others of its class stay as they are."""
    agent = env.unwrapped.agent
    agent.__class__ = _faster(type(agent))


def before_reset(env: gymnasium.Env) -> None:
    """A reset moves the robot between its questions: nothing is remembered until the next step."""
    env.unwrapped.agent.remembers = False


@functools.cache
def _faster(stock: type) -> type:
    class Agent(stock):
        remembers = False
        _state: np.ndarray | None = None

        def collect_information_after_step(self) -> None:
            """The first thing after the physics has moved."""
            self.remembers, self._state = True, None
            super().collect_information_after_step()

        def get_state(self) -> np.ndarray:
            """Position, velocity, orientation and angular velocity of the base (12,)."""
            if not self.remembers:
                return super().get_state()
            if self._state is None:
                self._state = super().get_state()
                self._state.flags.writeable = False
            return self._state

        def violates_constraints(self, does_violate_constraint: bool) -> None:
            """Without the sphere, which collides with nothing."""
            self._violates_constraints = does_violate_constraint

    Agent.__name__ = Agent.__qualname__ = stock.__name__
    return Agent
