"""The conda environments of the rules agree with the lock and with what scripts import."""

import ast
import functools
import re
import shutil
import subprocess
import sys
from collections import Counter
from importlib.metadata import distributions, packages_distributions, version
from importlib.util import find_spec
from pathlib import Path

import pytest
from conftest import ROOT
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from prefine.methods import METHODS
from prefine.pipeline.code import imported_modules

sys.path.insert(0, str(ROOT / "envs"))
import update_pins
import write_environments as environments

LOCK = environments.read_lock("lock.txt")
NO_DEPS = environments.read_lock("lock-no-deps.txt")
OWNERS = packages_distributions()
SIMULATORS = ("dsrl", "safety_gymnasium", "bullet_safety_gym")
# What is used by another name: pandas reads and writes Parquet with pyarrow.
BY_ANOTHER_NAME = {
    "pyarrow": "parquet",
    "pillow": "minari",
    "tensorboard": "torch.utils.tensorboard",
    "onnx": "torch.onnx",
    "onnxscript": "torch.onnx",
    "stable-baselines3": "pickle.load",  # what VecNormalize's statistics are made of
}


def scripts_of_rules():
    """Read the rules: family of the environment -> the scripts that run in it."""
    found = {}
    for file in sorted((ROOT / "workflow/rules").glob("*.smk")):
        for rule in re.split(r"^ *(?=(?:use )?rule )", file.read_text(), flags=re.MULTILINE):
            families = set(re.findall(r"envs/(\w+)\.yaml", rule))
            scripts = set(re.findall(r'PREFINE_SCRIPTS" ([\w/{}.]+)\.py', rule))
            if "figures/{params.script}" in scripts:
                scripts = {f"figures/{p.stem}" for p in (ROOT / "scripts/figures").glob("*.py")}
            assert bool(families) == bool(scripts) and len(families) < 2, rule[:100]
            for family in families:
                found.setdefault(family, set()).update(scripts)
    return found


SCRIPTS = scripts_of_rules()


def modules_of(family):
    """The files that the scripts of a family import, methods that are named in configs too."""
    names = {f"{script}.py" for script in SCRIPTS[family]}
    if names & {"training/train.py", "training/timing.py"}:
        names |= {f"prefine/methods/{method}.py" for method in METHODS}
    return set().union(*(imported_modules(ROOT / "scripts" / name) for name in names))


@functools.cache
def imports_of(file):
    """The packages that a file imports, by the names of their distributions."""
    tree = ast.parse(file.read_text())
    for node in tree.body:
        if isinstance(node, ast.If) and getattr(node.test, "id", "") == "TYPE_CHECKING":
            node.body = []
    names = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            names.add(node.module.split(".")[0])
    names -= {"prefine", *sys.stdlib_module_names}
    return {name: {canonicalize_name(own) for own in OWNERS.get(name, [])} for name in names}


@pytest.mark.parametrize("family", environments.FAMILIES)
def test_files_are_what_the_lock_says(family):
    for name, content in environments.environment(family).items():
        assert (ROOT / "envs" / name).read_text() == content, (
            f"envs/{name} is stale: .venv/bin/python envs/write_environments.py"
        )


def test_the_installed_versions_are_the_locked_ones():
    for line in [*LOCK.values(), *NO_DEPS.values()]:
        requirement = Requirement(line)
        installed = version(requirement.name).split("+")[0]
        assert requirement.specifier.contains(installed, prereleases=True), line


@pytest.mark.parametrize("kind", ["", "-no-deps"])
def test_the_lock_is_what_the_project_allows(kind):
    """envs/requirements.in is what `make pins` resolves."""
    lock = environments.read_lock(f"lock{kind}.txt")
    lines = (ROOT / f"envs/requirements{kind}.in").read_text().splitlines()
    asked = [Requirement(text) for line in lines if (text := line.split("#")[0].strip())]
    for requirement in asked:
        pin = Requirement(lock[canonicalize_name(requirement.name)])
        assert requirement.specifier.contains(str(pin.specifier).removeprefix("==")), pin
    names = {canonicalize_name(requirement.name) for requirement in asked}
    listed = {canonicalize_name(name) for own in environments.FAMILIES.values() for name in own}
    assert names == set(lock) if kind else listed - set(NO_DEPS) <= names


def test_new_pins_keep_the_head_and_the_spelling_of_the_lock():
    before = "# Why.\nPyYAML==1.0\ntyping_extensions==1.0\n"
    after = update_pins.locked({"typing-extensions": "2.0", "pyyaml": "1.0", "Abc": "3"}, before)
    assert after == "# Why.\nAbc==3\nPyYAML==1.0\ntyping_extensions==2.0\n"


def test_nothing_is_installed_that_the_lock_does_not_name():
    """torch's CUDA build brings its own, pinned by torch; pip comes with Python."""
    locked = {*LOCK, *NO_DEPS, "pip", "triton"}
    installed = {canonicalize_name(found.name) for found in distributions()}
    extra = {n for n in installed - locked if not n.startswith(("nvidia-", "cuda-"))}
    assert not extra


def test_no_two_environments_are_the_same():
    """Snakemake would make one of the two, and the other would only take reading."""
    made = {(ROOT / f"envs/{family}.yaml").read_text() for family in environments.FAMILIES}
    assert len(made) == len(environments.FAMILIES) == len(list((ROOT / "envs").glob("*.yaml")))


def test_every_environment_is_of_some_rule():
    assert set(SCRIPTS) == set(environments.FAMILIES)


@pytest.mark.parametrize("family", SCRIPTS)
def test_an_environment_holds_what_its_scripts_import(family):
    listed = environments.closure(environments.FAMILIES[family], LOCK, NO_DEPS)
    for file in modules_of(family):
        for name, owners in imports_of(file).items():
            assert owners & listed, f"{file.name} imports {name}; envs/{family}.yaml lacks it"


@pytest.fixture(scope="module")
def simulators_import():
    """What the simulators import, which their own requirements name wrongly or not at all."""
    files = [
        file for name in SIMULATORS for file in Path(find_spec(name).origin).parent.rglob("*.py")
    ]
    return set().union(*(owners for file in files for owners in imports_of(file).values()))


@pytest.mark.parametrize("family", SCRIPTS)
def test_an_environment_holds_nothing_else(family, simulators_import):
    """What is listed is imported, or is a requirement of something that is."""
    files = modules_of(family)
    used = set().union(*(owners for file in files for owners in imports_of(file).values()))
    used |= simulators_import if used & {"safety-gymnasium", "dsrl"} else set()
    text = "".join(file.read_text() for file in files)
    used |= {name for name, word in BY_ANOTHER_NAME.items() if word in text}
    unused = {canonicalize_name(name) for name in environments.FAMILIES[family]} - used
    assert not unused, f"envs/{family}.yaml: no script of its rules uses {unused}"


def test_no_test_imports_from_another_folder_s_tests():
    """Whether it is found would hang on which of them were collected first."""
    for path in (ROOT / "tests").glob("*/test_*.py"):
        for name in re.findall(r"^(?:from|import) (test_\w+)", path.read_text(), re.MULTILINE):
            assert path.with_name(f"{name}.py").exists(), f"{path.name} imports {name}"


def test_no_two_folders_that_are_imported_from_hold_the_same_name():
    """Which of two would be imported hangs on the order of sys.path."""
    found = Counter(path.name for path in (ROOT / "scripts").iterdir() if path.is_dir())
    for folder in ("scripts", "tests", "tests/*", "benchmarks", "envs"):
        found.update(path.stem for path in ROOT.glob(f"{folder}/*.py"))
    del found["__main__"], found["__pycache__"]
    assert {name: n for name, n in found.items() if n > 1} == {}
    assert not found.keys() & ({*sys.stdlib_module_names, *packages_distributions()} - {"prefine"})


@pytest.mark.skipif(shutil.which("make") is None, reason="needs make")
@pytest.mark.parametrize("options", [[f"PYTHON={sys.executable}"], ["UV=uv"]])
def test_the_environment_is_of_the_lock_with_pip_and_with_uv(options):
    """What `make setup` would do; nothing is installed."""
    command = ["make", "--dry-run", "--always-make", ".venv/.installed", *options]
    text = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout
    installs = re.findall(
        r"^(.*) (?:-m )?pip install .*?((?:--no-deps )?-r \S+)$", text, re.MULTILINE
    )
    assert [what for _, what in installs] == [
        "-r envs/lock.txt",
        "--no-deps -r envs/lock-no-deps.txt",
    ]
    assert ("uv venv --clear --seed --python 3.11 .venv" in text) == (options == ["UV=uv"])
