"""Train the behaviour policies whose rollouts stand in for DSRL's datasets.

DSRL's authors logged policies while a limit on the episode cost moved during training (methods
2.2). Here PPO (Stable-Baselines3) does the same: a *branch* is one training whose limit goes along
straight lines between given points, and a snapshot of the policy is kept every few updates, poor
early ones too. PPO is shown (s r - w c) / (1 + |w|) with a reward scale s and a weight w of the
cost, which follows the gap between the episode cost and its limit.

A branch of a recipe (workflow/behaviours/recipes.yaml) has

``steps``, ``environments``, ``ppo``
    how long, how many environments side by side, Stable-Baselines3's own settings; a pair as
    ``learning_rate`` falls from the first value to the second.
``limits``
    points (share of the steps, cost limit).
``reward_scale``, ``weight``, ``rate``, ``proportional``, ``least``, ``most``
    s; the first w; what the gap, as a share of the horizon, adds to w with each update, and what it
    adds for the moment; bounds of w. Below 0 costs are sought, so that a limit is met from below.
``every``
    updates from one snapshot to the next.
``begin``, ``rest``
    a branch and a step to go on from, and how many updates the policy then rests while the new
    value function learns.
``log_std``
    log sigma of a branch that goes on from another, in place of that one's.
``seed``
    of the environments and of PPO; where none stands it comes from the names of task and branch.
``stopped``, ``simulator``
    notes that a branch ended before its last step, or was trained with another version.
"""

from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import gymnasium
import numpy as np
import torch
from stable_baselines3 import PPO
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.vec_env import VecEnv, VecNormalize

from prefine.simulators.blocks import environments
from prefine.streams import stream_seed
from prefine.tasks import TASKS, Task

LAYERS = [64, 64]
Arrays = dict[str, np.ndarray]


@dataclass
class Branch:
    """A training's snapshots: what was measured of each, and its arrays (`policy_of`)."""

    rows: list[dict[str, float]] = field(default_factory=list)
    policies: list[Arrays] = field(default_factory=list)

    def add(self, row: dict[str, float], policy: Arrays) -> None:
        """Keep one more."""
        self.rows.append(row)
        self.policies.append(policy)


class Environments(VecEnv):
    """A task's environments, which step together, as Stable-Baselines3 wants them.

    The first episode of each is cut at another step, so that later starts are spread over time.
    """

    def __init__(self, task: Task, n: int, seed: int, reward_scale: float):
        self.task, self.envs = task, environments(task)
        low = np.full(task.obs_dim, -np.inf, np.float32)
        box = gymnasium.spaces.Box(-1.0, 1.0, (task.act_dim,), np.float32)
        super().__init__(n, gymnasium.spaces.Box(low, -low), box)
        self.reward_scale, self.weight = reward_scale, 0.0
        self.limits = np.linspace(1, task.horizon, n + 1)[1:].astype(int)
        self.random = np.random.default_rng(seed)
        self.lengths, self.sums = np.zeros(n, int), np.zeros((2, n))
        self.slots, self.obs = np.arange(n), np.zeros((n, task.obs_dim), np.float32)
        self.finished: list[tuple[float, float, int]] = []  # return, cost, length
        self.costs: list[float] = []  # of each step, mean over environments

    def _begin(self, slot: int) -> None:
        self.obs[slot] = self.envs.reset(slot, int(self.random.integers(2**31)))
        self.lengths[slot], self.sums[:, slot] = 0, 0.0

    def reset(self) -> np.ndarray:
        """Begin an episode in each."""
        for slot in self.slots:
            self._begin(slot)
        return self.obs.copy()

    def step_async(self, actions: np.ndarray) -> None:
        """Take the actions (n, act_dim) of the next step."""
        self.actions = np.clip(actions, -1.0, 1.0)

    def step_wait(self):
        """Step all; show the reward less the cost."""
        columns = self.envs.step(self.slots, self.actions)
        obs, rewards, costs, terminated, truncated = (np.asarray(column) for column in columns)
        self.obs[:] = obs
        self.lengths += 1
        self.sums += rewards, costs
        self.costs.append(float(costs.mean()))
        timeouts = (truncated | (self.lengths >= self.limits)) & ~terminated
        done = terminated | timeouts
        shown = (self.reward_scale * rewards - self.weight * costs) / (1.0 + abs(self.weight))
        infos: list[dict] = [{} for _ in self.slots]
        for slot in np.flatnonzero(done):
            infos[slot]["terminal_observation"] = self.obs[slot].copy()
            infos[slot]["TimeLimit.truncated"] = bool(timeouts[slot])
            # A first episode that was cut early says nothing of a whole one.
            if terminated[slot] or self.lengths[slot] == self.task.horizon:
                self.finished.append((*self.sums[:, slot], int(self.lengths[slot])))
            self.limits[slot] = self.task.horizon
            self._begin(slot)
        return self.obs.copy(), shown.astype(np.float32), done, infos

    def close(self) -> None:
        """Nothing to close."""

    def get_attr(self, name, indices=None):
        """No environment has attributes of its own."""
        return [None] * self.num_envs

    def set_attr(self, name, value, indices=None):
        """None can be set."""
        raise NotImplementedError(name)

    def env_method(self, name, *args, indices=None, **options):
        """None can be called."""
        raise NotImplementedError(name)

    def env_is_wrapped(self, wrapper_class, indices=None):
        """None is."""
        return [False] * self.num_envs


def limit_at(points: list[tuple[float, float]], share: float) -> float:
    """The cost limit after a share of a branch's steps, between its points (share, limit)."""
    shares, limits = zip(*points, strict=True)
    return float(np.interp(share, shares, limits))


@dataclass
class Weight:
    """The weight of the cost: a sum of all gaps so far, within bounds, and a share of the last."""

    recipe: Mapping
    total: float

    def follow(self, gap: float) -> float:
        """Take in the gap between cost and limit, as a share of the horizon; return the weight."""
        least, most = self.recipe.get("least", 0.0), self.recipe.get("most", 20.0)
        self.total = min(max(least, self.total + self.recipe["rate"] * gap), most)
        return max(least, self.total + self.recipe.get("proportional", 0.0) * gap)


class _Snapshots(BaseCallback):
    """After each rollout keep the policy that made it, and move the weight of the cost."""

    def __init__(self, recipe: Mapping, vec: VecNormalize, envs: Environments, tell: Callable):
        super().__init__()
        self.recipe, self.vec, self.envs, self.tell = recipe, vec, envs, tell
        self.branch, self.updates = Branch(), 0
        self.weight = Weight(recipe, recipe.get("weight", 0.0))
        self.rates: deque[float] = deque(maxlen=envs.task.horizon)
        self.recent: deque[float] = deque(maxlen=envs.num_envs)  # costs of episodes

    def _on_step(self) -> bool:
        return True

    def _on_rollout_end(self) -> None:
        envs, horizon = self.envs, self.envs.task.horizon
        self.rates.extend(envs.costs)
        finished = np.array(envs.finished, float).reshape(-1, 3)
        envs.costs.clear(), envs.finished.clear()
        self.recent.extend(finished[:, 1])
        # While no whole episode has ended, what the steps so far would make of one.
        cost = float(np.mean(self.recent or [np.mean(self.rates) * horizon]))
        limit = limit_at(self.recipe["limits"], self.num_timesteps / self.recipe["steps"])
        envs.weight = self.weight.follow((cost - limit) / horizon)
        row = {"steps": self.num_timesteps, "limit": limit, "weight": envs.weight}
        for name, column in zip(("return", "cost", "length"), finished.T, strict=True):
            row[name] = column.mean() if len(column) else np.nan
            row[f"{name}_std"] = column.std() if len(column) else np.nan
        if self.updates % self.recipe.get("every", 1) == 0:
            self.branch.add(row, policy_of(self.model, self.vec))
        rests = self.updates < self.recipe.get("rest", 0)
        for name, parameter in self.model.policy.named_parameters():
            if "value" not in name:
                parameter.requires_grad_(not rests)
                parameter.grad = None if rests else parameter.grad
        self.updates += 1
        self.tell(row)


def policy_of(model: PPO, vec: VecNormalize) -> Arrays:
    """A policy's arrays: its layers, log sigma, and how it standardises observations."""
    state = model.policy.state_dict()
    arrays = {name: value.numpy().copy() for name, value in state.items() if "value" not in name}
    std = np.sqrt(vec.obs_rms.var + vec.epsilon)
    return arrays | {"obs_mean": vec.obs_rms.mean.copy(), "obs_std": std}


def begin_from(model: PPO, vec: VecNormalize, source: Arrays) -> None:
    """Go on from a snapshot of another branch; the value function begins anew."""
    own = dict(source)
    vec.obs_rms.mean, std = own.pop("obs_mean"), own.pop("obs_std")
    vec.obs_rms.var, vec.obs_rms.count = std**2 - vec.epsilon, 1e6
    state = {name: torch.from_numpy(np.asarray(value)) for name, value in own.items()}
    model.policy.load_state_dict(state, strict=False)


def train_branch(
    task_name: str,
    name: str,
    recipe: Mapping,
    source: Arrays | None = None,
    tell: Callable[[dict], None] = lambda row: None,
) -> Branch:
    """Train one branch; the same on one machine each time.

    Args:
        recipe: as the module says.
        source: the snapshot to go on from, where the recipe has ``begin``.
        tell: called with what was measured of each update.
    """
    torch.set_num_threads(1)
    seed = recipe.get("seed", stream_seed("behaviour", task_name, name) % 2**31)
    scale = recipe.get("reward_scale", 1.0)
    envs = Environments(TASKS[task_name], recipe["environments"], seed, scale)
    envs.weight, ppo = recipe.get("weight", 0.0), dict(recipe["ppo"])
    vec = VecNormalize(envs, gamma=ppo.get("gamma", 0.99), clip_obs=np.inf)
    if isinstance(ppo["learning_rate"], list):
        first, last = ppo["learning_rate"]
        ppo["learning_rate"] = lambda left: last + (first - last) * left
    network = {"log_std_init": ppo.pop("log_std_init", -0.5), "net_arch": LAYERS}
    model = PPO("MlpPolicy", vec, seed=seed, device="cpu", policy_kwargs=network, **ppo)
    if source is not None:
        begin_from(model, vec, source)
        if "log_std" in recipe:
            model.policy.log_std.data.fill_(recipe["log_std"])
    callback = _Snapshots(recipe, vec, envs, tell)
    model.learn(recipe["steps"], callback=callback)
    return callback.branch
