"""Adam (Kingma and Ba, 2015) for a list of stacked parameters, in one fused call a step.

``torch.optim.Adam``'s own kernel without its bookkeeping, which costs a small network more
than the update itself. All tensors share one step count.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

BETA_1, BETA_2, EPSILON = 0.9, 0.999, 1e-8  # the paper's and torch's


class Adam:
    """Update ``parameters`` in place; ``state`` is all that it remembers, by name."""

    def __init__(self, parameters: Sequence[Tensor], learning_rate: float):
        self.parameters, self.learning_rate = list(parameters), learning_rate
        self.first = [torch.zeros_like(p) for p in self.parameters]
        self.second = [torch.zeros_like(p) for p in self.parameters]
        self.steps = torch.zeros((), device=self.parameters[0].device)

    @property
    def state(self) -> dict[str, Tensor]:
        """Step count and moments; the tensors themselves."""
        moments = {f"first.{k}": tensor for k, tensor in enumerate(self.first)}
        moments |= {f"second.{k}": tensor for k, tensor in enumerate(self.second)}
        return {"steps": self.steps} | moments

    def step(self, gradients: Sequence[Tensor]) -> None:
        """Take one step along gradients of the parameters' shapes."""
        with torch.no_grad():
            self.steps.add_(1)
            torch._fused_adam_(
                self.parameters,
                [gradient.contiguous() for gradient in gradients],  # the kernel assumes it
                self.first,
                self.second,
                [],
                [self.steps] * len(self.parameters),
                lr=self.learning_rate,
                beta1=BETA_1,
                beta2=BETA_2,
                weight_decay=0.0,
                eps=EPSILON,
                amsgrad=False,
                maximize=False,
            )
