"""Files that appear whole or not at all, and hashes of their content."""

import contextlib
import errno
import hashlib
import json
import os
from collections.abc import Iterator
from pathlib import Path

from prefine.errors import UserError


@contextlib.contextmanager
def atomic(path: str | Path) -> Iterator[Path]:
    """Give a temporary path beside ``path`` and move it there when the block succeeds.

    A reader sees the old file, the new file or none, never half of one.

    Raises:
        UserError: the disk is full.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.stem}.{os.getpid()}.part{path.suffix}")
    try:
        yield temporary
        with temporary.open("rb") as handle:
            os.fsync(handle.fileno())
        temporary.replace(path)
    except Exception as error:
        # Writers in C and Rust (HDF5, safetensors) keep the number in the text alone.
        full = os.strerror(errno.ENOSPC)
        if getattr(error, "errno", None) != errno.ENOSPC and full not in str(error):
            raise
        raise UserError(
            f"{path}: the disk is full; make room and run the same command again"
        ) from None
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


def sha256(path: str | Path) -> str:
    """Return the hexadecimal SHA-256 of a file's content."""
    digest = hashlib.sha256()
    with Path(path).open("rb") as handle:
        while block := handle.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()
