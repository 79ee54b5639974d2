"""One opening for every file that is read, whoever wrote it.

A file is looked at before it is read: a regular file of believable size. What is unpacked is
bounded by what comes out, not by what is claimed. Every exception of a parser becomes one line.
What a job of this project wrote is read through ``prefine.results``, which knows its hash.
"""

import contextlib
import functools
import io
import json
import os
import re
import stat
import zipfile
from collections.abc import Iterator
from pathlib import Path

from prefine.errors import UserError, reason, shown
from prefine.files import may

MIB = 2**20
# The largest file of a kind that is read, in bytes.
CONFIG, JSON, TABLE, WEIGHTS = MIB // 4, 16 * MIB, 128 * MIB, 2**33
ARCHIVE = 256 * MIB  # a zip archive; and a pickle that the user trusts
MEMBER = 128 * MIB  # of a zip archive, unpacked
DATA = 2**38  # HDF5, which is read in pieces
STEPS = 20_000_000  # of a dataset; DSRL's largest file has 4.4 million
COLUMNS, LINE, CELLS = 2000, MIB, 10_000_000  # of a CSV: columns, bytes of a line, values
DIGITS = 40  # of an integer; a seed has 20
HOLES = 64 * MIB  # a file above it lies on the disk: it is not made of holes
MOST_EMPTY = 1000
ABSENT = "is not there"


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


def missing(path: str | Path) -> str | None:
    """Why nothing of this name can be read, as the end of a sentence; None where it is there."""
    try:
        os.stat(path)  # noqa: PTH116 (Path has no advantage here)
    except FileNotFoundError:
        return _missing(path)
    except NotADirectoryError:
        return ABSENT
    except OSError as error:
        return f"cannot be looked for ({error.strerror})"
    except ValueError as error:
        return f"cannot be looked for ({error})"
    return None


def not_a_file(path: str | Path) -> str | None:
    """The same, and of a folder."""
    return missing(path) or ("is a folder" if Path(path).is_dir() else None)


def is_there(path: str | Path) -> bool:
    """Whether anything has this name, without an exception whatever the name is."""
    return missing(path) is None


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
    return f"is a link to {path.readlink()}, which is not there" if link else ABSENT


# ---- JSON -------------------------------------------------------------------------------------


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
