"""Known answers of Endorse, worked by hand: scores, places, weights, and what is learned."""

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


def test_places_are_by_rank_alone():
    """Liking -.5 -.1 -.3 has ranks 0 2 1, danger .9 .2 .4 ranks 2 0 1."""
    liking, danger = f64(-0.5, -0.1, -0.3), f64(0.9, 0.2, 0.4)
    assert endorse.standing(liking, danger, f64(0.0)).flatten().tolist() == [0, 2, 1]
    assert endorse.standing(liking, danger, f64(0.5)).flatten().tolist() == [-1.0, 2.0, 0.5]
    moved = endorse.standing(3 * liking - 7, danger / 10 + 5, f64(0.5))
    assert moved.flatten().tolist() == [-1.0, 2.0, 0.5]


def constant_policy(mean):
    """A Gaussian of one dimension whose mean is ``mean`` and whose sigma is 1 everywhere."""
    policy = GaussianPolicy(1, 1, (), squash_mean=False)
    bias = torch.zeros(len(mean), 1, 2)
    bias[:, 0, 0] = torch.tensor(mean)
    weight = torch.zeros(len(mean), 1, 2)
    return policy, {"trunk.0.weight": weight, "trunk.0.bias": bias}


def test_scores_are_means_over_a_trajectorys_steps():
    """Means .5 and 0 in two replicas; classifiers say 1/2 everywhere, and 3/4 where s > 0."""
    policy, params = constant_policy([0.5, 0.0])
    classifier = {"classifier.0.weight": torch.tensor([[[0.0]], [[np.log(3.0)]]]).float()}
    context = Context(policy, {"classifier": classifier}, params, {}, None, {})
    flat = {"obs": torch.tensor([1.0, 0, 1, 1])[:, None]}
    flat["action"] = torch.tensor([0.5, 1.5, -0.5, 0.0])[:, None]
    parts = torch.tensor([0, 3]), torch.tensor([3, 1])
    liking, danger = endorse.scores(context, 0, flat, *parts)
    assert liking.tolist() == pytest.approx([-(0 + 1 + 1) / 3, -0.25])
    assert danger.tolist() == pytest.approx([0.5, 0.5])
    liking, danger = endorse.scores(context, 1, flat, *parts)
    assert liking.tolist() == pytest.approx([-(0.25 + 2.25 + 0.25) / 3, 0.0])
    assert danger.tolist() == pytest.approx([(0.75 + 0.5 + 0.75) / 3, 0.75])


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


def test_it_clones_what_the_reference_likes_and_with_caution_what_is_unlike_d_np():
    """Its own actions: .5 in D_p's states near 1, which are D_np's too, and -.5 in those near -1.

    pi_ref's mean is .3 everywhere.
    """
    n, random = 40, np.random.default_rng(0)
    side = np.repeat([1.0, -1.0, 1.0], n)
    data = Transitions(
        observations=(side + 0.1 * random.normal(size=3 * n))[:, None].astype(np.float32),
        actions=np.repeat([0.5, -0.5, 0.9], n)[:, None].astype(np.float32),
        starts=n * np.arange(3),
        lengths=np.full(3, n),
        mean=np.zeros(1, np.float32),
        std=np.ones(1, np.float32),
    )
    policy, reference = constant_policy([0.3])
    runs = pd.DataFrame({"run": ["liked", "cautious"], "stream": "one", "tau": np.nan})
    runs = runs.assign(share=0.5, caution=[0.0, 2.0])
    sets = {"preferred": [np.array([1, 0])] * 2, "nonpreferred": [np.array([2])] * 2}
    settings = DEFAULTS | method_settings("endorse") | {"iterations": 400, "log_points": 1}
    settings |= {"learning_rate": 0.01, "batch_size": 32, "longest": n}
    params, _ = train(endorse, policy, runs, data, sets, settings, reference)
    states = torch.tensor([1.0, -1.0])[:, None, None]  # of what each should clone
    mean, _ = policy.distribution(params, states)
    assert mean.flatten().tolist() == pytest.approx([0.5, -0.5], abs=0.05)
