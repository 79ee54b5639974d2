"""What a killed Snakemake leaves behind: jobs that still run, and a lock.

Its jobs end with it, for started again it starts them again, and the older one would write the
same files, perhaps with settings that have changed since. Its lock is removed at the next start
on the same machine, so that after any end the same command goes on.
"""

import fcntl
import logging
import os
import select
import signal
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

log = logging.getLogger(__name__)
SNAKEMAKE = "PREFINE_SNAKEMAKE"  # environment variable: the process that started this job
HOLDER = "prefine.flock"  # in .snakemake: held by who works there


def announce() -> None:
    """Tell the jobs that this process starts whose they are."""
    os.environ[SNAKEMAKE] = str(os.getpid())


def end_with_snakemake() -> None:
    """End this process with the one that announced itself, or with a shell between; if any did."""
    if SNAKEMAKE not in os.environ:
        return
    try:
        others = [os.pidfd_open(pid) for pid in ancestors(int(os.environ[SNAKEMAKE]))]
    except ProcessLookupError:
        end()
    threading.Thread(target=end_with, args=(others,), daemon=True).start()


def note_sigterm_in_a_thread(scheduler: type) -> None:
    """Have Snakemake end after a SIGTERM that comes while it selects jobs.

    Its handler asks for a lock that the main thread, which it interrupts, may hold: it would
    wait for ever. A thread waits until the lock is free.
    """
    note = scheduler.exit_gracefully

    def exit_gracefully(self, *_) -> None:
        threading.Thread(target=note, args=(self,), daemon=True).start()

    scheduler.exit_gracefully = exit_gracefully


def ancestors(last: int) -> Iterator[int]:
    """Yield this process's parent, that one's, up to ``last``.

    Raises:
        ProcessLookupError: ``last`` is none of them.
    """
    pid = os.getpid()
    while pid != last:
        if pid <= 1:
            raise ProcessLookupError(last)
        status = Path(f"/proc/{pid}/status").read_text(encoding="utf-8")
        pid = int(status.split("PPid:")[1].split()[0])
        yield pid


def end_with(others: list[int]) -> None:
    """Wait until one of the processes ends, by their file descriptors; then end this one."""
    ended = select.poll()
    for other in others:
        ended.register(other, select.POLLIN)
    ended.poll()
    end()


def end() -> None:
    """End at once, whatever other threads do: files are whole at any moment."""
    os.kill(os.getpid(), signal.SIGKILL)


def remove_stale_lock(folder: Path) -> None:
    """Remove the lock of a Snakemake that was killed here; for the one that starts.

    Everyone holds a shared ``flock`` until he ends, however that comes about, so that who can
    have it alone knows that the locks he finds are nobody's. Not every file system shows
    ``flock`` to other machines, so locks are left alone that were made on another one; it is
    named in the file.

    Args:
        folder: ``.snakemake`` of the working directory.
    """
    try:
        folder.mkdir(exist_ok=True)
        handle = os.open(folder / HOLDER, os.O_CREAT | os.O_RDWR, 0o664)
        if alone(handle):
            here, locks = socket.gethostname().encode(), list(folder.glob("locks/*.lock"))
            if not locks or os.pread(handle, 1024, 0) == here:
                os.truncate(handle, os.pwrite(handle, here, 0))
                for lock in locks:
                    lock.unlink(missing_ok=True)
        fcntl.flock(handle, fcntl.LOCK_SH)  # until the system closes it at this process's end
    except OSError as error:  # a file system without flock, or somebody else's folder
        log.debug("%s: locks are left as they are (%s)", folder, error)


def alone(handle: int) -> bool:
    """Take a file for this process alone; False if others hold it."""
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def leave_lock(folder: Path) -> None:
    """Have the lock left alone if Snakemake is killed; for a job of a cluster, which lives on.

    The user is then told of the lock, and can cancel those jobs before he removes it.
    """
    (folder / HOLDER).write_text("a cluster")
