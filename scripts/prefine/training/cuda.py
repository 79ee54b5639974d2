"""CUDA graphs of the training step: one launch instead of hundreds.

Small policies are bound by launches on a GPU. A step is captured once, after a few eager
ones, and replayed; random numbers go in through buffers, so nothing is drawn inside.
"""

import logging
from collections.abc import Callable

import torch
from torch import Tensor

log = logging.getLogger(__name__)

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
