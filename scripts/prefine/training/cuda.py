"""The device of a training job: which GPU, CUDA graphs of the training step, fused kernels.

Small policies are bound by launches on a GPU. A step is captured once, after a few eager
ones, and replayed; random numbers go in through buffers, so nothing is drawn inside.
``torch.compile`` makes one kernel of many, which rounds in another way.
"""

import ctypes
import fcntl
import functools
import logging
import os
import tempfile
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor

from prefine.errors import UserError

log = logging.getLogger(__name__)

M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3  # glibc's malloc.h
COMPILER = (["torch", "_dynamo"], ["torch", "_inductor"])  # whose errors say that it cannot
FUSED_ON = ("cuda",)  # on a CPU a step's numbers stay what they are
EAGER_STEPS = 3  # before capture, so that the optimiser's state and the workspaces exist


class GraphedStep:
    """Run ``step`` eagerly at first, then as a captured graph.

    Args:
        step: does one iteration on tensors that stay where they are; it reads ``buffers``.
        enabled: false to stay eager.
    """

    def __init__(self, step: Callable[[], None], enabled: bool):
        self.step, self.enabled = step, enabled
        self.buffers: dict[str, Tensor] = {}
        self.graph: torch.cuda.CUDAGraph | None = None
        self.eager_steps = 0

    def load(self, noise: dict[str, Tensor]) -> dict[str, Tensor]:
        """Copy an iteration's random numbers to the buffers that the graph reads."""
        if not self.enabled:
            return noise
        if not self.buffers:
            self.buffers = {name: torch.empty_like(v) for name, v in noise.items()}
        for name, values in noise.items():
            self.buffers[name].copy_(values)
        return self.buffers

    def __call__(self) -> None:
        """Do one step."""
        if self.enabled and self.graph is None and self.eager_steps >= EAGER_STEPS:
            self._capture()
        if self.graph is not None:
            self.graph.replay()
        else:
            self.step()
            self.eager_steps += 1

    def _capture(self) -> None:
        torch.cuda.synchronize()
        graph = torch.cuda.CUDAGraph()
        try:
            with torch.cuda.graph(graph):
                self.step()
            self.graph = graph
        except RuntimeError as error:
            self.enabled = False
            reason = str(error).splitlines()[0]
            log.warning("the training step cannot be captured as a CUDA graph: %s", reason)


def fused(function: Callable, enabled: bool) -> Callable:
    """Return the function with its operations fused; it must be one graph of torch's.

    Raises:
        UserError: when it is called, if it cannot be compiled: no C compiler is there.
    """
    if not enabled:
        return function
    graph = torch.compile(function, fullgraph=True, dynamic=False)

    @functools.wraps(function)
    def called(*args):
        try:
            return graph(*args)
        except Exception as error:
            if type(error).__module__.split(".")[0:2] not in COMPILER:
                raise
            reason = next(filter(None, str(error).splitlines()), type(error).__name__)
            raise UserError(
                f"training.compile: torch.compile cannot do it here: {reason}. It needs a C "
                "compiler in PATH, and of a method of your own losses that are one graph "
                "(Phase.compiles); without them set training.compile to false"
            ) from None

    return called


@functools.cache  # the claim ends with the process, whichever way that ends
def claim(count: int) -> int:
    """Take the first of ``count`` GPUs that no other job of this project holds.

    With more jobs than GPUs the last ones share; so do jobs that cannot tell each other of it.
    """
    for number, name in enumerate(names(count)):
        try:
            folder = Path(tempfile.gettempdir(), f"prefine-gpus-{os.getuid()}")
            folder.mkdir(mode=0o700, exist_ok=True)
            handle = os.open(folder / name, os.O_CREAT | os.O_RDWR | os.O_NOFOLLOW, 0o600)
        except OSError as error:  # no folder for temporary files, or somebody else's
            log.warning("jobs may share a GPU, for none can note which it takes: %s", error)
            break
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


def device() -> torch.device:
    """Return CUDA when it is there."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def set_up_torch(settings: dict) -> None:
    """Take a GPU; set the number of threads, precision of matrix products, and allocator."""
    take_one()
    torch.set_num_threads(settings["threads"])
    torch.backends.cuda.matmul.allow_tf32 = settings["tf32"]
    keep_freed_memory()


def keep_freed_memory() -> None:
    """Let glibc keep what a step frees instead of handing it back to the system.

    Every step allocates the same activations anew; fresh pages would be cleared and mapped
    each time. Other allocators are left as they are.
    """
    libc = ctypes.CDLL(None)
    if hasattr(libc, "mallopt"):
        for option in (M_MMAP_THRESHOLD, M_TRIM_THRESHOLD):
            libc.mallopt(option, 2**31 - 1)
