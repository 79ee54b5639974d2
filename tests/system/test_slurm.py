"""The workflow through a real SLURM, which the tests start on this machine: `make test-slurm`."""

import json
import os
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pandas as pd
import pytest
from conftest import ROOT, SMALL, assert_same_results, copy_project, snakemake
from prefine.pipeline import same as compare

HERE = ROOT / "tests/slurm"
LONG = [*SMALL, HERE / "long.yaml", "--rerun-triggers", "mtime"]
PROFILE = ["--workflow-profile", "profiles/slurm", "--slurm-init-seconds-before-status-checks", "2"]
SUBMITTED = {"collect": 1, "trajectories": 1, "split": 1, "overlap": 1, "pretrain": 1, "timing": 1}
SUBMITTED |= {"train": 1, "train_and_follow": 1, "evaluate": 2, "evaluate_reference": 1}
SUBMITTED |= {"evaluate_curve": 1, "cost_gap": 1, "film": 1}
ON_A_GPU = {"pretrain", "train", "train_and_follow", "timing"}
PROGRAMS = {"slurm-wlm": ["slurmctld", "slurmd", "sbatch"], "munge": ["munged"]}
DATABASE = {"slurmdbd": ["slurmdbd"], "mariadb-server": ["mariadbd"]}


def missing(packages):
    """Debian's packages whose programs are not here."""
    return [name for name, files in packages.items() if not all(map(shutil.which, files))]


def reason():
    """Why the tests cannot run on this machine."""
    if os.getuid() != 0:
        return "SLURM's daemons are started by root only"
    if missing(PROGRAMS):
        return f"no SLURM: apt-get install {' '.join(missing(PROGRAMS))}"
    own = Path("/etc/slurm/slurm.conf")
    if own.exists() and os.path.realpath(own) != "/run/prefine-slurm/slurm.conf":
        return "this machine has a SLURM of its own (/etc/slurm/slurm.conf)"
    return ""


pytestmark = [pytest.mark.slurm, pytest.mark.skipif(bool(reason()), reason=reason())]


@pytest.fixture(scope="module")
def cluster(request):
    """A SLURM of one node, while the tests run; with slurmdbd where a test asks for it."""
    options = getattr(request, "param", [])
    if options and missing(DATABASE):
        pytest.skip(f"no accounting: apt-get install {' '.join(missing(DATABASE))}")
    try:
        subprocess.run([HERE / "start.sh", *options], check=True)
        yield
    finally:
        subprocess.run([HERE / "stop.sh"], check=True)


@pytest.fixture(scope="module")
def through_slurm(cluster, tmp_path_factory):
    """The project after the same run through SLURM, and what SLURM says of its jobs."""
    folder = copy_project(tmp_path_factory.mktemp("slurm"))
    text = snakemake(*PROFILE, *SMALL, cwd=folder, timeout=1200)
    assert re.search(r"(\d+) of \1 steps \(100%\) done", text)
    return folder, slurm_jobs()


def slurm_jobs():
    """SLURM's jobs: one dictionary each, with the rule's name."""
    lines = output("scontrol", "--oneliner", "show", "job").splitlines()
    jobs = [dict(part.split("=", 1) for part in line.split() if "=" in part) for line in lines]
    jobs = [job for job in jobs if "Comment" in job]  # no line but one if there is no job
    for job in jobs:
        job["rule"] = re.match(r"rule_([a-z_]+?)(_wildcards_|$)", job["Comment"])[1]
    return jobs


def output(*command):
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def any_process(pattern):
    found = subprocess.run(["pgrep", "--full", pattern], capture_output=True)
    return found.returncode == 0


def test_the_tables_equal_those_of_a_local_run(through_slurm, local):
    assert_same_results(*(folder / "results/small" for folder in (through_slurm[0], local)))


def test_gpu_rules_run_on_the_gpu_partition_and_no_other(through_slurm):
    jobs = pd.DataFrame(through_slurm[1])
    assert jobs["rule"].value_counts().to_dict() == SUBMITTED
    assert set(jobs["JobState"]) == {"COMPLETED"}
    on_gpu = jobs["rule"].isin(ON_A_GPU)
    assert set(jobs.loc[on_gpu, "Partition"]) == {"gpu"}
    assert set(jobs.loc[~on_gpu, "Partition"]) == {"main"}
    assert set(jobs.loc[on_gpu, "TresPerJob"]) == {"gres:gpu:1"}
    assert jobs.loc[~on_gpu, "TresPerJob"].isna().all()
    of_rule = jobs.set_index("rule")
    assert of_rule.loc["timing", "OverSubscribe"] == "NO"
    assert of_rule.loc["train", "TimeLimit"] == "12:00:00"
    assert of_rule.loc["train", "MinMemoryNode"] == "16000M"


def test_gpu_jobs_do_not_wait_for_one_another(through_slurm):
    """BC needs no reference policy: its job is in the queue beside that policy's."""
    jobs = {job["rule"]: job for job in through_slurm[1]}
    bc, reference = jobs["train"], jobs["pretrain"]
    assert bc["SubmitTime"] <= reference["EndTime"] and reference["SubmitTime"] <= bc["EndTime"]


@pytest.fixture(scope="module")
def prepared(through_slurm, local):
    """In both projects a longer run that lacks only the training."""
    folders = through_slurm[0], local
    for folder in folders:
        for name in ("data", "trajectories", "splits", "reference", "plans", "training/reference"):
            of_run = folder / "results/small" / name
            shutil.copytree(of_run, folder / "results/long" / name)
    return folders


class Running:
    """Snakemake through SLURM, while it trains a method's policies."""

    def __init__(self, folder, method):
        self.folder, self.text = folder, folder / f"{method}.txt"
        self.target = f"results/long/policies/main/BallRun/{method}.safetensors"
        command = [sys.executable, "-m", "snakemake", self.target, *PROFILE, *LONG]
        with self.text.open("w") as text:
            self.process = subprocess.Popen(
                list(map(str, command)), cwd=folder, stdout=text, stderr=subprocess.STDOUT
            )

    def iteration(self):
        """The iteration of the job's checkpoint; -1 without one."""
        try:
            for path in self.folder.glob("results/long/state/*/*/0.safetensors"):
                with path.open("rb") as file:  # opened once: it may be replaced at any moment
                    header = json.loads(file.read(int.from_bytes(file.read(8), "little")))
                found = json.loads(header["__metadata__"]["prefine"])
                return found["iteration"] if found["phase"] == 0 else 10**9
        except FileNotFoundError:
            pass  # it, or its folder, was removed in this moment
        return -1

    def wait_for(self, condition, seconds=300):
        end = time.monotonic() + seconds
        while not condition():
            assert self.process.poll() is None, self.text.read_text()[-4000:]
            assert time.monotonic() < end, self.text.read_text()[-4000:]
            time.sleep(0.05)

    def wait(self):
        """Wait for the end; return the iterations of the checkpoints on the way."""
        seen, end = [self.iteration()], time.monotonic() + 300
        while self.process.poll() is None and time.monotonic() < end:
            seen += [now] if (now := self.iteration()) not in (seen[-1], -1) else []
            time.sleep(0.05)
        assert self.process.returncode == 0, self.text.read_text()[-4000:]
        return seen

    def job(self):
        """The job that trains."""
        own = [job for job in slurm_jobs() if job["rule"].startswith("train")]
        live = [job for job in own if job["JobState"] in ("RUNNING", "PENDING")]
        return live[-1] if live else None

    def said(self):
        """What Snakemake printed and what SLURM knows of the jobs, for a failure's message."""
        jobs = [json.dumps(job) for job in slurm_jobs() if job["rule"].startswith("train")]
        return "\n".join([self.text.read_text()[-4000:], *jobs])

    def stop(self):
        """After a failure: leave nothing to the next test."""
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
            output("scancel", "--user", "root")


@pytest.fixture
def run(prepared, request):
    """Start the training of a method through SLURM."""

    def start(method):
        running = Running(prepared[0], method)
        request.addfinalizer(running.stop)
        return running

    return start


@pytest.fixture
def difference_to_a_run_alone(prepared):
    """Say where policies differ from those of a local run that nothing stopped."""

    def find(target):
        snakemake(target, "--cores", "2", *LONG, cwd=prepared[1])
        return compare.first_difference(*(folder / target for folder in prepared))

    return find


def test_a_cancelled_job_goes_on_from_its_checkpoint(run, difference_to_a_run_alone):
    running = run("bc")
    running.wait_for(lambda: running.iteration() >= 2000)
    job, reached = running.job(), running.iteration()
    output("scancel", job["JobId"])
    seen = running.wait()
    assert seen == sorted(seen) and min(seen) >= reached and len(seen) > 5, running.said()
    assert output("squeue", "-h", "-t", "all", "-j", job["JobId"], "-o", "%T") == "CANCELLED\n"
    text = running.text.read_text()
    assert "SLURM status is: 'CANCELLED'" in text and "1 of 1 steps (100%) done" in text
    again = [j for j in slurm_jobs() if j["rule"] == "train" and j["TimeLimit"] == "1-00:00:00"]
    assert len(again) == 1 and again[0]["MinMemoryNode"] == "32000M"  # both grow with the attempt
    assert difference_to_a_run_alone(running.target) is None


def test_a_node_that_is_down_is_waited_for(run, difference_to_a_run_alone):
    running = run("prefine")
    running.wait_for(lambda: running.iteration() >= 2000)
    job, reached = running.job(), running.iteration()
    node = output("sinfo", "-h", "-o", "%n").strip()
    output("scontrol", "update", f"NodeName={node}", "State=DOWN", "Reason=test")
    running.wait_for(lambda: running.job() and running.job()["JobState"] == "PENDING")
    time.sleep(15)  # several looks at the job's state
    assert running.process.poll() is None
    assert running.job()["JobState"] == "PENDING" and running.job()["JobId"] == job["JobId"]
    # On a busy machine what was killed may still be ending, and while it does SLURM does not start
    # the same job there again: it drains the node or puts the job off once more.
    running.wait_for(lambda: not any_process("^slurmstepd: "))
    output("scontrol", "update", f"NodeName={node}", "State=RESUME")
    # SLURM lets a job of a failed node wait two minutes more.
    output("scontrol", "update", f"JobId={job['JobId']}", "StartTime=now")
    seen = running.wait()
    assert seen == sorted(seen) and min(seen) >= reached and len(seen) > 5, running.said()
    assert difference_to_a_run_alone(running.target) is None


@pytest.mark.parametrize("cluster", [["--dbd"]], indirect=True, ids=["slurmdbd"])
def test_with_accounting(cluster, local, tmp_path):
    """slurmdbd takes jobs with an account only, and sacct tells their states."""
    folder = copy_project(tmp_path)
    profile = folder / "profiles/slurm/config.yaml"
    text = profile.read_text()
    assert "  # slurm_account: myproject" in text and "status-command: squeue" in text
    text = text.replace("  # slurm_account: myproject", "  slurm_account: lab")
    profile.write_text(text.replace("status-command: squeue", "status-command: sacct"))
    target = "results/small/policies/main/BallRun/bc.safetensors"
    snakemake(target, *PROFILE, *SMALL, cwd=folder, timeout=600)
    assert compare.first_difference(folder / target, local / target) is None
    columns = "Account,Partition,State,AllocTRES"
    rows = output("sacct", "-X", "-n", "-P", "-o", columns).splitlines()
    assert len(rows) == 4 and all("|COMPLETED|" in row for row in rows)
    assert {row.split("|")[0] for row in rows} == {"lab"}
    assert sum("|gpu|" in row and "gres/gpu=1" in row for row in rows) == 1
