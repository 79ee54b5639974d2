"""Seeded rollouts: one row an episode, common random numbers, no influence of neighbours."""

import numpy as np
import pandas as pd
import pytest
import torch
from prefine import policy_file, rollout, simulators
from prefine.errors import UserError
from prefine.policies import make_policy
from prefine.tasks import TASKS
from prefine.training import initial_parameters

CPU = torch.device("cpu")


def some_policies(task, n=2, kind="cvae"):
    policy = make_policy(kind, task.obs_dim, task.act_dim, (16,))
    params = initial_parameters(policy.init, [f"p{k}" for k in range(n)], CPU)
    return policy, params, np.zeros(task.obs_dim, np.float32), np.ones(task.obs_dim, np.float32)


@pytest.mark.parametrize("mode", ["deterministic", "bcq", "sampled"])
def test_episodes_equal_a_plain_loop(mode):
    task = TASKS["BallRun"]
    policy, params, mean, std = some_policies(task)
    table = rollout.evaluate(policy, params, mean, std, task, 3, mode)
    assert table["replica"].tolist() == [0, 0, 0, 1, 1, 1]
    assert table["episode"].tolist() == [0, 1, 2] * 2
    one = {name: value[1:] for name, value in params.items()}
    env = simulators.make("BallRun")
    for episode in range(3):
        obs, _ = env.reset(seed=10_000 + episode)
        noise = rollout.generator("evaluate", "BallRun", episode).standard_normal(
            (task.horizon, policy.sample_dim), dtype=np.float32
        )
        total = cost = 0.0
        for step in range(task.horizon):
            state = torch.as_tensor(obs, dtype=torch.float32)[None, None]
            action = policy.act(one, state, mode, torch.from_numpy(noise[step])[None, None])
            obs, reward, *_, info = env.step(action[0, 0].numpy())
            total, cost = total + reward, cost + info["cost"]
        row = table[(table["replica"] == 1) & (table["episode"] == episode)].iloc[0]
        assert row["return"] == pytest.approx(total, rel=1e-3)
        assert row["cost"] == pytest.approx(cost, abs=1)
        assert row["length"] == 100


def test_rollouts_repeat_bitwise_and_equal_policies_have_equal_episodes():
    task = TASKS["BallCircle"]
    policy, params, mean, std = some_policies(task)
    twins = {name: torch.stack([value[0], value[0]]) for name, value in params.items()}
    one = rollout.evaluate(policy, twins, mean, std, task, 2, "deterministic")
    two = rollout.evaluate(policy, twins, mean, std, task, 2, "deterministic")
    pd.testing.assert_frame_equal(one, two)
    columns = ["episode", "return", "cost", "length", "terminated"]
    first, second = (one.loc[one["replica"] == r, columns].reset_index(drop=True) for r in (0, 1))
    pd.testing.assert_frame_equal(first, second)


def test_more_episodes_than_environments(monkeypatch):
    task = TASKS["BallRun"]
    policy, params, mean, std = some_policies(task)
    wide = rollout.evaluate(policy, params, mean, std, task, 5, "deterministic")
    monkeypatch.setattr(rollout, "MAX_ENVIRONMENTS", 4)
    narrow = rollout.evaluate(policy, params, mean, std, task, 5, "deterministic")
    assert narrow["episode"].tolist() == wide["episode"].tolist()
    np.testing.assert_allclose(narrow["return"], wide["return"], rtol=1e-3)


def test_a_fall_ends_the_episode():
    task = TASKS["HopperVelocity"]
    table = rollout.evaluate(*some_policies(task, 1), task, 2, "sampled")
    assert table["terminated"].all() and (table["length"] < 1000).all()


def test_policies_survive_a_round_trip(tmp_path):
    task = TASKS["BallRun"]
    policy, params, mean, std = some_policies(task)
    metadata = {
        "policy": "cvae",
        "obs_dim": 7,
        "act_dim": 2,
        "hidden": [16],
        "runs": [{"run": "a"}],
    }
    path = tmp_path / "policy.safetensors"
    policy_file.save(path, params, mean, std, metadata)
    again, loaded, *_, stored = policy_file.load(path)
    assert again == policy and stored == metadata
    assert all(torch.equal(params[name], loaded[name]) for name in params)
    assert [file.name for file in tmp_path.iterdir()] == ["policy.safetensors"]


def test_something_else_is_refused_as_a_policy(tmp_path):
    path = tmp_path / "policy.safetensors"
    path.write_bytes(b"\x80\x04not a policy")
    with pytest.raises(UserError, match="not a policy of this project"):
        policy_file.load(path)
