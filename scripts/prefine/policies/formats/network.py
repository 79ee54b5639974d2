"""From the layers of a policy network, whoever trained it, to a policy class of this project."""

import math
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from prefine.errors import UserError
from prefine.policies.formats.normalise import Standardiser
from prefine.policies.gaussian import DeterministicPolicy, GaussianPolicy, WideTanhGaussianPolicy
from prefine.policies.networks import ACTIVATIONS, Params

Layer = tuple[Tensor, Tensor]  # weight (n_out, n_in) and bias (n_out,), as torch.nn.Linear's
SQUASHES = ("none", "mean", "tanh")
# SB3 keeps its samples as far from the pole of the density.
EDGE = 1e-6


@dataclass(frozen=True)
class Network:
    """An MLP and what its output means.

    ``squash`` is ``none`` (actions in the environment's units, clipped to its box), ``mean``
    (the mean is tanh of the output, in [-1, 1]) or ``tanh`` (so is the action). ``log_std`` is
    ``fixed`` (one value a dimension, ``log_std_value``), ``state`` (the second half of the
    output, within ``log_std_bounds``) or ``none``: no density.
    """

    layers: list[Layer]
    activation: str
    squash: str
    log_std: str
    log_std_value: Tensor | None = None
    log_std_bounds: tuple[float, float] = (-math.inf, math.inf)
    standardiser: Standardiser | None = None
    about: dict = field(default_factory=dict)

    @property
    def obs_dim(self) -> int:
        """Size of an observation."""
        return self.layers[0][0].shape[1]

    @property
    def act_dim(self) -> int:
        """Size of an action."""
        n_out = self.layers[-1][0].shape[0]
        return n_out // 2 if self.log_std == "state" else n_out


def check_layers(path: Path, layers: list[Layer]) -> None:
    """Raise UserError where one layer does not follow the other."""
    n_in = None
    for number, (weight, bias) in enumerate(layers):
        if weight.ndim != 2 or bias.shape != weight.shape[:1]:
            raise UserError(f"{path}: layer {number} is not a linear layer's weight and bias")
        if not min(weight.shape):
            raise UserError(f"{path}: layer {number} has width 0")
        if n_in not in (None, weight.shape[1]):
            raise UserError(
                f"{path}: layer {number} takes {weight.shape[1]} numbers, the one before it gives "
                f"{n_in}; a plain MLP is needed"
            )
        n_in = weight.shape[0]


def check_activation(path: Path, name: str) -> str:
    """Return a name that `networks.mlp` knows."""
    if name not in ACTIVATIONS:
        raise UserError(
            f"{path}: activation {name!r} is not known; set policy.activation to one of "
            f"{', '.join(ACTIVATIONS)} if it is one of them"
        )
    return name


def build(network: Network, low: np.ndarray, high: np.ndarray, clip: float | None):
    """Return the policy class and its parameters (1, ...), actions in [-1, 1].

    Args:
        low, high: (act_dim,) the box of the environment's own actions.
        clip: standardised observations are clipped to +-clip; None leaves them.
    """
    layers = [(weight.double(), bias.double()) for weight, bias in network.layers]
    bounds, value = network.log_std_bounds, network.log_std_value
    value = None if value is None else value.double()
    if network.squash == "none" and network.act_dim == len(low):
        half, centre = (torch.from_numpy(v) for v in ((high - low) / 2, (high + low) / 2))
        layers[-1] = rescaled(layers[-1], half, centre)
        if value is not None:
            value = value - half.log()
        bounds = shifted(bounds, half)
    sizes = network.obs_dim, network.act_dim, tuple(len(bias) for _, bias in layers[:-1])
    common = {"activation": network.activation, "obs_clip": clip}
    if network.log_std == "none":
        policy = DeterministicPolicy(*sizes, **common, squash=network.squash != "none")
    elif network.squash == "tanh":
        if value is not None:  # the same density: a log sigma that no state changes yet
            layers[-1], value = with_constant(layers[-1], value), None
        limits = {"log_std_min": bounds[0], "log_std_max": bounds[1], "edge": EDGE}
        policy = WideTanhGaussianPolicy(*sizes, **common, **limits)
    else:
        if value is not None:  # bounds that training needs and that hold what is there
            own = GaussianPolicy.log_std_min, GaussianPolicy.log_std_max
            bounds = min(own[0], value.min().item()), max(own[1], value.max().item())
        limits = {"log_std_min": bounds[0], "log_std_max": bounds[1]}
        means = {"squash_mean": network.squash == "mean", "fixed_std": value is not None}
        policy = GaussianPolicy(*sizes, **common, **limits, **means)
    return policy, parameters(layers, value)


def rescaled(layer: Layer, half: Tensor, centre: Tensor) -> Layer:
    """Let a layer whose output begins with actions, then log sigmas, give them in [-1, 1]."""
    (weight, bias), n = layer, len(half)
    weight, bias = weight.clone(), bias.clone()
    weight[:n] /= half[:, None]
    bias[:n] = (bias[:n] - centre) / half
    bias[n:] -= half.log()[: len(bias) - n]
    return weight, bias


def shifted(bounds: tuple[float, float], half: Tensor) -> tuple[float, float]:
    """Bounds of log sigma after a division of the actions by ``half``."""
    if math.isinf(bounds[0]) and math.isinf(bounds[1]):
        return bounds
    if not torch.allclose(half, half[:1]):
        raise UserError(
            "policy: log_std_min and log_std_max with squash: none need actions of one range; "
            "leave them out or let the environment's actions all have the same bounds"
        )
    return tuple(bound - math.log(half[0].item()) for bound in bounds)


def with_constant(layer: Layer, value: Tensor) -> Layer:
    """Append outputs that are ``value`` in every state."""
    weight, bias = layer
    zeros = weight.new_zeros(len(value), weight.shape[1])
    return torch.cat([weight, zeros]), torch.cat([bias, value])


def parameters(layers: list[Layer], log_std: Tensor | None) -> Params:
    """Name and shape layers as `networks.mlp` wants them, one replica, float32."""
    params = {}
    for number, (weight, bias) in enumerate(layers):
        params[f"trunk.{number}.weight"] = weight.T[None].float().contiguous()
        params[f"trunk.{number}.bias"] = bias[None, None].float()
    if log_std is not None:
        params["log_std"] = log_std[None, None].float()
    return params
