"""Put a simulator into recorded states and step it from there (methods 8.3).

Observations of the velocity tasks hold the whole state but where the robot is, and nothing
depends on that. Those of the balls lack the height and the vertical speed: a ball that rolls has
none, one that bounces in BallCircle (0.47 to 0.74 m) is put back on the ground. How well that
does is measured on the data, see ``cost_gap.replay_agreement``.
"""

from typing import NamedTuple

import numpy as np

from prefine.simulators import make as simulators
from prefine.simulators.costs import POSITION_SCALE, RUN, VELOCITY
from prefine.simulators.fast import bullet as fast_bullet
from prefine.tasks import Task

BALLS = ("BallRun", "BallCircle")
RESETTABLE = (*VELOCITY, *BALLS)
BALL_VELOCITY_SCALE, BALL_SPIN_SCALE = RUN["BallRun"][1], 10.0  # m/s and rad/s in an observation
REST_HEIGHT = 0.49999  # m, where a ball of radius 0.5 comes to rest
AWAY = (0.0, 0.0, 50.0)  # m, where a ball touches nothing


class Step(NamedTuple):
    """What one step makes of B states: each lane is a function of its own row alone.

    ``states`` (B, state_dim) and ``observations`` (B, obs_dim) after it, ``costs`` (B,), and
    ``ended`` (B,) where the task says that the episode is over.
    """

    states: np.ndarray
    observations: np.ndarray
    costs: np.ndarray
    ended: np.ndarray


def velocity_states(observations: np.ndarray, n_positions: int, n_velocities: int) -> np.ndarray:
    """Return states (B, nq + 2 nv) of MuJoCo: qpos, qvel and the solver's start, zero.

    What observations (B, obs_dim) leave out comes first in qpos: the root's x, or its x and y.
    """
    hidden = n_positions + n_velocities - observations.shape[1]
    before = np.zeros((len(observations), hidden))
    start = np.zeros((len(observations), n_velocities))
    return np.concatenate([before, observations, start], axis=1, dtype=np.float64)


def ball_states(observations: np.ndarray) -> np.ndarray:
    """Return states (B, 9) of a ball on the ground: position m, velocity m/s, spin rad/s."""
    seen = observations.astype(np.float64)
    states = np.zeros((len(seen), 9))
    states[:, :2] = POSITION_SCALE * seen[:, :2]
    states[:, 2] = REST_HEIGHT
    states[:, 3:5] = BALL_VELOCITY_SCALE * seen[:, 2:4]
    states[:, 6:9] = BALL_SPIN_SCALE * seen[:, 4:7]
    return states


class VelocitySimulator:
    """Safety-Gymnasium's velocity tasks."""

    def __init__(self, task: Task):
        self._made = simulators.make(task)
        self._env = self._made.unwrapped
        self._obs_dim = task.obs_dim

    def begin(self, observations: np.ndarray) -> np.ndarray:
        """Return the states (B, nq + 2 nv) in which observations (B, obs_dim) were made."""
        return velocity_states(observations, self._env.model.nq, self._env.model.nv)

    def step(self, states: np.ndarray, actions: np.ndarray) -> Step:
        """Step each of ``states`` with its own of ``actions`` (B, act_dim)."""
        env, data = self._env, self._env.data
        nq, nv, n = env.model.nq, env.model.nv, len(states)
        after = Step(np.empty_like(states), *_answers(n, self._obs_dim))
        for lane, (state, action) in enumerate(zip(states, actions, strict=True)):
            # ``set_state`` computes accelerations, from these two among others.
            data.ctrl[:], data.qacc_warmstart[:] = 0.0, 0.0
            env.set_state(state[:nq], state[nq : nq + nv])
            data.qacc_warmstart[:] = state[nq + nv :]
            seen, _, cost, ended, _, _ = env.step(action)
            after.states[lane] = np.concatenate([data.qpos, data.qvel, data.qacc_warmstart])
            after.observations[lane], after.costs[lane], after.ended[lane] = seen, cost, ended
        return after

    def close(self) -> None:
        """End the simulator."""
        self._made.close()


class BallSimulator:
    """BulletSafetyGym's balls, by the parts of a step that make its cost."""

    def __init__(self, task: Task):
        self._made = simulators.make(task)
        self._made.reset(seed=0)
        self._env = self._made.unwrapped
        self._obs_dim = task.obs_dim

    def begin(self, observations: np.ndarray) -> np.ndarray:
        """Return the states (B, 9) in which observations (B, obs_dim) were made."""
        return ball_states(observations)

    def step(self, states: np.ndarray, actions: np.ndarray) -> Step:
        """Step each of ``states`` with its own of ``actions`` (B, act_dim)."""
        env, agent, bullet = self._env, self._env.agent, self._env.bc
        after = Step(np.empty_like(states), *_answers(len(states), self._obs_dim))
        upright = (0.0, 0.0, 0.0, 1.0)  # of a sphere nothing depends on it
        for lane, (state, action) in enumerate(zip(states.tolist(), actions, strict=True)):
            # Contacts of the state before would be taken on where it lies nearby.
            bullet.resetBasePositionAndOrientation(agent.body_id, AWAY, upright)
            bullet.performCollisionDetection()
            bullet.resetBasePositionAndOrientation(agent.body_id, state[:3], upright)
            bullet.resetBaseVelocity(agent.body_id, state[3:6], state[6:])
            fast_bullet.before_reset(env)
            agent.apply_action(action)
            bullet.stepSimulation()
            agent.collect_information_after_step()
            moved = agent.get_state()
            after.states[lane, :6], after.states[lane, 6:] = moved[:6], moved[9:]
            after.observations[lane] = env.get_observation()
            after.costs[lane] = env.task.calculate_cost()["cost"]
        return after

    def close(self) -> None:
        """End the simulator."""
        self._made.close()


def _answers(n: int, obs_dim: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    return np.empty((n, obs_dim), dtype=np.float32), np.empty(n), np.zeros(n, dtype=bool)


def open_simulator(task: Task) -> VelocitySimulator | BallSimulator:
    """Make the simulator of a task of ``RESETTABLE``."""
    return (BallSimulator if task.name in BALLS else VelocitySimulator)(task)
