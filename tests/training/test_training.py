"""The stacked training loop: what moves, what does not, and who influences whom."""

import re

import numpy as np
import pandas as pd
import pytest
import torch
from prefine.data import dataset
from prefine.errors import UserError
from prefine.methods import METHODS, decided, method_constant, method_module, method_settings
from prefine.policies.registry import make_policy
from prefine.tasks import TASKS
from prefine.training.adam import Adam
from prefine.training.batches import NOISE_BLOCK, Noise, TrajectorySets
from prefine.training.loop import check_start, initial_parameters, log_iterations, train

TASK = TASKS["BallRun"]
CPU = torch.device("cpu")
SETTINGS = {
    "iterations": 8,
    "batch_size": 32,
    "learning_rate": 3e-4,
    "gradient_clip": 10.0,
    "log_points": 2,
    "likelihood_draws": 1,
    "sampler": "trajectory",
    "threads": 1,
    "cuda_graphs": True,
    "compile": False,
    "tf32": False,
    "checkpoint_every": 1000,
    "hidden": [16, 16],
    "horizon": TASK.horizon,
    "longest": TASK.horizon,
    "segments": 4,
    "segment_length": 16,
    "discriminator_iterations": 6,
    "sampled_actions": 3,
    "vae_hidden": 16,
    "reference_iterations": 6,
    "bags": 2,
    "bag_size": 8,
    "cost_hidden": 16,
}


@pytest.fixture(scope="module")
def data(ball_run_file):
    return {sees: dataset.load_transitions(ball_run_file, TASK, sees) for sees in dataset.SEES}


def plan(n, method="prefine"):
    streams = [f"BallRun/tau20/draw{k}/seed{k}" for k in range(n)]
    numbers = method_constant(method, "HYPERPARAMETERS")
    runs = pd.DataFrame({"run": streams, "stream": streams, "tau": 20, **numbers})
    if "beta" in numbers and "lam" in numbers:
        runs["beta"] = np.linspace(0.05, 0.2, n)
    return runs


def sets(n):
    return {
        "reference": [np.arange(8)] * n,
        "preferred": [np.arange(k, k + 4) for k in range(n)],
        "nonpreferred": [np.arange(8 + k, 10 + k) for k in range(n)],
        "unlabelled": [np.array([k, k + 1, 8 + k]) for k in range(n)],
        "initial": [np.array([k, k + 1, 8 + k]) for k in range(n)],
        "all": [np.arange(16)] * n,
        "held_out": [np.array([14, 15])] * n,
    }


def policy_of(name, method="prefine"):
    name = method_constant(method, "POLICY", "") or name
    return make_policy(name, TASK.obs_dim, TASK.act_dim, (16, 16))


def reference_of(policy):
    return initial_parameters(policy.init, ["BallRun/reference/seed0"], CPU)


def fit(method, data, policy, runs, sets, reference=None, state=None, **changes):
    reference = reference_of(policy) if reference is None else reference
    settings = method_settings(method) | SETTINGS | changes
    module = method_module(method)
    seen = data[decided(module.SEES, settings)]
    return train(module, policy, runs, seen, sets, settings, reference, state=state)


@pytest.mark.parametrize("kind", ["gaussian", "cvae"])
@pytest.mark.parametrize("method", [*METHODS, "reference"])
def test_every_trained_parameter_moves_and_nothing_else(method, kind, data):
    policy = policy_of(kind, method)
    reference = reference_of(policy)
    before = {name: value.clone() for name, value in reference.items()}
    params, log = fit(method, data, policy, plan(2, method), sets(2), reference)
    starts = decided(method_module(method).STARTS_FROM, method_settings(method))
    starts_random = starts == "random"
    start, frozen = before, policy.frozen_in_fine_tuning
    if starts_random:
        names = [f"{name}/policy" for name in plan(2)["stream"]]
        start, frozen = initial_parameters(policy.init, names, CPU), ()
    elif method_settings(method)["encoder_update"] == "all":
        frozen = ()
    for name, value in params.items():
        for replica in range(2):
            same = torch.equal(value[replica], start[name][replica if starts_random else 0])
            assert same == name.startswith(tuple(frozen)), name
    for name, value in reference.items():
        assert torch.equal(value, before[name]), f"the frozen reference changed: {name}"
    last = log[log["phase"] == "train"]
    assert last["iteration"].tolist() == [0, 0, 4, 4, 8, 8]
    assert np.isfinite(last["loss"]).all() and np.isfinite(last["held_out_nll"]).all()


OPTIONS = [
    ("prefine", {"delta_level": "segment"}),
    ("prefine", {"delta_level": "trajectory", "segments": 2}),
    ("prefine", {"counterfactual": "reparameterised"}),
    ("prefine", {"encoder_update": "all"}),
    ("prefine", {"likelihood_draws": 3}),
    ("dpo", {"counterfactual": "reparameterised", "encoder_update": "all"}),
    ("bc_from_reference", {"encoder_update": "all"}),
    ("endorse", {"encoder_update": "frozen"}),
    ("ppl", {"level": "trajectory", "segments": 2}),
    ("ppl", {"level": "step"}),
    ("ppl", {"objective": "ref_free"}),
    ("ppl", {"objective": "reward_model"}),
    ("safedice", {"reward_norm": False}),
    ("safemil", {"variant": "bradley_terry"}),
    ("trac", {"labels": "segment"}),
    ("trac", {"encoder_update": "all"}),
    ("cpl", {"encoder_update": "all"}),
    ("cpq", {"variant": "osrl"}),
]


@pytest.mark.parametrize(("method", "changes"), OPTIONS, ids=str)
def test_every_option_does_something_and_stays_finite(method, changes, data):
    policy, runs = policy_of("cvae", method), plan(2, method)
    plain, _ = fit(method, data, policy, runs, sets(2))
    changed, log = fit(method, data, policy, runs, sets(2), **changes)
    assert any(not torch.equal(plain[name], changed[name]) for name in plain)
    assert np.isfinite(log.loc[log["phase"] == "train", "loss"]).all()
    starts = decided(method_module(method).STARTS_FROM, method_settings(method) | changes)
    if policy.frozen_in_fine_tuning and starts == "reference":
        moved = not torch.equal(plain["encoder.0.weight"], changed["encoder.0.weight"])
        assert moved == ("encoder_update" in changes)
    first = log[(log["iteration"] == 0) & (log["phase"] == "train")]
    if method == "prefine":
        np.testing.assert_allclose(first[["loss_p_dpo", "loss_np_dpo"]], np.log(2), atol=1e-5)


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
    policy = policy_of("cvae", method)
    one, log = fit(method, data, policy, plan(2, method), sets(2))
    two, again = fit(method, data, policy, plan(2, method), sets(2))
    assert all(torch.equal(one[name], two[name]) for name in one)
    pd.testing.assert_frame_equal(log.drop(columns="seconds"), again.drop(columns="seconds"))


OWN_POLICY = [method for method in METHODS if method_constant(method, "POLICY", "")]
CONFIG_POLICY = [method for method in METHODS if method not in OWN_POLICY]
STACKS = [
    *(("gaussian", 100, method) for method in CONFIG_POLICY),
    *(("cvae", 10, method) for method in CONFIG_POLICY),
    *(("gaussian", 10, method) for method in OWN_POLICY),
]


@pytest.mark.parametrize(("kind", "iterations", "method"), STACKS)
def test_a_run_does_not_depend_on_its_neighbours(kind, iterations, method, data):
    """Alone, in a stack, in another order: the same run within rounding."""
    policy, runs = policy_of(kind, method), plan(3, method)
    changes = {"iterations": iterations, "log_points": 1}
    together, _ = fit(method, data, policy, runs, sets(3), **changes)
    order = [2, 0, 1]
    shuffled_sets = {role: [own[i] for i in order] for role, own in sets(3).items()}
    shuffled, _ = fit(method, data, policy, runs.iloc[order], shuffled_sets, **changes)
    alone_sets = {role: [own[1]] for role, own in sets(3).items()}
    alone, _ = fit(method, data, policy, runs.iloc[[1]], alone_sets, **changes)
    for name in together:
        torch.testing.assert_close(shuffled[name][2], together[name][1], atol=1e-5, rtol=1e-4)
        torch.testing.assert_close(alone[name][0], together[name][1], atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("method", METHODS)
def test_the_first_step_is_bitwise_the_same_alone_and_in_a_stack(method, data):
    policy, runs, changes = policy_of("cvae", method), plan(3, method), {"iterations": 1}
    changes["discriminator_iterations"] = 1
    together, _ = fit(method, data, policy, runs, sets(3), **changes)
    alone_sets = {role: [own[1]] for role, own in sets(3).items()}
    alone, _ = fit(method, data, policy, runs.iloc[[1]], alone_sets, **changes)
    for name in together:
        assert torch.equal(alone[name][0], together[name][1]), name


class Killed(Exception):
    """Stands for the signal that ends a job."""


@pytest.mark.parametrize("method", [*METHODS, "reference"])
def test_a_killed_job_ends_with_the_same_numbers(method, data, tmp_path, monkeypatch):
    policy, runs, state = policy_of("cvae", method), plan(2, method), tmp_path / "0.safetensors"
    changes = {"iterations": 9, "checkpoint_every": 4, "log_points": 3}
    expected, log = fit(method, data, policy, runs, sets(2), **changes)
    count = 0

    def kill_late():
        nonlocal count
        count += 1
        if count == (7 + 6 if method == "safedice" else 6):
            raise Killed

    module = method_module(method)
    settings = method_settings(method) | SETTINGS | changes
    seen = data[decided(module.SEES, settings)]
    arguments = (module, policy, runs, seen, sets(2), settings, reference_of(policy))
    with pytest.raises(Killed):
        train(*arguments, on_iteration=kill_late, state=state)
    assert state.exists()
    counted = []
    count_one = {"on_iteration": lambda: counted.append(1), "on_skip": counted.append}
    resumed, again = train(*arguments, state=state, **count_one)
    assert sum(counted) == sum(phase.iterations + 1 for phase in module.phases(policy, settings))
    assert all(torch.equal(expected[name], resumed[name]) for name in expected)
    pd.testing.assert_frame_equal(log.drop(columns="seconds"), again.drop(columns="seconds"))


@pytest.mark.parametrize("method", ["prefine", "safedice"])
def test_a_finished_chunk_is_not_trained_again(method, data, tmp_path):
    policy, runs, state = policy_of("cvae", method), plan(2, method), tmp_path / "0.safetensors"
    first, log = fit(method, data, policy, runs, sets(2), state=state)
    module, count = method_module(method), 0

    def iterated():
        nonlocal count
        count += 1

    settings = method_settings(method) | SETTINGS
    seen = data[decided(module.SEES, settings)]
    arguments = (module, policy, runs, seen, sets(2), settings, reference_of(policy))
    skipped = []
    second, again = train(*arguments, on_iteration=iterated, on_skip=skipped.append, state=state)
    assert count == 0
    assert sum(skipped) == sum(phase.iterations + 1 for phase in module.phases(policy, settings))
    assert all(torch.equal(first[name], second[name]) for name in first)
    pd.testing.assert_frame_equal(log, again)


def test_an_unreadable_checkpoint_is_left_and_said(data, tmp_path, caplog):
    policy, state = policy_of("cvae"), tmp_path / "0.safetensors"
    expected, _ = fit("prefine", data, policy, plan(2), sets(2), state=state)
    state.write_bytes(state.read_bytes()[:1000])
    anew, _ = fit("prefine", data, policy, plan(2), sets(2), state=state)
    assert "cannot be read" in caplog.text
    assert all(torch.equal(expected[name], anew[name]) for name in expected)


def test_adam_is_torch_s(seed=0):
    generator = torch.Generator().manual_seed(seed)
    shapes = [(3, 5, 7), (3, 1, 7), (3, 7, 2)]
    start = [torch.randn(shape, generator=generator) for shape in shapes]
    ours, theirs = [p.clone() for p in start], [p.clone().requires_grad_() for p in start]
    adam, optimizer = Adam(ours, 3e-3), torch.optim.Adam(theirs, lr=3e-3)
    for _ in range(5):
        gradients = [torch.randn(shape, generator=generator) for shape in shapes]
        # A transposed gradient, as a product's may be.
        gradients[2] = gradients[2].mT.contiguous().mT
        adam.step(gradients)
        for parameter, gradient in zip(theirs, gradients, strict=True):
            parameter.grad = gradient
        optimizer.step()
    for own, expected in zip(ours, theirs, strict=True):
        torch.testing.assert_close(own, expected.detach(), rtol=1e-6, atol=1e-7)


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


def steps(trajectory_sets, uniforms):
    return trajectory_sets.gather(trajectory_sets.steps(uniforms))


def test_batches_come_from_the_replica_s_own_trajectories(data):
    own = [np.array([1, 5]), np.array([3])]
    uniforms = torch.rand(2, 4000, 2, generator=torch.Generator().manual_seed(0))
    for sampler in ("trajectory", "transition"):
        batch = steps(TrajectorySets(data["actions"], own, sampler, CPU), uniforms)
        for replica, indices in enumerate(own):
            flat = data["actions"]
            rows = np.concatenate([np.arange(flat.lengths[i]) + flat.starts[i] for i in indices])
            allowed = {flat.actions[row].tobytes() for row in rows}
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
        sampler: steps(
            TrajectorySets(data, [np.array([0, 1])], sampler, CPU), uniforms
        ).action.mean()
        for sampler in ("trajectory", "transition")
    }
    assert shares["trajectory"].item() == pytest.approx(0.5, abs=0.01)
    assert shares["transition"].item() == pytest.approx(100 / 110, abs=0.01)


def test_uniforms_at_the_upper_end_stay_inside(data):
    sets_ = TrajectorySets(data["actions"], [np.array([1])], "trajectory", CPU)
    one = torch.full((1, 3, 2), 1.0 - 2**-24)
    assert torch.isfinite(steps(sets_, one).obs).all()
    flat = TrajectorySets(data["actions"], [np.array([1])], "transition", CPU)
    np.testing.assert_array_equal(
        steps(flat, one).action[0, 0].numpy(),
        data["actions"].actions[data["actions"].starts[1] + data["actions"].lengths[1] - 1],
    )


def test_held_out_is_missing_where_there_is_nothing_to_hold_out(data):
    own = sets(2) | {"held_out": [np.array([14]), np.array([], dtype=int)]}
    _, log = fit("bc", data, policy_of("gaussian"), plan(2), own)
    last = log.tail(2)["held_out_nll"].to_numpy()
    assert np.isfinite(last[0]) and np.isnan(last[1])


def test_a_loss_that_is_not_finite_stops_the_job_and_names_the_run(data):
    runs = plan(2)
    runs.loc[1, "lam"] = np.inf
    with pytest.raises(UserError, match=r"draw1/seed1: not finite at iteration 0: loss"):
        fit("prefine", data, policy_of("gaussian"), runs, sets(2))


def test_a_run_that_diverges_between_log_points_is_named_with_its_iteration(data):
    """A huge step makes the latents' divergence, which nothing bounds, overflow soon."""
    changes = {"iterations": 300, "log_points": 1, "learning_rate": 1e12, "gradient_clip": None}
    with pytest.raises(UserError) as stopped:
        fit("bc", data, policy_of("cvae"), plan(2, "bc"), sets(2), **changes)
    found = re.search(
        r"seed0: not finite at iteration (\d+): a loss; last good: .*[\d.e+]+ at iteration 0\.",
        str(stopped.value),
    )
    assert 0 < int(found[1]) < 100


def test_a_start_that_is_not_the_reference_stops_the_job():
    check_start(pd.DataFrame({"loss_p_dpo": [0.6931472], "loss_np_dpo": [0.6931471]}))
    check_start(pd.DataFrame({"loss": [3.0]}))
    with pytest.raises(AssertionError, match=r"loss_np_dpo is .* not log 2"):
        check_start(pd.DataFrame({"loss_p_dpo": [0.6931472], "loss_np_dpo": [0.8]}))


def test_log_points_are_even_and_have_both_ends():
    assert sorted(log_iterations(100, 4)) == [0, 25, 50, 75, 100]
    assert sorted(log_iterations(2, 50)) == [0, 1, 2]
