"""Reading HDF5 that is not trusted: everything is checked before it is read (methods 2.2).

A file can claim any size, point to other files, or hold objects that run code when they are
read. Only hard links to plain numeric arrays of believable size are followed.
"""

import contextlib
import errno
import hashlib
import logging
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from prefine import reading, results
from prefine.data import packing
from prefine.errors import UserError, reason, shown
from prefine.tasks import Task

if TYPE_CHECKING:  # imported where a file is read, for training needs none
    import h5py

log = logging.getLogger(__name__)

VECTORS = ("observations", "next_observations", "actions")
SCALARS = ("rewards", "costs")
FLAGS = ("terminals", "timeouts")
KEYS = VECTORS + SCALARS + FLAGS

MAX_STEPS = reading.STEPS
MAX_COMPRESSION = 100  # logs of simulators shrink a few times; gzip's zeros a thousand times
BLOCK_ROWS = 2**16  # rows in memory twice
Box = tuple[np.ndarray, np.ndarray]  # bounds of actions, low and high, float32
UNIT_BOX: Box = (np.float32(-1.0), np.float32(1.0))
ACTION_SLACK = 1e-3  # of rounding; beyond it an action is not of the box [-1, 1]
BELOW_ZERO = "store violations as positive numbers, 0 where nothing is wrong"
CONTENT = "sha256"  # attribute of a file that this project wrote: array -> hash of its bytes


@contextlib.contextmanager
def opened(path: str | Path) -> "Iterator[h5py.File]":
    """Open a file; what HDF5 itself finds wrong becomes one line."""
    import h5py

    reading.size_of(path, reading.DATA)
    try:
        with h5py.File(path, "r") as file:
            yield file
    except UserError:
        raise
    except BlockingIOError:
        raise UserError(
            f"{path}: another program has it open for writing; close it there and run again (or "
            "set HDF5_USE_FILE_LOCKING=FALSE if none has: some file systems have no locks)"
        ) from None
    except Exception as error:
        if getattr(error, "errno", None) in (errno.ENOLCK, errno.ENOSYS, errno.ENOTSUP):
            finding = "its file system has no locks; set HDF5_USE_FILE_LOCKING=FALSE and run again"
        elif "h5clear" in str(error):
            finding = (
                "its writer has not closed it: wait until that ends; if it ended by a crash, make "
                "a copy and clear the mark there (h5clear -s COPY)"
            )
        else:
            finding = (
                f"cannot be read as HDF5 ({reason(error)}); get or make the file again, and keep "
                "this one until you have the other"
            )
        raise UserError(f"{path}: {finding}") from None


def checked_datasets(file: "h5py.File", path: str | Path, task: Task) -> "dict[str, h5py.Dataset]":
    """Return the arrays of a file in DSRL's layout, none of them read yet.

    Costs may be missing where ``task.has_costs`` is false.

    Raises:
        UserError: an array is missing, is a link elsewhere, is not numeric, claims what the
            file cannot hold, or has another shape than the task's.
    """
    names = {key: key for key in KEYS}
    if "costs" in file and "cost" in file:
        raise UserError(f"{path}: has costs in costs and cost; keep one of them")
    if "costs" not in file and "cost" in file:
        names["costs"] = "cost"  # as in some logs of users
    elif "costs" not in file and not task.has_costs:
        del names["costs"]
    found = {key: plain_dataset(file, path, name) for key, name in names.items()}
    extra = sorted(set(file) - set(names.values()))
    if extra:
        some = ", ".join(shown(name)[1:-1] for name in extra[:8])
        more = f" and {len(extra) - 8} more" if len(extra) > 8 else ""
        log.warning("%s: %s%s: not part of the layout, left unread", path, some, more)
    n_steps = found["rewards"].shape[0] if found["rewards"].shape else 0
    if not 0 < n_steps <= MAX_STEPS:
        raise UserError(f"{path}: rewards: {n_steps} steps; 1 to {MAX_STEPS} can be read")
    width = dict.fromkeys(("observations", "next_observations"), task.obs_dim)
    width["actions"] = task.act_dim
    for key, values in found.items():
        allowed = [(n_steps, width[key])] if key in width else [(n_steps,), (n_steps, 1)]
        if values.shape not in allowed:
            raise UserError(
                f"{path}: {key}: has shape {values.shape}, {task.name} needs {allowed[0]}"
            )
    check_claim(path, sum(values.nbytes for values in found.values()))
    return found


def check_claim(path: str | Path, n_bytes: int) -> None:
    """Refuse arrays that a file of this size cannot hold; holes in it do not count."""
    found = Path(path).stat()
    size = min(found.st_size, found.st_blocks * 512 or found.st_size)
    if n_bytes > MAX_COMPRESSION * size:
        raise UserError(f"{path}: claims {n_bytes:,} bytes of data in a file of {size:,}")


def member(group: "h5py.Group", path: str | Path, key: str):
    """Return a group or array that lies in the file itself."""
    import h5py

    link = group.get(key, getlink=True)
    if link is None:
        layout = f"; DSRL's layout has {', '.join(KEYS)}" if key in KEYS else ""
        raise UserError(f"{path}: lacks {key}{layout}")
    if not isinstance(link, h5py.HardLink):
        raise UserError(f"{path}: {key}: is a link to elsewhere, which is not followed")
    return group[key]


def plain_dataset(group: "h5py.Group", path: str | Path, key: str) -> "h5py.Dataset":
    """Return an array that lies in the file itself and holds numbers."""
    import h5py

    values = member(group, path, key)
    if not isinstance(values, h5py.Dataset):
        raise UserError(f"{path}: {key}: is a group, not an array")
    if values.external or values.is_virtual:
        raise UserError(f"{path}: {key}: its data lie in another file, which is not followed")
    if values.dtype.kind not in "fiub":
        raise UserError(f"{path}: {key}: holds {values.dtype}, not numbers")
    packing.check(values, f"{path}: {key}")
    return values


def read(
    path: str | Path, task: Task, keys: Sequence[str] = KEYS, box: Box = UNIT_BOX
) -> dict[str, np.ndarray]:
    """Read ``keys`` of a dataset in DSRL's layout and check them against the task.

    Returns:
        float32 arrays (N, dim) or (N,) and boolean flags (N,). Actions are clipped to their
        box and scaled to [-1, 1]. Memory is that of the result and of one block of rows.

    Raises:
        UserError: in one line the file, the key and what is wrong with it.
    """
    arrays: dict[str, np.ndarray] = {}
    for start, n_steps, block in blocks(path, task, keys, box):
        for key, rows in block.items():
            if key not in arrays:
                arrays[key] = np.empty((n_steps, *rows.shape[1:]), dtype=rows.dtype)
            arrays[key][start : start + len(rows)] = rows
    return arrays


def blocks(
    path: str | Path, task: Task, keys: Sequence[str] = KEYS, box: Box = UNIT_BOX
) -> Iterator[tuple[int, int, dict[str, np.ndarray]]]:
    """Yield (first step, number of steps in all, checked rows of ``keys``), block by block.

    Of a file that this project wrote the hash of each array is compared, at the end.
    """
    results.intact(path, reading.DATA)
    with opened(path) as file:
        found = checked_datasets(file, path, task)
        n_steps, expected = found["rewards"].shape[0], content_hashes(file, path)
        digests = {key: hashlib.sha256() for key in keys if key in found and key in expected}
        for start in range(0, n_steps, BLOCK_ROWS):
            rows = {}
            for key in (key for key in keys if key in found):
                raw = stored_rows(found[key], start, start + BLOCK_ROWS, f"{path}: {key}")
                if key in digests:
                    digests[key].update(np.ascontiguousarray(raw).data)
                rows[key] = checked_rows(raw, key, start, path, box)
            if start + BLOCK_ROWS >= n_steps:
                check_hashes(path, digests, expected)
            yield start, n_steps, rows


def content_hashes(file: "h5py.File", path: str | Path) -> dict[str, str]:
    """Array -> hash of its bytes, as this project noted it in the file; none in others' files."""
    text = file.attrs.get(CONTENT)
    if text is None:
        return {}
    found = reading.json_of(f"{path}: attribute {CONTENT}", str(text))
    if not isinstance(found, dict):
        raise UserError(f"{path}: attribute {CONTENT}: is no table of hashes")
    return found


def check_hashes(path: str | Path, digests: dict, expected: dict[str, str]) -> None:
    """Raise UserError if an array is not what was written."""
    for key, digest in digests.items():
        if digest.hexdigest() != expected[key]:
            raise UserError(
                f"{path}: {key}: is not what this project wrote; the file was changed or damaged. "
                "If it is a result, move it away, and the same snakemake command makes it anew; "
                f"else get it again (or take its attribute {CONTENT} out if the change is meant)"
            )


def stored_rows(values: "h5py.Dataset", start: int, stop: int, where: str) -> np.ndarray:
    """Rows of an array, unpacked within bounds."""
    packing.check_pieces(values, start, min(stop, len(values)), where)
    return values[start:stop]


def spans(
    path: str | Path, task: Task, keys: Sequence[str], starts: Sequence[int], lengths: Sequence[int]
) -> list[dict[str, np.ndarray]]:
    """Read a few trajectories alone: checked rows of ``keys`` for each start and length.

    Raises:
        UserError: a trajectory reaches beyond the file's end, or a value is wrong.
    """
    with opened(path) as file:
        found = checked_datasets(file, path, task)
        n_steps, parts = found["rewards"].shape[0], []
        for start, length in zip(starts, lengths, strict=True):
            stop = start + length
            if start < 0 or stop > n_steps:
                raise UserError(f"{path}: has {n_steps} steps, none at {stop - 1}")
            part = {}
            for key in (key for key in keys if key in found):
                raw = stored_rows(found[key], start, stop, f"{path}: {key}")
                part[key] = checked_rows(raw, key, start, path)
            parts.append(part)
    return parts


def checked_rows(
    rows: np.ndarray, key: str, start: int, path: str | Path, box: Box = UNIT_BOX
) -> np.ndarray:
    """Return rows of an array as float32 or bool; ``start`` is the number of the first one."""
    if key in SCALARS + FLAGS:
        rows = rows.reshape(-1)
    if key in FLAGS:
        plain = rows.view(np.uint8) if rows.dtype == bool else rows  # a bool may hold a 2
        _require(np.isin(plain, (0, 1)), start, f"{path}: {key}: is neither 0 nor 1")
        return rows.astype(bool)
    with np.errstate(over="ignore"):
        rows = rows.astype(np.float32)
    _require(np.isfinite(rows), start, f"{path}: {key}: is not finite")
    if key == "costs":  # one below zero would pay an unsafe step back
        _require(rows >= 0, start, f"{path}: {key}: is below zero ({BELOW_ZERO})")
    if key != "actions":
        return rows
    low, high = box
    slack = ACTION_SLACK * (high - low) / 2
    inside = (rows >= low - slack) & (rows <= high + slack)
    _require(inside, start, f"{path}: {key}: is outside of the box [{_text(low)}, {_text(high)}]")
    if np.any(low != -1) or np.any(high != 1):
        rows = 2 * (rows - low) / (high - low) - 1
    return np.clip(rows, -1.0, 1.0).astype(np.float32, copy=False)


def _text(bound: float | np.ndarray) -> str:
    values = np.unique(bound)
    return f"{values[0]:g}" if len(values) == 1 else str(values.tolist())


def _require(good: np.ndarray, start: int, finding: str) -> None:
    """Raise at the first row that is not good."""
    if not good.all():
        row = start + int(np.argwhere(~good)[0, 0])
        raise UserError(f"{finding} at step {row}")
