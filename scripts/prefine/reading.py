"""One opening for every file that is read, whoever wrote it.

A file is looked at before it is read: a regular file of believable size. What is unpacked is
bounded by what comes out, not by what is claimed. Every exception of a parser becomes one line.
What a job of this project wrote is compared with the hash that was noted with it.
"""

import contextlib
import functools
import io
import json
import logging
import os
import re
import stat
import zipfile
from collections.abc import Iterable, Iterator
from pathlib import Path

from prefine.errors import UserError, reason, shown
from prefine.files import NOTED, may, note_of, sha256

MIB = 2**20
# The largest file of a kind that is read, in bytes.
CONFIG, JSON, TABLE, WEIGHTS = MIB // 4, 16 * MIB, 128 * MIB, 2**33
ARCHIVE = 256 * MIB  # a zip archive; and a pickle that the user trusts
MEMBER = 128 * MIB  # of a zip archive, unpacked
DATA = 2**38  # HDF5, which is read in pieces
COLUMNS, LINE, CELLS = 2000, MIB, 10_000_000  # of a CSV: columns, bytes of a line, values
DIGITS = 40  # of an integer; a seed has 20
HOLES = 64 * MIB  # a file above it lies on the disk: it is not made of holes
MOST_EMPTY = 1000
ANEW = (
    "it was changed or damaged after it was written; move it away, and the same snakemake command "
    "makes it anew (or remove {note} if the change is meant)"
)
SUMS = "SHA256SUMS"  # of a published result, as `sha256sum --check` reads it
DELETE = "; if it is a result, move it away, and the same snakemake command makes it anew"


# ---- Any file ---------------------------------------------------------------------------------


def size_of(path: str | Path, largest: int) -> int:
    """The size of a regular file that may be read, in bytes.

    Raises:
        UserError: it is not there, is no file, may not be read, or is larger than ``largest``.
    """
    path = Path(path)
    with refused_in_one_line(path):
        found = path.stat()
    check_kind(path, found, largest)
    if not may(path, os.R_OK):
        raise UserError(f"{path}: may not be read by this user; give yourself the right (chmod)")
    return found.st_size


def check_kind(path: str | Path, found: os.stat_result, largest: int) -> None:
    """Raise UserError for what is no regular file, or too large a one."""
    for test, kind in _KINDS:
        if test(found.st_mode):
            raise UserError(f"{path}: is {kind}, not a file")
    if found.st_size > largest:
        raise UserError(f"{path}: has {found.st_size:,} bytes; {largest:,} are allowed")
    on_disk = getattr(found, "st_blocks", 0) * 512
    if found.st_size > HOLES and 0 < on_disk < found.st_size // MOST_EMPTY:
        raise UserError(
            f"{path}: has {found.st_size:,} bytes, of which {on_disk:,} are on the disk; the rest "
            "are holes"
        )


_KINDS = (
    (stat.S_ISDIR, "a folder"),
    (stat.S_ISFIFO, "a pipe"),
    (stat.S_ISCHR, "a device"),
    (stat.S_ISBLK, "a device"),
    (stat.S_ISSOCK, "a socket"),
)


def is_there(path: str | Path) -> bool:
    """Whether anything has this name, without an exception whatever the name is."""
    try:
        return os.path.exists(path)  # noqa: PTH110 (Path.exists raises for some names)
    except (OSError, ValueError):
        return False


def read_bytes(path: str | Path, largest: int) -> bytes:
    """The content of a regular file of at most ``largest`` bytes."""
    with refused_in_one_line(path):
        # Opening a pipe would wait for its writer.
        handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        with os.fdopen(handle, "rb") as file:
            check_kind(path, os.fstat(handle), largest)
            content = file.read(largest + 1)
    if len(content) > largest:  # it grew, or a file system says 0 of all its files
        raise UserError(f"{path}: has more than the {largest:,} bytes that are allowed")
    return content


def read_text(path: str | Path, largest: int) -> str:
    """The content of a text file in UTF-8."""
    with refused_in_one_line(path, "is not text in UTF-8"):
        return read_bytes(path, largest).decode("utf-8")


@contextlib.contextmanager
def refused_in_one_line(
    path: str | Path, finding: str = "cannot be read", advice: str = ""
) -> Iterator[None]:
    """Turn every exception of what reads ``path`` into one line.

    Args:
        finding: what is wrong with the file if its parser fails, such as "is not YAML".
        advice: what to do then.
    """
    try:
        yield
    except UserError:
        raise
    except FileNotFoundError:
        raise UserError(f"{path}: {_missing(path)}") from None
    except NotADirectoryError:
        raise UserError(f"{path}: is not there; a part of its path is a file") from None
    except IsADirectoryError:
        raise UserError(f"{path}: is a folder, not a file") from None
    except PermissionError:
        raise UserError(
            f"{path}: may not be read by this user; give yourself the right (chmod)"
        ) from None
    except MemoryError:
        raise UserError(f"{path}: {finding}: it would take more memory than there is") from None
    except RecursionError:
        raise UserError(f"{path}: {finding}: it is nested too deep{advice}") from None
    except Exception as error:
        raise UserError(f"{path}: {finding} ({reason(error)}){advice}") from None


def _missing(path: str | Path) -> str:
    path = Path(path)
    link = path.is_symlink()
    return f"is a link to {path.readlink()}, which is not there" if link else "is not there"


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
        found = Path(path).stat()
        digest = _digest(str(path), found.st_mtime_ns, found.st_size, found.st_ino)
    if digest != expected:
        raise UserError(f"{path}: {ANEW.format(note=noted)}")
    return size


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


# ---- JSON -------------------------------------------------------------------------------------


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


def json_of(path: str | Path, text: str | bytes, advice: str = "") -> object:
    """The content of JSON text; ``path`` says in messages where it stands."""
    with refused_in_one_line(path, "is not JSON", advice):
        return json.loads(text, object_pairs_hook=functools.partial(_once, path), parse_int=_int)


def _once(path: str | Path, pairs: list[tuple]) -> dict:
    content = dict(pairs)
    if len(content) < len(pairs):
        seen: set = set()
        twice = next(key for key, _ in pairs if key in seen or seen.add(key))
        raise UserError(f"{path}: {shown(twice)} is there twice; take one out")
    return content


def _int(text: str) -> int:
    if len(text) > DIGITS:
        raise ValueError(f"a number of {len(text):,} digits is too large")
    return int(text)


# ---- Zip archives -----------------------------------------------------------------------------


@contextlib.contextmanager
def opened_zip(path: str | Path, largest: int = ARCHIVE) -> Iterator["Members"]:
    """Open a zip archive whose members are read within bounds."""
    finding = "is not a zip archive, or a damaged one"
    content = io.BytesIO(read_bytes(path, largest))
    with refused_in_one_line(path, finding), members(path, content) as found:
        yield found


@contextlib.contextmanager
def members(path: str | Path, file: io.BytesIO) -> Iterator["Members"]:
    """The members of an archive in memory; ``path`` says in messages where it lies."""
    end = zipfile._EndRecData(file)  # a list of millions of names would be read as it is
    if end is not None and end[5] > MIB:
        raise UserError(f"{path}: lists more members than an archive of a policy has")
    with zipfile.ZipFile(file) as archive:
        yield Members(path, archive)


class Members:
    """The members of a zip archive, each unpacked up to a bound."""

    def __init__(self, path: str | Path, archive: zipfile.ZipFile):
        self._path, self._archive = path, archive
        self.names = set(archive.namelist())

    def read(self, name: str, most: int = MEMBER) -> bytes:
        """Unpack one member.

        Raises:
            UserError: it is not there, is packed in an unusual way, or unpacks to more than
                ``most`` bytes, whatever the archive claims.
        """
        if name not in self.names:
            raise UserError(f"{self._path}: lacks {shown(name)}")
        info = self._archive.getinfo(name)
        if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            raise UserError(f"{self._path}: {shown(name)} is packed in an unusual way")
        with self._archive.open(info) as member:
            parts, left = [], most
            while part := member.read(min(MIB, left + 1)):
                parts.append(part)
                left -= len(part)
                if left < 0:
                    raise UserError(
                        f"{self._path}: {shown(name)} unpacks to more than {most:,} bytes"
                    )
        return b"".join(parts)

    def stored(self) -> bool:
        """Whether nothing in it is packed, so that it is no larger than its file."""
        infos = self._archive.infolist()
        return all(
            info.compress_type == zipfile.ZIP_STORED and info.compress_size == info.file_size
            for info in infos
        )


NO_TEXT = ("na", "null", "none", "true", "false")


def is_a_value(text: str) -> bool:
    """Whether a word in a CSV is read as a number, as true or false, or as nothing at all."""
    try:
        float(text)
    except ValueError:
        return text.lower() in NO_TEXT
    return True


def version_number(text: str) -> str:
    """A version that a file names, or "unknown": text of a file goes into reports."""
    text = text.strip()
    return text if re.fullmatch(r"[0-9A-Za-z.+_-]{1,32}", text) else "unknown"
