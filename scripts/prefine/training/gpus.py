"""Which of a machine's GPUs a job takes, where no scheduler has said so."""

import fcntl
import functools
import os
import tempfile
from pathlib import Path

import torch


@functools.cache  # the claim ends with the process, whichever way that ends
def claim(count: int) -> int:
    """Take the first of ``count`` GPUs that no other job of this project holds.

    With more jobs than GPUs the last ones share.
    """
    folder = Path(tempfile.gettempdir(), f"prefine-gpus-{os.getuid()}")
    folder.mkdir(mode=0o700, exist_ok=True)
    for number, name in enumerate(names(count)):
        handle = os.open(folder / name, os.O_CREAT | os.O_RDWR | os.O_NOFOLLOW, 0o600)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(handle)
            continue
        return number
    return os.getpid() % count


def names(count: int) -> list[str]:
    """The names of the GPUs that this process sees; by number, two jobs may mean different ones."""
    seen = os.environ.get("CUDA_VISIBLE_DEVICES", "").split(",")
    seen = [name.strip().replace("/", "_") for name in seen if name.strip()]
    return seen if len(seen) == count else [str(number) for number in range(count)]


def take_one() -> None:
    """Make a GPU of this job's own the one that ``cuda`` means; without any, nothing."""
    if torch.cuda.is_available():
        torch.cuda.set_device(claim(torch.cuda.device_count()))
