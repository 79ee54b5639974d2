"""Datasets in DSRL's HDF5 layout: segmentation, loading, writing (methods 2.2-2.4)."""

import hashlib
import io
import json
import zlib
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, fields
from functools import partial
from itertools import product, repeat
from pathlib import Path

import numpy as np
import pandas as pd

from prefine.data.hdf5 import (
    BLOCK_ROWS,
    CONTENT,
    FLAGS,
    KEYS,
    SCALARS,
    UNIT_BOX,
    Box,
    blocks,
    opened,
    read,
)
from prefine.errors import UserError, shown
from prefine.files import atomic
from prefine.results import DELETE
from prefine.tasks import OWN, Task

GZIP = 1  # its level
TRAJECTORIES = ("index", "start", "length", "return", "cost", "ended_by")


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
    if not task.has_costs:
        data["costs"] = np.full(len(data["rewards"]), np.nan)
    if lengths.max() > task.horizon:
        longest = int(lengths.argmax())
        raise UserError(
            f"{path}: timeouts: episode {longest} has {lengths[longest]} steps; "
            f"{task.name} ends after {task.horizon}"
        )
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


def read_trajectories(path: str | Path, data: str | Path, task: Task) -> pd.DataFrame:
    """Read a table of trajectories, which must be that of ``data``.

    Raises:
        UserError: it is not; the first trajectory that differs is named.
    """
    from prefine import frames  # which reads Parquet too; training alone needs none of that

    given, found = frames.read_csv(path, *TRAJECTORIES), trajectory_table(data, task)
    if len(given) != len(found):
        raise UserError(f"{path}: has {len(given)} trajectories, {data} has {len(found)}{DELETE}")
    for name in TRAJECTORIES:
        ours, theirs = given[name].to_numpy(), found[name].to_numpy()
        text = ours.dtype.kind not in "iuf"
        same = ours == theirs if text else np.isclose(ours, theirs, 1e-9, 1e-9, equal_nan=True)
        if not np.all(same):
            row = int(np.argmin(same))
            raise UserError(
                f"{path}: trajectory {row} has {name} {shown(ours[row])}, and "
                f"{shown(theirs[row])} in {data}{DELETE}"
            )
    return given


BEYOND = 3.0  # times DSRL's best return: no policy is so good, but rewards may be scaled


def oddities(table: pd.DataFrame, task: Task) -> list[str]:
    """What a person should know of the trajectories of one of DSRL's tasks, a line each."""
    if task.suite == OWN:
        return []
    lines, cut = [], (table["ended_by"] == "timeout") & (table["length"] < task.horizon)
    if cut.any():
        first = table[cut].iloc[0]
        lines.append(
            f"{cut.sum()} of {len(table)} episodes end by a timeout after fewer than the "
            f"{task.horizon} steps of {task.name} (first: {first['index']}, of {first['length']}); "
            "are steps lost or ends misplaced?"
        )
    best = table["return"].max()
    if best > BEYOND * task.max_return:
        lines.append(
            f"the best return is {best:.4g}, the best of DSRL's data {task.max_return:.4g}; are "
            "rewards scaled, or damaged?"
        )
    return lines


def write(
    path: str | Path, episodes: Sequence[dict[str, np.ndarray]], metadata: dict, threads: int = 1
) -> None:
    """Write episodes one after another in DSRL's layout, whole or not at all.

    The attribute ``sha256`` has a hash of each array, which is compared when it is read.

    The file is made in memory: HDF5 ends the process with a crash if the disk is full.

    Args:
        threads: that compress; they change no byte.
    """
    import h5py

    content, hashes = io.BytesIO(), {}
    with h5py.File(content, "w") as file, ThreadPoolExecutor(threads) as pool:
        for key in KEYS:
            array = np.concatenate([episode[key] for episode in episodes])
            layout = {"compression": "gzip", "compression_opts": GZIP, "chunks": True}
            dataset = file.create_dataset(key, array.shape, array.dtype, **layout)
            # HDF5 would compress with one thread only.
            places = list(product(*map(range, repeat(0), array.shape, dataset.chunks)))
            packed = pool.map(partial(_pack, array, dataset.chunks), places)
            for place, chunk in zip(places, packed, strict=True):
                dataset.id.write_direct_chunk(place, chunk)
            hashes[key] = hashlib.sha256(np.ascontiguousarray(array).data).hexdigest()
        file.attrs["metadata"] = json.dumps(metadata, sort_keys=True)
        file.attrs[CONTENT] = json.dumps(hashes, sort_keys=True)
    with atomic(path, noted=False) as temporary:  # the hashes in it go where it goes
        temporary.write_bytes(content.getbuffer())


def _pack(array: np.ndarray, shape: tuple[int, ...], place: tuple[int, ...]) -> bytes:
    """Compress the chunk of an array that begins at a place as HDF5's gzip filter does."""
    part = array[tuple(map(slice, place, np.add(place, shape)))]
    if part.shape != shape:  # at the end
        part = np.pad(part, [(0, n) for n in np.subtract(shape, part.shape)])
    return zlib.compress(np.ascontiguousarray(part), GZIP)


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
    """With next states and true terminations (N,): what SafeDICE needs.

    A next state is nearly always the next row of ``observations``; the others are kept apart,
    which halves the memory.

    Attributes:
        next_rows: (N,) rows of ``observations``, then of ``last_observations``.
        last_observations: (n, obs_dim) float32, raw.
    """

    next_rows: np.ndarray
    last_observations: np.ndarray
    terminals: np.ndarray

    def next_observations(self, rows: np.ndarray) -> np.ndarray:
        """Return the next states (len(rows), obs_dim) of some steps."""
        n_steps, places = len(self.observations), self.next_rows[rows]
        found = self.observations[np.minimum(places, n_steps - 1)]
        apart = places >= n_steps
        found[apart] = self.last_observations[places[apart] - n_steps]
        return found


@dataclass(frozen=True)
class FullTransitions(LinkedTransitions):
    """With rewards, costs and timeouts (N,): what offline RL (CPQ) needs."""

    rewards: np.ndarray
    costs: np.ndarray
    timeouts: np.ndarray


SEES = {"actions": Transitions, "transitions": LinkedTransitions, "everything": FullTransitions}


def unit_box(path: str | Path, task: Task) -> Box | None:
    """[-1, 1] if this project wrote the file, for then its actions are scaled; else nothing.

    Raises:
        UserError: they were scaled for other bounds.
    """
    with opened(path) as file:
        text = file.attrs.get("metadata")
    try:
        written = json.loads(text)["task"]
        low, high = (
            np.broadcast_to(np.float64(written[key]), (task.act_dim,))
            for key in ("action_low", "action_high")
        )
    except (TypeError, ValueError, KeyError, RecursionError):
        return None
    if not (np.all(low == task.action_low) and np.all(high == task.action_high)):
        raise UserError(
            f"{path}: its actions were scaled for bounds of {shown(low.tolist())} and "
            f"{shown(high.tolist())}, {task.name} has {task.action_low} and {task.action_high}"
        )
    return UNIT_BOX


def load_transitions(path: str | Path, task: Task, sees: str = "actions") -> Transitions:
    """Read what a method may see of a dataset: a key of ``SEES`` (methods 2.8, 4.10).

    Raises:
        UserError: the file is broken, its actions are not scaled to [-1, 1], or costs are to be
            seen and there are none.
    """
    if sees not in SEES:
        raise UserError(f"sees: {sees!r} is not one of {', '.join(SEES)}")
    kind = SEES[sees]
    scaled = np.all(np.equal(task.action_low, -1)) and np.all(np.equal(task.action_high, 1))
    if not scaled and not unit_box(path, task):
        raise UserError(
            f"{path}: its actions are not said to be in [-1, 1]; load_data scales them, and "
            'write_dataset(..., {"task": task.to_dict()}) says so'
        )
    names = {field.name for field in fields(kind)}
    if "costs" in names and not task.has_costs:
        raise UserError(
            f"{path}: its trajectories have no costs, which a method that learns from costs "
            "(cpq; trac with labels: segment) needs; record them, or take the method out"
        )
    wanted = [key for key in KEYS if key in names or key in FLAGS]
    data = read(path, task, wanted)
    starts, lengths, _ = segment(data["terminals"], data["timeouts"])
    mean, std = observation_constants(data["observations"])
    arrays = {key: array for key, array in data.items() if key in names}
    if issubclass(kind, LinkedTransitions):
        arrays |= link(path, task, data["observations"])
    return kind(**arrays, starts=starts, lengths=lengths, mean=mean, std=std)


def link(path: str | Path, task: Task, observations: np.ndarray) -> dict[str, np.ndarray]:
    """Find each step's next state among ``observations`` (N, obs_dim), or keep it apart."""
    n_steps, apart, n_apart = len(observations), [], 0
    next_rows = np.arange(1, n_steps + 1)
    for start, _, block in blocks(path, task, ["next_observations"]):
        after = block["next_observations"]
        follows = np.zeros(len(after), dtype=bool)
        following = observations[start + 1 : start + 1 + len(after)]
        follows[: len(following)] = (after[: len(following)] == following).all(axis=1)
        others = np.flatnonzero(~follows)
        next_rows[start + others] = n_steps + n_apart + np.arange(len(others))
        apart.append(after[others])
        n_apart += len(others)
    return {"next_rows": next_rows, "last_observations": np.concatenate(apart)}


def observation_constants(observations: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return mean and std + 1e-6 of (N, obs_dim); columns with std < 1e-4 keep std 1."""
    mean = observations.mean(axis=0, dtype=np.float64)
    squares = np.zeros_like(mean)
    for start in range(0, len(observations), BLOCK_ROWS):  # whole, it would double the memory
        squares += np.square(observations[start : start + BLOCK_ROWS] - mean).sum(axis=0)
    std = np.sqrt(squares / len(observations))
    std = np.where(std < 1e-4, 1.0, std + 1e-6)
    return mean.astype(np.float32), std.astype(np.float32)
