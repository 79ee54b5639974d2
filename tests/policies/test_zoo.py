"""The policies that come with the package: chosen, written, found by name."""

import subprocess
import sys

import numpy as np
import pandas as pd
import prefine
import pytest
import torch
from conftest import ROOT, needs_workflow
from prefine.analysis.choose import best_run
from prefine.errors import UserError
from prefine.policies import file as policy_file
from prefine.policies import zoo
from prefine.policies.networks import stack
from prefine.policies.registry import describe, make_policy
from prefine.policies.stack import PolicyStack
from prefine.tasks import TASKS

TASK, TAU = TASKS["BallRun"], 20
RUNS = [f"run{k}" for k in range(3)]


def policies(path, runs, method):
    """A file of policies as training writes it."""
    policy = make_policy("cvae", TASK.obs_dim, TASK.act_dim, (16, 8))
    params = stack([policy.init(torch.Generator().manual_seed(k)) for k in range(len(runs))])
    rows = [{"run": run, "seed": k} | {"tau": TAU} for k, run in enumerate(runs)]
    rows = rows if method == "prefine" else [{"run": runs[0], "seed": 0}]
    metadata = {
        **describe(policy),
        "task": TASK.to_dict(),
        "method": method,
        "runs": rows,
        "settings": {"iterations": 5},
        "data_sha256": "abc",
    }
    mean, std = np.zeros(TASK.obs_dim, np.float32), np.ones(TASK.obs_dim, np.float32)
    saved = PolicyStack(policy, params, mean, std, metadata)
    policy_file.save(path, saved)
    return saved


def episodes(runs, costs, returns, tau=TAU, n=20):
    """``n`` episodes of each run around a mean."""
    noise = np.linspace(-1, 1, n)
    rows = [
        pd.DataFrame({"run": run, "tau": tau, "iteration": 5, "episode": range(n)})
        .assign(**{"return": reward + noise, "cost": cost + noise})
        for run, cost, reward in zip(runs, costs, returns, strict=True)
    ]  # fmt: skip
    return pd.concat(rows, ignore_index=True)


def test_the_best_return_within_the_limit_is_chosen_by_validation_alone():
    run, why = best_run(episodes(RUNS, [5, 19, 40], [100, 300, 900]), TAU)
    assert run == "run1" and "3 runs" in why and "20 validation episodes" in why
    run, why = best_run(episodes(RUNS, [30, 25, 40], [100, 300, 900]), TAU)
    assert run == "run1" and "costs least" in why
    others = episodes(["other"], [1], [999], tau=40)
    both = pd.concat([others, episodes(RUNS, [5, 19, 40], [100, 300, 900])])
    assert best_run(both, TAU)[0] == "run1"
    with pytest.raises(UserError, match="no validation episode at the threshold 10"):
        best_run(both, 10)


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A zoo of one task, as the rule writes it, and the policies that it is made of."""
    folder = tmp_path_factory.mktemp("zoo")
    reference = policies(folder / "reference.safetensors", ["reference"], "reference")
    trained = policies(folder / "prefine.safetensors", RUNS, "prefine")
    tables = {
        "validation": episodes(RUNS, [5, 19, 40], [100, 300, 900]),
        "before": episodes(["reference"], [60], [950]),
        "after": episodes(RUNS, [6, 12, 41], [110, 290, 880]),
    }
    command = [sys.executable, ROOT / "scripts", "publish/zoo.py"]
    for name, table in tables.items():
        table.to_parquet(folder / f"{name}.parquet")
        command += [f"--{name}", folder / f"{name}.parquet"]
    command += ["--reference", folder / "reference.safetensors", "--tau", str(TAU)]
    command += ["--policies", folder / "prefine.safetensors", "--output", folder / "zoo/BallRun"]
    subprocess.run(command, check=True, capture_output=True)
    return folder / "zoo", reference, trained


@needs_workflow
def test_the_policies_of_the_zoo_act_as_they_were_trained(made):
    folder, reference, trained = made
    obs = np.random.default_rng(0).normal(size=(50, TASK.obs_dim)).astype(np.float32)
    for name, expected in (("reference", reference), ("prefine", trained.replica(1))):
        policy = prefine.load_policy(zoo.place(f"zoo/BallRun/{name}", folder))
        np.testing.assert_allclose(policy.act(obs), expected.act(obs)[0], atol=1e-6)
    assert zoo.names(folder) == ["zoo/BallRun/prefine", "zoo/BallRun/reference"]


@needs_workflow
def test_a_card_says_how_its_policy_was_chosen_and_what_it_costs(made):
    folder, *_ = made
    card = (folder / "BallRun/prefine/README.md").read_text()
    assert "One of 3 runs, chosen by 20 validation episodes" in card and "**Safe**" in card
    assert 'load_policy("zoo/BallRun/prefine")' in card and "onnx" not in card
    assert "fine-tuned from preferences with PREFINE" in card and "less cost" in card
    before = (folder / "BallRun/reference/README.md").read_text()
    assert "π_ref" in before and "**Not safe**" in before and "not compared" not in before


@pytest.mark.parametrize(
    ("name", "nearest"),
    [
        ("zoo/BalRun/prefine", "zoo/BallRun/prefine"),
        ("zoo/BallRun", "zoo/BallRun/prefine"),
        ("zoo/BallRun/referense", "zoo/BallRun/reference"),
    ],
)
@needs_workflow
def test_an_unknown_name_is_told_the_nearest_in_one_line(made, name, nearest):
    with pytest.raises(UserError) as error:
        zoo.place(name, made[0])
    assert f"did you mean '{nearest}'?" in str(error.value) and "\n" not in str(error.value)


def test_an_installation_without_a_zoo_says_so_and_paths_stay_paths(tmp_path, monkeypatch):
    with pytest.raises(UserError, match="has no zoo"):
        zoo.place("zoo/BallRun/prefine", tmp_path)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "zoo/mine").mkdir(parents=True)
    assert str(zoo.place("zoo/mine", tmp_path / "none")) == "zoo/mine"
    assert str(zoo.place("results/x.safetensors")) == "results/x.safetensors"


def test_every_policy_of_the_package_loads_and_has_a_card():
    for name in zoo.names():
        policy = prefine.load_policy(name)
        task = policy.metadata["task"]["name"]
        assert name.split("/")[1] == task
        assert policy.act(np.zeros(TASKS[task].obs_dim)).shape == (TASKS[task].act_dim,)
        assert f'load_policy("{name}")' in (zoo.place(name) / "README.md").read_text()
