"""Data of the user's own: HDF5 in DSRL's layout or a Minari dataset.

What comes in is checked as DSRL's files are, and goes on in DSRL's layout with actions in
[-1, 1], so that nothing after it knows the difference.
"""

import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import h5py
import numpy as np

from prefine.data import dataset
from prefine.data.hdf5 import (
    KEYS,
    MAX_STEPS,
    Box,
    check_claim,
    checked_rows,
    member,
    opened,
    plain_dataset,
    read,
)
from prefine.errors import UserError
from prefine.tasks import Task

MINARI_FILE = Path("data/main_data.hdf5")


def load(path: str | Path, task: Task) -> dict[str, np.ndarray]:
    """Read all steps of a file or folder as DSRL's seven arrays, actions scaled to [-1, 1].

    In the file they are in the task's own bounds.

    Costs may be missing where ``task.has_costs`` is false.

    Raises:
        UserError: in one line the file, the key and what is wrong with it.
    """
    path, box = Path(path), (np.float32(task.action_low), np.float32(task.action_high))
    if path.is_dir():
        arrays = _concatenate(minari_episodes(path / MINARI_FILE, task, box))
    else:
        arrays = read(path, task, KEYS, box)
    if not (arrays["terminals"] | arrays["timeouts"]).any():
        raise UserError(f"{path}: no trajectory ends; are terminals and timeouts all false?")
    return arrays


def minari_episodes(path: Path, task: Task, box: Box) -> Iterator[dict[str, np.ndarray]]:
    """Yield the episodes of a Minari dataset's HDF5 file in their order.

    Costs are ``costs`` or ``cost`` of an episode, or ``cost`` of its infos.
    """
    with opened(path) as file:
        names = [name for name in file if re.fullmatch(r"episode_\d+", name)]
        if not names:
            raise UserError(f"{path}: has no episode_0, episode_1, ...; not a Minari dataset")
        claimed = 0
        for name in sorted(names, key=lambda name: int(name.removeprefix("episode_"))):
            group, where = member(file, path, name), f"{path}: {name}"
            found = {key: plain_dataset(group, where, source) for key, source in _MINARI.items()}
            costs = _minari_costs(group, where, task)
            if costs is not None:
                found["costs"] = costs
            claimed += sum(values.nbytes for values in found.values())
            check_claim(path, claimed)
            yield _minari_episode(found, where, task, box)


_MINARI = {
    "observations": "observations",
    "actions": "actions",
    "rewards": "rewards",
    "terminals": "terminations",
    "timeouts": "truncations",
}


def _minari_costs(group: h5py.Group, where: str, task: Task) -> h5py.Dataset | None:
    """Return the array of an episode's costs, if there is one."""
    if "infos" in group and "cost" in member(group, where, "infos"):
        return plain_dataset(group["infos"], where, "cost")
    for key in ("costs", "cost"):
        if key in group:
            return plain_dataset(group, where, key)
    if task.has_costs:
        raise UserError(
            f"{where}: has no costs, cost or infos/cost; record them, or give labels instead"
        )
    return None


def _minari_episode(
    found: dict[str, h5py.Dataset], where: str, task: Task, box: Box
) -> dict[str, np.ndarray]:
    """Check an episode of T steps and its T + 1 observations; return it in DSRL's layout."""
    n_steps = len(found["rewards"])
    if not 0 < n_steps <= MAX_STEPS:
        raise UserError(f"{where}: rewards: {n_steps} steps; 1 to {MAX_STEPS} can be read")
    shapes = {key: {(n_steps,), (n_steps, 1)} for key in found}
    shapes["observations"] = {(n_steps + 1, task.obs_dim)}
    shapes["actions"] = {(n_steps, task.act_dim)}
    shapes["costs"] = {(n_steps,), (n_steps + 1,)}  # infos begin with the one of the reset
    rows = {}
    for key, values in found.items():
        if values.shape not in shapes[key]:
            needed = min(shapes[key])
            raise UserError(f"{where}: {key}: has shape {values.shape}, {task.name} needs {needed}")
        raw = values[...][-n_steps:] if key == "costs" else values[...]
        rows[key] = checked_rows(raw, key, 0, where, box)
    rows["next_observations"] = rows["observations"][1:]
    rows["observations"] = rows["observations"][:-1]
    rows["timeouts"][-1] |= not rows["terminals"][-1]
    return rows


def _concatenate(episodes: Iterator[dict[str, np.ndarray]]) -> dict[str, np.ndarray]:
    parts = list(episodes)
    keys = [key for key in KEYS if all(key in part for part in parts)]
    return {key: np.concatenate([part[key] for part in parts]) for key in keys}


def with_scores(task: Task, arrays: dict[str, np.ndarray], known: dict) -> Task:
    """Fill in reference scores: those that are known, else the data's extreme returns."""
    starts, _, _ = dataset.segment(arrays["terminals"], arrays["timeouts"])
    ends = np.flatnonzero(arrays["terminals"] | arrays["timeouts"])

    def sums(name: str) -> np.ndarray:
        return np.add.reduceat(arrays[name][: ends[-1] + 1].astype(np.float64), starts)

    rewards = sums("rewards")
    scores = {
        "min_return": known.get("min_return", float(rewards.min())),
        "max_return": known.get("max_return", float(rewards.max())),
    }
    if scores["min_return"] >= scores["max_return"]:
        raise UserError(
            f"config: file.{task.name}: min_return {scores['min_return']:g} must be below "
            f"max_return {scores['max_return']:g}; both are the data's unless you give them"
        )
    max_cost = float(sums("costs").max()) if task.has_costs else float("nan")
    return replace(task, **scores, max_cost=max_cost, n_trajectories=len(starts))
