"""Jobs on one machine take a GPU each."""

import os
import subprocess
import sys

from conftest import ROOT

CLAIM = "from prefine.training.cuda import claim; print(claim(2), flush=True); input()"


def job(tmp_path, **environment):
    paths = {"PYTHONPATH": str(ROOT / "scripts"), "TMPDIR": str(tmp_path)}
    return subprocess.Popen(
        [sys.executable, "-c", CLAIM],
        env=paths | environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def end(*jobs):
    for one in jobs:
        one.kill()
        one.communicate()


def test_jobs_take_different_gpus_and_leave_them_when_killed(tmp_path):
    first, second = job(tmp_path), None
    try:
        assert first.stdout.readline() == "0\n"
        second = job(tmp_path)
        assert second.stdout.readline() == "1\n"
        end(first)
        first = job(tmp_path)
        assert first.stdout.readline() == "0\n"
        third = job(tmp_path)
        assert third.stdout.readline() in ("0\n", "1\n")
        end(third)
    finally:
        end(*filter(None, (first, second)))


def test_gpus_are_known_by_the_names_that_the_scheduler_gave(tmp_path):
    """A number is the place among the GPUs that a job sees, the claim that of the GPU."""
    jobs = [job(tmp_path, CUDA_VISIBLE_DEVICES="4,5"), job(tmp_path, CUDA_VISIBLE_DEVICES="5,6")]
    try:
        assert [one.stdout.readline() for one in jobs[:1]] == ["0\n"]
        assert jobs[1].stdout.readline() in ("0\n", "1\n")
        other = job(tmp_path, CUDA_VISIBLE_DEVICES="4,7")
        assert other.stdout.readline() == "1\n"
        end(other)
    finally:
        end(*jobs)


def test_jobs_that_cannot_note_their_gpu_share_and_say_so(tmp_path):
    (tmp_path / f"prefine-gpus-{os.getuid()}").write_text("somebody else's")
    one = job(tmp_path)
    try:
        assert one.stdout.readline() in ("0\n", "1\n")
        _, said = one.communicate("\n", timeout=60)
        assert "jobs may share a GPU" in said and "Traceback" not in said
    finally:
        end(one)
