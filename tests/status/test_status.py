"""How far a run is: from its files at any moment, whatever they hold."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from copy import deepcopy
from pathlib import Path

import browser
import forked
import pandas as pd
import pytest
import yaml
from conftest import ROOT, SMALL, copy_project
from prefine import files
from prefine.config.check import check
from prefine.errors import UserError
from prefine.pipeline import cli
from prefine.pipeline.run import Run
from prefine.status import look, page
from prefine.status import plan as plans
from snakemake.iocontainers import Namedlist

STATUS = [sys.executable, str(ROOT / "scripts/status.py")]
PAPER = yaml.safe_load((ROOT / "config.yaml").read_text())
JOB = {"job": "main/BallRun/prefine", "log": "logs/train/main/BallRun/prefine.log"}
LINE = "train prefine BallRun:  25%|##   | 500/2.00k [00:10<00:30, 50.0 it/s] loss 0.61\n"
BEGUN = "2026-01-01 00:00:00,000 INFO root: command: train.py\n"


def config_of(**changes):
    return check(deepcopy(PAPER) | {"run": "seen", "tasks": ["BallRun"]} | changes)


@pytest.fixture
def begun(tmp_path, monkeypatch):
    """The folder of a run of BallRun that has begun and was cut."""
    monkeypatch.chdir(tmp_path)
    figure = {"task": "BallRun", "tau": 20}
    config = config_of(figures=PAPER["figures"] | {"fig1": PAPER["figures"]["fig1"] | figure})
    plans.write(Run(config, ROOT), [], cores=2, gpus=0)
    return change_plan(tmp_path / "results/seen", pid=2**22 + 1)  # nobody's


def change_plan(folder, **changes):
    path = folder / plans.FILE
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))
    return folder


def put(folder, name, text):
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def row_of(seen, method):
    (row,) = (r for r in seen.rows if r.method == method and not r.name)
    return row


def training_of(folder):
    seen = look.look(folder)
    (work,) = (w for w in row_of(seen, "prefine").works if w.job.rule == "train")
    return work


@pytest.mark.parametrize("title", ["train bc T", "train bc_from_reference HalfCheetahVelocity" * 2])
@pytest.mark.parametrize(("count", "rate"), [(500, "it/s"), (1, "s/ it")])
def test_a_progress_line_is_read_as_it_is_written(title, count, rate, capsys):
    progress = cli.Progress(title, 2000, "it")
    progress.started -= 10.0
    progress.update(count, "loss 0.61")
    progress.close()
    meter = look.last_meter(capsys.readouterr().err)
    assert (meter.count, meter.total, meter.elapsed) == (count, 2000, 10)
    assert meter.left == pytest.approx(10 * (2000 - count) / count, abs=1.0)
    assert meter.rate.endswith(rate) and meter.note == "loss 0.61"


def test_what_an_earlier_process_did_says_nothing_of_the_rate(capsys):
    progress = cli.Progress("train prefine T", 1000, "it")
    progress.skip(900)
    progress.started -= 10.0
    progress.update(50)
    progress.close()
    meter = look.last_meter(capsys.readouterr().err)
    assert meter.count == 950 and meter.left == pytest.approx(10, abs=1.0)


def test_a_job_waits_runs_stops_fails_and_is_done(begun):
    assert training_of(begun).state == "waits"
    put(begun, JOB["log"], BEGUN + LINE + "train prefine BallRun:  50%|####  | 1.00k/2.0")
    work = training_of(begun)
    assert (work.state, work.share, work.meter.note) == ("stopped", 0.25, "loss 0.61")
    change_plan(begun, host="elsewhere")  # where nobody can ask for the process
    assert training_of(begun).state == "runs" and training_of(begun).left == 30
    os.utime(begun / JOB["log"], (0, 0))
    assert training_of(begun).state == "stopped"
    put(begun, JOB["log"], BEGUN + LINE + "ERROR: the disk is full\n" + BEGUN)
    assert training_of(begun).state != "failed"  # it was begun again
    put(begun, JOB["log"], BEGUN + LINE + "ERROR: the disk is full\n")
    assert training_of(begun).error == "the disk is full"
    put(begun, f"policies/{JOB['job']}.safetensors", "")
    assert training_of(begun).state == "done"


def test_what_is_out_of_date_is_not_done(begun):
    run, output = Run(config_of(), ROOT), f"policies/{JOB['job']}.safetensors"
    put(begun, output, "")
    for path in ({f"{run.folder}/{output}"}, set()):
        plans.write(run, [], 2, 0, path)
        os.utime(begun / output, (0, 0))
        assert (training_of(begun).state == "done") == (not path)
        put(begun, output, "made anew")
        assert training_of(begun).state == "done"


def test_the_last_loss_and_score_are_shown(begun):
    job = JOB["job"]
    put(begun, JOB["log"], BEGUN + LINE)
    assert row_of(look.look(begun), "prefine").loss == "0.61"
    put(begun, f"policies/{job}.safetensors", "")
    log = pd.DataFrame({"run": ["a", "b"] * 2, "iteration": [0, 0, 9, 9], "loss": [9, 9, 1, 2]})
    files.write_table(begun / f"training/{job}.parquet", log)
    episodes = pd.DataFrame({"return": 0.0, "cost": [10.0, 40.0], "tau": [10.0, 20.0]})
    files.write_table(begun / f"episodes/{job}.parquet", episodes)
    row = row_of(look.look(begun), "prefine")
    task = look.TASKS["BallRun"]
    reward = -task.min_return / (task.max_return - task.min_return)
    assert (row.loss, row.reward, row.cost) == ("1.5", f"{reward:.2f}", "1.50")
    files.write_table(begun / f"episodes/{job}.parquet", episodes.assign(cost=float("nan")))
    assert row_of(look.look(begun), "prefine").cost == ""


def test_time_left_is_that_of_jobs_alike_on_all_cores(begun):
    plan = plans.read(begun)
    for job in plan.jobs:  # two trainings are left, one of which half is done
        if job.row not in ("main/BallRun/prefine", "main/BallRun/bc"):
            put(begun, job.output, "")
            put(begun, job.benchmark, json.dumps({"s": 100.0, "h:m:s": "0:01:40"}) + "\n")
    for method in ("prefine", "bc"):
        put(begun, f"curves/main/BallRun/{method}.parquet", "")
        put(begun, f"episodes/main/BallRun/{method}.parquet", "")
    put(begun, JOB["log"], BEGUN + LINE.replace("500/", "1.00k/").replace("<00:30", "<?"))
    assert {w.left for w in look.look(begun).works if w.state != "done"} == {100.0}
    # A checkpoint keeps its half.
    put(begun, "state/main%2FBallRun%2Fprefine/a_key/0.safetensors", "")
    seen = look.look(begun)
    lefts = {w.job.method: w.left for w in seen.works if w.state != "done"}
    assert lefts == {"bc": 100.0, "prefine": 50.0}
    assert seen.left == 100.0 and not seen.at_least  # the longest, on two cores
    change_plan(begun, cores=1)
    assert look.look(begun).left == 150.0
    put(begun, JOB["log"], BEGUN)
    assert "about 3:20 left on 1 cores" in page.text(look.look(begun))


HOSTILE = {
    "bytes": bytes(range(256)) * 1000,
    "escape codes": BEGUN + "ERROR: \x1b[2J\x1b]0;owned\x07\u202egone\n",
    "a line without end": "x" * 10_000_000,
    "a meter without end": "a: " + " " * 50_000 + "1%|" + "#" * 50_000 + "\n",
    "numbers that are none": LINE.replace("500/", "5.0.0/"),
    "a share of nothing": LINE.replace("2.00k", "0"),
    "more than all": LINE.replace("500/", "900T/"),
    "times of ages": LINE.replace("00:10<00:30", "9" * 20 + "<" + "9" * 20),
    "html": BEGUN + "ERROR: <script>document.title='owned'</script>\n",
}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_log_costs_its_own_line_at_most(begun, name):
    put(begun, JOB["log"], HOSTILE[name])
    seen = look.look(begun)
    text = page.text(seen)
    assert all(line.isprintable() for line in text.split("\n"))
    assert len(seen.problems) <= 1 and 0.0 <= training_of(begun).share <= 1.0
    assert "BC from π_ref" in text
    assert "<script>" not in page.page(seen, 10)


@pytest.mark.parametrize("kind", ["pipe", "folder", "loop", "nowhere"])
def test_what_is_no_log_is_said_in_one_line(begun, kind):
    path = begun / JOB["log"]
    path.parent.mkdir(parents=True)
    if kind == "pipe":
        os.mkfifo(path)  # it would be waited for
    elif kind == "folder":
        path.mkdir()
    else:
        path.symlink_to(path if kind == "loop" else begun / "gone")
    seen = look.look(begun)
    assert len(seen.problems) == (kind in ("pipe", "folder"))
    assert training_of(begun).state in ("stopped", "waits")


@pytest.mark.parametrize("content", ["PAR1 half", "", "\0" * 1000])
def test_damaged_tables_leave_their_cells_empty(begun, content):
    for name in ("policies", "training", "episodes"):
        end = "safetensors" if name == "policies" else "parquet"
        put(begun, f"{name}/{JOB['job']}.{end}", content)
    put(begun, f"benchmarks/train/{JOB['job']}.jsonl", "[" * 100_000)
    row = row_of(look.look(begun), "prefine")
    assert (row.loss, row.reward, row.cost) == ("", "", "")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"jobs": [{"rule": "train"}]}, "no plan"),
        ({"jobs": 3}, "no plan"),
        ({"cores": -1}, "cores"),
        ({"cores": "2"}, "cores"),
        ({"limits": {"BallRun": ["x"]}}, "no plan"),
    ],
)
def test_a_damaged_plan_is_one_line(begun, change, said):
    change_plan(begun, **change)
    with pytest.raises(UserError, match=said):
        look.look(begun)
    done = forked.run(*STATUS[1:], begun)
    assert done.returncode == 1 and done.stderr.count("\n") == 1
    assert done.stderr.startswith("ERROR: ")


@pytest.mark.parametrize("path", ["/etc/passwd", "../../secret.log"])
def test_a_plan_names_no_files_elsewhere(begun, path):
    plan = json.loads((begun / plans.FILE).read_text())
    change_plan(begun, jobs=[plan["jobs"][0] | {"log": path}])
    with pytest.raises(UserError, match="not a file of this run"):
        look.look(begun)


def test_checkpoints_are_looked_for_where_they_are_written(begun):
    run = Run(config_of(figures=PAPER["figures"] | {"fig1": {"task": "BallRun"}}), ROOT)
    for job in plans.read(begun).jobs:
        if job.rule in ("train", "pretrain"):
            names = {"job": job.row} if job.rule == "train" else {"task": job.task}
            own = Namedlist(fromdict=names)
            assert run.state_of(own)[0] == f"{run.folder}/{job.state}"


def test_where_nothing_has_begun_it_says_so(tmp_path):
    (tmp_path / "results/empty").mkdir(parents=True)
    for arguments, text in ((["results/empty"], "nothing has begun"), ([], "nothing has begun")):
        done = subprocess.run([*STATUS, *arguments], cwd=tmp_path, capture_output=True, text=True)
        assert text in done.stdout and done.returncode == 0 and not done.stderr
    done = subprocess.run([*STATUS, "results/none"], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 1 and "is not there" in done.stderr


def test_a_run_with_a_policy_of_ones_own_shows_its_steps(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    preset = yaml.safe_load((ROOT / "workflow/presets/own_policy.yaml").read_text())
    example = yaml.safe_load((ROOT / "examples/own_policy/config.yaml").read_text())
    config = deepcopy(PAPER)
    for overlay in (preset, example):
        studies = config["studies"] | overlay.get("studies", {})
        config |= overlay | {"studies": studies}
    run = Run(check({**config, "evaluation": PAPER["evaluation"]}), ROOT)
    plans.write(run, ["BallCircle"], cores=2, gpus=0)
    seen = look.look(Path(run.folder))
    rules = {work.job.rule for work in seen.works}
    assert rules == {"rollouts", "import_policy", "train", "curves", "validate", "compare"}
    assert "Labels are awaited for 'BallCircle'" in page.text(seen)
    put(seen.folder, "data/BallCircle.hdf5", "")
    put(seen.folder, "benchmarks/rollouts/BallCircle.jsonl", '{"s": 9.0}')
    assert "at least 0:09 left" in page.text(look.look(seen.folder))
    put(seen.folder, "data/HalfCheetahVelocity.hdf5", "")
    assert "time left unknown yet" in page.text(look.look(seen.folder))


@browser.needed
def test_the_page_refreshes_itself_until_it_is_the_last(begun):
    path = begun / "status.html"
    change_plan(begun, host="elsewhere")
    put(begun, JOB["log"], BEGUN + LINE)

    def write(every=1):
        files.write_text(path, page.page(look.look(begun), every))

    write()
    with browser.opened(path) as shown:
        assert "training 25 %" in shown.locator("table").inner_text()
        assert "50.0 it/s" in shown.locator("table").inner_text()
        put(begun, JOB["log"], BEGUN + LINE + LINE.replace("500/", "1.50k/"))
        write()
        shown.get_by_text("training 75 %").wait_for(timeout=20_000)
        put(begun, JOB["log"], BEGUN + LINE + "ERROR: <b>out</b> of room\n")
        write(every=None)
        shown.get_by_text("<b>out</b> of room").wait_for(timeout=20_000)
        assert shown.locator("meta[http-equiv]").count() == 0


def test_a_run_is_watched_and_then_cut(tmp_path):
    """A real one: what is shown while it goes on, and when it was killed."""
    folder = copy_project(tmp_path)
    target = "results/small/data/BallRun.hdf5"
    long = folder / "long.yaml"  # so that it cannot end between two looks
    recipe = {"behaviours": [{"steps": 2_000_000, "penalty": 0.0}]}
    long.write_text(yaml.safe_dump({"collect": {"recipes": {"BallRun": recipe}}}))
    command = [sys.executable, "-m", "snakemake", target, "--cores", "1", *map(str, SMALL), long]
    look = [*STATUS, "results/small"]

    def text():
        return subprocess.run(look, cwd=folder, capture_output=True, text=True).stdout

    with subprocess.Popen(
        command,
        cwd=folder,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    ) as run:
        try:
            end = time.monotonic() + 120
            while not re.search(r"data \d+ %  \S+ steps/s", text()):
                assert time.monotonic() < end and run.poll() is None, text()
                time.sleep(1)
            assert "is going on" in text()
        finally:
            os.killpg(run.pid, signal.SIGKILL)
    assert re.search(r"data \d+ %, stopped", text()) and "does not run" in text()


def test_whoever_reads_the_first_lines_alone_sees_no_more(begun):
    reading, writing = os.pipe()
    os.close(reading)
    command = [sys.executable, *STATUS[1:], begun]
    done = subprocess.run(command, stdout=writing, stderr=subprocess.PIPE, text=True)
    os.close(writing)
    assert done.returncode == 0 and not done.stderr
