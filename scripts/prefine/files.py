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

from prefine.errors import NoRoom, UserError

# Reasons why nothing more can be written, and what to do.
NO_ROOM = {
    errno.ENOSPC: "the disk is full; make room and run the same command again",
    errno.EDQUOT: "your quota is used up; make room and run the same command again",
    errno.EFBIG: "`ulimit -f` allows no larger file; raise it and run the same command again",
    errno.EROFS: "the file system is read-only; choose another folder",
}
# The same of its place.
NO_PLACE = {
    errno.ENOENT: "its folder is not there, or was removed meanwhile; run the same command again",
    errno.ENOTDIR: "a part of the path is a file where a folder is needed; move it away",
    errno.EEXIST: "a part of the path is a file or a link to nowhere; move it away",
    errno.EISDIR: "a folder is in its place; move it away",
    errno.ENOTEMPTY: "a folder is in its place; move it away",
    errno.EACCES: "you may not write there; ask who owns the folder, or choose another one",
    errno.EPERM: "you may not write there; ask who owns the folder, or choose another one",
    errno.ELOOP: "its path is a link to itself; take the link away",
    errno.ENAMETOOLONG: "its name is too long for the file system; choose a shorter one",
}

NOTED = (".csv", ".json", ".parquet", ".hdf5")  # what jobs read of each other


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


def no_place(error: Exception, path: Path) -> str | None:
    """Say why ``path`` cannot be in its folder, and what to do; None if ``error`` is of others."""
    if not path.parent.is_dir() and isinstance(error, OSError):
        return NO_PLACE.get(error.errno, NO_PLACE[errno.ENOENT])
    of = getattr(error, "filename", None)
    here = of is not None and (Path(os.fsdecode(of)).parent == path.parent or of == path.parent)
    return NO_PLACE.get(error.errno) if here else None


def may(path: str | Path, mode: int) -> bool:
    """Whether this process may do it (``os.R_OK`` ...), with the rights that it works with."""
    return os.access(path, mode, effective_ids=os.access in os.supports_effective_ids)


def template(module: str, suffix: str) -> Template:
    """The text that stands beside a module (its ``__file__``) under the same name."""
    return Template(Path(module).with_suffix(suffix).read_text(encoding="utf-8"))


def styles(module: str) -> str:
    """A page's CSS: the colours of all pages, light and dark, and what stands beside its module."""
    both = (Path(__file__).with_name("palette.css"), Path(module).with_suffix(".css"))
    return "".join(path.read_text(encoding="utf-8") for path in both)


@contextlib.contextmanager
def room_for(path: Path) -> Iterator[None]:
    """Do what writes ``path``.

    Raises:
        NoRoom: there is no room for it.
        UserError: its folder is none, is gone, or is somebody else's.
    """
    try:
        yield
    except Exception as error:
        if (why := no_room(error)) is not None:
            raise NoRoom(f"{path}: {why}") from None
        if (why := no_place(error, path)) is not None:
            raise UserError(f"{path}: cannot be written: {why}") from None
        raise


@contextlib.contextmanager
def atomic(path: str | Path, noted: bool = True) -> Iterator[Path]:
    """Give a temporary path beside ``path`` and move it there when the block succeeds.

    A reader sees the old file, the new file or none, never half of one.

    What a killed process has left of the same file is removed.

    Args:
        noted: note the hash of what jobs read beside it (``note``), for them to compare.

    Raises:
        NoRoom: there is no room for it.
        UserError: it cannot be written there.
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
            digest = sha256(temporary) if noted and path.suffix in NOTED else None
            note_of(path).unlink(missing_ok=True)  # rather none than one of another content
            temporary.replace(path)
            if digest:
                note(path, digest)
    finally:
        with contextlib.suppress(OSError):  # a folder that is none
            temporary.unlink(missing_ok=True)


def note_of(path: str | Path) -> Path:
    """Where the hash of a file's content is noted; `sha256sum --check` reads it too."""
    path = Path(path)
    return path.with_name(f".{path.name}.sha256")


def note(path: str | Path, digest: str) -> None:
    """Note the hash of a file's content beside it, whole or not at all."""
    target = note_of(path)
    temporary = target.with_name(f"{target.name}.{os.getpid()}.part")
    try:
        with room_for(path):
            temporary.write_text(f"{digest}  {Path(path).name}\n", encoding="utf-8")
            temporary.replace(target)
    finally:
        temporary.unlink(missing_ok=True)


def write_text(path: str | Path, text: str) -> None:
    """Write ``text`` whole or not at all."""
    with atomic(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def write_json(path: str | Path, content: object, noted: bool = True) -> None:
    """Write ``content`` as indented JSON, whole or not at all."""
    with atomic(path, noted) as temporary:
        temporary.write_text(json.dumps(content, indent=2, sort_keys=True) + "\n", encoding="utf-8")


def write_table(path: str | Path, table) -> None:
    """Write a pandas table as CSV or Parquet, by the ending of ``path``."""
    with atomic(path) as temporary:
        if Path(path).suffix == ".parquet":
            table.to_parquet(temporary, index=False, compression="zstd")
        else:
            table.to_csv(temporary, index=False)


def sha256(path: str | Path) -> str:
    """Return the hexadecimal SHA-256 of a file's content."""
    digest = hashlib.sha256()
    with Path(path).open("rb") as handle:
        while block := handle.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()
