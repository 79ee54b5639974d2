"""Data of the user's own: HDF5 in DSRL's layout or a Minari dataset.

What comes in is checked as DSRL's files are, and goes on in DSRL's layout with actions in
[-1, 1], so that nothing after it knows the difference.
"""

import itertools
import logging
import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import h5py
import numpy as np

from prefine.data import dataset
from prefine.data.hdf5 import (
    BLOCK_ROWS,
    KEYS,
    MAX_STEPS,
    Box,
    check_claim,
    checked_rows,
    member,
    opened,
    plain_dataset,
    read,
    stored_rows,
)
from prefine.data.minari import minari_file
from prefine.errors import UserError, shown
from prefine.simulators.record import Links
from prefine.tasks import Task

log = logging.getLogger(__name__)


def load(path: str | Path, task: Task) -> dict[str, np.ndarray]:
    """Read all steps of a file or folder as DSRL's seven arrays, actions scaled to [-1, 1].

    In the file they are in the task's own bounds. Steps after the last end are left out.

    Costs may be missing where ``task.has_costs`` is false.

    Raises:
        UserError: in one line the file, the key and what is wrong with it.
    """
    box = np.float32(task.action_low), np.float32(task.action_high)
    given, path = Path(path), minari_file(Path(path))
    if path != given or is_minari(path):
        arrays = _concatenate(minari_episodes(path, task, box))
    else:
        arrays = read(path, task, KEYS, dataset.unit_box(path, task) or box)
    ends = arrays["terminals"] | arrays["timeouts"]
    if not ends.any():
        raise UserError(f"{path}: no trajectory ends; are terminals and timeouts all false?")
    links = Links()
    for start in range(0, len(ends), BLOCK_ROWS):
        links.add({key: values[start : start + BLOCK_ROWS] for key, values in arrays.items()})
    whole = int(np.flatnonzero(ends)[-1]) + 1
    tail = [f"the last episode has no end: its {len(ends) - whole} steps are left out"]
    for finding in (*(tail if whole < len(ends) else []), *links.findings()):
        log.warning("%s: %s", path, finding)
    return {key: values[:whole] for key, values in arrays.items()}


def is_minari(path: Path) -> bool:
    """Whether a file has Minari's episodes rather than DSRL's arrays."""
    with opened(path) as file:
        return "rewards" not in file and any(_EPISODE.fullmatch(name) for name in file)


_EPISODE = re.compile(r"episode_\d{1,9}")


def minari_episodes(path: Path, task: Task, box: Box) -> Iterator[dict[str, np.ndarray]]:
    """Yield the episodes of a Minari dataset's HDF5 file in their order.

    Costs are ``costs`` or ``cost`` of an episode, or ``cost`` of its infos.
    """
    with opened(path) as file:
        names = [name for name in file if _EPISODE.fullmatch(name)]
        if not names:
            raise UserError(f"{path}: has no episode_0, episode_1, ...; not a Minari dataset")
        for finding in _odd_names(file, path, names):
            log.warning("%s: %s", path, finding)
        claimed, steps, with_costs = 0, 0, None
        for name in sorted(names, key=lambda name: int(name.removeprefix("episode_"))):
            group, where = member(file, path, name), f"{path}: {name}"
            if not isinstance(group, h5py.Group):
                raise UserError(f"{where}: is an array, not an episode")
            found = {key: plain_dataset(group, where, source) for key, source in _MINARI.items()}
            costs = _minari_costs(group, where, task)
            if costs is not None:
                found["costs"] = costs
            if with_costs not in (None, "costs" in found):
                have, earlier = ("lacks", "have") if with_costs else ("has", "lack")
                raise UserError(
                    f"{where}: {have} costs, which the episodes before it {earlier}; record them "
                    "in all episodes or in none"
                )
            with_costs = "costs" in found
            claimed += sum(values.nbytes for values in found.values())
            check_claim(path, claimed)
            episode = _minari_episode(found, where, task, box)
            steps += len(episode["rewards"])
            if steps > MAX_STEPS:
                raise UserError(f"{path}: more than {MAX_STEPS} steps cannot be read")
            yield episode


def _odd_names(file: h5py.File, path: Path, names: list[str]) -> list[str]:
    """What there is to say of a Minari file whose episodes are not 0, 1, 2, ... as it says.

    Raises:
        UserError: two episodes have one number.
    """
    numbers = sorted(int(name.removeprefix("episode_")) for name in names)
    twice = [n for n, following in itertools.pairwise(numbers) if n == following]
    if twice:
        raise UserError(f"{path}: has two episodes of number {twice[0]}; take one out")
    lines, last = [], numbers[-1]
    if last >= len(numbers):
        lines.append(f"has {len(numbers)} episodes, and numbers up to {last}: some are gone")
    told = file.attrs.get("total_episodes")
    if isinstance(told, int | np.integer) and told != len(numbers):
        lines.append(f"says that it has {told} episodes, and has {len(numbers)}")
    if others := sorted(set(file) - set(names)):
        lines.append(f"{', '.join(map(shown, others[:5]))}: no episode, left unread")
    return lines


_MINARI = {
    "observations": "observations",
    "actions": "actions",
    "rewards": "rewards",
    "terminals": "terminations",
    "timeouts": "truncations",
}


def _minari_costs(group: h5py.Group, where: str, task: Task) -> h5py.Dataset | None:
    """Return the array of an episode's costs, if there is one."""
    infos = member(group, where, "infos") if "infos" in group else None
    found = {key: (group, where, key) for key in ("costs", "cost") if key in group}
    if isinstance(infos, h5py.Group) and "cost" in infos:
        found["infos/cost"] = infos, f"{where}: infos", "cost"
    if len(found) > 1:
        raise UserError(f"{where}: has costs in {' and '.join(found)}; keep one of them")
    for place in found.values():
        return plain_dataset(*place)
    if task.has_costs:
        raise UserError(
            f"{where}: has no costs, cost or infos/cost; record them, or give labels instead"
        )
    return None


def _minari_episode(
    found: dict[str, h5py.Dataset], where: str, task: Task, box: Box
) -> dict[str, np.ndarray]:
    """Check an episode of T steps and its T + 1 observations; return it in DSRL's layout."""
    n_steps = len(found["rewards"]) if found["rewards"].shape else 0
    if not 0 < n_steps <= MAX_STEPS:
        raise UserError(f"{where}: rewards: {n_steps} steps; 1 to {MAX_STEPS} can be read")
    shapes = {key: {(n_steps,), (n_steps, 1)} for key in found}
    shapes["observations"] = {(n_steps + 1, task.obs_dim)}
    shapes["actions"] = {(n_steps, task.act_dim)}
    # Infos begin with the one of the reset.
    shapes["costs"] = {(n, *more) for n in (n_steps, n_steps + 1) for more in ((), (1,))}
    rows = {}
    for key, values in found.items():
        if values.shape not in shapes[key]:
            needed = min(shapes[key])
            raise UserError(f"{where}: {key}: has shape {values.shape}, {task.name} needs {needed}")
        raw = stored_rows(values, 0, len(values), f"{where}: {key}")
        raw = raw[-n_steps:] if key == "costs" else raw
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
