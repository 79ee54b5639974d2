"""Whether two files hold the same numbers, to the last bit, and if not where they differ.

What depends on the clock is left out: columns of seconds, the claims about time.
"""

import json
from collections.abc import Iterator
from pathlib import Path

import h5py
import numpy as np
import pandas as pd
from safetensors import safe_open

CLOCK_COLUMNS = ["seconds", "train_seconds"]
CLOCK_CLAIMS = ["faster", "hours"]
ORIGIN = "provenance: "  # begins the name of what is no number
# A file that says how long something took, or has the hash of one that does.
CLOCK_FILES = ("timing.*", "fig04_*", "claims.md", "index.html", ".*.sha256")


def depends_on_the_clock(path: Path) -> bool:
    """Whether a file says how long something took, so that no two are alike."""
    return any(path.match(pattern) for pattern in CLOCK_FILES)


def first_difference(left: Path, right: Path, provenance: bool = True) -> str | None:
    """Say where two files differ first; None if they hold the same numbers.

    Args:
        provenance: compare too what the files say of where they come from.
    """
    readers = {".safetensors": tensors, ".hdf5": datasets, ".csv": columns, ".parquet": columns}
    if left.suffix not in readers:
        return None if left.read_bytes() == right.read_bytes() else "its bytes"
    read = readers[left.suffix]
    found = [
        {name: array for name, array in read(path) if provenance or not name.startswith(ORIGIN)}
        for path in (left, right)
    ]
    return first_of(*found)


def first_of(left: dict[str, np.ndarray], right: dict[str, np.ndarray]) -> str | None:
    """Say in which array two files differ first, how often and by how much."""
    if left.keys() != right.keys():
        return f"{min(left.keys() ^ right.keys())} is in one of them only"
    return next((f"{k}: {text}" for k in left if (text := unequal(left[k], right[k]))), None)


def unequal(left: np.ndarray, right: np.ndarray) -> str | None:
    """Say how two arrays differ; None if no bit does."""
    if left.shape != right.shape or left.dtype != right.dtype:
        return f"{left.dtype} {left.shape} and {right.dtype} {right.shape}"
    if left.dtype == object:
        differ = left.astype(str) != right.astype(str)
    else:  # NaN equals NaN, and 0.0 is not -0.0
        kind = f"V{left.dtype.itemsize}"
        differ = np.ascontiguousarray(left).view(kind) != np.ascontiguousarray(right).view(kind)
    if not differ.any():
        return None
    text = f"{np.count_nonzero(differ)} of {differ.size} differ"
    place = np.unravel_index(np.argmax(differ), differ.shape)
    text += f", first at {list(map(int, place))}: {left[place]} and {right[place]}"
    if np.issubdtype(left.dtype, np.number):
        gaps = np.abs(left[differ].astype(float) - right[differ].astype(float))
        text += f"; max abs difference {np.max(gaps, where=gaps == gaps, initial=0.0):.3g}"
    return text


def origin(metadata: dict) -> Iterator[tuple[str, np.ndarray]]:
    """What a file says of where it comes from, an array of one text for each key."""
    for key in sorted(metadata):
        yield f"{ORIGIN}{key}", np.array([json.dumps(metadata[key], sort_keys=True)], object)


def tensors(path: Path) -> Iterator[tuple[str, np.ndarray]]:
    """The tensors of a policy file."""
    with safe_open(path, "numpy") as file:
        for name in sorted(file.keys()):
            yield name, file.get_tensor(name)
        yield from origin(json.loads((file.metadata() or {}).get("prefine", "{}")))


def datasets(path: Path) -> Iterator[tuple[str, np.ndarray]]:
    """The arrays of a dataset."""
    with h5py.File(path) as file:
        yield from ((name, file[name][()]) for name in sorted(file))
        yield from origin({name: str(value) for name, value in file.attrs.items()})


def columns(path: Path) -> Iterator[tuple[str, np.ndarray]]:
    """The columns of a table; numbers of a CSV as they are written."""
    parquet = path.suffix == ".parquet"
    table = pd.read_parquet(path) if parquet else pd.read_csv(path, dtype=str, na_filter=False)
    if path.name == "claims.csv":
        table = table[~table["claim"].isin(CLOCK_CLAIMS)]
    table = table.drop(columns=CLOCK_COLUMNS, errors="ignore")
    yield from ((str(name), table[name].to_numpy()) for name in table)
    yield from origin(table.attrs.get("provenance", {}))
