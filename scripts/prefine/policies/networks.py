"""Many small networks at once: every parameter has a leading replica axis R.

One batched matrix product does the layer of all replicas, so a table of runs trains in
one process. Parameters are a flat dict of tensors; nothing mixes replicas, so the
gradient of a sum of losses over replicas is each replica's own gradient.
"""

import math
from collections.abc import Sequence
from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor

Params = dict[str, Tensor]

# What stands between layers; in place where the gradient needs the result alone.
ACTIVATIONS = {
    "relu": torch.relu_,
    "tanh": torch.tanh_,
    "sigmoid": torch.sigmoid_,
    "elu": F.elu,
    "selu": F.selu,
    "leaky_relu": F.leaky_relu,
    "gelu": F.gelu,
    "silu": F.silu,
    "mish": F.mish,
    "softplus": F.softplus,
}
NARROW = 16  # columns below which a product is turned round


def init_linear(n_in: int, n_out: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Return weight (n_in, n_out) and bias (1, n_out), uniform in +-1/sqrt(n_in).

    This is the default of ``torch.nn.Linear``.
    """
    bound = 1.0 / math.sqrt(n_in)
    weight = torch.empty(n_in, n_out).uniform_(-bound, bound, generator=generator)
    bias = torch.empty(1, n_out).uniform_(-bound, bound, generator=generator)
    return weight, bias


def init_mlp(name: str, sizes: Sequence[int], generator: torch.Generator) -> Params:
    """Return one replica's MLP: ``{name}.{layer}.weight`` and ``.bias``."""
    params = {}
    for layer, (n_in, n_out) in enumerate(pairwise(sizes)):
        weight, bias = init_linear(n_in, n_out, generator)
        params[f"{name}.{layer}.weight"], params[f"{name}.{layer}.bias"] = weight, bias
    return params


def init_he_mlp(name: str, sizes: Sequence[int], generator: torch.Generator) -> Params:
    """He-normal weights and no biases to begin with (SafeDICE's discriminator and nu)."""
    params = {}
    for layer, (n_in, n_out) in enumerate(pairwise(sizes)):
        weight = torch.empty(n_in, n_out).normal_(0, math.sqrt(2.0 / n_in), generator=generator)
        params[f"{name}.{layer}.weight"] = weight
        if layer < len(sizes) - 2:
            params[f"{name}.{layer}.bias"] = torch.zeros(1, n_out)
    return params


def mlp(params: Params, name: str, x: Tensor, activation: str = "relu") -> Tensor:
    """Apply an MLP with ``activation`` between its layers: (R, B, n_in) -> (R, B, n_out)."""
    layer, between = 0, ACTIVATIONS[activation]
    while f"{name}.{layer}.weight" in params:
        x = x if layer == 0 else between(x)
        weight, bias = params[f"{name}.{layer}.weight"], params.get(f"{name}.{layer}.bias")
        x = linear(x, weight, bias)
        layer += 1
    return x


def linear(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """x W + b of every replica: (R, B, n_in), (R, n_in, n_out), (R, 1, n_out) -> (R, B, n_out)."""
    if weight.shape[-1] < NARROW and x.device.type == "cpu":
        narrow = NarrowProduct.apply if torch.is_grad_enabled() else narrow_product
        x = narrow(x, weight)
        return x if bias is None else x + bias
    if bias is None:
        return x @ weight
    if torch.compiler.is_compiling():  # which fuses the sum with what comes next
        return torch.bmm(x, weight) + bias
    return torch.baddbmm(bias, x, weight)


def products(rows: Tensor, x: Tensor) -> Tensor:
    """``torch.bmm`` of (R, m, k) and (R, k, n), the same to the last bit for every R.

    With one row, a single product is a matrix by a vector, which sums in another order than the
    products of a batch; it is then computed twice.
    """
    if len(rows) > 1 or rows.shape[1] > 1:
        return torch.bmm(rows, x)
    return torch.bmm(torch.cat([rows, rows]), torch.cat([x, x]))[:1]


def narrow_product(x: Tensor, weight: Tensor) -> Tensor:
    """x W as (W' x')', where W has few columns: a CPU's libraries are slow the other way round.

    Five times at six columns; with one column, a product for each replica by itself. W' is copied,
    for MKL is up to 7 times as slow with a transposed one. Shapes as in ``linear``.
    """
    return products(weight.mT.contiguous(), x.mT).mT.contiguous()


class NarrowProduct(torch.autograd.Function):
    """``narrow_product`` with its gradients."""

    @staticmethod
    def forward(ctx, x: Tensor, weight: Tensor) -> Tensor:
        """(R, B, n_in), (R, n_in, n_out) -> (R, B, n_out)."""
        ctx.save_for_backward(x, weight)
        return narrow_product(x, weight)

    @staticmethod
    def backward(ctx, gradient: Tensor) -> tuple[Tensor | None, Tensor | None]:
        """Of differentiable operations, so that a gradient penalty can pass."""
        (x, weight), (wants_x, wants_weight) = ctx.saved_tensors, ctx.needs_input_grad
        outer = torch.mul if weight.shape[-1] == 1 else torch.bmm
        return (
            outer(gradient, weight.mT) if wants_x else None,
            products(gradient.mT, x).mT if wants_weight else None,
        )


def stack(replicas: Sequence[Params]) -> Params:
    """Stack replicas of one network on a new leading axis."""
    return {name: torch.stack([params[name] for params in replicas]) for name in replicas[0]}


def replica_norm(tensors: Sequence[Tensor]) -> Tensor:
    """Return the Euclidean norm over everything but the replica axis: (R,).

    Sums run along the last axis, where their order does not depend on the number of replicas.
    """
    norms = [torch.linalg.vector_norm(t.flatten(1), dim=1) for t in tensors]
    return torch.linalg.vector_norm(torch.stack(norms, dim=1), dim=1)


def clip_replicas(gradients: Sequence[Tensor], max_norm: float) -> Tensor:
    """Scale each replica's gradient in place to at most ``max_norm``; return the norms (R,)."""
    norms = replica_norm(gradients)
    scale = (max_norm / (norms + 1e-6)).clamp(max=1.0)
    for gradient in gradients:
        gradient.mul_(scale.view(-1, *[1] * (gradient.dim() - 1)))
    return norms
