"""Endorse: BC from pi_ref on those trajectories of D_p that pi_ref likes best.

Ours (docs/beyond.md). pi_ref was trained on the return, so that how near its actions come to those
of a safe trajectory says how much that one returns, which nobody tells. The best share is cloned,
and nothing else: no D_np, no rewards, no costs.
"""

from dataclasses import replace

import torch
from torch import Tensor

from prefine.methods import Context, Draw, Loss, Phase, policy_network, policy_phase
from prefine.methods.losses import log_probs

HYPERPARAMETERS = {
    "share": 0.25,  # of D_p's trajectories that is cloned, the best liked; 1: all of it
}
SETTINGS = {
    # The VAE's encoder trains too: a frozen one writes D_p's actions into z, and what the policy
    # does at z = 0, where it is evaluated, hardly moves from pi_ref (docs/beyond.md).
    "encoder_update": ("all", "frozen"),
}
SEES = "actions"
STARTS_FROM = "reference"
SHARES = ("share",)
networks = policy_network


def phases(policy, settings: dict) -> tuple[Phase, ...]:
    """Batches of D_p, K latent draws a state; the weights are set before the first."""
    size, draws = settings["batch_size"], settings["likelihood_draws"]
    normals = {"latent": (draws, size, policy.latent_dim)}
    train = policy_phase(policy, settings, {"preferred": Draw("steps", size)}, normals, loss)
    return (replace(train, prepare=weigh),)


def weigh(context: Context, samplers: dict) -> None:
    """Set the weight of each trajectory of D_p, once; each replica by itself.

    ``constants`` get ``start`` (R, n), the first row of each in ascending order, and ``weight``.
    """
    sampler, share = samplers["preferred"], context.hyper["share"]
    start = torch.full_like(sampler.starts, torch.iinfo(torch.int64).max)
    weight = torch.zeros(start.shape, device=start.device)
    for replica, count in enumerate(sampler.counts.tolist()):
        order = sampler.starts[replica, :count].argsort()
        starts, lengths = (of[replica, order] for of in (sampler.starts, sampler.lengths))
        start[replica, :count] = starts
        liking = likings(context, replica, sampler.flat, starts, lengths)
        weight[replica, :count] = share_weights(liking, share[replica])
    context.constants = {"start": start, "weight": weight}


def likings(context: Context, replica: int, flat: dict, starts: Tensor, lengths: Tensor) -> Tensor:
    """Minus the mean squared distance of pi_ref's mean action to the recorded one: (n,).

    The mean is over the steps of a trajectory and the dimensions of an action.
    """
    policy = context.reference_policy or context.policy
    params, found = {n: v[replica, None] for n, v in context.reference.items()}, []
    for first, steps in zip(starts.tolist(), lengths.tolist(), strict=True):
        obs, action = (flat[name][None, first : first + steps] for name in ("obs", "action"))
        with torch.no_grad():
            noise = obs.new_zeros(1, steps, policy.sample_dim)
            mean = policy.act(params, obs, "deterministic", noise)
        found.append(-(mean - action).square().mean())
    return torch.stack(found)


def share_weights(liking: Tensor, share: Tensor) -> Tensor:
    """1 / share for the best liked share of n trajectories, 0 for the others; mean 1: (n,).

    The one at the border weighs what is left of the share. Only the order of ``liking`` matters;
    of equals the first comes first.
    """
    place = (-liking).argsort(stable=True).argsort(stable=True)
    return (share * len(liking) - place).clamp(0, 1) / share


def loss(context: Context) -> Loss:
    """-E w log pi(a|s) over D_p, w of the step's trajectory: the SFT term (Eq. 3), weighted."""
    batch, known = context.batches["preferred"], context.constants
    place = torch.searchsorted(known["start"], batch.index.contiguous(), right=True) - 1
    weight = known["weight"].gather(1, place)
    log_prob, _, _ = log_probs(context, batch.obs, batch.action)
    logs = {}
    if context.diagnose:
        logs = {
            "weight_mean": weight.mean(1),
            "mean_log_std": context.policy.mean_log_std(context.nets["policy"], batch.obs),
        }
    return Loss({"sft": -(weight * log_prob).mean(1)}, logs)
