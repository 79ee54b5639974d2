"""Runs that are killed at random moments and started again: `make test-faults`."""

import base64
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter

import faults
import pytest
from conftest import counts, ends, snakemake
from prefine.pipeline import same as compare

pytestmark = pytest.mark.faults
CORES = ["--cores", "2", *faults.CONFIG]
KILLS = int(os.environ.get("KILLS", 20))
SEED = int(os.environ.get("SEED") or random.SystemRandom().randrange(10**6))


def test_kills_at_random_moments_change_nothing(undisturbed, tmp_path, capsys):
    hits = Counter()
    with capsys.disabled():
        print()
        faults.torment(tmp_path / "killed", undisturbed, KILLS, SEED, hits)
        print(f"{faults.as_table(hits)}\n")
    assert sum(hits["", kind] for kind in faults.KINDS) == KILLS


@pytest.fixture
def start(tmp_path):
    """Start a run; it is stopped when its test ends."""
    folder, runs = faults.project(tmp_path / "project"), []

    def begin():
        runs.append(faults.Run(folder))
        return runs[-1]

    yield begin
    for run in runs:
        if run.process.poll() is None:
            os.killpg(run.process.pid, signal.SIGKILL)
            run.process.wait()


def first_script(run):
    """The first script that a run starts, when it does."""
    while True:
        assert run.process.poll() is None, run.text.read_text()
        for process in faults.descendants(run.process.pid):
            if re.match(r"python \S*scripts \S+\.py ", process.command):
                return process
        time.sleep(0.05)


def test_jobs_end_with_their_snakemake_and_its_lock_is_no_obstacle(start):
    run = start()
    script = first_script(run)
    os.kill(script.pid, signal.SIGSTOP)  # so that it is not done before its Snakemake ends
    assert "cannot be locked" in snakemake(*faults.TARGETS, *CORES, cwd=run.folder, check=False)
    run.process.kill()
    run.process.wait()
    os.kill(script.pid, signal.SIGCONT)
    assert ends(script.pid)
    assert list(run.folder.glob(".snakemake/locks/*"))
    snakemake("-n", *faults.TARGETS, *CORES, cwd=run.folder)  # looks, and may remove the lock
    assert first_script(start()).log == script.log


def test_a_job_that_was_cut_does_not_hide_another(undisturbed, tmp_path):
    """A cut job is made again first; what else is missing comes after it, not never."""
    project = tmp_path / "project"
    shutil.copytree(undisturbed, project)
    results = project / faults.RESULTS
    snapshots = results / "snapshots/main/BallRun/prefine.safetensors"  # not removed yet
    snapshots.parent.mkdir(parents=True)
    shutil.copy2(results / "policies/main/BallRun/prefine.safetensors", snapshots)
    cut = base64.urlsafe_b64encode(f"{faults.RESULTS}/cost_gap/BallRun.csv".encode()).decode()
    (project / ".snakemake/incomplete" / cut).touch()
    (results / "tables/table1.csv").unlink()
    jobs = counts(snakemake("-n", *faults.TARGETS, *CORES, cwd=project))
    assert {"cost_gap", "fig2", "table1", "fig3"} <= set(jobs)
    assert not {"collect", "pretrain", "train"} & set(jobs)


def test_the_checkpoints_of_abandoned_settings_go_when_the_job_is_done(undisturbed, tmp_path):
    project = tmp_path / "project"
    shutil.copytree(undisturbed, project)
    (project / "long.yaml").write_text("training: {iterations: 1000000}")
    target = f"{faults.RESULTS}/policies/main/BallRun/bc.safetensors"
    command = [sys.executable, "-m", "snakemake", target, *CORES, "long.yaml"]
    process = subprocess.Popen(command, cwd=project)
    while not list(project.glob(f"{faults.RESULTS}/state/*/*/0.safetensors")):
        assert process.poll() is None
        time.sleep(0.05)
    process.kill()
    process.wait()
    snakemake(target, *CORES, cwd=project)
    assert not [path for path in project.glob(f"{faults.RESULTS}/state/**/*") if path.is_file()]
    assert compare.first_difference(undisturbed / target, project / target) is None
