"""A run alone and in a stack: the same numbers to the last bit, on a CPU."""

import numpy as np
import pandas as pd
import pytest
import torch
from prefine.data.dataset import FullTransitions
from prefine.methods import METHODS, method_constant, method_module, method_settings
from prefine.policies.networks import linear, stack
from prefine.policies.registry import make_policy
from prefine.training.adam import Adam
from prefine.training.fine_tune import DEFAULTS
from prefine.training.loop import train

OBS_DIM, ACT_DIM = 17, 6  # HalfCheetahVelocity's
RAGGED = np.array([11, 70, 3, 25, 8, 13, 40, 90, 1, 66])  # lengths of trajectories
PREFERRED = [np.array([0, 2, 4]), np.array([1, 6]), np.array([0, 2, 3, 5, 8])]
NONPREFERRED = [np.array([7]), np.array([9, 7]), np.array([1, 6, 9])]
CASES = [
    *((method, policy, {}) for method in METHODS for policy in ("gaussian", "cvae")),
    ("prefine", "tanh_gaussian", {"sampler": "transition", "gradient_clip": 0.1}),
    ("prefine", "cvae", {"delta_level": "segment", "segments": 4, "encoder_update": "all"}),
    ("ppl", "gaussian", {"objective": "reward_model", "segments": 8}),
    ("cpq", "", {"variant": "osrl"}),
    ("safemil", "gaussian", {"variant": "bradley_terry", "bags": 1}),
    *(("trac", policy, {"labels": "segment", "segments": 16}) for policy in ("gaussian", "cvae")),
]
CASES = [
    case for case in CASES if not (method_constant(case[0], "POLICY", "") and case[1] == "cvae")
]
# With a layer of odd width the steps of a batch must be a power of two: 2560 rows of SafeMIL, or of
# BC, round otherwise in a stack. Segments of 64 steps make them one.
ODD = {"hidden": [24, 9], "batch_size": 32, "segment_length": 64, "bag_size": 8}
WIDTHS = {"published": {}, "small": ODD}


@pytest.fixture(scope="module")
def data():
    random, n = np.random.default_rng(0), RAGGED.sum()
    starts = np.concatenate([[0], np.cumsum(RAGGED)[:-1]])
    ends = starts + RAGGED - 1
    following = np.arange(1, n + 1)
    following[ends] = n + np.arange(len(ends))
    terminal = np.zeros(n, bool)
    terminal[ends[::2]] = True
    timeout = np.zeros(n, bool)
    timeout[ends[1::2]] = True
    observations = random.normal(size=(n, OBS_DIM)).astype(np.float32)
    return FullTransitions(
        observations=observations,
        actions=random.uniform(-1, 1, (n, ACT_DIM)).astype(np.float32),
        starts=starts,
        lengths=RAGGED,
        mean=observations.mean(0),
        std=observations.std(0),
        next_rows=following,
        last_observations=random.normal(size=(len(ends), OBS_DIM)).astype(np.float32),
        terminals=terminal,
        rewards=30 * random.normal(size=n).astype(np.float32),
        costs=(random.random(n) < 0.4).astype(np.float32),
        timeouts=timeout,
    )


def trained(method, kind, data, rows, changes):
    """Parameters and log of some of three runs that differ in everything that runs can."""
    settings = DEFAULTS | method_settings(method) | {"iterations": 3, "log_points": 1}
    settings |= {
        "discriminator_iterations": 3,
        "reference_iterations": 3,
        "hidden": [256, 256],
        "horizon": 90,
        "longest": 90,
    }
    settings["batch_size"] = method_constant(method, "BATCH_SIZE", settings["batch_size"])
    settings |= changes
    name = method_constant(method, "POLICY", "") or kind
    policy = make_policy(name, OBS_DIM, ACT_DIM, settings["hidden"])
    numbers = method_constant(method, "HYPERPARAMETERS")
    runs = pd.DataFrame({"run": ["a", "b", "c"], "tau": [10.0, 20.0, 40.0], **numbers})
    runs["stream"] = runs["run"]
    for name, own in (("beta", [0.05, 0.2, 0.9]), ("lam", [1.6, 1.0, 0.1])):
        if name in numbers:
            runs[name] = own
    sets = {"preferred": PREFERRED, "nonpreferred": NONPREFERRED, "all": [np.arange(10)] * 3}
    both = [np.union1d(p, n) for p, n in zip(PREFERRED, NONPREFERRED, strict=True)]
    sets |= {"unlabelled": both, "initial": both, "reference": PREFERRED}
    reference = stack([policy.init(torch.Generator().manual_seed(9))])
    return train(
        method_module(method),
        policy,
        runs.iloc[rows].reset_index(drop=True),
        data,
        {role: [indices[row] for row in rows] for role, indices in sets.items()},
        settings,
        reference,
    )


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize(("method", "kind", "changes"), CASES, ids=str)
def test_a_run_is_the_same_alone_and_in_a_stack_to_the_last_bit(method, kind, changes, width, data):
    changes = changes | WIDTHS[width]
    together, log = trained(method, kind, data, [0, 1, 2], changes)
    for rows in ([1], [2, 0]):
        own, own_log = trained(method, kind, data, rows, changes)
        for name, value in together.items():
            assert torch.equal(value[rows], own[name]), name
        for run in own_log["run"].unique():
            left, right = (t[t["run"] == run].drop(columns="seconds") for t in (log, own_log))
            pd.testing.assert_frame_equal(
                left.reset_index(drop=True), right.reset_index(drop=True), check_exact=True
            )


@pytest.mark.parametrize("n_out", [1, 2, 12])
@pytest.mark.parametrize("n_in", [4, 32, 256])
def test_a_narrow_product_and_its_gradient_do_not_see_the_stack(n_in, n_out):
    generator = torch.Generator().manual_seed(n_in)
    x = torch.randn(3, 256, n_in, generator=generator)
    weight = torch.randn(3, n_in, n_out, generator=generator)

    def of(rows):
        inputs = x[rows].clone().requires_grad_(), weight[rows].clone().requires_grad_()
        value = linear(*inputs)
        return value, *torch.autograd.grad(value.square().sum(), inputs)

    whole = of([0, 1, 2])
    for rows in ([0], [2], [1, 0]):
        for all_of_them, own in zip(whole, of(rows), strict=True):
            assert torch.equal(all_of_them[rows], own)


@pytest.mark.parametrize("shape", [(1,), (1, 5), (17, 1), (3, 7)])
def test_an_optimiser_s_step_does_not_see_a_replica_s_place(shape):
    """Sizes that end within a vector of the CPU, whose rest its kernel computes otherwise."""
    generator = torch.Generator().manual_seed(0)
    start = torch.randn(7, *shape, generator=generator)
    slopes = torch.randn(20, 7, *shape, generator=generator)

    def moved(rows):
        own = start[rows].clone()
        optimizer = Adam([own], 3e-4)
        for slope in slopes:
            optimizer.step([slope[rows]])
        return own

    whole = moved(list(range(7)))
    for replica in range(7):
        assert torch.equal(whole[replica], moved([replica])[0])
