"""What the results of a run tell of a file among them: its hash, its list, its place.

A job notes the hash of what it writes; a published result has one list of hashes. A file is
compared with it before it is read, and its rows with the place where it lies.
"""

import functools
import logging
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TypeVar

from prefine.errors import UserError, shown
from prefine.files import NOTED, note_of, sha256
from prefine.reading import JSON, is_there, json_of, read_text, refused_in_one_line, size_of

Content = TypeVar("Content")
ANEW = (
    "it was changed or damaged after it was written; move it away, and the same snakemake command "
    "makes it anew (or remove {note} if the change is meant)"
)
SUMS = "SHA256SUMS"  # of a published result, as `sha256sum --check` reads it
DELETE = "; if it is a result, move it away, and the same snakemake command makes it anew"


def intact(path: str | Path, largest: int) -> int:
    """Compare a file with the hash that was noted when it was written, if one was; its size.

    A published result has one list of hashes in place of notes. Of a job's result without either
    it is said that nothing was compared.

    Raises:
        UserError: it has changed since; or as ``size_of``.
    """
    size = size_of(path, largest)
    noted = note_of(path)
    if is_there(noted) or noted.is_symlink():
        expected = read_text(noted, 1000).split(" ")[0]
    elif not _of_a_job(path):
        return size
    elif (expected := _published(path)) is None:
        _say_once(f"{path}: has no note of its hash, {noted.name}: read without a comparison")
        return size
    else:
        noted = Path(*Path(path).parts[:2], SUMS)
    with refused_in_one_line(path):
        digest = _digest(str(path), *_identity(path))
    if digest != expected:
        raise UserError(f"{path}: {ANEW.format(note=noted)}")
    return size


def hashed(path: str | Path, read: Callable[[], Content]) -> tuple[Content, str]:
    """What ``read`` makes of a file, and the hash of the file that it was.

    The hash belongs to what was read, whatever becomes of the file while a job goes on with it.

    Raises:
        UserError: it changed meanwhile; or as ``read``.
    """
    before = _identity(path) if is_there(path) else ()
    content = read()  # which says what is wrong with a file; a pipe is not to be hashed
    digest = _digest(str(path), *before)
    if _identity(path) != before:
        raise UserError(f"{path}: changed while it was read; run the same command again")
    return content, digest


def _identity(path: str | Path) -> tuple[int, ...]:
    found = Path(path).stat()
    return found.st_mtime_ns, found.st_size, found.st_ino


def _of_a_job(path: str | Path) -> bool:
    """Whether a path, as jobs are told it, is of results that have notes; data have their own."""
    parts, suffix = Path(path).parts, Path(path).suffix
    noted = suffix in NOTED and suffix != ".hdf5"
    return noted and parts[0] == "results" and len(parts) > 3 and parts[2] != "logs"


def _published(path: str | Path) -> str | None:
    """The hash of a file in the list of a published result."""
    sums = Path(*Path(path).parts[:2], SUMS)
    if not is_there(sums):
        return None
    known = _sums(str(sums), sums.stat().st_mtime_ns)
    return known.get(Path(*Path(path).parts[2:]).as_posix())


@functools.lru_cache(maxsize=16)
def _sums(path: str, _: int) -> dict[str, str]:
    return read_sums(Path(path))


def read_sums(path: Path) -> dict[str, str]:
    """File -> its hash; nothing where nothing was published.

    Raises:
        UserError: it is no list of hashes.
    """
    if not path.exists():
        return {}
    sums = {}
    for line in read_text(path, JSON).splitlines():
        digest, space, name = line.partition("  ")
        if not space or len(digest) != 64 or Path(name).is_absolute() or ".." in Path(name).parts:
            raise UserError(f"{path}: is no list of SHA-256 hashes: {line[:100]!r}")
        sums[name] = digest
    return sums


@functools.lru_cache(maxsize=4096)
def _say_once(text: str) -> None:
    logging.warning("%s", text)


@functools.lru_cache(maxsize=256)
def _digest(path: str, *identity: int) -> str:
    return sha256(path)


JOBS = ("policies", "snapshots", "episodes", "curves", "validation", "plans", "training")


def check_place(path: str | Path, runs: Iterable[object]) -> None:
    """Refuse a result of other runs than those whose results belong there.

    A job's results lie in results/{run}/{kind}/{study}/{task}/{arm}, π_ref's in
    results/{run}/.../reference/{task}; a run's name begins with study, arm and task.

    Raises:
        UserError: with the name of a run that it holds.
    """
    parts, stem = Path(path).parts, Path(path).stem
    if parts[0] != "results" or len(parts) < 4:
        return
    if parts[-2] == "reference":
        begin = f"{stem}/"
    elif len(parts) > 4 and parts[-4] in JOBS:
        begin = f"{parts[-3]}/{stem}/{parts[-2]}/"
    else:
        return
    other = next((run for run in runs if not str(run).startswith(begin)), None)
    if other is not None:
        raise UserError(f"{path}: holds {shown(other)}, another run than belongs there{DELETE}")


def read_json(path: str | Path, largest: int = JSON, advice: str = "") -> object:
    """Read JSON in which no key stands twice and no number is of absurd length."""
    intact(path, largest)
    return json_of(path, read_text(path, largest), advice)


def read_object(path: str | Path, *keys: str, largest: int = JSON, advice: str = DELETE) -> dict:
    """Read JSON that must be an object with these keys."""
    content = read_json(path, largest, advice)
    if not isinstance(content, dict):
        raise UserError(f"{path}: is no JSON object{advice}")
    if missing := [key for key in keys if key not in content]:
        raise UserError(f"{path}: lacks {', '.join(missing)}{advice}")
    return content
