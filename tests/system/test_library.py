"""The library by itself: its documented program runs, and it installs without the workflow."""

import os
import re
import shutil
import subprocess
import sys
import sysconfig
import zipfile

import numpy as np
import prefine
import pytest
import yaml
from conftest import ROOT
from prefine.errors import UserError
from prefine.methods import method_constant
from prefine.preferences.split import split
from prefine.tasks import TASKS
from prefine.training.fine_tune import (
    DEFAULTS,
    FROM_REFERENCE,
    OF_SEGMENTS,
    defaults_of,
    fine_tune,
    pretrain,
)

PACKED = ("pyproject.toml", "README.md", "LICENSE")


def program(page):
    """All Python blocks of a page, one after another."""
    return "\n".join(re.findall(r"```python\n(.*?)```", (ROOT / page).read_text(), re.DOTALL))


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    """The wheel that pip builds of the project, without a network."""
    source = tmp_path_factory.mktemp("source")
    for name in PACKED:
        shutil.copy(ROOT / name, source / name)
    ignored = shutil.ignore_patterns("__pycache__")
    shutil.copytree(ROOT / "scripts", source / "scripts", ignore=ignored)
    command = [sys.executable, "-m", "pip", "wheel", "--no-deps", "--no-build-isolation"]
    done = subprocess.run(
        [*command, "--wheel-dir", source / "dist", source], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    return next((source / "dist").glob("prefine-*.whl"))


@pytest.fixture(scope="module")
def installed(wheel, tmp_path_factory):
    """Python of a fresh environment with the wheel, and with this one's packages beside it."""
    folder = tmp_path_factory.mktemp("venv")
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder], check=True)
    site = folder / "lib" / f"python{sysconfig.get_python_version()}" / "site-packages"
    (site / "beside.pth").write_text(sysconfig.get_path("purelib"))
    command = [sys.executable, "-m", "pip", "install", "--no-deps", "--target", site, wheel]
    subprocess.run(command, check=True, capture_output=True)
    return folder / "bin/python"


def outside(python, code, cwd):
    """Run code where the repository is not."""
    own = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    done = subprocess.run([python, "-c", code], cwd=cwd, env=own, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_a_wheel_holds_the_library_alone(wheel):
    names = {name.split("/")[0] for name in zipfile.ZipFile(wheel).namelist()}
    assert names == {"prefine", f"prefine-{prefine.__version__}.dist-info"}
    packed = set(zipfile.ZipFile(wheel).namelist())
    for file in (ROOT / "scripts/prefine").rglob("*.*"):
        assert str(file.relative_to(ROOT / "scripts")) in packed or file.suffix == ".pyc"


def test_import_is_light_and_every_public_name_is_there(installed, tmp_path):
    code = (
        "import sys, prefine; assert not {'torch', 'gymnasium', 'h5py'} & set(sys.modules); "
        "print(prefine.__file__); [getattr(prefine, name) for name in prefine.__all__]; "
        "assert set(prefine.__all__) <= set(dir(prefine)); "
        "assert not hasattr(prefine, 'nothing')"
    )
    place = outside(installed, code, tmp_path)
    assert str(ROOT) not in place and "site-packages" in place


def test_the_documented_program_runs_where_it_is_installed(installed, tmp_path):
    shutil.copytree(ROOT / "examples/own_task", tmp_path / "examples/own_task")
    make = [installed, "examples/own_task/make_data.py", "data/safe_reach"]
    subprocess.run(make, cwd=tmp_path, check=True)
    outside(installed, program("docs/library.md"), tmp_path)
    assert (tmp_path / "safe.safetensors").is_file()


def test_the_page_names_what_is_public():
    page = (ROOT / "docs/library.md").read_text()
    for name in set(prefine.__all__) - {"__version__"}:
        assert f"`{name}`" in page or f"`prefine.{name}`" in page, name


def test_defaults_are_the_config_s():
    config = yaml.safe_load((ROOT / "config.yaml").read_text())["training"]
    workflow_s = {"log_std_min", "matched", "max_runs"}
    assert {key: config[key] for key in config.keys() - workflow_s} == DEFAULTS
    assert {"bc_from_reference", "dpo", "ppl", "prefine"} <= set(FROM_REFERENCE)
    assert not {"bc", "cpq", "safedice"} & set(FROM_REFERENCE)


@pytest.fixture(scope="module")
def ball_run(ball_run_file):
    data = prefine.load_transitions(ball_run_file, TASKS["BallRun"])
    reference, log = pretrain(data, range(8), hidden=(16,), iterations=20, log_points=2)
    assert log["loss"].iloc[-1] < log["loss"].iloc[0]
    return data, reference


@pytest.mark.parametrize("method", FROM_REFERENCE)
def test_each_method_from_python(ball_run, method):
    data, reference = ball_run
    options = {"iterations": 4, "log_points": 1}
    options |= {} if method in OF_SEGMENTS else {"batch_size": 16}
    done = fine_tune(reference, data, range(4), range(8, 12), method=method, seeds=2, **options)
    again = fine_tune(reference, data, range(4), range(8, 12), method=method, **options)
    for name, value in done.params.items():
        assert value.shape[0] == 2 and not value[0].equal(reference.params[name][0])
        np.testing.assert_allclose(value[:1], again.params[name], atol=1e-6)
    assert np.isfinite(done.log["loss"]).all()
    told = done.metadata["settings"]
    numbers = method_constant(method, "HYPERPARAMETERS")
    assert told["iterations"] == 4 and {key: told[key] for key in numbers} == numbers
    assert ("learning_rate" in told) == ("actor_learning_rate" not in told)


def test_a_method_trains_for_as_long_as_the_config_says():
    config = yaml.safe_load((ROOT / "config.yaml").read_text())
    for method in FROM_REFERENCE:
        own = config["methods"].get(method, {}).get("iterations", config["training"]["iterations"])
        assert defaults_of(method)["iterations"] == own


def test_what_is_wrong_is_said_in_one_line(ball_run):
    data, reference = ball_run
    with pytest.raises(UserError, match="'cpq' is not one of"):
        fine_tune(reference, data, [0], [1], method="cpq")
    with pytest.raises(UserError, match="unknown setting bta"):
        fine_tune(reference, data, [0], [1], bta=0.1)
    with pytest.raises(UserError, match="nonpreferred: needs numbers of trajectories, 0 to 15"):
        fine_tune(reference, data, [0], [99])
    with pytest.raises(UserError, match="preferred: needs numbers"):
        fine_tune(reference, data, [], [1])
    two = fine_tune(reference, data, [0], [1], seeds=2, iterations=1)
    with pytest.raises(UserError, match=r"one of 2; take one of them, run\(name\)"):
        fine_tune(two, data, [0], [1], seeds=2)
    fine_tune(two.run("fine_tune/seed1"), data, [0], [1], iterations=1)
    with pytest.raises(UserError, match="sees: 'all' is not one of"):
        prefine.load_transitions("none", TASKS["BallRun"], "all")
    for settings, says in (
        ({"file": "a", "format": "sb3", "vec_normalise": "b"}, "policy.vec_normalise: is unknown"),
        ({"format": "sb3"}, "policy.file: is needed"),
    ):
        with pytest.raises(UserError, match=says):
            prefine.read_policy(settings, TASKS["BallRun"])
    with pytest.raises(UserError, match="unknown setting hoirzon"):
        prefine.describe_task("A", {"env_id": "Pendulum-v1", "hoirzon": 5}, has_costs=False)
    with pytest.raises(UserError, match="nonpreferred_order: 'highest' is not one of"):
        prefine.SplitSettings(nonpreferred_order="highest")
    with pytest.raises(UserError, match="finite returns and costs"):
        split(np.ones(9), np.full(9, np.nan), "A", 5.0, 0, prefine.SplitSettings())
    for mode, episodes, says in (
        ("full", 1, "action_mode: 'full' is not one of deterministic, bcq, sampled"),
        ("sampled", 0, "0 episodes, 1 workers"),
    ):
        with pytest.raises(UserError, match=says):
            prefine.evaluate(reference, TASKS["BallRun"], episodes, mode)
    with pytest.raises(UserError, match="sampled actions need noise"):
        reference.act(np.zeros((1, 7)), "sampled")


@pytest.mark.parametrize(
    ("sets", "changes", "says"),
    [
        (([0], [0]), {}, "trajectory 0 is there twice"),
        (([0, 1, 1], [2]), {}, "trajectory 1 is there twice"),
        (([True, False], [False, True]), {}, "preferred: needs numbers of trajectories"),
        (([[0]], [1]), {}, "preferred: needs numbers of trajectories"),
        (([0], [1]), {"seeds": 0}, "seeds: 0 is not allowed"),
        (([0], [1]), {"beta": -1}, "prefine.beta: -1 is not allowed"),
        (([0], [1]), {"beta": float("nan")}, "prefine.beta: nan is not allowed"),
        (([0], [1]), {"batch_size": 2.5}, "prefine.batch_size: 2.5 is not allowed"),
        (([0], [1]), {"delta_level": "steps"}, "did you mean 'step'"),
        (([0], [1]), {"sampler": "state"}, "Allowed: trajectory, transition"),
        (([0], [1]), {"method": "cpl", "learning_rate": 0.1}, "unknown setting learning_rate"),
        (([0], [1]), {"method": "trac", "batch_size": 16}, "unknown setting batch_size"),
        (([0], [1]), {"method": "trac", "labels": "foo"}, "trac.labels: 'foo' is not"),
        (([0], [1]), {"beta": {"safety_gym": 1.0}}, "needs one value"),
        (([0], [1]), {"learning_rate": "fast"}, "prefine.learning_rate: 'fast' is not allowed"),
    ],
)
def test_values_and_sets_are_checked_as_the_config_s(sets, changes, says, ball_run):
    data, reference = ball_run
    with pytest.raises(UserError) as error:
        fine_tune(reference, data, *sets, **{"iterations": 1} | changes)
    assert says in str(error.value) and not str(error.value).startswith("config")
