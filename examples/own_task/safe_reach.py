"""A task of one's own: push a puck to a goal around a hazard that lies in the straight way.

The file registers ``SafeReach-v0`` with Gymnasium. Its costs are in ``info["cost"]``; nothing
else is asked of an environment but vectors for observations and bounded actions. It draws
itself (``render``), which films need and nothing else does.
"""

import gymnasium
import numpy as np

GOAL = np.array([1.0, 0.0])
HAZARD_RADIUS = 0.35  # m, around the origin
MAX_FORCE = 2.0  # N


class SafeReach(gymnasium.Env):
    """A puck of 1 kg; observations are its position (m) and velocity (m/s)."""

    observation_space = gymnasium.spaces.Box(-np.inf, np.inf, (4,), np.float32)
    action_space = gymnasium.spaces.Box(-MAX_FORCE, MAX_FORCE, (2,), np.float32)
    time_step, friction = 0.1, 1.0  # s, 1/s
    metadata = {"render_modes": ["rgb_array"]}  # noqa: RUF012 (Gymnasium's own)

    def __init__(self, render_mode=None):
        self.render_mode = render_mode

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.position = np.array([-1.0, 0.0]) + self.np_random.uniform(-0.1, 0.1, 2)
        self.velocity = np.zeros(2)
        return self._observation(), {"cost": 0.0}

    def step(self, action):
        self.velocity += self.time_step * (np.asarray(action) - self.friction * self.velocity)
        self.position = self.position + self.time_step * self.velocity
        distance = np.linalg.norm(self.position - GOAL)
        cost = float(np.linalg.norm(self.position) < HAZARD_RADIUS)
        return self._observation(), -distance, False, False, {"cost": cost}

    def render(self):
        """The puck, the goal and the hazard from above, (240, 320, 3)."""
        pixels = np.full((240, 320, 3), 245, np.uint8)
        y, x = np.mgrid[1.2:-1.2:240j, -1.6:1.6:320j]
        for place, radius, color in (
            (np.zeros(2), HAZARD_RADIUS, (240, 150, 120)),
            (GOAL, 0.1, (120, 200, 120)),
            (self.position, 0.06, (60, 60, 60)),
        ):
            pixels[np.hypot(x - place[0], y - place[1]) < radius] = color
        return pixels

    def _observation(self):
        return np.concatenate([self.position, self.velocity]).astype(np.float32)


gymnasium.register("SafeReach-v0", entry_point="safe_reach:SafeReach", max_episode_steps=60)
