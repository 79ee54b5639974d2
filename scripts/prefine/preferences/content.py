"""Trajectories by their content, which stays what it is when numbers change."""

import hashlib
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from prefine.errors import UserError

CONTENT = ("observations", "actions", "rewards")  # of a trajectory, by which it is known again


class OtherTrajectories(UserError):
    """Labels of trajectories that are not among those that are here."""


def fingerprints(data: Mapping[str, np.ndarray], table: pd.DataFrame) -> list[str]:
    """A short text for each trajectory, equal for equal content alone.

    It begins with a letter, so that no spreadsheet takes it for a number. Trajectories that are
    equal to the last bit are told apart by their order.

    Args:
        data: ``CONTENT`` of all steps.
        table: the trajectory table, with ``start`` and ``length``.
    """
    seen: Counter[str] = Counter()
    found = []
    for row in table.itertuples():
        digest = hashlib.sha256()
        for name in CONTENT:
            part = data[name][row.start : row.start + row.length]
            digest.update(np.ascontiguousarray(part, dtype="<f4").tobytes())
        text = f"t{digest.hexdigest()[:12]}"
        seen[text] += 1
        found.append(text if seen[text] == 1 else f"{text}-{seen[text]}")
    return found


def keys(table: pd.DataFrame) -> list[str | None]:
    """What tells a sheet's trajectories apart: fingerprints, or return and length if it has none.

    None where that is not known, or is that of several.
    """
    if "fingerprint" in table:
        known = table["fingerprint"].astype("string").str.strip()
        return [None if pd.isna(key) or not key else str(key) for key in known]
    if not {"return", "length"} <= set(table.columns):
        return [None] * len(table)
    numbers = table[["return", "length"]].apply(pd.to_numeric, errors="coerce")
    pairs = [f"{total:.3f} in {length:.0f}" for total, length in numbers.to_numpy(float)]
    counts = Counter(pairs)
    return [pair if counts[pair] == 1 and "nan" not in pair else None for pair in pairs]


def by_content(path: Path, table: pd.DataFrame, trajectories: pd.DataFrame) -> pd.DataFrame:
    """Give the rows of a labelled sheet the numbers that their trajectories have here.

    Args:
        table: trajectory, label, fingerprint; rows without a fingerprint keep their number.
        trajectories: the trajectory table, with fingerprints.

    Raises:
        OtherTrajectories: some labels are of none of them.
    """
    places = dict(zip(trajectories["fingerprint"], trajectories["index"], strict=True))
    own = keys(table)
    labelled = table["label"].str.strip() != ""
    gone = np.array([key is not None and key not in places for key in own], dtype=bool)
    lost = int((gone & labelled).sum())
    if lost:
        raise OtherTrajectories(
            f"{path}: {lost} of its {labelled.sum()} labels are of trajectories that are not here "
            f"any more; {n_new(own, trajectories)} of the {len(trajectories)} that are here are new"
        )
    numbers = [places.get(key, old) for key, old in zip(own, table["trajectory"], strict=True)]
    return table.assign(trajectory=numbers)[~gone]


def n_new(own: Sequence[str | None], trajectories: pd.DataFrame) -> int:
    """How many of the trajectories that are here a sheet does not have, by its keys."""
    return int((~trajectories["fingerprint"].isin({key for key in own if key})).sum())


def n_moved(table: pd.DataFrame, trajectories: pd.DataFrame) -> int:
    """How many labels of a sheet are of trajectories that have another number here."""
    here = dict(zip(trajectories["fingerprint"], trajectories["index"], strict=True))
    numbers = pd.to_numeric(table["trajectory"], errors="coerce")
    pairs = zip(keys(table), numbers, table["label"].str.strip(), strict=True)
    return sum(key in here and here[key] != number for key, number, label in pairs if label)
