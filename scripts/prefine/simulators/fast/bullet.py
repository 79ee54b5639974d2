"""Steps of BulletSafetyGym without work that nobody sees, the same to the last bit.

Stock environments ask the physics engine for the robot's state eight times a step, each time
through a new wrapper of the engine's function, and move a red sphere that shows costs to a camera
that is not there.
"""

import functools
import inspect

import gymnasium
import numpy as np


def speed_up(env: gymnasium.Env) -> None:
    """Change the robot of this one environment; others of its class stay as they are."""
    import pybullet  # which an environment of one's own does not need

    robot, engine = env.unwrapped.agent, env.unwrapped.bc
    for name, _ in inspect.getmembers(pybullet, inspect.isbuiltin):
        if name != "disconnect":
            setattr(engine, name, getattr(engine, name))
    robot.__class__ = _robot(type(robot))
    if robot.root_link:
        robot.root_link.__class__ = _remembering(type(robot.root_link))


def before_reset(env: gymnasium.Env) -> None:
    """A reset moves the robot between its questions: nothing is remembered until the next step."""
    _remember(env.unwrapped.agent, False)


def _remember(robot: object, whether: bool) -> None:
    """Forget the robot's state; keep it when it is asked for the next time, or do not."""
    for part in filter(None, (robot, robot.root_link)):
        part.remembers, part.state = whether, None


@functools.cache
def _remembering(stock: type) -> type:
    """A body or link that asks the physics engine for its state once a step."""

    class Part(stock):
        remembers = False
        state: np.ndarray | None = None

        def get_state(self) -> np.ndarray:
            """Position, velocity, orientation and angular velocity (12,)."""
            if not self.remembers:
                return super().get_state()
            if self.state is None:
                self.state = super().get_state()
                self.state.flags.writeable = False
            return self.state

    Part.__name__ = Part.__qualname__ = stock.__name__
    return Part


@functools.cache
def _robot(stock: type) -> type:
    class Robot(_remembering(stock)):
        def collect_information_after_step(self) -> None:
            """The first thing after the physics has moved."""
            _remember(self, True)
            if hasattr(self, "rotor_ground_contact") and not self.bc.getContactPoints(self.body_id):
                self.rotor_ground_contact[:] = self.ground_collision_penalty = 0.0
            else:  # stock code asks for the contacts of each of a drone's links
                super().collect_information_after_step()

        def violates_constraints(self, does_violate_constraint: bool) -> None:
            """Without the sphere, which collides with nothing."""
            self._violates_constraints = does_violate_constraint

    Robot.__name__ = Robot.__qualname__ = stock.__name__
    return Robot
