"""Files that appear whole or not at all, and hashes of their content."""

import contextlib
import errno
import glob
import hashlib
import json
import os
from collections.abc import Iterator
from pathlib import Path
from string import Template

from prefine.errors import NoRoom

# Reasons why nothing more can be written, and what to do.
NO_ROOM = {
    errno.ENOSPC: "the disk is full; make room and run the same command again",
    errno.EDQUOT: "your quota is used up; make room and run the same command again",
    errno.EFBIG: "`ulimit -f` allows no larger file; raise it and run the same command again",
    errno.EROFS: "the file system is read-only; choose another folder",
}


def no_room(error: Exception) -> str | None:
    """Say why nothing more can be written, and what to do; None if ``error`` says otherwise.

    Writers in C and Rust (HDF5, safetensors) keep the number in the text alone.
    """
    return next(
        (
            text
            for number, text in NO_ROOM.items()
            if getattr(error, "errno", None) == number or os.strerror(number) in str(error)
        ),
        None,
    )


def template(module: str, suffix: str) -> Template:
    """The text that stands beside a module (its ``__file__``) under the same name."""
    return Template(Path(module).with_suffix(suffix).read_text(encoding="utf-8"))


@contextlib.contextmanager
def room_for(path: Path) -> Iterator[None]:
    """Do what writes ``path``.

    Raises:
        NoRoom: there is no room for it.
    """
    try:
        yield
    except Exception as error:
        if (reason := no_room(error)) is None:
            raise
        raise NoRoom(f"{path}: {reason}") from None


@contextlib.contextmanager
def atomic(path: str | Path) -> Iterator[Path]:
    """Give a temporary path beside ``path`` and move it there when the block succeeds.

    A reader sees the old file, the new file or none, never half of one.

    What a killed process has left of the same file is removed.

    Raises:
        NoRoom: there is no room for it.
    """
    path = Path(path)
    begin, end = f".{path.stem}.", f".part{path.suffix}"
    temporary = path.with_name(f"{begin}{os.getpid()}{end}")
    try:
        with room_for(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            for left in path.parent.glob(f"{glob.escape(begin)}[0-9]*{glob.escape(end)}"):
                left.unlink(missing_ok=True)
            yield temporary
            with temporary.open("rb") as handle:
                os.fsync(handle.fileno())
            temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def write_text(path: str | Path, text: str) -> None:
    """Write ``text`` whole or not at all."""
    with atomic(path) as temporary:
        temporary.write_text(text)


def write_json(path: str | Path, content: object) -> None:
    """Write ``content`` as indented JSON, whole or not at all."""
    write_text(path, json.dumps(content, indent=2, sort_keys=True) + "\n")


def write_table(path: str | Path, table) -> None:
    """Write a pandas table as CSV or Parquet, by the ending of ``path``."""
    with atomic(path) as temporary:
        if Path(path).suffix == ".parquet":
            table.to_parquet(temporary, index=False)
        else:
            table.to_csv(temporary, index=False)


def read_csv(path: str | Path, **options):
    """Read a CSV as a pandas table whose numbers are those that were written.

    By default pandas may miss the last bit.
    """
    import pandas as pd

    return pd.read_csv(path, float_precision="round_trip", **options)


def sha256(path: str | Path) -> str:
    """Return the hexadecimal SHA-256 of a file's content."""
    digest = hashlib.sha256()
    with Path(path).open("rb") as handle:
        while block := handle.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()
