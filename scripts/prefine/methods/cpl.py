"""CPL: contrastive preference learning on segment pairs (Hejna et al., ICLR 2024).

PPL without pi_ref in its scores, and with a bias: the segment of D_np counts less than that of
D_p, so that log pi(a|s) of both cannot fall without end. The given pi_ref takes the place of its
warm-up by behaviour cloning (docs/readings.md).
"""

import torch

from prefine.methods import Context, Draw, Loss, Phase, policy_network, policy_phase
from prefine.methods.losses import bradley_terry_loss, log_probs, segment_sum, sft_loss

HYPERPARAMETERS = {
    "alpha": 0.1,
    "contrastive_bias": 0.5,  # of the score of the segment of D_np
    "bc_coeff": 0.0,  # weight of cloning the segments of D_p
}
SETTINGS = {
    "segment_length": 64,
    "segments": 48,  # pairs in a batch of 96 segments
    "actor_learning_rate": 0.0001,
    "encoder_update": ("frozen", "all"),
}
SEES = "actions"
STARTS_FROM = "reference"
ITERATIONS = 300_000  # 500 000 less the warm-up's 200 000
SHARES = ("contrastive_bias",)
networks = policy_network


def phases(policy, settings: dict) -> tuple[Phase, ...]:
    """Segments of both sets, drawn independently."""
    draw = Draw("segments", settings["segments"], settings["segment_length"])
    steps, draws = draw.size * draw.length, settings["likelihood_draws"]
    batches = {"preferred": draw, "nonpreferred": draw}
    normals = {"latent": (draws, 2 * steps, policy.latent_dim)}
    own = settings | {"learning_rate": settings["actor_learning_rate"]}
    return (policy_phase(policy, own, batches, normals, loss),)


def loss(context: Context) -> Loss:
    """-log sigmoid(alpha (S+ - bias S-)), S = sum_t log pi_theta(a_t|s_t), and cloning of D_p."""
    preferred, nonpreferred = context.batches["preferred"], context.batches["nonpreferred"]
    obs = torch.cat([preferred.obs, nonpreferred.obs], 1)
    action = torch.cat([preferred.action, nonpreferred.action], 1)
    log_prob_p, log_prob_np = log_probs(context, obs, action)[0].chunk(2, 1)
    score_p = segment_sum(log_prob_p, preferred.mask)
    score_np = segment_sum(log_prob_np, nonpreferred.mask)
    hyper = context.hyper
    terms = {
        "preference": bradley_terry_loss(
            score_p, score_np, hyper["alpha"], hyper["contrastive_bias"]
        ),
        "sft": hyper["bc_coeff"] * sft_loss(log_prob_p, preferred.mask),
    }
    logs = {}
    if context.diagnose:
        logs = {
            "accuracy": (score_p > score_np).float().mean(1),
            "score_p": score_p.mean(1),
            "score_np": score_np.mean(1),
        }
    return Loss(terms, logs)
