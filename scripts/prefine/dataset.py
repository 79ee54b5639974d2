"""Datasets in DSRL's HDF5 layout: checked reading, segmentation, writing (methods 2.2-2.4)."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path

import h5py
import numpy as np
import pandas as pd

from prefine.errors import UserError
from prefine.files import atomic
from prefine.tasks import Task

VECTORS = ("observations", "next_observations", "actions")
SCALARS = ("rewards", "costs")
FLAGS = ("terminals", "timeouts")
KEYS = VECTORS + SCALARS + FLAGS


def segment(
    terminals: np.ndarray, timeouts: np.ndarray
) -> tuple[np.ndarray, np.ndarray, list[str]]:
    """Cut flat arrays (N,) into trajectories (methods 2.3).

    A trajectory ends where either flag is set; a tail after the last end is dropped.

    Returns:
        starts (n,), lengths (n,) and, for each, ``"terminal"`` or ``"timeout"``.
    """
    ends = np.flatnonzero(terminals | timeouts)
    starts = np.concatenate([[0], ends[:-1] + 1]) if len(ends) else np.empty(0, dtype=int)
    return starts, ends - starts + 1, ["terminal" if terminals[e] else "timeout" for e in ends]


def round_cost(cost: np.ndarray) -> np.ndarray:
    """Sums of 0/1 costs are integers: undo what float32 did to them (methods 0.2)."""
    whole = np.round(cost)
    return np.where(np.abs(cost - whole) < 1e-3, whole, cost)


def trajectory_table(path: str | Path, task: Task) -> pd.DataFrame:
    """Return one row a trajectory: index, start, length, return, cost, ended_by.

    Returns and costs are undiscounted sums in float64. ``attrs["dropped_steps"]`` counts
    the steps of an unfinished tail.
    """
    data = read(path, task, SCALARS + FLAGS)
    starts, lengths, ended_by = segment(data["terminals"], data["timeouts"])
    if not len(starts):
        raise UserError(f"{path}: no trajectory ends; are terminals and timeouts all false?")
    stop = int(starts[-1] + lengths[-1])

    def sums(name):
        return np.add.reduceat(data[name][:stop].astype(np.float64), starts)

    table = pd.DataFrame(
        {
            "index": np.arange(len(starts)),
            "start": starts,
            "length": lengths,
            "return": sums("rewards"),
            "cost": round_cost(sums("costs")),
            "ended_by": ended_by,
        }
    )
    table.attrs["dropped_steps"] = len(data["rewards"]) - stop
    return table


def read(path: str | Path, task: Task, keys: Sequence[str] = KEYS) -> dict[str, np.ndarray]:
    """Read ``keys`` of a dataset and check them against the task.

    Returns:
        float32 arrays (N, dim) or (N,) and boolean flags (N,). Actions are clipped to
        the box [-1, 1].

    Raises:
        UserError: the file is not HDF5, lacks a key, or an array has the wrong shape or
            a value that is not finite. The message names the file, the key and the finding.
    """
    width = {
        "observations": task.obs_dim,
        "next_observations": task.obs_dim,
        "actions": task.act_dim,
    }
    try:
        file = h5py.File(path, "r")
    except OSError as error:
        raise UserError(
            f"{path}: cannot be read as HDF5 ({error}); delete it and run again"
        ) from None
    with file:
        missing = [key for key in KEYS if not isinstance(file.get(key), h5py.Dataset)]
        if missing:
            raise UserError(f"{path}: lacks {', '.join(missing)}; DSRL's layout has {KEYS}")
        n_steps = file["rewards"].shape[0]
        arrays = {}
        for key in keys:
            shape = file[key].shape
            allowed = [(n_steps, width[key])] if key in width else [(n_steps,), (n_steps, 1)]
            if shape not in allowed:
                raise UserError(f"{path}: {key} has shape {shape}, {task.name} needs {allowed[0]}")
            array = file[key][...].reshape(allowed[0])
            array = array.astype(bool if key in FLAGS else np.float32)
            if key not in FLAGS and not np.isfinite(array).all():
                raise UserError(f"{path}: {key} has values that are not finite")
            arrays[key] = np.clip(array, -1.0, 1.0) if key == "actions" else array
    return arrays


def read_metadata(path: str | Path) -> dict:
    """Return what the file says of its origin (empty for a file that says nothing)."""
    with h5py.File(path, "r") as file:
        return json.loads(file.attrs.get("metadata", "{}"))


def write(path: str | Path, episodes: Sequence[dict[str, np.ndarray]], metadata: dict) -> None:
    """Write episodes one after another in DSRL's layout, whole or not at all."""
    with atomic(path) as temporary, h5py.File(temporary, "w") as file:
        for key in KEYS:
            array = np.concatenate([episode[key] for episode in episodes])
            file.create_dataset(key, data=array, compression="gzip", compression_opts=1)
        file.attrs["metadata"] = json.dumps(metadata, sort_keys=True)


@dataclass(frozen=True)
class Transitions:
    """States and actions of a task, grouped by trajectory, and nothing else.

    The methods that the paper trains without rewards and costs are handed this object,
    so that they cannot see them (methods 2.8).

    Attributes:
        observations: (N, obs_dim) float32, raw.
        actions: (N, act_dim) float32 in [-1, 1].
        starts, lengths: (n_trajectories,) by dataset index.
        mean, std: (obs_dim,) standardisation constants of the full dataset.
    """

    observations: np.ndarray
    actions: np.ndarray
    starts: np.ndarray
    lengths: np.ndarray
    mean: np.ndarray
    std: np.ndarray


@dataclass(frozen=True)
class LinkedTransitions(Transitions):
    """With next states (N, obs_dim) and true terminations (N,): what SafeDICE needs."""

    next_observations: np.ndarray
    terminals: np.ndarray


@dataclass(frozen=True)
class FullTransitions(LinkedTransitions):
    """With rewards, costs and timeouts (N,): what offline RL (CPQ) needs."""

    rewards: np.ndarray
    costs: np.ndarray
    timeouts: np.ndarray


SEES = {"actions": Transitions, "transitions": LinkedTransitions, "everything": FullTransitions}


def load_transitions(path: str | Path, task: Task, sees: str = "actions") -> Transitions:
    """Read what a method may see of a dataset: a key of ``SEES`` (methods 2.8, 4.10)."""
    kind = SEES[sees]
    names = {field.name for field in fields(kind)}
    wanted = [key for key in KEYS if key in names or key in FLAGS]
    data = read(path, task, wanted)
    starts, lengths, _ = segment(data["terminals"], data["timeouts"])
    mean, std = observation_constants(data["observations"])
    arrays = {key: array for key, array in data.items() if key in names}
    return kind(**arrays, starts=starts, lengths=lengths, mean=mean, std=std)


def observation_constants(observations: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return mean and std + 1e-6 of (N, obs_dim); columns with std < 1e-4 keep std 1."""
    mean = observations.mean(axis=0, dtype=np.float64)
    std = observations.std(axis=0, dtype=np.float64)
    std = np.where(std < 1e-4, 1.0, std + 1e-6)
    return mean.astype(np.float32), std.astype(np.float32)
