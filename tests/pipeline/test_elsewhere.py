"""The workflow from elsewhere, inside another one, and by the command as people type it."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import ROOT, SMALL, copy_project, snakemake
from prefine.pipeline.command import rule_names, with_targets_last

TARGET = "results/small/trajectories/BallRun.csv"
MODULE = """
configfile: "mine.yaml"

module prefine:
    snakefile: "{snakefile}"
    config: config["prefine"]

use rule * from prefine as prefine_*

rule sizes:
    default_target: True
    input:
        "results/mine/trajectories/BallRun.csv",
    output:
        "sizes.txt",
    shell:
        "wc -l < {{input}} > {{output}}"
"""
MINE = """
prefine:
  run: mine
  tasks: [BallRun]
  figures: {fig1: {task: BallRun, tau: 20}, fig4: {task: BallRun}}
  collect: {train: true, recipes: {BallRun: {behaviours: [{steps: 2000, penalty: 0.0}]}}}
"""


@pytest.fixture(scope="module")
def repository(tmp_path_factory):
    """A copy of the project whose files nobody may write."""
    folder = copy_project(tmp_path_factory.mktemp("a repository"))
    subprocess.run(["chmod", "-R", "a-w", folder], check=True)
    yield folder
    subprocess.run(["chmod", "-R", "u+w", folder], check=True)


def files(folder):
    return {
        path.relative_to(folder) for path in folder.rglob("*") if "__pycache__" not in str(path)
    }


def test_results_go_to_another_folder(repository, tmp_path):
    before = files(repository)
    preset = [SMALL[0], repository / SMALL[1], *SMALL[2:]]
    options = ["-s", repository / "Snakefile", "--directory", tmp_path, "--cores", "1", *preset]
    snakemake(TARGET, *options, cwd="/")
    assert (tmp_path / TARGET).read_text().count("\n") > 10
    assert files(repository) == before
    assert "Nothing to be done" in snakemake(TARGET, "-n", *options, cwd="/")


def test_as_a_module_of_another_workflow(repository, tmp_path):
    (tmp_path / "Snakefile").write_text(MODULE.format(snakefile=repository / "Snakefile"))
    (tmp_path / "mine.yaml").write_text(MINE)
    snakemake("--cores", "1", cwd=tmp_path)
    assert int((tmp_path / "sizes.txt").read_text()) > 10


def test_a_wrong_key_of_a_module_is_one_line(repository, tmp_path):
    (tmp_path / "Snakefile").write_text(MODULE.format(snakefile=repository / "Snakefile"))
    (tmp_path / "mine.yaml").write_text(MINE + "  trainning: {}\n")
    text = snakemake("--cores", "1", cwd=tmp_path, check=False)
    assert "did you mean 'training'?" in text and "Traceback" not in text


def command(*arguments):
    """Run the project's own `snakemake` as `make setup` installs it."""
    program = f"import sys; sys.path.insert(0, {str(ROOT / 'scripts')!r}); "
    program += "from prefine.pipeline.command import main; main()"
    done = subprocess.run(
        [sys.executable, "-c", program, *arguments], cwd=ROOT, capture_output=True, text=True
    )
    return done.returncode, done.stdout + done.stderr


@pytest.mark.parametrize(
    "words",
    [
        "--cores 8 --resources gpu=1 all",
        "--cores 8 --res gpu=1 all",
        "all --set-resources train:gpu=1 --cores 8",
        "--config draws=5 all --cores 8",
        "--cores 8 --resources gpu=1 mem_mb=9000 -- all",
    ],
)
def test_targets_may_stand_behind_pairs(words):
    code, text = command("-n", *words.split())
    assert code == 0 and "\nall " in text, text[-2000:]


@pytest.mark.parametrize("words", ["--resources gpu=1 al", "--res gpu:1", "--set-threads trane"])
def test_what_is_neither_pair_nor_target_is_one_line(words):
    code, text = command("-n", "--cores", "1", *words.split())
    last = words.split()[-1]
    assert code == 1
    assert text == f"ERROR: {last!r} is neither a pair NAME=VALUE nor a target of this workflow\n"


def test_other_arguments_are_left_alone():
    from snakemake import cli

    parser = cli.get_argument_parser()
    alone = [
        "--cores",
        "2",
        "--configfile",
        "a.yaml",
        "b.yaml",
        "--forcerun",
        "train",
        "--resources",
        "gpu=1",
    ]
    assert with_targets_last(alone, parser) == (alone, [])
    both = ["fig9", "--resources", "gpu=1", "results/a=b.csv", "x.csv", "--cores", "2"]
    expected = ["--resources", "gpu=1", "results/a=b.csv", "--cores", "2"], ["fig9", "x.csv"]
    assert with_targets_last(both, parser) == expected
    assert {"all", "train", "evaluate_curve", "fig10", "control"} <= rule_names(ROOT)


def test_the_command_works_in_a_folder_of_any_name(tmp_path):
    own = tmp_path / "it's a folder/$HOME"
    (own / ".venv/bin").mkdir(parents=True)
    for name in ("lib", "pyvenv.cfg"):
        (own / ".venv" / name).symlink_to(Path(sys.prefix) / name)
    (own / ".venv/bin/python").symlink_to(sys.executable)
    (own / "scripts").symlink_to(ROOT / "scripts")
    shutil.copy(ROOT / "envs/snakemake", own / ".venv/bin")
    command = [own / ".venv/bin/snakemake", "--version"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0 and done.stdout.startswith("9."), done.stderr
