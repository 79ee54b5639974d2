"""DSRL's 29 tasks without MetaDrive, and tasks of the user's own.

The numbers are dsrl's own (``dsrl.infos``). They are repeated here because importing
dsrl starts both simulators; a test asserts that the two agree.
"""

from dataclasses import asdict, dataclass
from pathlib import Path

from prefine import results
from prefine.errors import UserError, reason

_NAMED_COST = {"PointCircle2": 300, "CarCircle2": 400}  # names say a little more than the data
SAFETY_GYM, BULLET_GYM, OWN = "safety_gym", "bullet_gym", "own"
SUITES = {SAFETY_GYM: "Safety Gym", BULLET_GYM: "Bullet Gym", OWN: "Own tasks"}


@dataclass(frozen=True)
class Task:
    """One task: its simulator, its sizes, and the numbers that make scores comparable.

    ``min_return`` and ``max_return`` are the reference scores (undiscounted returns), DSRL's
    for its tasks. ``max_cost`` is the largest episode cost in DSRL's dataset and
    ``n_trajectories`` their number there; ``horizon`` is in steps.
    """

    name: str
    label: str  # short, for figures (the paper's in Table 1 and Figure 3)
    suite: str
    env_id: str  # of Gymnasium
    horizon: int
    obs_dim: int
    act_dim: int
    max_cost: float
    min_return: float
    max_return: float
    n_trajectories: int
    licence: str = "CC-BY-4.0"  # of the dataset
    module: str | None = None  # a Python file that registers env_id
    has_costs: bool = True  # false: labels alone say what is preferred
    action_low: float | tuple[float, ...] = -1.0  # the environment's own bounds of actions
    action_high: float | tuple[float, ...] = 1.0

    def __post_init__(self) -> None:
        for name in ("action_low", "action_high"):  # JSON has lists
            if isinstance(getattr(self, name), list):
                object.__setattr__(self, name, tuple(getattr(self, name)))

    @property
    def is_velocity(self) -> bool:
        """Whether it is one of Safety-Gymnasium's velocity tasks, as DSRL has them."""
        return self.suite == SAFETY_GYM and "Velocity" in self.env_id

    @property
    def file(self) -> str:
        """Name of DSRL's file, which holds the largest cost and the number of trajectories."""
        env = self.env_id.replace("Offline", "Safety", 1)
        cost = _NAMED_COST.get(self.name, self.max_cost)
        return f"{env}-{cost:.0f}-{self.n_trajectories}.hdf5"

    def to_dict(self) -> dict:
        """Everything, as JSON can hold it: ``Task(**...)`` is this task again."""
        return asdict(self)


def _velocity(robot, label, obs_dim, act_dim, *scores):
    env_id = f"Offline{robot}VelocityGymnasium-v1"
    return Task(f"{robot}Velocity", label, SAFETY_GYM, env_id, 1000, obs_dim, act_dim, *scores)


def _navigation(name, label, horizon, obs_dim, *scores):
    env_id = f"Offline{name}Gymnasium-v0"
    return Task(name, label, SAFETY_GYM, env_id, horizon, obs_dim, 2, *scores)


def _bullet(name, label, horizon, obs_dim, act_dim, *scores):
    return Task(name, label, BULLET_GYM, f"Offline{name}-v0", horizon, obs_dim, act_dim, *scores)


# max_cost, min_return, max_return, n_trajectories
_PAPER = [
    _velocity("Ant", "a", 27, 8, 250.0, 6.1519012451171875, 2976.276611328125, 2249),
    _velocity("HalfCheetah", "hc", 17, 6, 250.0, 5.7509765625, 2806.93310546875, 2495),
    _velocity("Hopper", "h", 11, 3, 250.0, 37.05154800415039, 1911.396728515625, 2240),
    _velocity("Swimmer", "s", 8, 2, 200.0, 0.07114458084106445, 238.95831298828125, 1686),
    _velocity("Walker2d", "w", 17, 6, 300.0, 18.668498992919922, 3418.223876953125, 2729),
    _navigation("PointGoal1", "pg", 1000, 60, 100.0, 0.01196012764197707, 30.071114857340543, 2022),
    _navigation("CarGoal1", "cg", 1000, 72, 120.0, 0.012232819540852091, 39.907809198384705, 1671),
    _bullet("BallRun", "br", 100, 7, 2, 80.0, 26.339754104614258, 1327.445556640625, 940),
    _bullet("CarRun", "cr", 200, 7, 2, 40.0, 204.28726196289062, 574.6533203125, 651),
    _bullet("BallCircle", "bc", 200, 8, 2, 80.0, 0.38312244415283203, 881.46337890625, 886),
    _bullet("CarCircle", "cc", 300, 8, 2, 100.0, 3.484419822692871, 534.3060913085938, 1450),
    _bullet("DroneRun", "dr", 200, 17, 4, 140.0, 10.557029724121094, 682.8330078125, 1990),
]
_OTHERS = [
    _navigation(
        "PointGoal2", "pg2", 1000, 60, 200.0, 0.002616959830266108, 27.717709787852737, 3442
    ),
    _navigation(
        "PointButton1", "pb1", 1000, 76, 200.0, 0.008822109034937853, 41.19301568767707, 2268
    ),
    _navigation(
        "PointButton2", "pb2", 1000, 76, 250.0, 0.014114166087574098, 42.8985953616709, 3288
    ),
    _navigation(
        "PointPush1", "pp1", 1000, 76, 150.0, 0.0014001545292344209, 16.518654299293367, 2379
    ),
    _navigation(
        "PointPush2", "pp2", 1000, 76, 200.0, 0.0012438183001730607, 14.691039145644403, 3242
    ),
    _navigation("PointCircle1", "pc1", 500, 28, 200.0, 20.067626953125, 61.72819519042969, 1098),
    _navigation("PointCircle2", "pc2", 500, 28, 299.0, 20.478347778320312, 54.02184295654297, 895),
    _navigation("CarGoal2", "cg2", 1000, 72, 200.0, 0.001032874531954775, 28.902897990056502, 4105),
    _navigation(
        "CarButton1", "cb1", 1000, 88, 250.0, 0.0028926206826067613, 44.420003345738984, 2656
    ),
    _navigation(
        "CarButton2", "cb2", 1000, 88, 300.0, 0.001767391717990563, 41.99513815522894, 3755
    ),
    _navigation("CarPush1", "cp1", 1000, 88, 200.0, 0.013700173533941762, 16.304467598905237, 2871),
    _navigation(
        "CarPush2", "cp2", 1000, 88, 250.0, 0.00029391133526335267, 15.141648491514314, 4407
    ),
    _navigation("CarCircle1", "cc1", 500, 40, 250.0, 8.037073135375977, 24.94155502319336, 1271),
    _navigation("CarCircle2", "cc2", 500, 40, 398.0, 5.113386154174805, 25.950098037719727, 940),
    _bullet("AntRun", "ar", 200, 33, 8, 150.0, 0.001767391717990563, 955.4818725585938, 1816),
    _bullet("AntCircle", "ac", 500, 34, 8, 200.0, 0.0177031010389328, 460.7091979980469, 5728),
    _bullet("DroneCircle", "dc", 300, 18, 4, 100.0, 207.794189453125, 996.38916015625, 1923),
]
PAPER_TASKS = {task.name: task for task in _PAPER}
TASKS = PAPER_TASKS | {task.name: task for task in _OTHERS}


def find(name_or_file: str) -> Task:
    """Return a task of DSRL by its name, or the one that a JSON file describes.

    Raises:
        UserError: there is no such task.
    """
    if name_or_file in TASKS:
        return TASKS[name_or_file]
    try:
        return Task(**results.read_object(name_or_file))
    except (UserError, TypeError) as error:
        why = reason(error).removeprefix(f"{name_or_file}: ")
        raise UserError(f"{name_or_file}: neither a task of DSRL nor its file ({why})") from None


_SIMULATOR = ("env_id", "suite", "horizon", "obs_dim", "act_dim")  # what a policy was made for


def of_policy(path: str | Path, description: dict, module: Path | None = None) -> Task:
    """Return the task that a policy file says it is for.

    A file may name Python code that registers an environment. It is run only if the caller names
    the same file: ``module``.

    Raises:
        UserError: it is for no task that is known, or for one with other code.
    """
    try:
        task = Task(**description)
        known = TASKS.get(task.name, task)
        told = {name: getattr(task, name) for name in _SIMULATOR}
    except (TypeError, AttributeError) as error:
        raise UserError(f"{path}: describes no task ({error})") from None
    wrong = [name for name in _SIMULATOR if told[name] != getattr(known, name)]
    if wrong:
        raise UserError(f"{path}: {wrong[0]}: {told[wrong[0]]!r} is not that of {task.name}")
    own = Path(task.module).resolve() if task.module else None
    if own != (module.resolve() if module else None):
        raise UserError(
            f"{path}: its environment is code in {task.module}, which is not the module of the "
            "config (file.<task>.module); name it there if you trust it"
        )
    return task
