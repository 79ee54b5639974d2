"""The conditional VAE policy, the paper's choice (paper 5.1, methods 3.4)."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from prefine.policies.gaussian import normal_log_prob, standard_normal_log_prob
from prefine.policies.networks import Params, init_mlp, mlp

BCQ_LATENT_CLIP = 0.5


def kl_to_standard_normal(mean: Tensor, log_std: Tensor) -> Tensor:
    """KL(N(mean, std^2) || N(0, I)) = 1/2 sum(m^2 + v - 1 - log v), over the last axis."""
    return 0.5 * (mean.square() + torch.exp(2 * log_std) - 1.0 - 2 * log_std).sum(-1)


class Latents(NamedTuple):
    """Draws z_k ~ q(z|s,a) with log p(z_k) - log q(z_k|s,a), shared by the policies compared.

    ``z`` is (R, K, B, latent_dim), ``log_weight`` (R, K, B).
    """

    z: Tensor
    log_weight: Tensor


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
        log_weight = standard_normal_log_prob(z) - normal_log_prob(z, mean, log_std)
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
        if log_probs.shape[1] == 1:  # the same bits, without a dozen launches on a GPU
            return log_probs.squeeze(1)
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
