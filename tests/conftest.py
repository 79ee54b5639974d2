"""Shared fixtures: small real datasets, made by the project's own collector."""

import importlib.util
import os
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

import forked
import pytest

# Before NumPy and torch are imported: there is a worker a core already, and threads that wait for
# a core that another worker has take many times as long as none.
os.environ.setdefault("OMP_NUM_THREADS", "1")

ROOT = Path(__file__).resolve().parents[1]
# Or each copy of the project compiles UMAP for itself, for 20 seconds.
os.environ.setdefault("NUMBA_CACHE_DIR", str(ROOT / ".cache/numba"))
os.environ.setdefault("MPLCONFIGDIR", str(ROOT / ".cache/matplotlib"))
# Over the tiny preset: one task, two methods, no study but `main`.
SMALL = ["--configfile", "workflow/presets/tiny.yaml", ROOT / "tests/small.yaml"]
if not os.environ.get("INSTALLED_PREFINE"):  # tests/library/run.py tests the one of pip
    sys.path.insert(0, str(ROOT / "scripts"))  # for processes that do not read pyproject.toml

from prefine import kernels

os.environ.update(kernels.common())  # as scripts do

HAS_SIMULATORS = importlib.util.find_spec("dsrl") is not None
needs_workflow = pytest.mark.skipif(
    importlib.util.find_spec("snakemake") is None, reason="needs the workflow's packages"
)
needs_simulators = pytest.mark.skipif(not HAS_SIMULATORS, reason="needs DSRL's simulators")

TINY_RECIPE = {
    "environments": 2,
    "normalize": False,
    "reward_scale": 1.0,
    "ppo": {"n_steps": 100, "batch_size": 50, "n_epochs": 1},
    "behaviours": [{"steps": 800, "penalty": 0.0}, {"steps": 800, "penalty": 4.0}],
}

# What `make test` begins with, a file a worker, so that none is left alone with a long one.
LONGEST = ("test_end_to_end.py", "test_own_run.py", "test_own_data.py", "test_own_labels.py")
LONGEST += ("test_verdicts.py", "test_rollout.py", "test_benchmarks.py", "test_dsrl.py")


def pytest_collection_modifyitems(items):
    """Sort the tests; those of other files stay in their order."""
    place = {name: number for number, name in enumerate(LONGEST)}
    items.sort(key=lambda item: place.get(item.path.name, len(place)))


@pytest.fixture(scope="session")
def ball_run_log():
    """A log of 16 BallRun episodes from the simulator."""
    if not HAS_SIMULATORS:
        pytest.skip("needs DSRL's simulators")
    from prefine.data.collect import collect

    return collect("BallRun", TINY_RECIPE)


@pytest.fixture(scope="session")
def ball_run_file(request, tmp_path_factory):
    """Such episodes as a file in DSRL's layout; a copy where the simulators are not installed."""
    if not HAS_SIMULATORS:
        return ROOT / "tests/data/BallRun.hdf5"
    from prefine.data import dataset

    ball_run_log = request.getfixturevalue("ball_run_log")
    path = tmp_path_factory.mktemp("data") / "BallRun.hdf5"
    dataset.write(path, ball_run_log.episodes, {"source": "collect", "task": "BallRun"})
    return path


def snakemake(*arguments, cwd, check=True, timeout=None):
    """Run Snakemake and return what it printed; as a process of its own if it may take too long."""
    words = ["-m", "snakemake", *map(str, arguments)]
    if timeout is None:
        done = forked.run(*words, cwd=cwd)
    else:
        command = [sys.executable, *words]
        done = subprocess.run(command, cwd=cwd, capture_output=True, text=True, timeout=timeout)
    text = done.stdout + done.stderr
    assert not check or done.returncode == 0, text[-8000:]
    return text


def ends(pid, seconds=20):
    """Whether a process ends in time."""
    end = time.monotonic() + seconds
    while Path(f"/proc/{pid}").exists() and time.monotonic() < end:
        time.sleep(0.02)
    return not Path(f"/proc/{pid}").exists()


def counts(text):
    """Read the job statistics of a dry run: rule -> number of jobs."""
    if "Nothing to be done" in text:
        return {}
    block = text.split("Job stats:")[1].split("\n\n")[0]
    return {name: int(n) for name, n in re.findall(r"^(\w+)\s+(\d+)$", block, re.MULTILINE)}


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    """A copy of the project without results, to run and to edit."""
    return copy_project(tmp_path_factory.mktemp("project"))


def copy_project(folder):
    """Copy what a run needs, without results; skip the test where the library is alone."""
    pytest.importorskip("snakemake")
    for name in ("Snakefile", "config.yaml", "workflow", "profiles", "scripts", "envs"):
        source = ROOT / name
        if source.is_dir():
            shutil.copytree(source, folder / name, ignore=shutil.ignore_patterns("zoo"))
        else:
            shutil.copy(source, folder / name)
    return folder


@pytest.fixture(scope="session")
def local(tmp_path_factory):
    """The project after a plain run of what the tables need, for other ways to run it."""
    folder = copy_project(tmp_path_factory.mktemp("local"))
    targets = ["claims", "table1", "table2", "provenance", "results/small/tables/curves/main.csv"]
    snakemake(*targets, "--cores", "2", *SMALL, cwd=folder)
    return folder


def assert_same_results(ours, theirs):
    """Whether two runs of SMALL made the same tables, data and policies, to the last bit."""
    from prefine.pipeline import same as compare

    patterns = ("tables/**/*.csv", "trajectories/*", "splits/*", "data/*", "policies/**/*.*")
    patterns += ("reference/*", "episodes/**/*.parquet")
    paths = [path.relative_to(theirs) for pattern in patterns for path in theirs.glob(pattern)]
    assert len(paths) > 15
    for path in paths:
        if not compare.depends_on_the_clock(path):
            assert compare.first_difference(theirs / path, ours / path, provenance=False) is None


@pytest.fixture(scope="session")
def undisturbed(tmp_path_factory):
    """The project after a run that nothing stopped, for what stops runs (tests/faults.py)."""
    import faults

    return faults.undisturbed_run(tmp_path_factory.mktemp("undisturbed") / "project")
