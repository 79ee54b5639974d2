"""Policy classes with one interface (methods 3): Gaussian and conditional VAE.

Shapes: R replicas, B states, K latent draws; observations (R, B, obs_dim) standardised,
actions (R, B, act_dim) in [-1, 1]. Log-probabilities are summed over action dimensions.
Noise is always handed in, so that two policies can share it and runs stay reproducible.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from prefine.policies.networks import Params, init_mlp, mlp

LOG_2PI = math.log(2.0 * math.pi)
ACTION_MODES = ("deterministic", "bcq", "sampled")
BCQ_LATENT_CLIP = 0.5


def normal_log_prob(x: Tensor, mean: Tensor, log_std: Tensor) -> Tensor:
    """Log-density of a diagonal normal, summed over the last axis."""
    z = (x - mean) * torch.exp(-log_std)
    return -(0.5 * z.square() + log_std + 0.5 * LOG_2PI).sum(-1)


def tanh_normal_log_prob(u: Tensor, mean: Tensor, log_std: Tensor) -> Tensor:
    """Log-density of a = tanh(u); log(1 - tanh^2 u) = 2 (log 2 - u - softplus(-2u)), stable."""
    log_jacobian = 2.0 * (math.log(2.0) - u - F.softplus(-2.0 * u))
    return normal_log_prob(u, mean, log_std) - log_jacobian.sum(-1)


def kl_to_standard_normal(mean: Tensor, log_std: Tensor) -> Tensor:
    """KL(N(mean, std^2) || N(0, I)) = 1/2 sum(m^2 + v - 1 - log v), over the last axis."""
    return 0.5 * (mean.square() + torch.exp(2 * log_std) - 1.0 - 2 * log_std).sum(-1)


class Latents(NamedTuple):
    """Draws z_k ~ q(z|s,a) with log p(z_k) - log q(z_k|s,a), shared by the policies compared.

    ``z`` is (R, K, B, latent_dim), ``log_weight`` (R, K, B).
    """

    z: Tensor
    log_weight: Tensor


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
class CVAEPolicy:
    """Conditional VAE policy, the paper's choice (paper 5.1, methods 3.4).

    z ~ N(0, I); a ~ N(mu(s, z), diag sigma^2), mu = tanh(MLP), sigma one learned value a
    dimension; encoder q(z|s,a). log pi(a|s) is estimated with K draws of q (importance
    weighted). The two policies of a ratio share the draws, so that at equality it is 0.
    """

    obs_dim: int
    act_dim: int
    hidden: Sequence[int] = (256, 256)
    log_std_min: float = -3.0
    log_std_max: float = 0.0
    log_std_init: float = -1.0
    encoder_log_std: tuple[float, float] = (-4.0, 2.0)

    name = "cvae"
    frozen_in_fine_tuning = ("encoder",)

    @property
    def latent_dim(self) -> int:
        """Twice the action dimension (OSRL's VAE)."""
        return 2 * self.act_dim

    @property
    def sample_dim(self) -> int:
        """Standard normals that one sampled action takes: a latent, then decoder noise."""
        return self.latent_dim + self.act_dim

    def init(self, generator: torch.Generator) -> Params:
        """Return one replica's parameters."""
        inputs, latent = self.obs_dim + self.act_dim, self.latent_dim
        return {
            **init_mlp("encoder", [inputs, *self.hidden, 2 * latent], generator),
            **init_mlp("decoder", [self.obs_dim + latent, *self.hidden, self.act_dim], generator),
            "decoder_log_std": torch.full((1, self.act_dim), self.log_std_init),
        }

    def encode(self, params: Params, obs: Tensor, action: Tensor) -> tuple[Tensor, Tensor]:
        """Return mean and log_std of q(z|s,a), (R, B, latent_dim) each."""
        mean, log_std = mlp(params, "encoder", torch.cat([obs, action], -1)).chunk(2, dim=-1)
        return mean, log_std.clamp(*self.encoder_log_std)

    def decode(self, params: Params, obs: Tensor, z: Tensor) -> Tensor:
        """Return mu(s, z): (R, B, act_dim)."""
        return torch.tanh(mlp(params, "decoder", torch.cat([obs, z], -1)))

    def draw_latents(self, params: Params, obs: Tensor, action: Tensor, noise: Tensor) -> Latents:
        """Draw z from q(z|s,a) of ``params``; noise (R, K, B, latent_dim)."""
        mean, log_std = (t.unsqueeze(1) for t in self.encode(params, obs, action))
        z = mean + torch.exp(log_std) * noise
        zero = torch.zeros_like(log_std)
        log_weight = normal_log_prob(z, zero, zero) - normal_log_prob(z, mean, log_std)
        return Latents(z, log_weight)

    def draw_log_probs(
        self, params: Params, obs: Tensor, action: Tensor, latents: Latents
    ) -> Tensor:
        """l_k = log p(a|s,z_k) + log p(z_k) - log q(z_k|s,a): (R, K, B)."""
        n_draws = latents.z.shape[1]
        repeated_obs = obs.unsqueeze(1).expand(-1, n_draws, -1, -1).flatten(1, 2)
        mean = self.decode(params, repeated_obs, latents.z.flatten(1, 2))
        mean = mean.unflatten(1, (n_draws, -1))
        log_std = params["decoder_log_std"].unsqueeze(1)
        return normal_log_prob(action.unsqueeze(1), mean, log_std) + latents.log_weight

    def log_prob(self, params: Params, obs: Tensor, action: Tensor, latents: Latents) -> Tensor:
        """Importance-weighted estimate log 1/K sum_k exp(l_k): (R, B)."""
        log_probs = self.draw_log_probs(params, obs, action, latents)
        return torch.logsumexp(log_probs, dim=1) - math.log(log_probs.shape[1])

    def sample(self, params: Params, obs: Tensor, noise: Tensor) -> Tensor:
        """An exact draw, decoder noise included, not clipped; noise (R, B, sample_dim)."""
        z, epsilon = noise.split([self.latent_dim, self.act_dim], dim=-1)
        return self.decode(params, obs, z) + torch.exp(params["decoder_log_std"]) * epsilon

    def pretraining_loss(
        self, params: Params, obs: Tensor, action: Tensor, noise: Tensor
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """Negative ELBO (R, B), one draw, analytic KL of weight 1; noise (R, B, latent_dim)."""
        mean, log_std = self.encode(params, obs, action)
        decoded = self.decode(params, obs, mean + torch.exp(log_std) * noise)
        kl = kl_to_standard_normal(mean, log_std)
        nll = kl - normal_log_prob(action, decoded, params["decoder_log_std"])
        logs = {
            "reconstruction_mse": (decoded - action).square().mean((1, 2)),
            "kl": kl.mean(1),
            "active_latents": (mean.var(1) > 0.01).float().sum(-1),
            "mean_log_std": params["decoder_log_std"].mean((1, 2)),
        }
        return nll, logs

    def mean_log_std(self, params: Params, obs: Tensor) -> Tensor:
        """Mean log sigma of the decoder: (R,)."""
        return params["decoder_log_std"].mean((1, 2))

    def act(self, params: Params, obs: Tensor, mode: str, noise: Tensor) -> Tensor:
        """Action in the box for the simulator.

        ``deterministic``: z = 0, decoder mean. ``bcq``: z ~ N(0, I) clipped to +-0.5,
        decoder mean (OSRL's decode). ``sampled``: an exact draw of the policy.
        """
        if mode == "sampled":
            return self.sample(params, obs, noise).clamp(-1, 1)
        z = noise[..., : self.latent_dim].clamp(-BCQ_LATENT_CLIP, BCQ_LATENT_CLIP)
        return self.decode(params, obs, z if mode == "bcq" else torch.zeros_like(z))

    def project(self, params: Params) -> None:
        """Keep log sigma in its bounds after an optimiser step.

        The parameter itself is bounded, rather than clamped where it is used: a clamp has
        no gradient outside its bounds, and a sigma that once left them would stay there.
        """
        with torch.no_grad():
            params["decoder_log_std"].clamp_(self.log_std_min, self.log_std_max)


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


POLICIES = {
    policy.name: policy
    for policy in (
        GaussianPolicy,
        TanhGaussianPolicy,
        WideTanhGaussianPolicy,
        CVAEPolicy,
        DeterministicPolicy,
    )
}


def make_policy(name: str, obs_dim: int, act_dim: int, hidden: Sequence[int], **limits):
    """Build a policy class by its name in config.yaml; ``limits`` are such as log_std_min."""
    return POLICIES[name](obs_dim, act_dim, tuple(hidden), **limits)


def describe(policy) -> dict:
    """Return what a file must keep of a policy for ``make_policy`` to build it again."""
    sizes = {"obs_dim": policy.obs_dim, "act_dim": policy.act_dim, "hidden": list(policy.hidden)}
    limits = {
        field.name: getattr(policy, field.name)
        for field in fields(policy)
        if field.name not in sizes and getattr(policy, field.name) != field.default
    }
    return {"policy": policy.name, **sizes, "limits": limits}
