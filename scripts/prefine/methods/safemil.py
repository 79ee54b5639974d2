"""SafeMIL: a cost learned from bags of partial trajectories weights cloning (AAAI 2026).

N = D_np is labelled unsafe; U = D_p and D_np without their labels, as SafeDICE's. A bag of N
costs more on average than a bag of U: that is all that the cost network is told. The policy
clones U, the less the more a step costs. What of it is a reading: docs/readings.md.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

from prefine.methods import Batch, Context, Draw, Loss, Phase
from prefine.methods.losses import segment_sum
from prefine.policies.networks import init_mlp, mlp

HYPERPARAMETERS = {
    "gamma": 0.99,
    "temperature": 0.6,  # of the weights of cloning
}
SETTINGS = {
    # ratio: c > 0, -log C(N) + log C(U), weights (1 / c)^temperature of steps
    # bradley_terry: c < 1, -log sigmoid(C(N) - C(U)), weights exp(-C / temperature) of segments
    "variant": ("ratio", "bradley_terry"),
    "segment_length": 20,
    "bags": 4,  # of N and of U in a batch
    "bag_size": 32,  # partial trajectories of a bag
    "cost_hidden": 512,
    "cost_learning_rate": 0.0003,
}
SEES = "actions"
STARTS_FROM = "random"
SHARES = ("gamma",)
LOG_COST = (-4.0, 3.0)
SMALL = 1e-6


def networks(policy, settings: dict) -> dict:
    """The policy, and the cost network, whose last layer begins at 0: all steps cost the same.

    A ratio of costs does not depend on their scale e^bias: that bias would follow nothing but
    rounding, which Adam makes as large as any gradient. So there is none.
    """
    sizes = [policy.obs_dim + policy.act_dim, *[settings["cost_hidden"]] * 2, 1]
    last = f"cost.{len(sizes) - 2}"

    def cost_network(generator):
        params = init_mlp("cost", sizes, generator)
        params[f"{last}.weight"].zero_()
        bias = params.pop(f"{last}.bias").zero_()
        return params if settings["variant"] == "ratio" else params | {f"{last}.bias": bias}

    return {"policy": policy.init, "cost": cost_network}


def phases(policy, settings: dict) -> tuple[Phase, ...]:
    """Cost and policy step together, on the same batches."""
    draw = Draw("segments", settings["bags"] * settings["bag_size"], settings["segment_length"])
    train = Phase(
        name="train",
        iterations=settings["iterations"],
        batches={"nonpreferred": draw, "unlabelled": draw},
        updates=(losses,),
        learning_rates={
            "cost": settings["cost_learning_rate"],
            "policy": settings["learning_rate"],
        },
        normals={"latent": (draw.size * draw.length, policy.latent_dim)},
        gradient_clip=settings["gradient_clip"],
        compiles=False,
        after=lambda context: policy.project(context.nets["policy"]),
    )
    return (train,)


def step_costs(context: Context, batch: Batch) -> Tensor:
    """c(s, a) of each step: (R, S L)."""
    x = torch.cat([batch.obs, batch.action], -1)
    out = mlp(context.nets["cost"], "cost", x, "elu")[..., 0]
    if context.settings["variant"] == "ratio":
        return out.clamp(*LOG_COST).exp()
    return torch.sigmoid(out)


def discounted_sum(costs: Tensor, mask: Tensor, gamma: Tensor) -> Tensor:
    """C = sum_t gamma^t c_t of each segment: (R, S L) and (R, S, L) -> (R, S)."""
    discount = gamma[:, None] ** torch.arange(mask.shape[2], device=mask.device)
    return segment_sum(costs, mask * discount[:, None])


def bag_means(costs: Tensor, bag_size: int) -> Tensor:
    """Mean C of each bag: (R, S) -> (R, bags)."""
    return costs.unflatten(1, (-1, bag_size)).mean(2)


def cost_loss(labelled: Tensor, unlabelled: Tensor, variant: str) -> Tensor:
    """A bag of N costs more than one of U, (R, bags) each: (R,)."""
    if variant == "ratio":
        return ((unlabelled + SMALL).log() - (labelled + SMALL).log()).mean(1)
    return -F.logsigmoid(labelled - unlabelled).mean(1)


def weights(costs: Tensor, sums: Tensor, mask: Tensor, temperature: Tensor, variant: str) -> Tensor:
    """The weight of each step in cloning: (R, S L).

    Args:
        costs: c of each step, (R, S L); sums: C of each segment, (R, S).
    """
    temperature = temperature[:, None]
    if variant == "ratio":
        return costs ** (-temperature)
    own = torch.exp(-sums / temperature)
    own = own / own.mean(1, keepdim=True)
    return own[..., None].expand_as(mask).flatten(1)


def losses(context: Context) -> dict[str, Loss]:
    """The cost's comparison of bags, and cloning of U weighted by the cost as it is."""
    labelled, unlabelled = context.batches["nonpreferred"], context.batches["unlabelled"]
    hyper, settings = context.hyper, context.settings
    variant, bag_size, mask = settings["variant"], settings["bag_size"], unlabelled.mask
    of_n = discounted_sum(step_costs(context, labelled), labelled.mask, hyper["gamma"])
    costs = step_costs(context, unlabelled)
    of_u = discounted_sum(costs, mask, hyper["gamma"])
    bags_n, bags_u = bag_means(of_n, bag_size), bag_means(of_u, bag_size)
    with torch.no_grad():
        weight = weights(costs, of_u, mask, hyper["temperature"], variant) * mask.flatten(1)
    nll, logs = context.policy.pretraining_loss(
        context.nets["policy"], unlabelled.obs, unlabelled.action, context.noise["latent"]
    )
    cloning = (weight * nll).sum(1) / mask.flatten(1).sum(1)
    if context.diagnose:
        logs = logs | {
            "bag_cost_labelled": bags_n.mean(1),
            "bag_cost_unlabelled": bags_u.mean(1),
            "accuracy": (bags_n > bags_u).float().mean(1),
            "weight_mean": weight.sum(1) / mask.flatten(1).sum(1),
            "weight_max": weight.amax(1),
        }
    return {
        "cost": Loss({"cost": cost_loss(bags_n, bags_u, variant)}, {}),
        "policy": Loss({"weighted_bc": cloning}, logs),
    }
