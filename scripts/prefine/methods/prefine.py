"""PREFINE: a DPO loss over the policy's own samples and an SFT anchor (paper 3.3, Eqs. 6-9).

The counterfactual of each dataset action is drawn from the current policy and treated as
data: no gradient flows through it (Algorithm 1, methods 4.4).
"""

import torch

from prefine.losses import dpo_sft_loss, effective_sample_size, log_ratio_difference
from prefine.methods import Loss

HYPERPARAMETERS = {
    "beta": 0.05,  # KL strength of the preference term; Bullet 0.2 (paper A.4)
    "lam": 1.6,  # weight of the SFT term; Bullet 1.0 (paper A.4)
}
NEEDS = ("preferred", "nonpreferred")
STARTS_FROM = "reference"


def noise_shapes(policy, batch_size: int, settings: dict) -> dict[str, tuple[int, ...]]:
    """A counterfactual a state, and K latent draws for each of the four groups of pairs."""
    draws = settings["likelihood_draws"]
    return {
        "sample": (2 * batch_size, policy.sample_dim),
        "latent": (draws, 4 * batch_size, policy.latent_dim),
    }


def loss(policy, theta, reference, batches, noise, hyper, diagnose) -> Loss:
    """Eq. 9. Pairs are ordered data D_p, data D_np, counterfactual D_p, counterfactual D_np."""
    preferred, nonpreferred = batches
    obs = torch.cat([preferred.obs, nonpreferred.obs], 1)
    with torch.no_grad():
        counterfactual = policy.sample(theta, obs, noise["sample"])
        obs = torch.cat([obs, obs], 1)
        action = torch.cat([preferred.action, nonpreferred.action, counterfactual], 1)
        latents = policy.draw_latents(reference, obs, action, noise["latent"])
        reference_log_prob = policy.log_prob(reference, obs, action, latents)

    log_prob = policy.log_prob(theta, obs, action, latents)
    ratio_p, ratio_np, ratio_cf_p, ratio_cf_np = (log_prob - reference_log_prob).chunk(4, 1)
    # On D_p the data is a+ and the sample a-; on D_np it is the other way round.
    delta_p = log_ratio_difference(ratio_p, ratio_cf_p)
    delta_np = log_ratio_difference(ratio_cf_np, ratio_np)
    beta, lam = hyper["beta"], hyper["lam"]
    parts = dpo_sft_loss(delta_p, delta_np, log_prob.chunk(4, 1)[0], beta, lam)
    terms = {name: parts.pop(name) for name in ("dpo", "sft")}
    logs = {}
    if diagnose:
        with torch.no_grad():
            ratios = (ratio_p, ratio_np, ratio_cf_p, ratio_cf_np)
            logs = parts | diagnostics(delta_p, delta_np, ratios, beta)
            logs["mean_log_std"] = policy.mean_log_std(theta, preferred.obs)
            if latents is not None:
                log_weights = policy.draw_log_probs(theta, obs, action, latents)
                logs["effective_sample_size"] = effective_sample_size(log_weights)
    return Loss(terms, logs)


def diagnostics(delta_p, delta_np, ratios, beta) -> dict:
    """What methods 4.4.6 asks for, each (R,)."""
    logs = {}
    for side, delta in (("p", delta_p), ("np", delta_np)):
        low, high = torch.quantile(delta, delta.new_tensor([0.05, 0.95]), dim=1)
        logs |= {
            f"delta_{side}_mean": delta.mean(1),
            f"delta_{side}_std": delta.std(1),
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
