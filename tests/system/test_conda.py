"""`--sdm conda`, with real environments: `make test-conda`.

Every environment is solved and installed from its file in envs/ by tests/conda/, and every rule
family runs in its own. conda-forge's packages themselves cannot be had here: python and pip come
from a channel that the test builds (tests/conda/channel.py says how), all else from the index.
"""

import json
import os
import shutil
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
from conftest import ROOT, SMALL, assert_same_results, copy_project, snakemake
from packaging.utils import canonicalize_name
from prefine.tasks import TASKS
from test_environments import LOCK, NO_DEPS, environments

HERE = ROOT / "tests/conda"
LIBRARY = ROOT / ".cache/conda"
CONDA = ["--cores", "2", "--sdm", "conda"]
ARCHIVE = "examples/own_policy/BallCircle.zip"
OWN_POLICY = {
    "run": "own_policy",
    "tasks": ["BallCircle"],
    "own_policy": {
        "BallCircle": {
            "file": ARCHIVE,
            "format": "sb3",
            "rollouts": {"episodes": 12, "gains": [1.0, 0.2]},
        }
    },
    "labels": {"BallCircle": "labels.csv"},
    "training": {"iterations": 20, "log_points": 2},
    "studies": {"trade_off": None},
    "evaluation": {"episodes": 3, "curves": {"points": 1, "episodes": 1}},
    "choose": {"episodes": 2},
}

pytestmark = [
    pytest.mark.conda,
    pytest.mark.skipif(not LIBRARY.exists(), reason="no solver of conda packages: make test-conda"),
]


@pytest.fixture(scope="module")
def conda(tmp_path_factory):
    """The conda command on PATH, and a channel for it."""
    folder = tmp_path_factory.mktemp("conda")
    command = [sys.executable, HERE / "channel.py", folder / "channel"]
    command += [environments.PYTHON, environments.PIP]
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PATH", f"{HERE / 'bin'}{os.pathsep}{os.environ['PATH']}")
        patch.setenv("CONDA_TEST_PYTHON", sys.executable)
        patch.setenv("CONDA_TEST_LIBRARY", str(LIBRARY))
        patch.setenv("CONDA_TEST_CHANNEL", (folder / "channel").as_uri())
        patch.setenv("CONDA_TEST_CACHE", str(folder / "cache"))
        patch.setenv("PIP_NO_COMPILE", "1")  # Python compiles what is imported
        own = os.environ | {"PYTHONPATH": str(LIBRARY)}
        subprocess.run(list(map(str, command)), check=True, env=own)
        yield


@pytest.fixture(scope="module")
def through_conda(conda, tmp_path_factory):
    """The project after runs with conda in which every rule family has a part."""
    folder = copy_project(tmp_path_factory.mktemp("through"))
    snakemake("all", "tensorboard", "export_minari", *CONDA, *SMALL, cwd=folder)
    # The rule that downloads, with a file that is there already.
    name = TASKS["BallRun"].file
    (folder / "data/dsrl").mkdir(parents=True)
    shutil.copy(folder / "results/small/data/BallRun.hdf5", folder / "data/dsrl" / name)
    overlay = {"run": "dsrl", "source": "dsrl", "dsrl": {"offline": True}, "tasks": ["BallRun"]}
    overlay["figures"] = {"fig1": {"task": "BallRun", "tau": 20}}
    (folder / "dsrl.json").write_text(json.dumps(overlay))
    snakemake("results/dsrl/data/BallRun.hdf5", *CONDA, "--configfile", "dsrl.json", cwd=folder)
    # The rule that imports data of the user's own.
    shutil.copytree(ROOT / "examples/own_task", folder / "examples/own_task")
    command = [sys.executable, "examples/own_task/make_data.py", "data/safe_reach"]
    subprocess.run(command, cwd=folder, check=True)
    options = ["--configfile", "examples/own_task/config.yaml"]
    snakemake("results/own_task/data/SafeReach.hdf5", *CONDA, *options, cwd=folder)
    # The rules that bring a policy of the user's own in, and take one out.
    (folder / ARCHIVE).parent.mkdir(parents=True)
    shutil.copy(ROOT / ARCHIVE, folder / ARCHIVE)
    (folder / "own_policy.json").write_text(json.dumps(OWN_POLICY))
    options = ["--configfile", "workflow/presets/own_policy.yaml", "own_policy.json"]
    snakemake("label_sheets", *CONDA, *options, cwd=folder)
    sheet = pd.read_csv(folder / "results/own_policy/labels/BallCircle.csv")
    better = sheet["return"].rank(method="first") > len(sheet) / 2
    sheet["label"] = np.where(better, "preferred", "nonpreferred")
    sheet.to_csv(folder / "labels.csv", index=False)
    snakemake("results/own_policy/export/BallCircle/README.md", *CONDA, *options, cwd=folder)
    return folder


def prefixes(folder):
    """Family -> its environment: Snakemake keeps the file that it was made from beside it."""
    of = {(ROOT / f"envs/{family}.yaml").read_text(): family for family in environments.FAMILIES}
    made = (folder / ".snakemake/conda").glob("*.yaml")
    return {of[path.read_text()]: path.with_suffix("") for path in made}


def test_every_environment_holds_the_locked_versions_and_no_other(through_conda):
    found = prefixes(through_conda)
    assert set(found) == set(environments.FAMILIES)
    for family, prefix in found.items():
        text = subprocess.run(
            [prefix / "bin/python", "-m", "pip", "list", "--format", "json"],
            check=True,
            capture_output=True,
            text=True,
        ).stdout
        installed = {
            canonicalize_name(entry["name"]): entry["version"].split("+")[0]
            for entry in json.loads(text)
        }
        names = environments.closure(environments.FAMILIES[family], LOCK, NO_DEPS)
        wanted = {name: (LOCK | NO_DEPS)[name].split("==")[1] for name in names}
        cuda = {name for name in installed if name.startswith(("nvidia-", "cuda-"))} | {"triton"}
        kept = {name: own for name, own in installed.items() if name not in cuda}
        assert kept == wanted | {"pip": environments.PIP}, family
        assert {path.name for path in (prefix / "conda-meta").glob("*.json")} == {
            f"python-{environments.PYTHON}-0.json",
            f"pip-{environments.PIP}-0.json",
        }


def test_jobs_ran_in_their_environments(through_conda):
    """Each recorded the versions that it saw: a training job those of no simulator."""
    record = json.loads((through_conda / "results/small/tables/provenance.json").read_text())
    seen = {kind: set() for kind in ("training", "evaluation")}
    for job in record["jobs"]:
        seen[job["kind"]] |= set(job["versions"])
    assert seen["training"] == {"python", "torch", "numpy"}
    assert "mujoco" in seen["evaluation"] and "stable-baselines3" not in seen["evaluation"]


def test_the_tables_equal_those_of_a_local_run(through_conda, local):
    assert_same_results(*(folder / "results/small" for folder in (through_conda, local)))


def test_every_rule_family_made_something(through_conda):
    results = through_conda / "results"
    assert list((results / "small/tensorboard").rglob("*tfevents*"))
    assert (results / "small/figures/fig13_umap.png").exists()
    assert (results / "dsrl/data/BallRun.hdf5").exists()
    assert (results / "own_task/data/SafeReach.hdf5").exists()
    assert (results / "own_policy/export/BallCircle/policy.onnx").exists()
