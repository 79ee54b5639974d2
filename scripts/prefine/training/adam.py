"""Adam (Kingma and Ba, 2015) for a list of stacked parameters, in one fused call a step.

``torch.optim.Adam``'s own kernel without its bookkeeping, which costs a small network more
than the update itself. All tensors share one step count.
"""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

LANES = 16  # floats that a CPU's vector holds at most
BETA_1, BETA_2, EPSILON = 0.9, 0.999, 1e-8  # the paper's and torch's


def uneven(parameter: Tensor) -> bool:
    """Whether a replica's numbers end within a vector.

    The CPU's kernel computes what is left over behind the last whole vector in another way (by an
    ulp), so that a replica's numbers would depend on its place in the stack.
    """
    return parameter.device.type == "cpu" and bool(parameter[0].numel() % LANES)


def padded(tensor: Tensor) -> Tensor:
    """A copy, (R, n), with zeros behind each replica's numbers to whole vectors."""
    flat = tensor.reshape(len(tensor), -1)
    return F.pad(flat, (0, -flat.shape[1] % LANES))


class Adam:
    """Update ``parameters`` in place; ``state`` is all that it remembers, by name.

    Args:
        parameters: each (R, ...).
    """

    def __init__(self, parameters: Sequence[Tensor], learning_rate: float):
        self.parameters, self.learning_rate = list(parameters), learning_rate
        with torch.no_grad():
            places = [padded(p) if uneven(p) else p for p in self.parameters]
            self.first = [torch.zeros_like(place) for place in places]
            self.second = [torch.zeros_like(place) for place in places]
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
            rest = [k for k, p in enumerate(self.parameters) if uneven(p)]
            places, slopes = list(self.parameters), list(gradients)
            for k in rest:
                places[k], slopes[k] = padded(places[k]), padded(slopes[k])
            torch._fused_adam_(
                places,
                [slope.contiguous() for slope in slopes],  # the kernel assumes it
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
            for k in rest:
                own = self.parameters[k]
                own.copy_(places[k][:, : own[0].numel()].reshape(own.shape))
