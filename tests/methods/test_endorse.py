"""Known answers of Endorse, worked by hand: likings, weights, and what is learned."""

import numpy as np
import pandas as pd
import pytest
import torch
from prefine.data.dataset import Transitions
from prefine.methods import Batch, Context, endorse, method_settings
from prefine.methods.losses import sft_loss
from prefine.policies.gaussian import GaussianPolicy
from prefine.training.fine_tune import DEFAULTS
from prefine.training.loop import train


def f64(*values):
    return torch.tensor(values, dtype=torch.float64)


@pytest.mark.parametrize(
    ("share", "weights"),
    [
        (1.0, [1, 1, 1, 1]),  # BC from pi_ref
        (0.5, [2, 0, 0, 2]),
        (0.375, [8 / 3, 0, 0, 4 / 3]),  # one and a half of four
        (0.1, [4, 0, 0, 0]),  # less than one: the best alone
    ],
)
def test_the_best_share_weighs_all_and_the_mean_is_one(share, weights):
    found = endorse.share_weights(f64(3.0, -1.0, 0.5, 2.0), f64(share))
    assert found.flatten().tolist() == pytest.approx(weights, abs=1e-12)
    assert found.mean().item() == pytest.approx(1.0)


def test_only_the_order_of_likings_matters():
    liking, share = f64(-0.5, -0.1, -0.3), f64(0.5)
    found = endorse.share_weights(liking, share).tolist()
    assert found == pytest.approx([0, 2, 1])
    assert endorse.share_weights(3 * liking - 7, share).tolist() == found
    assert endorse.share_weights(f64(1.0, 1.0, 1.0), share).tolist() == pytest.approx([2, 1, 0])


def constant_policy(mean):
    """A Gaussian of one dimension whose mean is ``mean`` and whose sigma is 1 everywhere."""
    policy = GaussianPolicy(1, 1, (), squash_mean=False)
    bias = torch.zeros(len(mean), 1, 2)
    bias[:, 0, 0] = torch.tensor(mean)
    weight = torch.zeros(len(mean), 1, 2)
    return policy, {"trunk.0.weight": weight, "trunk.0.bias": bias}


def test_liking_is_a_mean_over_a_trajectorys_steps_of_the_replicas_own_reference():
    policy, params = constant_policy([0.5, 0.0])
    context = Context(policy, {}, params, {}, None, {})
    flat = {"obs": torch.zeros(4, 1), "action": torch.tensor([0.5, 1.5, -0.5, 0.0])[:, None]}
    parts = torch.tensor([0, 3]), torch.tensor([3, 1])
    liking = endorse.likings(context, 0, flat, *parts)
    assert liking.tolist() == pytest.approx([-(0 + 1 + 1) / 3, -0.25])
    liking = endorse.likings(context, 1, flat, *parts)
    assert liking.tolist() == pytest.approx([-(0.25 + 2.25 + 0.25) / 3, 0.0])


def test_a_step_weighs_what_its_trajectory_does():
    """Mean 0, sigma 1: log pi = -a^2 / 2 - c. Rows 0 to 2, 3 to 6 and from 7 on."""
    policy, params = constant_policy([0.0])
    batch = Batch(torch.zeros(1, 4, 1), torch.tensor([[[1.0], [2.0], [3.0], [4.0]]]))
    batch = batch._replace(index=torch.tensor([[2, 3, 6, 9]]))
    context = Context(policy, {"policy": params}, params, {}, None, {"encoder_update": "frozen"})
    context.batches, context.noise = {"preferred": batch}, {"latent": None}
    context.constants = {
        "start": torch.tensor([[0, 3, 7]]),
        "weight": torch.tensor([[2.0, 0.0, 1.0]]),
    }
    c = 0.5 * np.log(2 * np.pi)
    assert endorse.loss(context).total.item() == pytest.approx((2 * 0.5 + 8.0 + 3 * c) / 4)
    context.constants["weight"] = torch.ones(1, 3)
    plain, _, _ = endorse.log_probs(context, batch.obs, batch.action)
    assert endorse.loss(context).total.item() == pytest.approx(sft_loss(plain).item())


def test_each_replica_clones_what_its_reference_likes_best():
    """D_p has a trajectory of actions .5 and one of -.5, named out of order; pi_ref's are .1."""
    lengths = np.array([40, 25])
    data = Transitions(
        observations=np.zeros((65, 1), np.float32),
        actions=np.repeat([-0.5, 0.5], lengths)[:, None].astype(np.float32),
        starts=np.array([0, 40]),
        lengths=lengths,
        mean=np.zeros(1, np.float32),
        std=np.ones(1, np.float32),
    )
    policy, reference = constant_policy([0.1])
    runs = pd.DataFrame({"run": ["half", "all"], "stream": "one", "tau": np.nan})
    runs = runs.assign(share=[0.5, 1.0])
    settings = DEFAULTS | method_settings("endorse") | {"iterations": 400, "log_points": 1}
    settings |= {"learning_rate": 0.01, "batch_size": 64, "longest": 40}
    sets = {"preferred": [np.array([1, 0])] * 2}
    params, _ = train(endorse, policy, runs, data, sets, settings, reference)
    mean, _ = policy.distribution(params, torch.zeros(2, 1, 1))
    assert mean.flatten().tolist() == pytest.approx([0.5, 0.0], abs=0.1)
