"""What a killed Snakemake leaves behind; here with processes that stand in its place."""

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from conftest import ROOT, ends
from prefine.pipeline import killed
from snakemake.scheduling.job_scheduler import JobScheduler

JOB = """
import os, time
from prefine.pipeline import killed
killed.end_with_snakemake()
print(os.getpid(), flush=True)
time.sleep(60)
"""
PARENT = """
import subprocess, sys
from prefine.pipeline import killed
killed.announce()
subprocess.run(["bash", "-c", '"$0" -c "$1"; true', sys.executable, sys.argv[1]])
"""
HOLDER = """
import sys, time
from pathlib import Path
from prefine.pipeline import killed
killed.remove_stale_lock(Path(sys.argv[1]))
print("ready", flush=True)
time.sleep(float(sys.argv[2]))
"""


def start(text, *arguments):
    command = [sys.executable, "-c", text, *map(str, arguments)]
    return subprocess.Popen(command, cwd=ROOT / "scripts", stdout=subprocess.PIPE, text=True)


@pytest.mark.parametrize("killed", ["snakemake", "shell"])
def test_a_job_ends_with_the_process_that_started_it(killed):
    with start(PARENT, JOB) as parent:
        job = int(parent.stdout.readline())
        status = Path(f"/proc/{job}/status").read_text()
        shell = int(status.split("PPid:")[1].split()[0])
        assert shell != parent.pid
        os.kill(parent.pid if killed == "snakemake" else shell, signal.SIGKILL)
        assert ends(job)


def test_a_job_whose_snakemake_is_gone_does_not_begin(monkeypatch):
    gone = subprocess.Popen(["true"])
    gone.wait()
    monkeypatch.setenv("PREFINE_SNAKEMAKE", str(gone.pid))
    with start(JOB) as job:
        assert job.stdout.read() == "" and job.wait() == -signal.SIGKILL


def test_without_a_snakemake_a_script_is_on_its_own(monkeypatch):
    monkeypatch.delenv("PREFINE_SNAKEMAKE", raising=False)
    with start(JOB) as job:
        assert int(job.stdout.readline()) == job.pid
        job.kill()


@pytest.fixture
def folder(tmp_path):
    """A folder in which someone has worked."""
    assert start(HOLDER, tmp_path, 0).wait() == 0
    (tmp_path / "locks").mkdir()
    (tmp_path / "locks/0.input.lock").touch()
    return tmp_path


def locks(folder):
    return list(folder.glob("locks/*"))


def test_a_lock_goes_when_nobody_works_there(folder):
    assert start(HOLDER, folder, 0).wait() == 0
    assert not locks(folder)


def test_a_lock_stays_while_someone_works_there_and_goes_when_he_was_killed(tmp_path):
    with start(HOLDER, tmp_path, 60) as holder:
        holder.stdout.readline()
        (tmp_path / "locks").mkdir()
        (tmp_path / "locks/0.input.lock").touch()
        assert start(HOLDER, tmp_path, 0).wait() == 0
        assert locks(tmp_path)
        holder.kill()
    assert start(HOLDER, tmp_path, 0).wait() == 0
    assert not locks(tmp_path)


@pytest.mark.parametrize("other", ["another machine", "a cluster"])
def test_a_lock_stays_whose_jobs_may_live_on(folder, other):
    if other == "a cluster":
        text = "import sys, pathlib; from prefine.pipeline import killed;"
        text += "killed.leave_lock(pathlib.Path(sys.argv[1]))"
        assert start(text, folder).wait() == 0
    else:
        (folder / "prefine.flock").write_text(other)
    assert start(HOLDER, folder, 0).wait() == 0
    assert locks(folder)
    (folder / "locks/0.input.lock").unlink()  # snakemake --unlock
    assert start(HOLDER, folder, 0).wait() == 0
    assert (folder / "prefine.flock").read_text() not in ("", other)


def test_a_sigterm_while_jobs_are_selected_is_noted():
    """Snakemake's own handler waits for ever for the lock that the interrupted thread holds."""

    class Patched(JobScheduler):
        def __init__(self):
            self._lock, self._open_jobs = threading.Lock(), threading.Semaphore(0)
            self._user_kill = None

    killed.note_sigterm_in_a_thread(Patched)
    scheduler = Patched()
    before = signal.signal(signal.SIGTERM, scheduler.exit_gracefully)
    try:
        with scheduler._lock:
            os.kill(os.getpid(), signal.SIGTERM)
            time.sleep(0.1)
            assert scheduler._user_kill is None
        assert scheduler._open_jobs.acquire(timeout=20)
    finally:
        signal.signal(signal.SIGTERM, before)
    assert scheduler._user_kill == "graceful"
