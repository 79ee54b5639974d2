"""A full disk, for every rule that writes: a small tmpfs, mounted by root. `make test-faults`."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import faults
import pytest
from conftest import snakemake
from prefine.pipeline import same as compare

ROOT_ONLY = pytest.mark.skipif(os.getuid() != 0, reason="only root mounts a small disk")
pytestmark = [pytest.mark.faults, ROOT_ONLY]
MIB, PAGE = 1 << 20, 4096
ROOM = 480 * 1024  # more room after each time that there is none
FIGURES = [f"fig{n}" for n in (1, 2, 3, 4, 5, 7, 8, 12, 13)]
RULES = ["collect", "trajectories", "split", "split_sizes", "dataset_statistics", "calibrate"]
RULES += ["pretrain", "plan", "train", "train_and_follow", "evaluate_reference", "evaluate"]
RULES += ["evaluate_curve", "runs", "study_table", "curves_table", "table1", "claims", "provenance"]
RULES += ["overlap", "cost_gap", "timing", "tensorboard", *FIGURES, "paper_comparison", "ceiling"]
RULES += ["plane", "likeness", "film", "page"]
ADVICE = "the disk is full; make room and run the same command again"


def mounted(folder, size):
    """Whether a tmpfs of so many bytes can be mounted there."""
    folder.mkdir(parents=True, exist_ok=True)
    command = ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", folder]
    return subprocess.run(command, capture_output=True).returncode == 0


@pytest.fixture
def small_disk(tmp_path):
    """A function that gives a disk of so many bytes."""
    folders = []

    def make(size):
        folder = tmp_path / f"disk{len(folders)}"
        if not mounted(folder, size):
            pytest.skip("no mounts are allowed here, so there is no small disk")
        folders.append(folder)
        return folder

    yield make
    for folder in folders:
        subprocess.run(["umount", "--lazy", folder], check=True)


def fill(folder, room):
    """Write until only ``room`` bytes are left."""
    state = os.statvfs(folder)
    (folder / "filler").write_bytes(b"\0" * (state.f_bavail * state.f_frsize - room))


@pytest.fixture(scope="module")
def project(undisturbed, tmp_path_factory):
    """A run of every rule, those too that `all` does not ask for; policies on the way are kept."""
    folder = tmp_path_factory.mktemp("every_rule") / "project"
    shutil.copytree(undisturbed, folder, symlinks=True)
    snapshots = f"{faults.RESULTS}/snapshots/main/BallRun/prefine.safetensors"
    targets = ["all", "calibrate", "tensorboard", snapshots]
    snakemake(*targets, "--notemp", "--cores", "2", *faults.CONFIG, cwd=folder)
    return folder


def jobs(project):
    """One job of each rule: rule -> its command, what it wrote."""
    outputs = {}
    for output, record in faults.records(project).items():
        if record["shellcmd"]:
            outputs.setdefault((record["rule"], record["shellcmd"]), []).append(output)
    return {rule: (command, paths) for (rule, command), paths in outputs.items()}


def run_job(project, command):
    """Run a job's command as Snakemake does."""
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    return subprocess.run(
        ["bash", "-c", f"set -euo pipefail; {command}"],
        cwd=project,
        env=os.environ | {"PATH": path, "PREFINE_SCRIPTS": "scripts"},
        capture_output=True,
        text=True,
    )


def files_in(disk):
    return [path for path in disk.rglob("*") if path.is_file() and path.name != "filler"]


@pytest.mark.parametrize("rule", RULES)
def test_every_rule_names_the_file_that_has_no_room(rule, project, small_disk):
    """Half of what the largest file needs is there, in whole pages, so that most begin to write."""
    command, outputs = jobs(project)[rule]
    sizes = [(project / path).stat().st_size for path in outputs if (project / path).is_file()]
    disk = small_disk(8 * MIB)
    for path in [*outputs, f"{faults.RESULTS}/state/"]:
        command = command.replace(path, f"{disk}/{path}")
        (disk / path).parent.mkdir(parents=True, exist_ok=True)
    fill(disk, max(sizes, default=0) // 2 // PAGE * PAGE)
    done = run_job(project, command)
    assert done.returncode == 1
    assert len(re.findall(rf"^ERROR: {disk}/\S+: {ADVICE}$", done.stderr, re.MULTILINE)) == 1
    assert done.stderr.count("ERROR") == 1 and "Traceback" not in done.stderr
    for path in files_in(disk):  # an earlier file of the same job or a checkpoint, whole
        if (project / path.relative_to(disk)).exists():
            assert compare.first_difference(path, project / path.relative_to(disk)) is None
        assert ".part" not in path.name
    (disk / "filler").unlink()
    assert run_job(project, command).returncode == 0
    assert not [path for path in files_in(disk) if ".part" in path.name]


def test_the_rules_here_are_all_that_write(project):
    assert set(RULES) == set(jobs(project))


def test_a_log_without_room_is_named(project, small_disk):
    command, _ = jobs(project)["table1"]
    disk = small_disk(MIB)
    log = f"{faults.RESULTS}/logs/table1.log"
    (disk / log).parent.mkdir(parents=True)
    fill(disk, 0)
    done = run_job(project, command.replace(log, f"{disk}/{log}"))
    assert done.returncode == 1
    assert f"ERROR: {disk}/{log}: {ADVICE}" in done.stderr and "Traceback" not in done.stderr


def test_a_run_goes_on_as_often_as_there_is_room_again(undisturbed, small_disk):
    """Outputs, logs, benchmarks, checkpoints and Snakemake's own notes lie on a disk that fills."""
    disk = small_disk(64 * MIB)
    folder = faults.project(disk / "project")
    used = (lambda state: (state.f_blocks - state.f_bavail) * state.f_frsize)(os.statvfs(disk))
    size, failures = used + PAGE, 0
    while True:
        subprocess.run(["mount", "-o", f"remount,size={size}", disk], check=True)
        run = faults.Run(folder, printed=undisturbed.parent / "printed.txt")
        if run.wait(faults.LONGEST_RUN) == 0:
            break
        text = run.text.read_text()
        assert "disk is full" in text or "No space left on device" in text, text[-4000:]
        size, failures = size + ROOM, failures + 1
    assert failures >= 4
    faults.check_end(run, undisturbed)
