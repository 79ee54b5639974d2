from dataclasses import replace

"""What is exported acts as the policy did, in each format and in other people's loops."""

import re

import forked
import gymnasium
import numpy as np
import onnx
import onnxruntime
import pandas as pd
import pytest
import torch
from conftest import ROOT, needs_workflow
from prefine.errors import UserError
from prefine.numbers import four_digits, percentage
from prefine.policies import file as policy_file
from prefine.policies.actor import LoadedPolicy, load_policy
from prefine.policies.export import export
from prefine.policies.formats.read import read_policy
from prefine.policies.gaussian import DeterministicPolicy, GaussianPolicy
from prefine.policies.networks import stack
from prefine.policies.registry import describe, make_policy
from prefine.policies.stack import PolicyStack
from prefine.report.model_card import model_card
from prefine.tasks import OWN, Task
from stable_baselines3 import PPO
from stable_baselines3.common.evaluation import evaluate_policy

OBS_DIM, ACT_DIM = 3, 2
LOW, HIGH = [-2.0, 0.5], [2.0, 3.0]
TASK = Task("Toy", "t", OWN, "Toy-v0", 50, OBS_DIM, ACT_DIM, 9.0, 0.0, 1.0, 10)
CLASSES = {
    "cvae": {},
    "gaussian": {},
    "tanh_gaussian": {},
    "tanh_gaussian_wide": {"activation": "silu", "obs_clip": 1.0},
    "ppo": {"activation": "tanh", "squash_mean": False, "fixed_std": True, "obs_clip": 1.5},
    "deterministic": {"obs_clip": 2.0},
}


def policies(path, name, n_runs=2):
    """A file of policies as training writes it; returns class, parameters and constants."""
    kind = "gaussian" if name == "ppo" else name
    policy = make_policy(kind, OBS_DIM, ACT_DIM, (16, 8), **CLASSES[name])
    source = (
        policy
        if hasattr(policy, "init")
        else GaussianPolicy(OBS_DIM, ACT_DIM, (16, 8), fixed_std=True)
    )
    params = stack([source.init(torch.Generator().manual_seed(k)) for k in range(n_runs)])
    if isinstance(policy, DeterministicPolicy):
        del params["log_std"]
    mean, std = np.float32([0.5, -1.0, 2.0]), np.float32([0.1, 1.0, 3.0])
    metadata = {
        **describe(policy),
        "task": TASK.to_dict(),
        "method": "prefine",
        "runs": [{"run": f"run{k}", "tau": 10.0, "seed": k} for k in range(n_runs)],
        "settings": {"iterations": 5},
        "data_sha256": "abc",
        "versions": {"torch": torch.__version__},
    }
    saved = PolicyStack(policy, params, mean, std, metadata)
    policy_file.save(path, saved)
    return saved.replica(1)


@pytest.fixture(scope="module", params=CLASSES)
def exported(request, tmp_path_factory):
    """A folder with the second run's policy, and its actions in the box for observations."""
    folder = tmp_path_factory.mktemp(request.param)
    stack = policies(folder / "all.safetensors", request.param)
    export(folder / "out", folder / "all.safetensors", "run1", "card", LOW, HIGH)
    obs = np.random.default_rng(0).normal(size=(1000, OBS_DIM)).astype(np.float32) * 3
    low, high = np.array(LOW), np.array(HIGH)
    return folder / "out", obs, low + (stack.act(obs)[0] + 1) / 2 * (high - low)


def test_onnx(exported):
    folder, obs, expected = exported
    session = onnxruntime.InferenceSession(
        folder / "policy.onnx", providers=["CPUExecutionProvider"]
    )
    assert np.ptp(expected, axis=0).min() > 1e-2
    for rows in (slice(None), slice(1), slice(7)):
        (action,) = session.run(["action"], {"observation": obs[rows]})
        np.testing.assert_allclose(action, expected[rows], atol=1e-5)


def test_onnx_asks_for_no_newer_runtime_than_it_needs(exported):
    """ONNX Runtime 1.16, of September 2023, reads IR 9 and opset 19."""
    folder, *_ = exported
    model = onnx.load(folder / "policy.onnx")
    onnx.checker.check_model(model, full_check=True)
    (used,) = model.opset_import
    assert (used.domain, model.ir_version <= 8, used.version <= 18) == ("", True, True)


def test_loading_in_three_lines(exported):
    folder, obs, expected = exported
    policy = load_policy(folder)
    np.testing.assert_allclose(policy.act(obs), expected, atol=1e-5)
    np.testing.assert_allclose(policy.act(obs[0]), expected[0], atol=1e-5)
    assert policy.act(obs[0]).shape == (ACT_DIM,)
    action, state = policy.predict(obs[:4])
    np.testing.assert_array_equal(action, policy.act(obs[:4]))
    assert state is None
    drawn, _ = load_policy(folder / "policy.safetensors", seed=0).predict(obs, deterministic=False)
    assert (drawn >= np.array(LOW) - 1e-6).all() and (drawn <= np.array(HIGH) + 1e-6).all()
    again, _ = load_policy(folder, seed=0).predict(obs, deterministic=False)
    np.testing.assert_array_equal(drawn, again)
    if not isinstance(policy.actor.policy, DeterministicPolicy):
        assert np.abs(drawn - expected).max() > 1e-2
    with pytest.raises(ValueError, match=r"shape \(3,\)"):
        policy.act(obs[:, :2])


def test_what_cannot_be_loaded_says_so(tmp_path):
    policies(tmp_path / "all.safetensors", "gaussian")
    of_before = policy_file.load(tmp_path / "all.safetensors")
    task = {key: value for key, value in TASK.to_dict().items() if not key.startswith("action_")}
    of_before = replace(of_before, metadata=of_before.metadata | {"task": task})
    policy_file.save(tmp_path / "all.safetensors", of_before)
    with pytest.raises(UserError, match="holds 2 runs"):
        load_policy(tmp_path / "all.safetensors")
    with pytest.raises(UserError, match="no run run9"):
        load_policy(tmp_path / "all.safetensors", run="run9")
    with pytest.raises(UserError, match="bounds of its actions; export it"):
        load_policy(tmp_path / "all.safetensors", run="run1")
    (tmp_path / "policy.safetensors").write_bytes(b"nothing")
    with pytest.raises(UserError, match="not a policy of this project"):
        load_policy(tmp_path)


@pytest.fixture(scope="module")
def pendulum(tmp_path_factory):
    """PPO's policy of a real environment with bounds of +-2, as it is and exported."""
    folder = tmp_path_factory.mktemp("pendulum")
    model = PPO("MlpPolicy", "Pendulum-v1", n_steps=256, seed=0, device="cpu").learn(512)
    model.save(folder / "model.zip")
    settings = {"file": folder / "model.zip", "format": "sb3"}
    task = replace(
        Task("Pendulum", "p", OWN, "Pendulum-v1", 200, 3, 1, 0.0, 0.0, 1.0, 0),
        action_low=-2.0,
        action_high=2.0,
    )
    own = read_policy(settings, task)
    metadata = {"runs": [{"run": "only"}], "task": task.to_dict(), "method": "none"}
    policy_file.save(folder / "own.safetensors", replace(own, metadata=metadata))
    export(folder / "out", folder / "own.safetensors", None, "card")
    return model, load_policy(folder / "out")


def test_in_stable_baselines3s_evaluation(pendulum):
    """Same episodes, same returns as the model that it came from."""
    model, loaded = pendulum

    def returns(policy):
        env = gymnasium.make("Pendulum-v1")
        env.reset(seed=5)
        return evaluate_policy(policy, env, n_eval_episodes=3, return_episode_rewards=True)[0]

    assert isinstance(loaded, LoadedPolicy)
    np.testing.assert_allclose(returns(loaded), returns(model), rtol=1e-3)


def test_in_gymnasiums_loop(pendulum):
    model, loaded = pendulum
    env = gymnasium.make("Pendulum-v1")
    obs, _ = env.reset(seed=1)
    for _ in range(50):
        action = loaded.act(obs)
        assert env.action_space.contains(action)
        np.testing.assert_allclose(action, model.predict(obs, deterministic=True)[0], atol=1e-5)
        obs, *_ = env.step(action)


def episodes(cost, n=40, run="run1"):
    generator = np.random.default_rng(0)
    return pd.DataFrame(
        {
            "run": run,
            "iteration": 5,
            "return": generator.normal(100, 5, n),
            "cost": generator.normal(cost, 1, n),
        }
    )


@pytest.mark.parametrize(
    ("cost", "verdict"),
    [(2.0, "**Safe**"), (40.0, "**Not safe**"), (10.02, "but not for certain")],
)
def test_card_says_whether_it_is_safe(tmp_path, cost, verdict):
    policies(tmp_path / "all.safetensors", "gaussian")
    trained = policy_file.load_run(tmp_path / "all.safetensors", "run1").metadata
    card = model_card(trained, episodes(cost), episodes(30.0), {"labelled trajectories": 12})
    assert verdict in card and "limit 10" in card
    for label in ("before", "after"):
        assert re.search(rf"\| {label} \| \d+\.?\d* \[", card)
    assert "| labelled trajectories | 12 |" in card and "abc" in card
    none = model_card(trained | {"runs": [{"run": "run1", "tau": None}]}, episodes(np.nan))
    assert "no cost limit" in none.lower() and "| before |" not in none


def paired_episodes(cost, reward=100.0, n=40, seed=0):
    """Episodes whose differences from each other are the same whatever their mean."""
    draws = np.random.default_rng(0).normal(0, 30, n) + np.random.default_rng(seed).normal(0, 1, n)
    table = {"episode": range(n), "return": reward + draws, "cost": cost + draws}
    return pd.DataFrame(table | {"run": "run1", "iteration": 5})


@pytest.mark.parametrize(
    ("before", "after", "said"),
    [
        (100.0, 38.0, r"It has 6\d % less cost \[5\d, 6\d\] than the policy that it was made from"),
        (100.0, 102.0, r"It has 2(\.\d)? % more cost \[1\.\d, 2\.\d\]"),  # paired: shown
        (100.0, 100.0, "No difference of cost was shown \\(mean cost"),
        (-100.0, -103.0, r"It has [23]\.\d+ less cost an episode"),
    ],
)
def test_card_says_of_the_difference_what_was_shown(tmp_path, before, after, said):
    policies(tmp_path / "all.safetensors", "gaussian")
    trained = policy_file.load_run(tmp_path / "all.safetensors", "run1").metadata
    tables = paired_episodes(after, seed=1), paired_episodes(before, seed=2)
    card = model_card(trained, *tables)
    assert re.search(said, card), card
    assert "No difference of return was shown" in card and "the same 40 episodes" in card
    assert "safer" not in card
    few = model_card(trained, *(table.head(5) for table in tables))
    assert "No difference of cost was shown: so few episodes cannot" in few
    assert "5 episodes are too few to tell" in few


def test_card_without_limit_or_costs_speaks_of_neither(tmp_path):
    policies(tmp_path / "all.safetensors", "gaussian")
    trained = policy_file.load_run(tmp_path / "all.safetensors", "run1").metadata
    trained = trained | {"runs": [{"run": "run1", "tau": np.nan, "beta": 0.2, "lam": None}]}
    unknown = paired_episodes(np.nan)
    for card in (model_card(trained, unknown, unknown), model_card(trained, unknown)):
        assert "| | return | cost | episodes |\n|---|---|---|---|\n" in card
        assert not re.search(r"\bnan\b|no limit|\| tau", card.lower())
        assert "| lam" not in card and "| beta | 0.2 |" in card and "safer" not in card
    assert "was not compared with that of the policy" in card
    some = unknown.assign(cost=np.where(unknown["episode"] == 0, np.nan, 1.0))
    assert "Not all costs are known: whether" in model_card(trained, some, paired_episodes(5.0))
    of_nothing = paired_episodes(1e-6), paired_episodes(5.0, seed=1)
    card = model_card(trained, of_nothing[1], of_nothing[0])
    assert " more cost an episode [" in card and "% more cost" not in card
    one = model_card(trained | {"runs": [{"run": "run1", "tau": 10}]}, *(t[:1] for t in of_nothing))
    assert "over the same 1 episode)" in one and "1 episode is too few to tell" in one


@needs_workflow
def test_command(tmp_path):
    policies(tmp_path / "all.safetensors", "ppo")
    episodes(3.0).to_parquet(tmp_path / "after.parquet")
    episodes(30.0, run="reference").to_parquet(tmp_path / "before.parquet")
    command = [ROOT / "scripts/export.py", "--run", "run1"]
    options = {
        "policies": tmp_path / "all.safetensors",
        "episodes": tmp_path / "after.parquet",
        "before": tmp_path / "before.parquet",
        "before-run": "reference",
        "low": "[-2, 0.5]",
        "high": "[2, 3]",
        "output": tmp_path / "out",
    }
    for name, value in options.items():
        command += [f"--{name}", value]
    several = [episodes(30.0, run="reference"), episodes(3.0, run="other")]
    pd.concat(several).to_parquet(tmp_path / "several.parquet")
    of_one = [*command[: command.index("--before-run")], "--before", tmp_path / "several.parquet"]
    done = forked.run(*of_one, "--output", tmp_path / "none")
    assert "has episodes of 2 runs, such as reference; name one (--before-run)" in done.stderr
    done = forked.run(*command)
    assert done.returncode == 0, done.stderr
    assert "**Safe**" in (tmp_path / "out/README.md").read_text()
    names = {file.name for file in (tmp_path / "out").iterdir()}
    assert names == {"README.md", "policy.safetensors", "policy.onnx"}
    assert str(tmp_path) not in (tmp_path / "out/README.md").read_text()


@pytest.mark.parametrize(
    ("percent", "text"),
    [
        *[(0.0, "0"), (0.034, "0.034"), (5.94, "5.9"), (9.7, "10"), (62.1, "62"), (99.4, "99")],
        *[(99.7, "99.7"), (99.96, "99.9"), (100.0, "100"), (123.4, "123")],
    ],
)
def test_a_percentage_is_no_power_of_ten(percent, text):
    """A card said 1e+02 % less; and 99.96 % less is not all of it."""
    assert percentage(percent) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [
        *[(12345.6, "12346"), (9999.7, "10000"), (-54321.0, "-54321"), (2646.2, "2646")],
        *[(37.789, "37.79"), (0.03, "0.03"), (float("nan"), "nan")],
    ],
)
def test_a_return_is_no_power_of_ten(value, text):
    assert four_digits(value) == text
