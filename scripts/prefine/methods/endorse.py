"""Endorse: clone those trajectories of D_p that pi_ref endorses and that look least like D_np.

Ours (docs/beyond.md). pi_ref was trained on the return, so that how near its actions come to those
of a safe trajectory says how much that one returns, which nobody tells. How many of its states look
like D_np's says how near to the limit it is. Trajectories are ranked by both, and BC from pi_ref
weighs them by their place. No rewards and no costs.
"""

from dataclasses import replace

import torch
import torch.nn.functional as F
from torch import Tensor

from prefine.methods import Context, Draw, Loss, Phase, policy_phase
from prefine.methods.losses import log_probs
from prefine.policies.networks import Params, init_mlp, mlp

HYPERPARAMETERS = {
    "share": 0.25,  # of D_p's trajectories that is cloned, the best first; 1: BC from pi_ref
    "caution": 1.0,  # weight of the rank by danger; 0: pi_ref's alone
}
SETTINGS = {
    "classifier_iterations": 300,
    "classifier_hidden": 64,
    "classifier_learning_rate": 0.001,
    "encoder_update": ("frozen", "all"),
}
SEES = "actions"
STARTS_FROM = "reference"
POLICY = ""
SHARES = ("share",)


def networks(policy, settings: dict) -> dict:
    """The policy, and a classifier of states of D_np against those of D_p."""
    sizes = [policy.obs_dim, *[settings["classifier_hidden"]] * 2, 1]
    return {
        "classifier": lambda generator: init_mlp("classifier", sizes, generator),
        "policy": policy.init,
    }


def phases(policy, settings: dict) -> tuple[Phase, ...]:
    """The classifier, then cloning with the weights that follow from it."""
    size, draws = settings["batch_size"], settings["likelihood_draws"]
    steps = Draw("steps", size)
    classify = Phase(
        name="classifier",
        iterations=settings["classifier_iterations"],
        batches={"preferred": steps, "nonpreferred": steps},
        updates=(lambda context: {"classifier": classifier_loss(context)},),
        learning_rates={"classifier": settings["classifier_learning_rate"]},
    )
    normals = {"latent": (draws, size, policy.latent_dim)}
    train = policy_phase(policy, settings, {"preferred": steps}, normals, loss)
    return classify, replace(train, prepare=weigh)


def classifier_loss(context: Context) -> Loss:
    """-E_np log c(s) - E_p log(1 - c(s)), c = sigmoid of the network."""
    params = context.nets["classifier"]
    of_p, of_np = (
        mlp(params, "classifier", context.batches[role].obs)[..., 0]
        for role in ("preferred", "nonpreferred")
    )
    return Loss({"cross_entropy": F.softplus(of_p).mean(1) + F.softplus(-of_np).mean(1)}, {})


def weigh(context: Context, samplers: dict) -> None:
    """Set the weight of each trajectory of D_p, once; each replica by itself.

    ``constants`` get ``start`` (R, n), the first row of each in ascending order, and ``weight``.
    """
    sampler, hyper = samplers["preferred"], context.hyper
    start = torch.full_like(sampler.starts, torch.iinfo(torch.int64).max)
    weight = torch.zeros(start.shape, device=start.device)
    for replica, count in enumerate(sampler.counts.tolist()):
        first = sampler.starts[replica, :count].argsort()
        starts, lengths = (of[replica, first] for of in (sampler.starts, sampler.lengths))
        liking, danger = scores(context, replica, sampler.flat, starts, lengths)
        order = standing(liking, danger, hyper["caution"][replica])
        start[replica, :count] = starts
        weight[replica, :count] = share_weights(order, hyper["share"][replica])
    context.constants = {"weight": weight, "start": start}


def scores(
    context: Context, replica: int, flat: dict, starts: Tensor, lengths: Tensor
) -> tuple[Tensor, Tensor]:
    """pi_ref's liking of each trajectory, and how much it looks like D_np: (n,) each.

    The one is minus the mean squared distance of pi_ref's mean action to the recorded one, the
    other the mean of the classifier's probability, both over the steps of the trajectory.
    """

    def own(params: Params) -> Params:
        return {name: value[replica, None] for name, value in params.items()}

    reference, classifier = own(context.reference), own(context.nets["classifier"])
    policy, parts = context.reference_policy or context.policy, ([], [])
    for first, n in zip(starts.tolist(), lengths.tolist(), strict=True):
        obs, action = (flat[name][None, first : first + n] for name in ("obs", "action"))
        with torch.no_grad():
            noise = obs.new_zeros(1, n, policy.sample_dim)
            mean = policy.act(reference, obs, "deterministic", noise)
            parts[0].append(-(mean - action).square().mean())
            parts[1].append(torch.sigmoid(mlp(classifier, "classifier", obs)).mean())
    return torch.stack(parts[0]), torch.stack(parts[1])


def ranks(values: Tensor) -> Tensor:
    """The place of each value from below, 0 to n - 1; of equal ones the first is lower."""
    return values.argsort(stable=True).argsort(stable=True)


def standing(liking: Tensor, danger: Tensor, caution: Tensor) -> Tensor:
    """rank(liking) - caution rank(danger), (n,): no scale or shift of either matters."""
    return ranks(liking) - caution * ranks(danger)


def share_weights(order: Tensor, share: Tensor) -> Tensor:
    """1 / share for the best ``share`` of n trajectories, 0 for the others; the mean is 1: (n,).

    The one at the border weighs what is left of the share.
    """
    n = len(order)
    place = (-order).argsort(stable=True).argsort(stable=True)
    return (share * n - place).clamp(0, 1) / share


def loss(context: Context) -> Loss:
    """-E w log pi(a|s) over D_p, w of the step's trajectory: the SFT term (Eq. 3), weighted."""
    batch, known = context.batches["preferred"], context.constants
    place = torch.searchsorted(known["start"], batch.index.contiguous(), right=True) - 1
    weight = known["weight"].gather(1, place)
    log_prob, _, _ = log_probs(context, batch.obs, batch.action)
    sft = -(weight * log_prob).mean(1)
    logs = {}
    if context.diagnose:
        logs = {
            "weight_mean": weight.mean(1),
            "weight_zero": (weight == 0).float().mean(1),
            "mean_log_std": context.policy.mean_log_std(context.nets["policy"], batch.obs),
        }
    return Loss({"sft": sft}, logs)
