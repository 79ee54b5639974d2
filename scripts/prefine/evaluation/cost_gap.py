"""How much a policy changes what recorded states cost: Figure 2 (methods 8.3).

The states of a trajectory stay, each action is replaced by one drawn from the policy, and a
simulator that was put into the state says what the step costs then. Where that cannot be done a
classifier says how likely it is. With a horizon of H steps the policy goes on from each state for
H steps, which are compared with the data's next H (fewer where the trajectory ends before).

Shapes: R replicas, n steps of a trajectory, D draws of the action.
"""

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd

from prefine import frames
from prefine.data import hdf5
from prefine.data.dataset import read_trajectories
from prefine.errors import UserError
from prefine.evaluation.cost_classifier import ITERATIONS, fit
from prefine.policies.stack import PolicyStack
from prefine.simulators.costs import REPLAY_AGREEMENT
from prefine.simulators.states import RESETTABLE, open_simulator
from prefine.streams import generator
from prefine.tasks import Task

SETS = ("preferred", "nonpreferred")
KEYS = ("observations", "actions", "costs")  # what is read of a trajectory
RUN_COLUMNS = ("run", "tau", "draw", "seed", "iteration")
COLUMNS = (
    "task",
    *RUN_COLUMNS,
    "until",
    "set",
    "gap",
    "signed_gap",
    "data_cost",
    "counterfactual_cost",
    "replay_gap",
    "trajectories",
    "simulated",
    "agreement",
    "auc",
    "horizon",
    "every",
    "action_draws",
    "source",
)

Act = Callable[[np.ndarray, np.ndarray], np.ndarray]
Record = dict[str, np.ndarray]


@dataclass(frozen=True)
class GapSettings:
    """What is compared; a gap is in costs a trajectory whatever ``every`` and ``horizon`` are.

    Attributes:
        trajectories: at most so many of each set.
        every: only each so manieth step.
        action_draws: actions drawn for a state.
        horizon: steps that the policy goes on.
    """

    trajectories: int = 20
    every: int = 1
    action_draws: int = 5
    horizon: int = 1

    def weight(self, n_steps: int) -> float:
        """How often the cost of a window counts: the windows together are the trajectory."""
        left = n_steps - np.arange(0, n_steps, self.every)
        return n_steps / float(np.minimum(left, self.horizon).sum())


class Gap(NamedTuple):
    """Means over trajectories, (R,) each, in costs a trajectory; signed is data minus policy."""

    absolute: np.ndarray
    signed: np.ndarray
    counterfactual: np.ndarray


def chosen_runs(runs: pd.DataFrame, wanted: dict) -> pd.DataFrame:
    """Keep the snapshots of Figure 2; the index stays the replica's number.

    Args:
        runs: one row a replica, with the columns of ``RUN_COLUMNS``.
        wanted: ``until``, the last iteration, and ``tau``, ``draw`` and ``seed``, a value or a
            list each; what is not given chooses all.
    """
    keep = runs["iteration"] <= wanted.get("until", np.inf)
    for name in ("tau", "draw", "seed"):
        if name in wanted:
            none = wanted[name] is None  # labels have no threshold
            keep &= runs[name].isna() if none else runs[name].isin(np.atleast_1d(wanted[name]))
    return runs[keep]


def chosen_trajectories(
    splits: pd.DataFrame, task: str, tau: int | None, draw: int, role: str, n: int
) -> np.ndarray:
    """Return dataset indices of D_p or D_np, sorted: all, or ``n`` drawn from a stream."""
    same = splits["tau"].isna() if tau is None else splits["tau"] == tau
    own = splits[same & (splits["draw"] == draw) & (splits["role"] == role)]
    indices = own["index"].to_numpy()
    if len(indices) > n:
        stream = generator("cost gap", "trajectories", task, tau, draw, role)
        indices = stream.choice(indices, n, replace=False)
    return np.sort(indices)


def window_sums(costs: np.ndarray, steps: np.ndarray, horizon: int) -> np.ndarray:
    """Sum costs (T,) over the ``horizon`` steps from each of ``steps`` (n,), or what is left."""
    until = np.concatenate([[0.0], np.cumsum(costs, dtype=np.float64)])
    return until[np.minimum(steps + horizon, len(costs))] - until[steps]


def acting(stack: PolicyStack) -> Act:
    """Return a ~ pi(.|s) of R replicas, from raw observations (R, B, obs_dim), noise (B, ·)."""
    return lambda observations, noise: stack.act(observations, "sampled", noise)


def counterfactual_costs(
    simulator,
    act: Act,
    observations: np.ndarray,
    left: np.ndarray,
    noise: np.ndarray,
    replicas: int,
) -> np.ndarray:
    """Return what the policies' windows cost: (R, n, D).

    Args:
        simulator: of ``state_reset``, or a classifier.
        observations: (n, obs_dim) raw, where the windows begin.
        left: (n,) steps that the trajectory has from there; windows are cut there.
        noise: (H, n, D, ·) standard normals, the same for all replicas.
    """
    horizon, n_steps, n_draws, _ = noise.shape
    shape = (replicas, n_steps, n_draws)
    lanes = np.broadcast_to(observations[:, None], (*shape, observations.shape[1]))
    obs = lanes.reshape(-1, lanes.shape[-1]).copy()
    left = np.broadcast_to(left[:, None], shape).reshape(-1)
    states, costs, ended = simulator.begin(obs), np.zeros(len(obs)), np.zeros(len(obs), dtype=bool)
    for ahead in range(horizon):
        drawn = noise[ahead].reshape(n_steps * n_draws, -1)
        actions = act(obs.reshape(replicas, len(drawn), -1), drawn).reshape(len(obs), -1)
        going = np.flatnonzero(~ended & (left > ahead))
        after = simulator.step(states[going], actions[going])
        costs[going] += after.costs
        states[going], obs[going], ended[going] = after.states, after.observations, after.ended
    return costs.reshape(shape)


def replay(simulator, record: Record, every: int = 1) -> np.ndarray:
    """Return what single steps cost with the data's own actions: (n,)."""
    steps = slice(None, None, every)
    states = simulator.begin(record["observations"][steps])
    return simulator.step(states, record["actions"][steps]).costs


def replay_agreement(simulator, records: Sequence[Record], every: int = 1) -> float:
    """Return the share of recorded costs that the data's own actions make again."""
    same = [
        (replay(simulator, record, every) > 0.5) == (record["costs"][::every] > 0.5)
        for record in records
    ]
    return float(np.concatenate(same).mean())


def replay_gap(simulator, records: Sequence[Record], every: int = 1) -> float:
    """Return the gap of the data's own actions over single steps: what cannot be resolved."""
    missed = [record["costs"][::every] - replay(simulator, record, every) for record in records]
    weights = [GapSettings(every=every).weight(len(record["costs"])) for record in records]
    return float(np.mean([abs(w * m.sum()) for w, m in zip(weights, missed, strict=True)]))


def gap(recorded: np.ndarray, counterfactual: np.ndarray) -> Gap:
    """Compare sums of costs of the data (m,) and of the policies (R, m, D).

    The mean over draws comes before the absolute value: that of a noisy sum is too large.
    """
    expected = counterfactual.mean(axis=2)
    signed = recorded - expected
    return Gap(np.abs(signed).mean(axis=1), signed.mean(axis=1), expected.mean(axis=1))


def trajectory_noise(
    task: str, index: int, n_steps: int, settings: GapSettings, dim: int
) -> np.ndarray:
    """Return the noise of a trajectory (H, n, D, dim), whatever is measured beside it."""
    shape = (settings.horizon, n_steps, settings.action_draws, dim)
    return generator("cost gap", task, index).standard_normal(shape, dtype=np.float32)


def n_simulated(records: Sequence[Record], settings: GapSettings, replicas: int) -> int:
    """Return how many steps ``measure`` takes at most."""
    steps = sum(-(-len(record["costs"]) // settings.every) for record in records)
    return steps * settings.action_draws * settings.horizon * replicas


def measure(
    simulator,
    act: Act,
    replicas: int,
    records: dict[int, Record],
    task: str,
    settings: GapSettings,
    noise_dim: int,
    on_steps: Callable[[int], None] = lambda n: None,
) -> tuple[np.ndarray, np.ndarray]:
    """Return costs of trajectories (dataset index -> record): data (m,) and policies (R, m, D)."""
    recorded, drawn = [], []
    for index, record in records.items():
        steps = np.arange(0, len(record["costs"]), settings.every)
        noise = trajectory_noise(task, index, len(steps), settings, noise_dim)
        left = len(record["costs"]) - steps
        observations = record["observations"][steps]
        costs = counterfactual_costs(simulator, act, observations, left, noise, replicas)
        windows = window_sums(record["costs"], steps, settings.horizon)
        weight = settings.weight(len(record["costs"]))
        recorded.append(weight * windows.sum())
        drawn.append(weight * costs.sum(axis=1))
        on_steps(n_simulated([record], settings, replicas))
    return np.array(recorded), np.stack(drawn, axis=1)


def read_records(data: Path, task: Task, table: pd.DataFrame, indices) -> dict[int, Record]:
    """Read some trajectories; their costs must be those of the table of trajectories."""
    own = table.set_index("index").loc[sorted(indices)]
    spans = hdf5.spans(data, task, KEYS, own["start"], own["length"])
    records = dict(zip(own.index, spans, strict=True))
    for index, record in records.items():
        if abs(record["costs"].sum(dtype=np.float64) - own["cost"][index]) > 1e-2:
            raise UserError(f"{data}: trajectory {index} has another cost in the table")
    return records


def zeros_and_ones(data: Path, task: Task) -> bool:
    """Whether all costs are 0 or 1, of which a classifier can tell the chance."""
    found = hdf5.blocks(data, task, ["costs"])
    return all(np.isin(rows["costs"], (0, 1)).all() for _, _, rows in found)


def fit_classifier(data: Path, task: Task, table: pd.DataFrame, progress_of: Callable):
    """Train on all trajectories of the data; return the classifier and its AUC."""
    everything = hdf5.read(data, task, KEYS)
    stop = int(table["length"].sum())
    arrays = [everything.pop(key)[:stop] for key in KEYS]
    numbers = np.repeat(table["index"].to_numpy(), table["length"])
    progress = progress_of(f"classifier {task.name}", ITERATIONS, "steps")
    found = fit(*arrays, numbers, task.name, on_step=progress.update)
    progress.close()
    return found


def gap_rows(
    task: Task,
    stack: PolicyStack,
    runs: pd.DataFrame,
    args,
    settings: GapSettings,
    progress_of: Callable,
) -> list[dict]:
    """Measure every cell of threshold and draw; return a row a run, iteration and set.

    Args:
        progress_of: makes of (what, total, unit) something with ``update`` and ``close``.
    """
    table = read_trajectories(args.trajectories, args.data, task)
    splits = frames.read_csv(args.splits)
    cells = {}
    for (tau, draw), own in runs.groupby(["tau", "draw"], dropna=False):
        tau = None if pd.isna(tau) else int(tau)
        for role in SETS:
            cell = (splits, task.name, tau, int(draw), role, settings.trajectories)
            cells[tau, int(draw), role] = own, chosen_trajectories(*cell)
    used = {int(index) for _, indices in cells.values() for index in indices}
    records = read_records(args.data, task, table, used)

    about = {"agreement": np.nan, "auc": np.nan}
    if task.name in RESETTABLE:
        simulator, about["simulated"] = open_simulator(task), "simulator"
        everything = list(records.values())
        about["agreement"] = replay_agreement(simulator, everything, settings.every)
    else:
        simulator, about["auc"] = fit_classifier(args.data, task, table, progress_of)
        about["simulated"] = "classifier"
    logging.info("%s: %s", task.name, about)
    if about["agreement"] < REPLAY_AGREEMENT:
        share = 100 * about["agreement"]
        logging.warning("%s: only %.2f %% of the recorded costs are made again", task.name, share)

    total = sum(
        n_simulated([records[index] for index in indices], settings, len(own))
        for own, indices in cells.values()
    )
    progress, rows = progress_of(f"cost gap {task.name}", total, "steps"), []
    for (_, _, role), (own, indices) in cells.items():
        if not len(indices):
            continue
        params = {name: value[own.index] for name, value in stack.params.items()}
        chosen = {int(index): records[int(index)] for index in indices}
        recorded, drawn = measure(
            simulator,
            acting(replace(stack, params=params)),
            len(own),
            chosen,
            task.name,
            settings,
            stack.policy.sample_dim,
            on_steps=progress.update,
        )
        found = gap(recorded, drawn)
        common = about | {
            "task": task.name,
            "set": role,
            "data_cost": recorded.mean(),
            "replay_gap": replay_gap(simulator, [*chosen.values()], settings.every),
            "trajectories": len(chosen),
        }
        for place, run in enumerate(own[list(RUN_COLUMNS)].to_dict("records")):
            rows.append(
                common
                | run
                | {
                    "gap": found.absolute[place],
                    "signed_gap": found.signed[place],
                    "counterfactual_cost": found.counterfactual[place],
                }
            )
    progress.close()
    simulator.close()
    return rows
