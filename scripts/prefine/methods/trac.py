"""TraC: classify segments as desired or not, directly with the policy (Gong et al., AAAI 2025).

A segment's score is what it gains in discounted log-likelihood on pi_ref, and its sigmoid the
probability that it is desired. ``labels: trajectory`` is PREFINE's setting: a segment has the
label of its trajectory, weight 1, and pi_ref is given. ``labels: segment`` is the publication's,
which sees rewards and costs: labels and weights of segments come from them, over the whole
dataset, and pi_ref is cloned from it.
"""

from dataclasses import replace

import torch
import torch.nn.functional as F
from torch import Tensor

from prefine.methods import Batch, Context, Draw, Loss, Phase, policy_phase
from prefine.methods.losses import log_probs, segment_sum, sft_loss

HYPERPARAMETERS = {
    "alpha": 0.1,  # of the score; Bullet 0.2
    "eta": 0.5,  # weight of what is not desired; Bullet 0.25
    "gamma": 0.99,
    # With labels: segment.
    "kappa": 0.7,  # least weight of a safe segment
    "top": 0.5,  # share of the safe segments that is desired, best reward first
    "bottom": 0.5,  # share of them that is not, worst reward first; Bullet 0
}
SETTINGS = {
    "labels": ("trajectory", "segment"),
    "segment_length": 64,  # at most; a fifth of the longest trajectory where that is shorter
    "segments": 48,  # of each of two sets in a batch; twice as many of the one dataset
    "actor_learning_rate": 0.0001,
    "reference_iterations": 30000,  # labels: segment; of cloning pi_ref
    "encoder_update": ("frozen", "all"),
}
SEES = {"labels": {"trajectory": "actions", "segment": "everything"}}
STARTS_FROM = {"labels": {"trajectory": "reference", "segment": "random"}}
ITERATIONS = 70_000
SHARES = ("gamma", "kappa", "top", "bottom")
LEAST_LOG = -13.815510557964274  # log 1e-6, the least log-probability that counts
CHUNK = 8192


def networks(policy, settings: dict) -> dict:
    """The policy; and pi_ref, where it is its own."""
    own = {"reference": policy.init} if settings["labels"] == "segment" else {}
    return own | {"policy": policy.init}


def phases(policy, settings: dict) -> tuple[Phase, ...]:
    """Segments of D_p and D_np; or cloning of the dataset, then segments of the dataset."""
    size, draws = settings["segments"], settings["likelihood_draws"]
    length = min(settings["segment_length"], max(1, settings["longest"] // 5))
    draw = Draw("segments", size, length)
    normals = {"latent": (draws, 2 * size * length, policy.latent_dim)}
    own = settings | {"learning_rate": settings["actor_learning_rate"]}
    if settings["labels"] == "trajectory":
        batches = {"preferred": draw, "nonpreferred": draw}
        return (policy_phase(policy, own, batches, normals, loss_by_trajectory),)
    batches = {"all": Draw("segments", 2 * size, length)}

    latent = {"latent": (2 * size * length, policy.latent_dim)}
    cloning = policy_phase(policy, own, batches, latent, cloning_loss, "reference")
    cloning = replace(cloning, name="reference", iterations=settings["reference_iterations"])

    def prepare(context: Context, samplers: dict) -> None:
        start_from_clone(context)
        context.constants = borders(context, samplers["all"], length)

    train = policy_phase(policy, own, batches, normals, loss_by_segment)
    return cloning, replace(train, prepare=prepare)


def cloning_loss(context: Context) -> Loss:
    """-E log pi(a|s) over the dataset's segments."""
    (batch,) = context.batches.values()
    nll, logs = context.policy.pretraining_loss(
        context.nets["reference"], batch.obs, batch.action, context.noise["latent"]
    )
    return Loss({"sft": sft_loss(-nll, batch.mask)}, logs)


def start_from_clone(context: Context) -> None:
    """The policy begins as the clone, which stays."""
    with torch.no_grad():
        for name, tensor in context.nets["reference"].items():
            tensor.requires_grad_(False)
            context.nets["policy"][name].copy_(tensor)


def loss_by_trajectory(context: Context) -> Loss:
    """All of D_p is desired and all of D_np is not, with weight 1."""
    preferred, nonpreferred = context.batches["preferred"], context.batches["nonpreferred"]
    obs, action, mask = (
        torch.cat([getattr(preferred, name), getattr(nonpreferred, name)], 1)
        for name in ("obs", "action", "mask")
    )
    desired = torch.zeros_like(mask[..., 0])
    desired[:, : preferred.mask.shape[1]] = 1
    score = scores(context, Batch(obs, action, mask=mask))
    return classified(context, score, desired, 1 - desired, torch.ones_like(desired))


def loss_by_segment(context: Context) -> Loss:
    """What is desired and how much follows from a segment's reward and cost."""
    (batch,) = context.batches.values()
    own = replace(context, reference=context.nets["reference"], reference_policy=None)
    return classified(context, scores(own, batch), *labels_of(context, batch))


def scores(context: Context, batch: Batch) -> Tensor:
    """A = alpha sum_t gamma^t log pi_theta/pi_ref of each segment: (R, S)."""
    log_prob, of_reference, _ = log_probs(context, batch.obs, batch.action, need_reference=True)
    steps = torch.arange(batch.mask.shape[2], device=batch.mask.device)
    discount = context.hyper["gamma"][:, None] ** steps
    ratios = segment_sum(log_prob - of_reference, batch.mask * discount[:, None])
    return context.hyper["alpha"][:, None] * ratios


def classified(
    context: Context, score: Tensor, desired: Tensor, undesired: Tensor, weight: Tensor
) -> Loss:
    """The loss of a batch with its diagnostics."""
    terms = trac_losses(score, desired, undesired, weight, context.hyper["eta"])
    logs = {}
    if context.diagnose:
        right = desired * (score > 0) + undesired * (score < 0)
        labelled = (desired + undesired).sum(1).clamp(min=1)
        logs = {
            "accuracy": right.sum(1) / labelled,
            "desired_share": desired.mean(1),
            "undesired_share": undesired.mean(1),
            "score_desired": (desired * score).sum(1) / desired.sum(1).clamp(min=1),
            "score_undesired": (undesired * score).sum(1) / undesired.sum(1).clamp(min=1),
        }
    return Loss(terms, logs)


def trac_losses(
    score: Tensor, desired: Tensor, undesired: Tensor, weight: Tensor, eta: Tensor
) -> dict[str, Tensor]:
    """-mean w log sigmoid(A) of what is desired, -mean lambda w log sigmoid(-A) of what is not.

    Means are over both; lambda = eta n_1 / n_0 by the counts of the batch, so that what is not
    desired weighs eta times as much as what is, however many there are. No log-probability is
    below log 1e-6. All but ``eta`` (R,) are (R, S), desired and undesired 0 or 1.
    """
    n_desired, n_undesired = desired.sum(1), undesired.sum(1)
    n = (n_desired + n_undesired).clamp(min=1)
    balance = eta * n_desired / n_undesired.clamp(min=1)
    log_desired = F.logsigmoid(score).clamp(min=LEAST_LOG)
    log_undesired = F.logsigmoid(-score).clamp(min=LEAST_LOG)
    return {
        "desired": -(desired * weight * log_desired).sum(1) / n,
        "undesired": -balance * (undesired * weight * log_undesired).sum(1) / n,
    }


def labels_of(context: Context, batch: Batch) -> tuple[Tensor, Tensor, Tensor]:
    """Which segments are desired, which are not, and their weights: (R, S) each.

    Desired are the safe ones of most reward, with weight kappa + (1 - kappa) r and r from 0 to 1;
    undesired the unsafe ones with weight 1, and the safe ones of least reward, with 1 - r for r.
    """
    known, kappa = context.constants, context.hyper["kappa"][:, None]
    reward, cost = segment_sum(batch.reward, batch.mask), segment_sum(batch.cost, batch.mask)
    limit = cost_limit(context.tau[:, None], batch.mask.sum(2), context.settings["longest"])
    safe = cost <= limit
    best = safe & (reward >= known["top_from"][:, None])
    worst = safe & ~best & (reward <= known["bottom_to"][:, None])
    low, high = known["low"][:, None], known["high"][:, None]
    rank = ((reward - low) / (high - low).clamp(min=1e-12)).clamp(0, 1)
    rank = torch.where(high > low, rank, torch.ones_like(rank))
    weight = kappa + (1 - kappa) * torch.where(worst, 1 - rank, rank)
    weight = torch.where(safe, weight, torch.ones_like(weight))
    return best.float(), (worst | ~safe).float(), weight


def cost_limit(tau: Tensor, steps: Tensor, longest: int) -> Tensor:
    """What a segment of so many steps may cost: its share of an episode's limit."""
    return tau * steps / longest


def borders(context: Context, sampler, length: int) -> dict[str, Tensor]:
    """Rewards of the safe segments between which labels and weights change: (R,) each.

    ``low`` and ``high`` are the least and the most, ``top_from`` and ``bottom_to`` the borders of
    the shares ``top`` and ``bottom``, over all segments as they are drawn. Replicas share what
    they have in common, the sums over segments.
    """
    hyper, longest, found, sums = context.hyper, context.settings["longest"], [], {}
    for replica, count in enumerate(sampler.counts.tolist()):
        starts, lengths = (of[replica, :count] for of in (sampler.starts, sampler.lengths))
        key = starts.cpu().numpy().tobytes()
        if key not in sums:
            sums = {key: segment_sums(sampler.flat, starts, lengths, length)}
        reward, cost, steps, share = sums[key]
        safe = cost <= cost_limit(context.tau[replica], steps, longest)
        reward, share = reward[safe], share[safe]
        if not len(reward):
            found.append(reward.new_tensor([0.0, 0.0, torch.inf, -torch.inf]))
            continue
        top, bottom = hyper["top"][replica].item(), hyper["bottom"][replica].item()
        edges = -border(-reward, share, top), border(reward, share, bottom)
        found.append(torch.stack([reward.min(), reward.max(), *edges]))
    names = ("low", "high", "top_from", "bottom_to")
    return dict(zip(names, torch.stack(found, 1), strict=True))


def border(values: Tensor, share_of_each: Tensor, share: float) -> Tensor:
    """The value up to which ``values`` (n,) make up a share of all; -inf for no share.

    It lies between two of them, so that rounding of a sum moves no segment across.
    """
    if share <= 0:
        return values.new_tensor(-torch.inf)
    order = values.argsort(stable=True)
    reached = share_of_each[order].double().cumsum(0)
    last, place = len(order) - 1, torch.searchsorted(reached, share * reached[-1] * (1 - 1e-9))
    around = order[place.clamp(max=last)], order[(place + 1).clamp(max=last)]
    return (values[around[0]] + values[around[1]]) / 2


def segment_sums(flat: dict, starts: Tensor, lengths: Tensor, length: int) -> tuple[Tensor, ...]:
    """Reward, cost, steps and share among the drawn of every segment: (n,) each.

    A trajectory is drawn uniformly, then where its segment starts.

    Args:
        flat: ``reward`` and ``cost`` of each step of the dataset.
        starts, lengths: of the trajectories in it.
    """
    free = (lengths - length).clamp(min=0) + 1
    place = torch.repeat_interleave(torch.arange(len(free), device=free.device), free)
    offset = torch.arange(len(place), device=free.device) - (free.cumsum(0) - free)[place]
    first, steps = starts[place] + offset, lengths[place].clamp(max=length)
    step, sums = torch.arange(length, device=free.device), {"reward": [], "cost": []}
    for rows, n in zip(first.split(CHUNK), steps.split(CHUNK), strict=True):
        mask = (step < n[:, None]).float()
        index = rows[:, None] + step.minimum(n[:, None] - 1)
        for name, parts in sums.items():
            parts.append((flat[name][index] * mask).sum(1))
    return torch.cat(sums["reward"]), torch.cat(sums["cost"]), steps, 1.0 / free[place]
