"""Get one file of DSRL from hosts that die, stall, cut, and change files.

A download goes to a hidden ``.part`` beside its target, resumes where it stopped, is hashed
and checked, and only then takes the target's name. Hashes are kept in a lock file; a file
that is not in it is locked on first use, against what the host itself states of it.
"""

import contextlib
import json
import logging
import re
import shutil
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path

import requests
from filelock import FileLock
from requests.adapters import HTTPAdapter
from urllib3.util import Retry

from prefine import results
from prefine.data import dsrl as dsrl_files
from prefine.errors import NoRoom, UserError
from prefine.files import no_room, sha256, write_json

log = logging.getLogger(__name__)

CONNECT_SECONDS, READ_SECONDS = 10.0, 60.0
ATTEMPTS = 5  # without a single new byte, for each source
FIRST_WAIT, LONGEST_WAIT = 1.0, 120.0
BLOCK = 2**20
RETRIED = {408, 425, 429, 500, 502, 503, 504}
SIGNATURE = b"\x89HDF\r\n\x1a\n"


@dataclass(frozen=True)
class Locked:
    """What a file must be: its hash, its size in bytes, where it first came from."""

    sha256: str
    size: int
    revision: str | None = None
    url: str | None = None


class SourceFailed(Exception):
    """One source cannot give the file; the next one may."""


def read_lock(path: Path) -> dict[str, Locked]:
    """Return file name -> what it must be."""
    known = [field.name for field in fields(Locked)]
    entries = dsrl_files.read_lock(path).items()
    return {name: Locked(**{key: e[key] for key in known if key in e}) for name, e in entries}


def add_to_lock(path: Path, name: str, entry: Locked) -> None:
    """Record a file; other processes may do the same at the same time."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(f"{path}.flock"):
        entries = {known: asdict(locked) for known, locked in read_lock(path).items()}
        write_json(path, entries | {name: asdict(entry)}, noted=False)  # people edit it


def obtain(
    target: Path,
    urls: Sequence[str],
    local: Sequence[Path],
    lock: Path,
    check: Callable[[Path], None],
    offline: bool = False,
    progress: Callable[[int, int | None], None] = lambda done, total: None,
) -> Path:
    """Return a verified file: the target, one of the ``local`` paths, or a download.

    Args:
        target: where a download is put; its name is the file's name in the lock.
        urls: sources, tried in order.
        local: files that are used as they are if hash and content pass.
        check: raises UserError if the content is not what it should be.
        progress: called with bytes so far and in all.

    Raises:
        UserError: nothing passed; the message has every source with its reason.
    """
    name = target.name
    target.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(target.with_name(f".{name}.flock")):
        expected = read_lock(lock).get(name)
        for path in (target, *local):
            if path.exists():
                digest = verify(path, expected, check)
                if expected is None:
                    add_to_lock(lock, name, Locked(digest, path.stat().st_size))
                return path
        if offline:
            raise UserError(f"{name} is not there and offline is set")
        failures = []
        for url in urls:
            part = target.with_name(f".{name}.part")
            try:
                stated = transfer(url, part, expected, progress)
                digest = verify_download(part, stated["sha256"], expected, check)
            except SourceFailed as error:
                log.warning("%s: %s", url, error)
                failures.append(f"{url}: {error}")
                continue
            part.replace(target)
            _notes(part).unlink(missing_ok=True)
            if expected is None:
                log.warning("%s is not in %s: locked now as sha256 %s", name, lock.name, digest)
                size = target.stat().st_size
                add_to_lock(lock, name, Locked(digest, size, stated["revision"], url))
            return target
    raise UserError(f"{name}: no source could give it:", *(f"  {line}" for line in failures))


def verify(path: Path, expected: Locked | None, check: Callable[[Path], None]) -> str:
    """Check hash and content; return the sha256.

    Raises:
        UserError: with both hashes, or with what ``check`` finds.
    """
    digest = sha256(path)
    if expected is not None and digest != expected.sha256:
        raise UserError(
            f"{path}: sha256 is {digest}, the lock says {expected.sha256}; if the file was "
            "changed on purpose, take its entry out of the lock, else delete the file"
        )
    check(path)
    return digest


def verify_download(
    part: Path, stated: str | None, expected: Locked | None, check: Callable[[Path], None]
) -> str:
    """Verify a download, also against the hash that its host states; remove it if it fails."""
    try:
        digest = verify(part, expected, check)
        if stated not in (None, digest):
            raise UserError(f"the bytes have sha256 {digest}, the host states {stated}")
    except UserError as error:
        discard(part)
        raise SourceFailed(str(error)) from None
    return digest


def discard(part: Path) -> None:
    """Remove a download that is of no use, with its notes."""
    part.unlink(missing_ok=True)
    _notes(part).unlink(missing_ok=True)


def transfer(url: str, part: Path, expected: Locked | None, progress) -> dict:
    """Bring all bytes of ``url`` to ``part``, going on from what is there.

    Returns what the host states: ``sha256``, ``revision``, ``etag`` (None where it does not).

    Raises:
        SourceFailed: refused, no data, or nothing new after ``ATTEMPTS``.
    """
    without_news = 0
    with _session() as session:
        while without_news < ATTEMPTS:
            before = _size(part)
            try:
                if stated := _request(session, url, part, expected, progress):
                    return stated
            except requests.RequestException as error:  # an OSError too
                raise SourceFailed(_said(error)) from None
            except OSError as error:
                if (reason := no_room(error)) is None:
                    raise
                raise NoRoom(f"{part}: {reason}") from None
            without_news = 0 if _size(part) > before else without_news + 1
            log.info("%s: the answer was cut; again from byte %d", url, _size(part))
            time.sleep(FIRST_WAIT)
    raise SourceFailed(f"gave up after {ATTEMPTS} attempts: the answer was cut")


def _session() -> requests.Session:
    """A session that asks again, ever later, until an answer begins; cut ones are resumed here."""
    retry = Retry(
        ATTEMPTS - 1,
        status_forcelist=RETRIED,
        raise_on_status=False,
        backoff_factor=FIRST_WAIT,
        backoff_max=LONGEST_WAIT,
        retry_after_max=LONGEST_WAIT,
    )
    session = requests.Session()
    for scheme in ("https://", "http://"):
        session.mount(scheme, HTTPAdapter(max_retries=retry))
    return session


def _said(error: Exception) -> str:
    """Say in a few words what requests says in three lines."""
    if not isinstance(error, requests.ConnectionError | requests.Timeout):
        return str(error)
    late = "timed out" in str(error)
    reason = f"no answer for {READ_SECONDS:.0f} s" if late else "no connection"
    return f"gave up after {ATTEMPTS} attempts: {reason}"


def _size(part: Path) -> int:
    return part.stat().st_size if part.exists() else 0


def _request(session, url: str, part: Path, expected: Locked | None, progress) -> dict | None:
    """Ask once for what is missing; None if the answer was cut, so that more may be asked for."""
    notes = _noted(part)
    # A part of another source stays until this one answers: it may yet be gone on with.
    offset = _size(part) if notes.get("url") == url and notes.get("etag") else 0
    headers = {"Accept-Encoding": "identity"}
    if offset:
        headers |= {"Range": f"bytes={offset}-", "If-Range": notes["etag"]}
    timeout = (CONNECT_SECONDS, READ_SECONDS)
    with session.get(url, headers=headers, stream=True, timeout=timeout) as response:
        stated, status = _stated(response), response.status_code
        if status == 416:  # all of it, or more, is here already
            discard(part)
            return None
        if status not in (200, 206):
            tried = f"gave up after {ATTEMPTS} attempts: " if status in RETRIED else ""
            raise SourceFailed(f"{tried}HTTP {status}")
        if response.headers.get("Content-Type", "").startswith("text/html"):
            raise SourceFailed("the answer is a web page, not data")
        if status == 200:
            offset = 0
        length = response.headers.get("Content-Length")
        total = offset + int(length) if length else None
        _check_size(total, offset, part, expected)
        _notes(part).write_text(json.dumps({"url": url, "etag": stated["etag"]}))
        with part.open("r+b" if offset else "wb") as file:
            file.seek(offset)
            done = offset
            with contextlib.suppress(requests.RequestException):
                for block in response.iter_content(BLOCK):
                    if done == 0 and not block.startswith(SIGNATURE):
                        raise SourceFailed("the answer is not HDF5")
                    file.write(block)
                    file.flush()
                    done += len(block)
                    progress(done, total)
                return stated if total in (None, done) else None
    return None


def _check_size(total: int | None, offset: int, part: Path, expected: Locked | None) -> None:
    """Refuse another size than the lock's, and more than the disk has."""
    if total is None:
        return
    if expected is not None and total != expected.size:
        raise SourceFailed(f"has {total} bytes, the lock says {expected.size}")
    free = shutil.disk_usage(part.parent).free
    if total - offset > free:
        raise UserError(f"{part.parent}: {total - offset:,} bytes are needed, {free:,} are free")


def _stated(response) -> dict:
    """What the host, or the one that redirected to it, says of the file."""
    headers: dict[str, str] = {}
    for answer in (response, *response.history):
        headers |= {key.lower(): value for key, value in answer.headers.items()}
    linked = headers.get("x-linked-etag", "").strip('"')
    return {
        "sha256": linked if re.fullmatch(r"[0-9a-f]{64}", linked) else None,
        "revision": headers.get("x-repo-commit"),
        "etag": response.headers.get("ETag"),
    }


def _noted(part: Path) -> dict:
    """What is written down of a part; nothing if that is not there or of no use."""
    try:
        notes = results.read_json(_notes(part))
    except UserError:
        return {}
    return notes if isinstance(notes, dict) else {}


def _notes(part: Path) -> Path:
    """Where it is written down what a ``.part`` is a part of."""
    return part.with_suffix(".part.json")
