"""The sheets on which a person labels: laid out, filled in again, never written over.

A sheet that a person has changed is left as it is, and a new one goes beside it. Labels that were
given before are filled in where trajectories have the same content.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from prefine import files
from prefine.errors import UserError
from prefine.preferences import labels as tables
from prefine.preferences.content import OtherTrajectories, keys, n_new


def read_sheet(path: Path) -> pd.DataFrame | None:
    """Read a table of labels, or nothing where that is not possible: others say what is wrong."""
    try:
        return tables.read_table(path) if path.exists() else None
    except UserError:
        return None


def known_labels(table: pd.DataFrame, bare: pd.DataFrame) -> dict[str, str]:
    """The labels of a sheet that are of trajectories of another one: fingerprint -> label.

    Args:
        table: what a person filled in.
        bare: trajectory, return, length, fingerprint of the trajectories that are here.
    """
    here = keys(bare) if "fingerprint" in table else keys(bare.drop(columns="fingerprint"))
    names = dict(zip(here, bare["fingerprint"], strict=True))
    pairs = zip(keys(table), table["label"].str.strip(), strict=True)
    return {names[key]: label for key, label in pairs if label and key and key in names}


def filled_in(bare: pd.DataFrame, sources: Sequence[Path]) -> pd.DataFrame:
    """Fill a bare sheet with the labels that were given before; the first source wins."""
    labels: dict[str, str] = {}
    for path in sources:
        table = read_sheet(path)
        if table is not None:
            labels = known_labels(table, bare) | labels
    return bare.assign(label=[labels.get(key, "") for key in bare["fingerprint"]])


def sheets_of(path: Path) -> list[Path]:
    """A sheet and those that were laid beside it, the oldest first: Task.csv, Task.new.csv, ..."""
    others = path.parent.glob(f"{path.stem}.new*.csv")
    return [path, *sorted(others, key=lambda own: (len(own.name), own.name))]


def require_file(path: Path) -> None:
    """Refuse what stands where labels may be, and is none that can be read or written over.

    Raises:
        UserError: a link to nowhere, whose labels may come back, or a folder.
    """
    if path.is_symlink() and not path.exists():
        raise UserError(
            f"{path}: is a link to {path.readlink()}, which is not there; bring it back, or take "
            "the link away"
        )
    if path.is_dir():
        raise UserError(f"{path}: is a folder where a sheet of labels belongs; move it away")


def lay_out(path: Path, table: pd.DataFrame, elsewhere: Sequence[Path] = ()) -> Path:
    """Write a sheet at ``path``, or beside it under another name if a person's labels are there.

    Returns where it is. A sheet that has the same trajectories already is left as it is if anybody
    has touched it.

    Args:
        elsewhere: other tables of labels. What a job wrote is written over if its labels stand
            in the new sheet, in another one or there.
    """
    candidate, number, wanted = path, 1, set(table["fingerprint"])
    for own in (*elsewhere, *sheets_of(path)):
        require_file(own)
    while candidate.exists():
        there = read_sheet(candidate)
        note = files.note_of(candidate)  # of what a job wrote there
        noted = note.read_text("utf-8", "replace").split() if note.exists() else []
        untouched = noted[:1] == [files.sha256(candidate)]
        bare = there is not None and (there["label"].str.strip() == "").all()
        if there is not None and set(keys(there)) == wanted and not (bare or untouched):
            return candidate
        others = [*elsewhere, *(own for own in sheets_of(path) if own != candidate)]
        if bare or (untouched and _labels(there) <= _all_labels(table, others)):
            break
        candidate = path.with_name(f"{path.stem}.new{number if number > 1 else ''}.csv")
        number += 1
    there = read_sheet(candidate)
    same = there is not None and keys(there) == list(table["fingerprint"])
    if not (same and _labels(there) == _labels(table)):
        files.write_table(candidate, table)
    return candidate


def _labels(table: pd.DataFrame | None) -> set[tuple[str | None, str]]:
    """Which content has which label."""
    if table is None:
        return set()
    pairs = zip(keys(table), table["label"].str.strip(), strict=True)
    return {(key, label) for key, label in pairs if label}


def _all_labels(table: pd.DataFrame, elsewhere: Sequence[Path]) -> set[tuple[str | None, str]]:
    return _labels(table).union(*(_labels(read_sheet(path)) for path in elsewhere))


def keep_used(path: Path, sets: Mapping[str, np.ndarray], trajectories: pd.DataFrame) -> None:
    """Write down which labels were used for which content, beside the sheets."""
    labels = pd.Series({int(n): name for name, own in sets.items() for n in own}).sort_index()
    names = trajectories.set_index("index")["fingerprint"]
    used = pd.DataFrame({"trajectory": labels.index, "label": labels.to_numpy()})
    files.write_table(path, used.assign(fingerprint=names[labels.index].to_numpy()))


def check_same_content(path: Path, used: Path, trajectories: pd.DataFrame) -> None:
    """Labels by number alone must be of the trajectories that had these numbers before.

    Args:
        used: what ``keep_used`` wrote when the labels were used last.

    Raises:
        OtherTrajectories: labels are as they were, and their trajectories are not.
    """
    table, before = read_sheet(path), read_sheet(used)
    if table is None or before is None:
        return
    for name in {"fingerprint", "return"} & set(table.columns):
        told = table[name].astype("string").str.strip().fillna("")
        table = table[told == ""]
    before = before.assign(trajectory=pd.to_numeric(before["trajectory"]))
    judged = keys(before)
    numbers = pd.to_numeric(table["trajectory"], errors="coerce")
    now = dict(zip(numbers, table["label"].str.strip(), strict=True))
    # A label that was changed is judged anew; those beside it are not.
    before = before[before["trajectory"].map(now) == before["label"]]
    here = dict(zip(trajectories["index"], trajectories["fingerprint"], strict=True))
    others = [row for row in before.itertuples() if here.get(row.trajectory) != row.fingerprint]
    if others:
        raise OtherTrajectories(
            f"{path}: names trajectories by number, and {len(others)} of {len(before)} are others "
            f"than when these labels were used; {n_new(judged, trajectories)} of the "
            f"{len(trajectories)} that are here were not judged then"
        )
