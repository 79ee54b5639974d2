"""Policy classes with one interface (methods 3): Gaussian and conditional VAE.

Shapes: R replicas, B states, K latent draws; observations (R, B, obs_dim) standardised,
actions (R, B, act_dim) in [-1, 1]. Log-probabilities are summed over action dimensions.
Noise is always handed in, so that two policies can share it and runs stay reproducible.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from prefine.policies.networks import Params, init_mlp, mlp
from prefine.tasks import Task

LOG_2PI = math.log(2.0 * math.pi)


def normal_log_prob(x: Tensor, mean: Tensor, log_std: Tensor) -> Tensor:
    """Log-density of a diagonal normal, summed over the last axis."""
    z = (x - mean) * torch.exp(-log_std)
    return -(0.5 * z.square() + log_std + 0.5 * LOG_2PI).sum(-1)


def standard_normal_log_prob(x: Tensor) -> Tensor:
    """``normal_log_prob(x, 0, 0)``, to the last bit in half the operations."""
    return -(0.5 * x.square() + 0.5 * LOG_2PI).sum(-1)


def tanh_normal_log_prob(u: Tensor, mean: Tensor, log_std: Tensor) -> Tensor:
    """Log-density of a = tanh(u); log(1 - tanh^2 u) = 2 (log 2 - u - softplus(-2u)), stable."""
    log_jacobian = 2.0 * (math.log(2.0) - u - F.softplus(-2.0 * u))
    return normal_log_prob(u, mean, log_std) - log_jacobian.sum(-1)


def clipped(obs: Tensor, limit: float | None) -> Tensor:
    """Clip standardised observations to +-limit, as VecNormalize does; None leaves them."""
    return obs if limit is None else obs.clamp(-limit, limit)


@dataclass(frozen=True)
class GaussianPolicy:
    """a ~ N(mu(s), diag sigma(s)^2) with mu = tanh(f(s)); exact likelihood (methods 3.2).

    A policy from elsewhere may have another activation, a mean that is not squashed
    (``squash_mean``), one learned log sigma a dimension (``fixed_std``), or observations that are
    clipped after they were standardised (``obs_clip``).
    """

    obs_dim: int
    act_dim: int
    hidden: Sequence[int] = (256, 256)
    log_std_min: float = -3.0
    log_std_max: float = 0.5
    activation: str = "relu"
    squash_mean: bool = True
    fixed_std: bool = False
    obs_clip: float | None = None

    name = "gaussian"
    frozen_in_fine_tuning = ()

    @property
    def sample_dim(self) -> int:
        """Standard normals that one sampled action takes."""
        return self.act_dim

    @property
    def latent_dim(self) -> int:
        """Latent size; a Gaussian has none."""
        return 0

    def init(self, generator: torch.Generator) -> Params:
        """Return one replica's parameters."""
        n_out = self.act_dim if self.fixed_std else 2 * self.act_dim
        params = init_mlp("trunk", [self.obs_dim, *self.hidden, n_out], generator)
        if self.fixed_std:
            return params | {"log_std": torch.full((1, self.act_dim), -0.5)}
        head_bias = params[f"trunk.{len(self.hidden)}.bias"]
        head_bias[:, self.act_dim :] = -0.5
        return params

    def distribution(self, params: Params, obs: Tensor) -> tuple[Tensor, Tensor]:
        """Return mean and log_std, (R, B, act_dim) each."""
        out = mlp(params, "trunk", clipped(obs, self.obs_clip), self.activation)
        if self.fixed_std:
            mean, log_std = out, params["log_std"].expand_as(out)
        else:
            mean, log_std = out.chunk(2, dim=-1)
            log_std = log_std.clamp(self.log_std_min, self.log_std_max)
        return torch.tanh(mean) if self.squash_mean else mean, log_std

    def draw_latents(self, params, obs, action, noise) -> None:
        """A Gaussian has no latents."""
        return None

    def log_prob(self, params: Params, obs: Tensor, action: Tensor, latents=None) -> Tensor:
        """Exact log pi(a|s): (R, B)."""
        return normal_log_prob(action, *self.distribution(params, obs))

    def sample(self, params: Params, obs: Tensor, noise: Tensor) -> Tensor:
        """An exact draw, not clipped; noise (R, B, act_dim) standard normal."""
        mean, log_std = self.distribution(params, obs)
        return mean + torch.exp(log_std) * noise

    def pretraining_loss(
        self, params: Params, obs: Tensor, action: Tensor, noise: Tensor
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """Negative log-likelihood (R, B) and what to log of it."""
        mean, log_std = self.distribution(params, obs)
        nll = -normal_log_prob(action, mean, log_std)
        mse = (mean - action).square().mean((1, 2))
        return nll, {"reconstruction_mse": mse, "mean_log_std": log_std.mean((1, 2))}

    def mean_log_std(self, params: Params, obs: Tensor) -> Tensor:
        """Mean log sigma over states and dimensions, a stand-in for entropy: (R,)."""
        return self.distribution(params, obs)[1].mean((1, 2))

    def act(self, params: Params, obs: Tensor, mode: str, noise: Tensor) -> Tensor:
        """Action in the box for the simulator: the mean, or a draw if ``sampled``."""
        if mode == "sampled":
            return self.sample(params, obs, noise).clamp(-1, 1)
        return self.distribution(params, obs)[0].clamp(-1, 1)

    def project(self, params: Params) -> None:
        """Keep a log sigma that is a parameter in its bounds after an optimiser step."""
        if self.fixed_std:
            with torch.no_grad():
                params["log_std"].clamp_(self.log_std_min, self.log_std_max)


def behaviour_policy(task: Task) -> GaussianPolicy:
    """The class of the policies in workflow/behaviours/; its limits leave log sigma as it is."""
    return GaussianPolicy(
        task.obs_dim,
        task.act_dim,
        hidden=(64, 64),
        log_std_min=-20.0,
        log_std_max=5.0,
        activation="tanh",
        squash_mean=False,
        fixed_std=True,
    )


@dataclass(frozen=True)
class TanhGaussianPolicy:
    """a = tanh(u), u ~ N(mu(s), diag sigma(s)^2): SafeDICE's and CPQ's actor (methods 3.3)."""

    obs_dim: int
    act_dim: int
    hidden: Sequence[int] = (256, 256)
    mean_limit: float = 7.0  # SafeDICE
    log_std_min: float = -5.0
    log_std_max: float = 2.0
    # DSRL's actions sit at exactly +-1, where the density has a pole.
    edge: float = 1e-3
    activation: str = "relu"
    obs_clip: float | None = None

    name = "tanh_gaussian"
    frozen_in_fine_tuning = ()
    latent_dim = 0

    @property
    def sample_dim(self) -> int:
        """Standard normals that one sampled action takes."""
        return self.act_dim

    def init(self, generator: torch.Generator) -> Params:
        """Return one replica's parameters."""
        return init_mlp("trunk", [self.obs_dim, *self.hidden, 2 * self.act_dim], generator)

    def distribution(self, params: Params, obs: Tensor) -> tuple[Tensor, Tensor]:
        """Return mean and log_std of u, (R, B, act_dim) each."""
        out = mlp(params, "trunk", clipped(obs, self.obs_clip), self.activation)
        mean, log_std = out.chunk(2, dim=-1)
        mean = mean.clamp(-self.mean_limit, self.mean_limit)
        return mean, log_std.clamp(self.log_std_min, self.log_std_max)

    def log_prob(self, params: Params, obs: Tensor, action: Tensor, latents=None) -> Tensor:
        """log pi(a|s) = sum_d log N(u_d) - log(1 - a_d^2), u = atanh(clip(a)): (R, B)."""
        u = torch.atanh(action.clamp(-1 + self.edge, 1 - self.edge))
        return tanh_normal_log_prob(u, *self.distribution(params, obs))

    def sample(self, params: Params, obs: Tensor, noise: Tensor) -> Tensor:
        """An exact draw of a; noise (R, B, act_dim) standard normal."""
        mean, log_std = self.distribution(params, obs)
        return torch.tanh(mean + torch.exp(log_std) * noise)

    def draw_latents(self, params, obs, action, noise) -> None:
        """It has no latents."""
        return None

    def mean_log_std(self, params: Params, obs: Tensor) -> Tensor:
        """Mean log sigma of u over states and dimensions: (R,)."""
        return self.distribution(params, obs)[1].mean((1, 2))

    def pretraining_loss(self, params: Params, obs: Tensor, action: Tensor, noise: Tensor):
        """Negative log-likelihood (R, B) and what to log of it."""
        return -self.log_prob(params, obs, action), {}

    def act(self, params: Params, obs: Tensor, mode: str, noise: Tensor) -> Tensor:
        """Action in the box for the simulator: tanh of the mean, or a draw if ``sampled``."""
        if mode == "sampled":
            return self.sample(params, obs, noise)
        return torch.tanh(self.distribution(params, obs)[0])

    def project(self, params: Params) -> None:
        """Nothing to keep in bounds."""


@dataclass(frozen=True)
class WideTanhGaussianPolicy(TanhGaussianPolicy):
    """The same with OSRL's limits: CPQ's actor."""

    mean_limit: float = math.inf
    log_std_min: float = -20.0

    name = "tanh_gaussian_wide"


@dataclass(frozen=True)
class DeterministicPolicy:
    """a = f(s) in the box, ``tanh`` or clipped; it acts and has no density (TD3, DDPG)."""

    obs_dim: int
    act_dim: int
    hidden: Sequence[int] = (256, 256)
    activation: str = "relu"
    squash: bool = True
    obs_clip: float | None = None

    name = "deterministic"
    sample_dim = 0
    latent_dim = 0

    def act(self, params: Params, obs: Tensor, mode: str, noise: Tensor) -> Tensor:
        """The action in the box, (R, B, act_dim), whatever the mode."""
        out = mlp(params, "trunk", clipped(obs, self.obs_clip), self.activation)
        return torch.tanh(out) if self.squash else out.clamp(-1, 1)
