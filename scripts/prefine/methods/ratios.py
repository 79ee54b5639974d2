"""Log-probabilities of theta and of pi_ref for the same pairs, with shared noise (methods 3.4)."""

import torch
from torch import Tensor

from prefine.methods import Context


def log_probs(
    context: Context, obs: Tensor, action: Tensor, *, need_reference: bool = False
) -> tuple[Tensor, Tensor | None, object]:
    """Return log pi_theta, log pi_ref (without gradient, if needed) and theta's latents.

    The noise is ``context.noise["latent"]``, (R, K, B, latent_dim). With
    ``encoder_update: frozen`` both policies use draws of the reference encoder, so that
    their ratio is exactly 1 at theta = ref and no gradient reaches the encoder. With
    ``all`` each uses its own encoder and the same noise.
    """
    policy, theta, reference = context.policy, context.nets["policy"], context.reference
    noise, reference_log_prob = context.noise["latent"], None
    with torch.no_grad():
        shared = policy.draw_latents(reference, obs, action, noise)
        if need_reference:
            reference_log_prob = policy.log_prob(reference, obs, action, shared)
    latents = shared
    if context.settings["encoder_update"] == "all":
        latents = policy.draw_latents(theta, obs, action, noise)
    return policy.log_prob(theta, obs, action, latents), reference_log_prob, latents
