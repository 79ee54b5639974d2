"""The conda environments of the rules agree with the lock and with what scripts import."""

import ast
import sys
from importlib.metadata import distributions, packages_distributions, version

import pytest
from conftest import ROOT
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from prefine.methods import METHODS
from prefine.provenance import imported_modules

sys.path.insert(0, str(ROOT / "envs"))
import write_environments as environments

LOCK = environments.read_lock("lock.txt")
NO_DEPS = environments.read_lock("lock-no-deps.txt")
SCRIPTS = {
    "data": [
        "trajectories",
        "split",
        "plan",
        "runs",
        "table1",
        "claims",
        "dataset_statistics",
        "calibrate",
        "provenance",
        *("label_sheet", "choose", "before_after"),
    ],
    "download": ["download"],
    "collect": ["collect"],
    "train": ["train", "timing", *(f"prefine/methods/{method}" for method in METHODS)],
    "evaluate": ["evaluate", "cost_gap"],
    "policy": ["prefine/own_policy", "rollouts", "import_policy", "compare"],
    "export": ["export", "export_chosen"],
    "overlap": ["overlap"],
    "plot": [
        *(f"fig{number}" for number in (1, 2, 3, 4, 5, 7, 8, 9, 13)),
        *("ablation", "learning_curves", "variants", "ceiling", "paper_comparison"),
        *("fig_before_after", "fig_cost_per_step", "fig_own_learning"),
    ],
    "tensorboard": ["event_files"],
}


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


def test_nothing_is_installed_that_the_lock_does_not_name():
    """torch's CUDA build brings its own, pinned by torch; pip comes with Python."""
    locked = {*LOCK, *NO_DEPS, "pip", "triton"}
    installed = {canonicalize_name(found.name) for found in distributions()}
    extra = {n for n in installed - locked if not n.startswith(("nvidia-", "cuda-"))}
    assert not extra


@pytest.mark.parametrize("family", SCRIPTS)
def test_an_environment_holds_what_its_scripts_import(family):
    listed = environments.closure(environments.FAMILIES[family], LOCK, NO_DEPS)
    owners = packages_distributions()
    for script in SCRIPTS[family]:
        for file in imported_modules(ROOT / "scripts" / f"{script}.py"):
            tree = ast.parse(file.read_text())
            for node in tree.body:
                if isinstance(node, ast.If) and getattr(node.test, "id", "") == "TYPE_CHECKING":
                    node.body = []
            for node in ast.walk(tree):
                if isinstance(node, ast.Import):
                    names = [alias.name for alias in node.names]
                elif isinstance(node, ast.ImportFrom) and node.level == 0:
                    names = [node.module]
                else:
                    continue
                for top in {name.split(".")[0] for name in names}:
                    if top == "prefine" or top in sys.stdlib_module_names:
                        continue
                    owner = {canonicalize_name(name) for name in owners[top]}
                    assert owner & listed, f"{file.name} imports {top}; envs/{family}.yaml lacks it"
