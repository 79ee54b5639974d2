"""The stacked training loop: what moves, what does not, and who influences whom."""

import numpy as np
import pandas as pd
import pytest
import torch
from prefine import dataset
from prefine.errors import UserError
from prefine.methods import METHODS, method_module
from prefine.policies import make_policy
from prefine.tasks import TASKS
from prefine.training import (
    NOISE_BLOCK,
    Noise,
    TrainingSettings,
    TrajectorySets,
    initial_parameters,
    train,
)

TASK = TASKS["BallRun"]
CPU = torch.device("cpu")
SETTINGS = TrainingSettings(iterations=8, batch_size=32, log_points=2)


@pytest.fixture(scope="module")
def data(ball_run_file):
    return dataset.load_transitions(ball_run_file, TASK)


def plan(n):
    streams = [f"BallRun/tau20/draw{k}/seed{k}" for k in range(n)]
    return pd.DataFrame(
        {"run": streams, "stream": streams, "beta": np.linspace(0.05, 0.2, n), "lam": 1.0}
    )


def sets(n):
    return {
        "reference": [np.arange(8)] * n,
        "preferred": [np.arange(k, k + 4) for k in range(n)],
        "nonpreferred": [np.arange(8 + k, 10 + k) for k in range(n)],
        "held_out": [np.array([14, 15])] * n,
    }


def policy_of(name):
    return make_policy(name, TASK.obs_dim, TASK.act_dim, (16, 16))


def reference_of(policy):
    return initial_parameters(policy, ["BallRun/reference/seed0"], CPU)


def fit(method, data, policy, runs, sets, settings=SETTINGS, reference=None):
    reference = reference_of(policy) if reference is None else reference
    return train(method_module(method), policy, runs, data, sets, settings, reference)


@pytest.mark.parametrize("kind", ["gaussian", "cvae"])
@pytest.mark.parametrize("method", [*METHODS, "reference"])
def test_every_trained_parameter_moves_and_nothing_else(method, kind, data):
    policy = policy_of(kind)
    reference = reference_of(policy)
    before = {name: value.clone() for name, value in reference.items()}
    params, log = fit(method, data, policy, plan(2), sets(2), reference=reference)
    starts_random = method_module(method).STARTS_FROM == "random"
    start = initial_parameters(policy, list(plan(2)["stream"]), CPU) if starts_random else before
    frozen = () if starts_random else policy.frozen_in_fine_tuning
    for name, value in params.items():
        for replica in range(2):
            same = torch.equal(value[replica], start[name][replica if starts_random else 0])
            assert same == name.startswith(tuple(frozen)), name
    for name, value in reference.items():
        assert torch.equal(value, before[name]), f"the frozen reference changed: {name}"
    assert log["iteration"].tolist() == [0, 0, 4, 4, 8, 8]
    assert np.isfinite(log.drop(columns="run").to_numpy(dtype=float)).all()


def test_prefine_logs_every_diagnostic(data):
    _, log = fit("prefine", data, policy_of("cvae"), plan(2), sets(2))
    sides = [f"{name}_{side}" for side in ("p", "np") for name in ("accuracy", "dpo_weight")]
    deltas = [f"delta_{s}_{q}" for s in ("p", "np") for q in ("mean", "std", "q05", "q95")]
    rewards = [
        f"implicit_reward_{kind}_{side}"
        for kind in ("data", "counterfactual")
        for side in ("p", "np")
    ]
    others = ["loss_p_dpo", "loss_np_dpo", "loss_sft", "kl_to_reference", "mean_log_std"]
    others += ["gradient_ratio_dpo_sft", "effective_sample_size", "held_out_nll", "seconds"]
    assert set(sides + deltas + rewards + others) <= set(log.columns)
    first = log[log["iteration"] == 0]
    np.testing.assert_allclose(first[["loss_p_dpo", "loss_np_dpo"]], np.log(2), atol=1e-6)


@pytest.mark.parametrize("method", [*METHODS, "reference"])
def test_training_repeats_bitwise(method, data):
    one, log = fit(method, data, policy_of("cvae"), plan(2), sets(2))
    two, again = fit(method, data, policy_of("cvae"), plan(2), sets(2))
    assert all(torch.equal(one[name], two[name]) for name in one)
    pd.testing.assert_frame_equal(log.drop(columns="seconds"), again.drop(columns="seconds"))


@pytest.mark.parametrize(("kind", "iterations"), [("gaussian", 100), ("cvae", 10)])
def test_a_run_does_not_depend_on_its_neighbours(kind, iterations, data):
    """Alone, in a stack, in another order: the same run within rounding."""
    policy, settings = policy_of(kind), TrainingSettings(iterations, batch_size=32, log_points=1)
    together, _ = fit("prefine", data, policy, plan(3), sets(3), settings)
    order = [2, 0, 1]
    shuffled_sets = {role: [own[i] for i in order] for role, own in sets(3).items()}
    shuffled, _ = fit("prefine", data, policy, plan(3).iloc[order], shuffled_sets, settings)
    alone_sets = {role: [own[1]] for role, own in sets(3).items()}
    alone, _ = fit("prefine", data, policy, plan(3).iloc[[1]], alone_sets, settings)
    for name in together:
        torch.testing.assert_close(shuffled[name][2], together[name][1], atol=1e-5, rtol=1e-4)
        torch.testing.assert_close(alone[name][0], together[name][1], atol=1e-5, rtol=1e-4)


def test_noise_is_a_function_of_name_role_and_iteration():
    def drawn(names, iteration):
        return Noise(names, {"u": (4, 2)}, {"z": (5,)}, CPU).at(iteration)

    stack = drawn(["a", "b"], 3)
    for role in ("u", "z"):
        assert torch.equal(stack[role][1], drawn(["b"], 3)[role][0])
        assert not torch.equal(stack[role][0], stack[role][1])
    walked = Noise(["b"], {"u": (4, 2)}, {"z": (5,)}, CPU)
    for iteration in range(2 * NOISE_BLOCK):
        last = walked.at(iteration)["z"]
    assert torch.equal(last, drawn(["b"], 2 * NOISE_BLOCK - 1)["z"])


def test_batches_come_from_the_replica_s_own_trajectories(data):
    own = [np.array([1, 5]), np.array([3])]
    uniforms = torch.rand(2, 4000, 2, generator=torch.Generator().manual_seed(0))
    for sampler in ("trajectory", "transition"):
        batch = TrajectorySets(data, own, sampler, CPU).batch(uniforms)
        for replica, indices in enumerate(own):
            rows = np.concatenate([np.arange(data.lengths[i]) + data.starts[i] for i in indices])
            allowed = {data.actions[row].tobytes() for row in rows}
            assert {action.numpy().tobytes() for action in batch.action[replica]} == allowed


def test_samplers_weigh_unequal_lengths_as_they_say():
    n = 110
    data = dataset.Transitions(
        observations=np.zeros((n, TASK.obs_dim), np.float32),
        actions=np.repeat([[0.0], [1.0]], [10, 100], axis=0).astype(np.float32).repeat(2, 1),
        starts=np.array([0, 10]),
        lengths=np.array([10, 100]),
        mean=np.zeros(TASK.obs_dim, np.float32),
        std=np.ones(TASK.obs_dim, np.float32),
    )
    uniforms = torch.rand(1, 50_000, 2, generator=torch.Generator().manual_seed(0))
    shares = {
        sampler: TrajectorySets(data, [np.array([0, 1])], sampler, CPU)
        .batch(uniforms)
        .action.mean()
        for sampler in ("trajectory", "transition")
    }
    assert shares["trajectory"].item() == pytest.approx(0.5, abs=0.01)
    assert shares["transition"].item() == pytest.approx(100 / 110, abs=0.01)


def test_uniforms_at_the_upper_end_stay_inside(data):
    sets_ = TrajectorySets(data, [np.array([1])], "trajectory", CPU)
    one = torch.full((1, 3, 2), 1.0 - 2**-24)
    assert torch.isfinite(sets_.batch(one).obs).all()
    flat = TrajectorySets(data, [np.array([1])], "transition", CPU)
    np.testing.assert_array_equal(
        flat.batch(one).action[0, 0].numpy(), data.actions[data.starts[1] + data.lengths[1] - 1]
    )


def test_held_out_is_missing_where_there_is_nothing_to_hold_out(data):
    own = sets(2) | {"held_out": [np.array([14]), np.array([], dtype=int)]}
    _, log = fit("bc", data, policy_of("gaussian"), plan(2), own)
    last = log.tail(2)["held_out_nll"].to_numpy()
    assert np.isfinite(last[0]) and np.isnan(last[1])


def test_a_loss_that_is_not_finite_stops_the_job_and_names_the_run(data):
    runs = plan(2)
    runs.loc[1, "lam"] = np.inf
    with pytest.raises(UserError, match=r"draw1/seed1: .* not finite at iteration 0"):
        fit("prefine", data, policy_of("gaussian"), runs, sets(2))


def test_log_points_are_even_and_have_both_ends():
    assert sorted(TrainingSettings(100, log_points=4).log_iterations()) == [0, 25, 50, 75, 100]
    assert sorted(TrainingSettings(2, log_points=50).log_iterations()) == [0, 1, 2]
