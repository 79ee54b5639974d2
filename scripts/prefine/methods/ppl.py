"""PPL: Bradley-Terry preference learning on segment pairs, no SFT, no sampling (methods 4.7).

A pair is a segment of D_p and, independently, one of D_np. States are not shared and
nothing is drawn from the policy: that is what distinguishes it from PREFINE.
"""

import torch

from prefine.methods import Context, Draw, Loss, Phase, policy_phase
from prefine.methods.losses import bradley_terry_loss, log_probs, segment_sum
from prefine.policies.networks import init_mlp, mlp

HYPERPARAMETERS = {
    "beta": 0.1,  # CPL's alpha
    "temperature": 1.0,  # of the advantage weights; objective reward_model only
}
SETTINGS = {
    # log(pi/pi_ref); log pi alone (CPL with bias 1); a reward model and weighted BC
    "objective": ("direct", "ref_free", "reward_model"),
    "level": ("segment", "trajectory", "step"),
    "segment_length": 64,  # CPL's default
    "segments": 32,  # pairs in a batch
    "encoder_update": ("frozen", "all"),
}
SEES = "actions"
STARTS_FROM = "reference"
MAX_WEIGHT = 20.0


def networks(policy, settings: dict) -> dict:
    """The policy, and a reward model r(s, a) if the objective learns one."""
    groups = {"policy": policy.init}
    if settings["objective"] == "reward_model":
        sizes = [policy.obs_dim + policy.act_dim, *settings["hidden"], 1]
        groups["reward"] = lambda generator: init_mlp("reward", sizes, generator)
    return groups


def phases(policy, settings: dict) -> tuple[Phase, ...]:
    """Segments of both sets; with a reward model, its phase goes before the policy's."""
    length = {"segment": settings["segment_length"], "trajectory": settings["longest"], "step": 1}
    length = length[settings["level"]]
    draw = Draw("segments", settings["segments"], length)
    batches = {"preferred": draw, "nonpreferred": draw}
    size, draws = settings["segments"] * length, settings["likelihood_draws"]
    normals = {"latent": (draws, 2 * size, policy.latent_dim)}
    if settings["objective"] != "reward_model":
        return (policy_phase(policy, settings, batches, normals, loss),)
    reward = Phase(
        name="reward",
        iterations=settings["iterations"],
        batches=batches,
        updates=(lambda context: {"reward": reward_loss(context)},),
        learning_rates={"reward": settings["learning_rate"]},
        gradient_clip=settings["gradient_clip"],
    )
    return reward, policy_phase(policy, settings, batches, normals, weighted_bc_loss)


def loss(context: Context) -> Loss:
    """-log sigmoid(beta (S+ - S-)), S = sum_t log pi_theta(a_t|s_t) [- log pi_ref(a_t|s_t)]."""
    preferred, nonpreferred = context.batches["preferred"], context.batches["nonpreferred"]
    obs = torch.cat([preferred.obs, nonpreferred.obs], 1)
    action = torch.cat([preferred.action, nonpreferred.action], 1)
    with_reference = context.settings["objective"] == "direct"
    log_prob, reference_log_prob, _ = log_probs(context, obs, action, need_reference=with_reference)
    score = log_prob - reference_log_prob if with_reference else log_prob
    score_p, score_np = score.chunk(2, 1)
    score_p, score_np = (
        segment_sum(score_p, preferred.mask),
        segment_sum(score_np, nonpreferred.mask),
    )
    beta = context.hyper["beta"]
    return Loss(
        {"preference": bradley_terry_loss(score_p, score_np, beta)},
        {
            "accuracy": (score_p > score_np).float().mean(1),
            "score_p": score_p.mean(1),
            "score_np": score_np.mean(1),
            "margin": beta * (score_p - score_np).mean(1),
            "log_prob_p": log_prob.chunk(2, 1)[0].mean(1),
            "log_prob_np": log_prob.chunk(2, 1)[1].mean(1),
        }
        if context.diagnose
        else {},
    )


def rewards(context: Context, batch) -> torch.Tensor:
    """r_psi(s, a): (R, B)."""
    return mlp(context.nets["reward"], "reward", torch.cat([batch.obs, batch.action], -1))[..., 0]


def reward_loss(context: Context) -> Loss:
    """Bradley-Terry on summed rewards of the two segments."""
    scores = [
        segment_sum(rewards(context, batch), batch.mask) for batch in context.batches.values()
    ]
    accuracy = (scores[0] > scores[1]).float().mean(1)
    return Loss(
        {"preference": bradley_terry_loss(*scores, torch.ones_like(context.hyper["beta"]))},
        {"accuracy": accuracy},
    )


def weighted_bc_loss(context: Context) -> Loss:
    """-E[w log pi(a|s)] over both sets, w = exp(r / temperature) cut at 20, no gradient."""
    batches = list(context.batches.values())
    obs, action = (torch.cat([getattr(b, n) for b in batches], 1) for n in ("obs", "action"))
    mask = torch.cat([b.mask.flatten(1) for b in batches], 1)
    with torch.no_grad():
        score = torch.cat([rewards(context, b) for b in batches], 1)
        weight = torch.exp(score / context.hyper["temperature"][:, None]).clamp(max=MAX_WEIGHT)
        weight = weight * mask
    log_prob, _, _ = log_probs(context, obs, action)
    weighted = -(weight * log_prob).sum(1) / mask.sum(1)
    return Loss({"weighted_bc": weighted}, {"mean_weight": weight.sum(1) / mask.sum(1)})
