"""The 12 tasks of the paper: ids, dimensions, horizons and reference scores.

The numbers are dsrl's own (``dsrl.infos``). They are repeated here because importing
dsrl starts both simulators; a test asserts that the two agree.
"""

from dataclasses import dataclass

SAFETY_GYM, BULLET_GYM = "safety_gym", "bullet_gym"
SUITES = {SAFETY_GYM: "Safety Gym", BULLET_GYM: "Bullet Gym"}


@dataclass(frozen=True)
class Task:
    """One task of DSRL.

    ``min_return`` and ``max_return`` are DSRL's reference scores (undiscounted returns),
    ``max_cost`` the largest episode cost in DSRL's dataset, ``n_trajectories`` their number
    there, ``horizon`` in steps.
    """

    name: str
    label: str  # the paper's short label (Table 1, Figure 3)
    suite: str
    env_id: str
    horizon: int
    obs_dim: int
    act_dim: int
    max_cost: float
    min_return: float
    max_return: float
    n_trajectories: int

    @property
    def file(self) -> str:
        """Name of DSRL's file, which holds the largest cost and the number of trajectories."""
        env = self.env_id.replace("Offline", "Safety", 1)
        return f"{env}-{self.max_cost:.0f}-{self.n_trajectories}.hdf5"


def _velocity(robot, label, obs_dim, act_dim, *scores):
    env_id = f"Offline{robot}VelocityGymnasium-v1"
    return Task(f"{robot}Velocity", label, SAFETY_GYM, env_id, 1000, obs_dim, act_dim, *scores)


def _goal(robot, label, obs_dim, *scores):
    env_id = f"Offline{robot}Goal1Gymnasium-v0"
    return Task(f"{robot}Goal1", label, SAFETY_GYM, env_id, 1000, obs_dim, 2, *scores)


def _bullet(name, label, horizon, obs_dim, act_dim, *scores):
    return Task(name, label, BULLET_GYM, f"Offline{name}-v0", horizon, obs_dim, act_dim, *scores)


# max_cost, min_return, max_return, n_trajectories
_ALL = [
    _velocity("Ant", "a", 27, 8, 250.0, 6.1519012451171875, 2976.276611328125, 2249),
    _velocity("HalfCheetah", "hc", 17, 6, 250.0, 5.7509765625, 2806.93310546875, 2495),
    _velocity("Hopper", "h", 11, 3, 250.0, 37.05154800415039, 1911.396728515625, 2240),
    _velocity("Swimmer", "s", 8, 2, 200.0, 0.07114458084106445, 238.95831298828125, 1686),
    _velocity("Walker2d", "w", 17, 6, 300.0, 18.668498992919922, 3418.223876953125, 2729),
    _goal("Point", "pg", 60, 100.0, 0.01196012764197707, 30.071114857340543, 2022),
    _goal("Car", "cg", 72, 120.0, 0.012232819540852091, 39.907809198384705, 1671),
    _bullet("BallRun", "br", 100, 7, 2, 80.0, 26.339754104614258, 1327.445556640625, 940),
    _bullet("CarRun", "cr", 200, 7, 2, 40.0, 204.28726196289062, 574.6533203125, 651),
    _bullet("BallCircle", "bc", 200, 8, 2, 80.0, 0.38312244415283203, 881.46337890625, 886),
    _bullet("CarCircle", "cc", 300, 8, 2, 100.0, 3.484419822692871, 534.3060913085938, 1450),
    _bullet("DroneRun", "dr", 200, 17, 4, 140.0, 10.557029724121094, 682.8330078125, 1990),
]
TASKS = {task.name: task for task in _ALL}
