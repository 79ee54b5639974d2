"""PREFINE: a DPO loss over the policy's own samples and an SFT anchor (paper 3.3, Eqs. 6-9).

The counterfactual of each dataset action is drawn from the current policy and treated as
data: no gradient flows through it (Algorithm 1, methods 4.4).
"""

import contextlib

import torch
from torch import Tensor

from prefine.methods import Context, Draw, Loss, Phase, policy_network, policy_phase
from prefine.methods.losses import (
    dpo_sft_loss,
    effective_sample_size,
    log_probs,
    log_ratio_difference,
    segment_sum,
    sft_loss,
)

HYPERPARAMETERS = {
    "beta": 0.05,  # KL strength of the preference term; Bullet 0.2 (paper A.4)
    "lam": 1.6,  # weight of the SFT term; Bullet 1.0 (paper A.4)
}
SETTINGS = {
    "delta_level": ("step", "segment", "trajectory"),  # Eqs. 6-8, or Delta summed over steps
    "segment_length": 64,  # steps of a segment (CPL)
    "segments": 32,  # segments of each set in a batch
    "counterfactual": ("detached", "reparameterised"),  # Algorithm 1, or gradient through it
    "encoder_update": ("frozen", "all"),  # the VAE's encoder (methods 3.4)
}
SEES = "actions"
STARTS_FROM = "reference"
networks = policy_network


def phases(policy, settings: dict, objective=None) -> tuple[Phase, ...]:
    """A counterfactual a state, and K latent draws for each of the four groups of pairs.

    Args:
        objective: in place of ``loss``, for a method that differs in nothing else.
    """
    level, draws = settings["delta_level"], settings["likelihood_draws"]
    if level == "step":
        draw, size = Draw("steps", settings["batch_size"]), settings["batch_size"]
    else:
        length = settings["segment_length" if level == "segment" else "longest"]
        draw = Draw("segments", settings["segments"], length)
        size = settings["segments"] * length
    normals = {
        "sample": (2 * size, policy.sample_dim),
        "latent": (draws, 4 * size, policy.latent_dim),
    }
    batches = {"preferred": draw, "nonpreferred": draw}
    return (policy_phase(policy, settings, batches, normals, objective or loss),)


def loss(context: Context) -> Loss:
    """Eq. 9. Pairs are ordered data D_p, data D_np, counterfactual D_p, counterfactual D_np."""
    preferred, nonpreferred = context.batches["preferred"], context.batches["nonpreferred"]
    theta, policy = context.nets["policy"], context.policy
    states = torch.cat([preferred.obs, nonpreferred.obs], 1)
    detached = context.settings["counterfactual"] == "detached"
    with torch.no_grad() if detached else contextlib.nullcontext():
        counterfactual = policy.sample(theta, states, context.noise["sample"])
    obs = torch.cat([states, states], 1)
    action = torch.cat([preferred.action, nonpreferred.action, counterfactual], 1)
    log_prob, reference_log_prob, latents = log_probs(context, obs, action, need_reference=True)

    ratios = (log_prob - reference_log_prob).chunk(4, 1)
    masks = (preferred.mask, nonpreferred.mask) * 2
    ratio_p, ratio_np, ratio_cf_p, ratio_cf_np = map(segment_sum, ratios, masks)
    # On D_p the data is a+ and the sample a-; on D_np it is the other way round.
    delta_p = log_ratio_difference(ratio_p, ratio_cf_p)
    delta_np = log_ratio_difference(ratio_cf_np, ratio_np)
    beta, lam = context.hyper["beta"], context.hyper["lam"]
    loss_sft = sft_loss(log_prob.chunk(4, 1)[0], preferred.mask)
    parts = dpo_sft_loss(delta_p, delta_np, loss_sft, beta, lam)
    terms = {name: parts.pop(name) for name in ("dpo", "sft")}
    logs = {}
    if context.diagnose:
        with torch.no_grad():
            sums = (ratio_p, ratio_np, ratio_cf_p, ratio_cf_np)
            logs = parts | diagnostics(delta_p, delta_np, sums, beta)
            logs["mean_log_std"] = policy.mean_log_std(theta, preferred.obs)
            if latents is not None:
                log_weights = policy.draw_log_probs(theta, obs, action, latents)
                logs["effective_sample_size"] = effective_sample_size(log_weights)
    return Loss(terms, logs)


def diagnostics(delta_p: Tensor, delta_np: Tensor, ratios: tuple[Tensor, ...], beta) -> dict:
    """What methods 4.4.6 asks for, each (R,); ratios in the order of ``loss``."""
    logs = {}
    for side, delta in (("p", delta_p), ("np", delta_np)):
        low, high = torch.quantile(delta, delta.new_tensor([0.05, 0.95]), dim=1)
        logs |= {
            f"delta_{side}_mean": delta.mean(1),
            f"delta_{side}_std": delta.std(1, correction=min(1, delta.shape[1] - 1)),
            f"delta_{side}_q05": low,
            f"delta_{side}_q95": high,
            f"accuracy_{side}": (delta > 0).float().mean(1),
            f"dpo_weight_{side}": torch.sigmoid(-beta[:, None] * delta).mean(1),
        }
    names = ("data_p", "data_np", "counterfactual_p", "counterfactual_np")
    for name, ratio in zip(names, ratios, strict=True):
        logs[f"implicit_reward_{name}"] = beta * ratio.mean(1)
    # E_theta[log pi_theta/pi_ref] on the policy's own samples.
    logs["kl_to_reference"] = torch.cat(ratios[2:], 1).mean(1)
    return logs
