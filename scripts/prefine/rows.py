"""What the rows of a table tell of each other: whether it is whole, without its hash.

A hash finds every change, where there is one. These find a table that was cut, rows that are
there twice, and columns that were exchanged, whoever reads it.
"""

import hashlib
import itertools
from pathlib import Path

from prefine.errors import UserError, shown
from prefine.reading import is_there
from prefine.results import DELETE, read_object

EPISODES = {"run", "episode", "length", "cost"}
LOG = {"run", "phase", "iteration", "seconds"}
TRAJECTORIES = {"index", "start", "length", "return", "cost", "ended_by"}
SETS = {"tau", "draw", "role", "index"}


def check_rows(path, table) -> None:
    """Refuse episodes, training logs, trajectories and sets that are not what a job writes.

    Args:
        table: a pandas table with the ``attrs`` that were written.

    Raises:
        UserError: with the first run that is not whole.
    """
    about = table.attrs.get("provenance")
    about = about if isinstance(about, dict) else {}
    if set(table) >= EPISODES:
        _check_episodes(path, table, about.get("settings"))
    elif set(table) >= LOG and len(table):
        _check_log(path, table, about.get("runs"))
    elif set(table) >= TRAJECTORIES:
        _check_trajectories(path, table)
    elif set(table) >= SETS and is_there(manifest := Path(path).with_suffix(".json")):
        _check_sets(path, table, read_manifest(manifest))


def _check_episodes(path, table, settings) -> None:
    """Each policy has played the same episodes, 0 to n - 1, of some steps each."""
    asked = settings.get("episodes") if isinstance(settings, dict) else None
    by = [name for name in ("run", "iteration", "who") if name in table]
    found = table.groupby(by, dropna=False)["episode"].agg(["size", "nunique", "min", "max"])
    n = asked or found["size"].max()
    whole = (found == [n, n, 0, n - 1]).all(axis=1)
    if not len(found):
        raise UserError(f"{path}: has no episodes{DELETE}")
    if not whole.all():
        size, first = found["size"][~whole].iloc[0], found.index[~whole][0]
        name = first[0] if isinstance(first, tuple) else first
        raise UserError(
            f"{path}: {shown(name)} has not the episodes 0 to {n - 1}, but {size} rows{DELETE}"
        )
    wrong = (table["length"] < 1) | (table["cost"] < 0)
    if wrong.any():
        row = int(wrong.to_numpy().argmax())
        raise UserError(f"{path}: row {row} has an impossible length or cost{DELETE}")


def _check_log(path, table, runs) -> None:
    """Each run that was trained has as many rows, in the order of its iterations."""
    if isinstance(runs, list):
        known = {run.get("run") for run in runs if isinstance(run, dict)}
        if other := sorted(known ^ set(table["run"]), key=str):
            raise UserError(
                f"{path}: its rows are not of the runs that it was made of: {shown(other[0])}"
                f"{DELETE}"
            )
    sizes = table.groupby("run").size()
    if sizes.min() < sizes.max():
        raise UserError(
            f"{path}: {shown(sizes.idxmin())} has {sizes.min()} rows, others have "
            f"{sizes.max()}{DELETE}"
        )
    steps = table.groupby(["run", "phase"], sort=False)["iteration"].diff().fillna(1)
    if (steps <= 0).any() or (table["iteration"] % 1).any() or (table["seconds"] < 0).any():
        raise UserError(f"{path}: its iterations or seconds run backwards{DELETE}")


def _check_trajectories(path, table) -> None:
    """They follow on each other, and are as many as were counted."""
    ends = table["start"] + table["length"]
    follows = (table["index"] == range(len(table))) & (table["length"] > 0) & ~(table["cost"] < 0)
    follows &= table["start"] == ends.shift(fill_value=0)
    if not follows.all():
        row = int((~follows).to_numpy().argmax())
        raise UserError(f"{path}: row {row} does not follow on the one before{DELETE}")
    checks = Path(path).with_suffix(".json")
    counted = read_object(checks).get("trajectories") if is_there(checks) else None
    if counted not in (None, len(table)):
        raise UserError(f"{path}: has {len(table)} trajectories, {checks} says {counted}{DELETE}")


def _check_sets(path, table, manifest: dict) -> None:
    """Each set is the one whose checksum stands in the manifest beside, and there is no other."""
    sizes = [name for name in manifest["cells"][0] if name in table and name not in ("tau", "draw")]
    by = ["tau", "draw", *sizes]
    sets: dict = {}
    for *cell, role, index in table[[*by, "role", "index"]].itertuples(index=False):
        key = tuple(None if value != value else int(value) for value in cell)
        sets.setdefault(key, {}).setdefault(role, []).append(int(index))
    expected = {tuple(cell[name] for name in by): cell["checksum"] for cell in manifest["cells"]}
    for key, checksum in expected.items():
        found = sets.pop(key, {})
        drawn = (sorted(found.get(role, [])) for role in ("preferred", "nonpreferred"))
        if hashlib.sha256("|".join(map(str, drawn)).encode()).hexdigest() != checksum:
            named = ", ".join(f"{name} {value}" for name, value in zip(by, key, strict=True))
            raise UserError(f"{path}: its sets of {named} are not those of its manifest{DELETE}")
    reference = sets.pop((None,) * len(by), {}).get("reference", [])
    if sets or len(reference) != (0 if sizes else manifest["reference"]["n"]):
        raise UserError(f"{path}: has other sets than its manifest{DELETE}")


def read_manifest(path: str | Path) -> dict:
    """Read what was noted of a task's sets (``preferences/split.py``): every cell is there.

    Raises:
        UserError: it is damaged.
    """
    about = read_object(path, "cells")
    try:
        whole = _lists_what_was_asked(about)
    except (KeyError, TypeError, AttributeError, IndexError):
        whole = False
    if not whole:
        raise UserError(f"{path}: does not list the sets that were asked for{DELETE}")
    return about


def _lists_what_was_asked(about: dict) -> bool:
    cells, asked = about["cells"], about.get("settings")
    if asked:
        sizes, draws = asked.get("sizes") or [{}], range(asked["draws"])
        expected = [
            {"tau": tau, "draw": draw} | size
            for tau, draw, size in itertools.product(asked["thresholds"], draws, sizes)
        ]
        if [{name: cell[name] for name in expected[0]} for cell in cells] != expected:
            return False
    sets = ("preferred", "nonpreferred")
    both = [cell for cell in cells if cell.keys() >= set(sets)]
    if any(cell["feasible"] != all(cell[role]["n"] > 0 for role in sets) for cell in both):
        return False
    if about.get("labelled") or "reused" in about or "n_trajectories" not in about:
        return True
    return all(cell["n_safe"] + cell["n_unsafe"] == about["n_trajectories"] for cell in cells)
