"""Behaviour cloning on D_p from pi_ref: PREFINE without its preference term (methods 4.3).

The control that separates what the preference term does from what the start does. It
trains the same parameters on the same likelihood estimate as PREFINE.
"""

import torch

from prefine.losses import sft_loss
from prefine.methods import Loss

HYPERPARAMETERS: dict[str, float] = {}
NEEDS = ("preferred",)
STARTS_FROM = "reference"


def noise_shapes(policy, batch_size: int, settings: dict) -> dict[str, tuple[int, ...]]:
    """K latent draws a state."""
    return {"latent": (settings["likelihood_draws"], batch_size, policy.latent_dim)}


def loss(policy, theta, reference, batches, noise, hyper, diagnose) -> Loss:
    """-E log pi_theta(a+|s), Eq. 3, with the proposal of the reference encoder."""
    (batch,) = batches
    with torch.no_grad():
        latents = policy.draw_latents(reference, batch.obs, batch.action, noise["latent"])
    log_prob = policy.log_prob(theta, batch.obs, batch.action, latents)
    logs = {"mean_log_std": policy.mean_log_std(theta, batch.obs).detach()} if diagnose else {}
    return Loss({"sft": sft_loss(log_prob)}, logs)
