"""Every script that people start says with --help what it does and does nothing else.

A script runs in a fork of a process that has imported the large packages once.
"""

import ast
import os
import runpy
import sys
from contextlib import redirect_stderr, redirect_stdout

import pytest
from conftest import ROOT, needs_workflow

pytestmark = needs_workflow

# The first only passes arguments on; Snakemake's profiles start the second with Snakemake's.
OTHERS = {"scripts/__main__.py", "scripts/check_config_files.py"}
STARTED = {
    path.relative_to(ROOT).as_posix()
    for folder in ("benchmarks", "envs", "examples", "scripts")
    for path in (ROOT / folder).rglob("*.py")
    if "\nif __name__ ==" in path.read_text()
}


@pytest.fixture(scope="module", autouse=True)
def imported():
    """What most of the scripts import."""
    import matplotlib.pyplot  # noqa: F401
    import pandas  # noqa: F401
    import scipy.stats  # noqa: F401
    import torch  # noqa: F401


def in_a_fork(function, output) -> int:
    """Call a function in a fork of this process; its exit status. ``output`` gets what it says."""
    if child := os.fork():
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    status: object = 70
    try:
        with output.open("w") as said, redirect_stdout(said), redirect_stderr(said):
            function()
        status = 0
    except SystemExit as error:
        status = error.code
    finally:
        os._exit(status if isinstance(status, int) else int(status is not None))


@pytest.mark.parametrize("name", sorted(STARTED - OTHERS))
def test_a_script_says_what_it_does(name, tmp_path):
    def start():
        os.chdir(tmp_path)
        sys.argv = [str(ROOT / name), "--help"]
        folder = ROOT / "scripts" if name.startswith("scripts/") else (ROOT / name).parent
        sys.path.insert(0, str(folder))
        runpy.run_path(sys.argv[0], run_name="__main__")

    output = tmp_path / "output.txt"
    status = in_a_fork(start, output)
    text = output.read_text()
    assert status == 0, text
    assert text.startswith("usage: ")
    summary = ast.get_docstring(ast.parse((ROOT / name).read_text())).partition("\n")[0]
    assert "".join(summary.split()) in "".join(text.split())  # however its lines are broken
    assert list(tmp_path.iterdir()) == [output]
