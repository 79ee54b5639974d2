"""A plan whose runs several jobs share gives what one job gives."""

import json
import shutil
import subprocess
import sys

import pandas as pd
import pytest
import torch
from conftest import ROOT, SMALL, copy_project, counts, snakemake
from prefine.policies import file as policy_file

EARLIER = ("data", "trajectories", "splits", "reference", "training/reference", "plans")
JOBS = "main/BallRun/bc", "main/BallRun/prefine"


def wanted(run):
    paths = [f"policies/{job}.safetensors" for job in JOBS]
    return [f"results/{run}/{path}" for path in [*paths, "tables/curves/main.csv"]]


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """The results of one job a plan, and of plans in parts; what a dry run of the second says."""
    folder = copy_project(tmp_path_factory.mktemp("parts"))
    snakemake(*wanted("small"), "--cores", "2", *SMALL, cwd=folder)
    for name in EARLIER:
        shutil.copytree(folder / "results/small" / name, folder / "results/parts" / name)
    (folder / "parts.yaml").write_text("run: parts\ntraining: {parts: 3}\n")
    shared = [*wanted("parts"), "--cores", "2", *SMALL, "parts.yaml", "--rerun-triggers", "mtime"]
    planned = counts(snakemake(*shared, "-n", cwd=folder))
    snakemake(*shared, cwd=folder)
    return folder / "results/small", folder / "results/parts", planned


def test_there_are_as_many_jobs_as_runs_and_one_that_joins(runs):
    """Two runs a plan: the third part that was asked for would have none."""
    *_, planned = runs
    names = ("train", "train_and_follow", "join", "join_and_follow")
    assert [planned.get(name) for name in names] == [2, 2, 1, 1]


def test_policies_logs_and_curves_are_the_same(runs):
    one, shared, _ = runs
    for job in JOBS:
        ours, theirs = (
            policy_file.load(run / f"policies/{job}.safetensors") for run in (shared, one)
        )
        assert [run["run"] for run in ours[-1]["runs"]] == [
            run["run"] for run in theirs[-1]["runs"]
        ]
        assert ours[-1]["device"] == theirs[-1]["device"]
        for name, value in theirs[1].items():
            torch.testing.assert_close(ours[1][name], value, rtol=1e-5, atol=1e-6)
        logs = [pd.read_parquet(run / f"training/{job}.parquet") for run in (shared, one)]
        logs = [log.drop(columns="seconds").sort_values(["run", "iteration"]) for log in logs]
        pd.testing.assert_frame_equal(*[log.reset_index(drop=True) for log in logs], rtol=1e-4)
    curves = [pd.read_csv(run / "tables/curves/main.csv") for run in (shared, one)]
    pd.testing.assert_frame_equal(*curves, rtol=1e-3)


def test_no_part_is_left(runs):
    _, shared, _ = runs
    assert {path.name for path in shared.glob("policies/**/*.safetensors")} == {
        "bc.safetensors",
        "prefine.safetensors",
    }
    assert not list(shared.glob("snapshots/**/*.safetensors"))


def test_a_part_that_lost_its_runs_adds_none(runs, tmp_path):
    """Cells without enough trajectories are found out only when the parts are planned."""
    one, *_ = runs
    policies, empty = one / "policies/main/BallRun/bc.safetensors", tmp_path / "2.safetensors"
    _, params, *_, metadata = policy_file.load(policies)
    files = {"data": "hdf5", "trajectories": "csv", "splits": "csv"}
    options = {f"--{name}": one / f"{name}/BallRun.{end}" for name, end in files.items()}
    options |= {"--task": "BallRun", "--method": "bc", "--plan": one / "plans/main/BallRun/bc.csv"}
    options |= {"--settings": json.dumps(metadata["settings"])}
    options |= {"--output": empty, "--log": tmp_path / "2.parquet"}
    command = [sys.executable, ROOT / "scripts/train.py", "--part", "2", "3"]
    command += ["--state", tmp_path / "state", "key"]
    subprocess.run([*command, *(part for pair in options.items() for part in pair)], check=True)
    assert policy_file.load(empty)[-1]["runs"] == []
    joined, *_, described = policy_file.join([policies, empty])
    assert described["runs"] == metadata["runs"]
    assert all(torch.equal(joined[name], params[name]) for name in params)
