"""SafeDICE: imitate the unlabelled mixture minus its non-preferred part (methods 4.8).

N = D_np is labelled; U = D_p and D_np without their labels. A discriminator gives the
density ratio, alpha the largest share of N that U can hold, nu the correction of the
stationary distribution, and the actor imitates U with the resulting weights.
"""

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from prefine.methods import Context, Draw, Loss, Phase
from prefine.policies.networks import init_he_mlp, mlp

HYPERPARAMETERS = {
    "gamma": 0.99,
    "discriminator_penalty": 10.0,  # gradient penalty
    "nu_penalty": 1e-6,
    "alpha_quantile": 1.0,  # of the logits over U; 1 is their maximum, as published
}
SETTINGS = {
    "discriminator_iterations": 100000,
    "discriminator_learning_rate": 0.0001,
    "nu_learning_rate": 0.0001,
    "actor_learning_rate": 0.00001,
    "reward_norm": True,  # standardise the reward over U, as the reference code does
}
SEES = "transitions"
STARTS_FROM = "random"
POLICY = "tanh_gaussian"
BATCH_SIZE = 512
SHARES = ("gamma", "alpha_quantile")
ALPHA_MAX = 0.95
MAX_WEIGHT = 100.0
MAX_LOGIT = 80.0  # e^80 is a float32; the product with any alpha > 0 is far above its limit
CHUNK = 8192


def networks(policy, settings: dict) -> dict:
    """Actor, discriminator logit l(s, a), nu(s)."""
    hidden = settings["hidden"]
    pair = [policy.obs_dim + policy.act_dim, *hidden, 1]
    state = [policy.obs_dim, *hidden, 1]
    return {
        "policy": policy.init,
        "discriminator": lambda generator: init_he_mlp("discriminator", pair, generator),
        "nu": lambda generator: init_he_mlp("nu", state, generator),
    }


def phases(policy, settings: dict) -> tuple[Phase, ...]:
    """The discriminator alone, then nu and the actor together."""
    size = settings["batch_size"]
    both = {"unlabelled": Draw("steps", size), "nonpreferred": Draw("steps", size)}
    discriminator = Phase(
        name="discriminator",
        iterations=settings["discriminator_iterations"],
        batches=both,
        updates=(lambda context: {"discriminator": discriminator_loss(context)},),
        learning_rates={"discriminator": settings["discriminator_learning_rate"]},
        uniforms={"mix": (size, 1)},
        compiles=False,
    )
    train = Phase(
        name="train",
        iterations=settings["iterations"],
        batches=both | {"initial": Draw("first_steps", size)},
        updates=(actor_and_nu_losses,),
        learning_rates={
            "nu": settings["nu_learning_rate"],
            "policy": settings["actor_learning_rate"],
        },
        uniforms={"mix": (size, 1)},
        compiles=False,
        prepare=rewards_of_the_mixture,
    )
    return discriminator, train


def pairs(obs: Tensor, action: Tensor) -> Tensor:
    """Join states and actions: (R, B, obs_dim + act_dim)."""
    return torch.cat([obs, action], -1)


def logit(params, x: Tensor) -> Tensor:
    """l(s, a): (R, B)."""
    return mlp(params, "discriminator", x)[..., 0]


def value(params, obs: Tensor) -> Tensor:
    """nu(s): (R, B)."""
    return mlp(params, "nu", obs)[..., 0]


def gradient_norms(function, x: Tensor) -> Tensor:
    """||d function / dx|| of each row, differentiable: (R, B)."""
    x = x.detach().requires_grad_()
    (gradient,) = torch.autograd.grad(function(x).sum(), x, create_graph=True)
    return (gradient.square().sum(-1) + 1e-14).sqrt()


def discriminator_loss(context: Context) -> Loss:
    """-E_N log c - E_U log(1 - c) + 10 GP, c = sigmoid(l), GP = E(||grad l|| - 1)^2."""
    params, mix = context.nets["discriminator"], context.noise["mix"]
    unlabelled, labelled = context.batches["unlabelled"], context.batches["nonpreferred"]
    u, n = pairs(unlabelled.obs, unlabelled.action), pairs(labelled.obs, labelled.action)
    logit_n, logit_u = logit(params, n), logit(params, u)
    # A batch is independent draws, so its neighbour is a random partner.
    shuffled = u.roll(1, dims=1)
    between = torch.cat([mix * n + (1 - mix) * u, mix * u + (1 - mix) * shuffled], 1)
    penalty = (gradient_norms(lambda x: logit(params, x), between) - 1).square().mean(1)
    terms = {
        "labelled": F.softplus(-logit_n).mean(1),
        "unlabelled": F.softplus(logit_u).mean(1),
        "penalty": context.hyper["discriminator_penalty"] * penalty,
    }
    return Loss(
        terms,
        {
            "accuracy_labelled": (logit_n > 0).float().mean(1),
            "accuracy_unlabelled": (logit_u < 0).float().mean(1),
        },
    )


def mixture_share(logits: Tensor, mask: Tensor, quantile: Tensor) -> Tensor:
    """alpha = min over U of d_U/d_N = exp(-max l), less 1e-5, in [0, 0.95]: (R,)."""
    tops = []
    for own, valid, q in zip(logits, mask, quantile, strict=True):
        own = own[valid].sort().values
        tops.append(own[torch.ceil(q * (len(own) - 1)).long()])
    return (torch.exp(-torch.stack(tops)) - 1e-5).clamp(0.0, ALPHA_MAX)


def density_ratio_reward(logits: Tensor, alpha: Tensor) -> Tensor:
    """r = log(d_P/d_U) = log(1 - alpha e^l) - log(1 - alpha): (R, B).

    e^l is kept finite: where alpha is 0, r is 0 for every logit.
    """
    alpha = alpha[:, None]
    return torch.log1p(
        -(alpha * logits.clamp(max=MAX_LOGIT).exp()).clamp(max=1 - 1e-6)
    ) - torch.log1p(-alpha)


def rewards_of_the_mixture(context: Context, samplers: dict) -> None:
    """Freeze the discriminator and compute alpha and the rewards of all of U, once.

    Each replica by itself: sums over a set that is padded for its neighbours round otherwise.
    """
    index, mask = samplers["unlabelled"].all_steps()
    flat = samplers["unlabelled"].flat
    shares, by_step = [], flat["obs"].new_zeros(len(index), len(flat["obs"]))
    with torch.no_grad():
        for replica, valid in enumerate(mask):
            own = index[replica, valid][None]
            params = {n: v[replica : replica + 1] for n, v in context.nets["discriminator"].items()}
            logits = torch.cat(
                [
                    logit(params, pairs(flat["obs"][part], flat["action"][part]))
                    for part in own.split(CHUNK, dim=1)
                ],
                1,
            )
            quantile = context.hyper["alpha_quantile"][replica : replica + 1]
            alpha = mixture_share(logits, torch.ones_like(own, dtype=torch.bool), quantile)
            reward = density_ratio_reward(logits, alpha)
            if context.settings["reward_norm"]:
                reward = standardised(reward)
            by_step[replica, own[0]] = reward[0]
            shares.append(alpha)
    context.constants = {"alpha": torch.cat(shares), "reward": by_step}


def standardised(reward: Tensor) -> Tensor:
    """Mean 0 and standard deviation 1 along axis 1, unless all are the same."""
    centred = reward - reward.mean(1, keepdim=True)
    std = centred.square().mean(1, keepdim=True).sqrt()
    return torch.where(std < 1e-6, reward, centred / std.clamp(min=1e-6))


def nu_loss(advantage: Tensor, nu_initial: Tensor, gamma: Tensor) -> Tensor:
    """(1 - gamma) E nu(s0) + log E_U exp(A): (R,)."""
    log_mean_exp = torch.logsumexp(advantage, 1) - math.log(advantage.shape[1])
    return (1 - gamma) * nu_initial.mean(1) + log_mean_exp


def actor_and_nu_losses(context: Context) -> dict[str, Loss]:
    """nu by its dual, the actor by BC on U with weights exp(A), self-normalised."""
    nets, hyper, mix = context.nets, context.hyper, context.noise["mix"]
    u, n = context.batches["unlabelled"], context.batches["nonpreferred"]
    reward = context.constants["reward"].gather(1, u.index)
    gamma = hyper["gamma"]
    following = gamma[:, None] * (1 - u.terminal) * value(nets["nu"], u.next_obs)
    advantage = reward + following - value(nets["nu"], u.obs)
    points = [u.obs, mix * n.obs + (1 - mix) * u.obs]
    points.append(mix * n.next_obs + (1 - mix) * u.next_obs)
    norms = gradient_norms(lambda x: value(nets["nu"], x), torch.cat(points, 1))
    nu_terms = {
        "nu": nu_loss(advantage, value(nets["nu"], context.batches["initial"].obs), gamma),
        "nu_penalty": hyper["nu_penalty"] * norms.square().mean(1),
    }
    with torch.no_grad():
        weight = torch.exp(advantage - advantage.amax(1, keepdim=True))
        weight = (weight / weight.mean(1, keepdim=True)).clamp(max=MAX_WEIGHT)
    log_prob = context.policy.log_prob(nets["policy"], u.obs, u.action)
    logs = {}
    if context.diagnose:
        logs = {
            "alpha": context.constants["alpha"],
            "reward_mean": reward.mean(1),
            "reward_min": reward.amin(1),
            "weight_max": weight.amax(1),
            "weight_std": weight.std(1),
            "advantage_mean": advantage.mean(1).detach(),
        }
    return {
        "nu": Loss(nu_terms, {}),
        "policy": Loss({"weighted_bc": -(weight * log_prob).mean(1)}, logs),
    }
