"""The loss functions, one equation each. Pure functions; every mean is per replica.

Shapes: log-probabilities and log-ratios (R, B); beta and lam (R,); results (R,).
"""

import contextlib

import torch
import torch.nn.functional as F
from torch import Tensor

from prefine.methods import Context


def log_ratio_difference(log_ratio_preferred: Tensor, log_ratio_nonpreferred: Tensor) -> Tensor:
    """Delta(s, a+, a-), Eq. 6, from log pi_theta/pi_ref of a+ and of a-."""
    return log_ratio_preferred - log_ratio_nonpreferred


def dpo_loss(delta: Tensor, beta: Tensor) -> Tensor:
    """-mean log sigmoid(beta Delta): the preference term of Eqs. 7 and 8."""
    return -F.logsigmoid(beta[:, None] * delta).mean(1)


def sft_loss(log_prob: Tensor, mask: Tensor | None = None) -> Tensor:
    """-mean log pi_theta(a+|s), Eq. 3; steps that a mask (R, S, L) hides do not count."""
    if mask is None:
        return -log_prob.mean(1)
    mask = mask.flatten(1)
    return -(log_prob * mask).sum(1) / mask.sum(1)


def segment_sum(log_ratio: Tensor, mask: Tensor | None) -> Tensor:
    """Sum log-ratios (R, S L) over the steps of each segment: (R, S).

    Without a mask every step stands for itself (methods 4.4.7, ``step``).
    """
    if mask is None:
        return log_ratio
    return (log_ratio.view_as(mask) * mask).sum(2)


def dpo_sft_loss(
    delta_preferred: Tensor,
    delta_nonpreferred: Tensor,
    loss_sft: Tensor,
    beta: Tensor,
    lam: Tensor,
) -> dict[str, Tensor]:
    """L_PREFINE = L_p + L_np, Eq. 9, as its unweighted parts and its two weighted terms.

    L_p (Eq. 7) is the preference term on D_p plus lam times the SFT term; L_np (Eq. 8)
    is the preference term on D_np. Each is a mean over its own batch. The loss is
    ``dpo + sft``. RPO's spelling of the same loss is lam = eta beta (paper 3.3, methods 4.6).
    """
    loss_p_dpo = dpo_loss(delta_preferred, beta)
    loss_np_dpo = dpo_loss(delta_nonpreferred, beta)
    return {
        "loss_p_dpo": loss_p_dpo,
        "loss_np_dpo": loss_np_dpo,
        "loss_sft": loss_sft,
        "dpo": loss_p_dpo + loss_np_dpo,
        "sft": lam * loss_sft,
    }


def bradley_terry_loss(
    score_preferred: Tensor, score_other: Tensor, beta: Tensor, bias: Tensor | None = None
) -> Tensor:
    """-mean log sigmoid(beta (S+ - S-)), PPL's loss over segment pairs (methods 4.7).

    Scores are sums over the steps of a segment, (R, S). ``bias`` (R,) multiplies S- (CPL).
    """
    other = score_other if bias is None else bias[:, None] * score_other
    return -F.logsigmoid(beta[:, None] * (score_preferred - other)).mean(1)


def effective_sample_size(log_weights: Tensor) -> Tensor:
    """(sum w)^2 / sum w^2 over axis 1 of (R, K, B), averaged over B: (R,)."""
    log_ess = 2 * torch.logsumexp(log_weights, 1) - torch.logsumexp(2 * log_weights, 1)
    return log_ess.exp().mean(1)


def log_probs(
    context: Context, obs: Tensor, action: Tensor, *, need_reference: bool = False
) -> tuple[Tensor, Tensor | None, object]:
    """Return log pi_theta, log pi_ref (if needed) and theta's latents.

    pi_ref's parameters are constants. Where the action itself is a function of theta, its
    gradient goes through log pi_ref(a|s) and q_ref(z|s, a) too: they are half of Delta's path.

    The noise is ``context.noise["latent"]``, (R, K, B, latent_dim). With
    ``encoder_update: frozen`` both policies use draws of the reference encoder, so that
    their ratio is exactly 1 at theta = ref and no gradient reaches the encoder. With
    ``all`` each uses its own encoder and the same noise.
    """
    policy, theta, reference = context.policy, context.nets["policy"], context.reference
    of_reference = context.reference_policy or policy
    noise, reference_log_prob = context.noise["latent"], None
    with contextlib.nullcontext() if action.requires_grad else torch.no_grad():
        shared = of_reference.draw_latents(reference, obs, action, noise)
        if need_reference:
            reference_log_prob = of_reference.log_prob(reference, obs, action, shared)
    latents = shared
    if context.settings["encoder_update"] == "all":
        latents = policy.draw_latents(theta, obs, action, noise)
    return policy.log_prob(theta, obs, action, latents), reference_log_prob, latents
