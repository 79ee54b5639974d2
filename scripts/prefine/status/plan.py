"""What a run will do, written down when it begins, for those who want to watch it.

One JSON file beside the logs: the jobs that take long, each with its log and what it makes.
"""

import contextlib
import os
import socket
import time
from collections.abc import Collection
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from prefine import files, reading, results
from prefine.config.settings import thresholds
from prefine.errors import UserError
from prefine.methods import REFERENCE
from prefine.pipeline.run import Run, state_folder

FILE = "logs/jobs.json"  # under results/{run}
DATA_RULES = {"dsrl": "download", "policy": "rollouts", "file": "import_data", "collect": "collect"}
DATA, TIMING = "data", "timing"  # what makes no policy, in the place of a method


@dataclass(frozen=True)
class Job:
    """A job; its paths are relative to results/{run}.

    ``row`` is what it belongs to: study/task/arm, or the task's data, policy to start from or
    timing. ``gpu`` is the number of GPUs that it takes; ``again`` says that what is there of it
    when the run begins is out of date.
    """

    rule: str
    row: str
    task: str
    method: str
    log: str
    output: str
    threads: int = 1
    gpu: int = 0
    again: bool = False

    @property
    def benchmark(self) -> str:
        """Where Snakemake notes how long it took."""
        return f"benchmarks/{self.log.removeprefix('logs/').removesuffix('.log')}.jsonl"

    @property
    def state(self) -> str:
        """Where its checkpoints are (`Run.state_of`)."""
        of_task = self.row.startswith(f"{REFERENCE}/")
        return state_folder(self.task if of_task else self.row)


@dataclass(frozen=True)
class Plan:
    """The jobs of a run and where it runs, in the order in which they are shown.

    ``begun`` is in seconds since 1970; ``limits`` are the cost thresholds of each task, none where
    labels alone say what is preferred.
    """

    jobs: tuple[Job, ...]
    limits: dict[str, list]
    awaited: list[str]  # tasks whose labels a person has to give first
    cores: int
    gpus: int
    pid: int
    host: str
    begun: float


def jobs_of(run: Run, gpu: int, cores: int) -> list[Job]:
    """The jobs of a run that take long, whether they are done or not."""
    rule, jobs = DATA_RULES[run.config["source"]], []
    rule_played, folder = (
        ("validate", "validation") if run.own_policies else ("evaluate", "episodes")
    )
    training = {"threads": run.config["training"]["threads"], "gpu": gpu}
    playing = {"threads": run.config["evaluation"]["workers"]}
    for task in run.tasks:
        made = (f"{DATA}/{task}", task, DATA)
        jobs.append(Job(rule, *made, f"logs/{rule}/{task}.log", f"data/{task}.hdf5"))
        start, name = (f"{REFERENCE}/{task}", task, REFERENCE), f"{REFERENCE}/{task}"
        begin = "import_policy" if task in run.own_policies else "pretrain"
        policy = f"{name}.safetensors"
        own = training if begin == "pretrain" else {}
        jobs.append(Job(begin, *start, f"logs/{begin}/{task}.log", policy, **own))
        log = f"logs/{rule_played}/{name}.log"
        jobs.append(Job(rule_played, *start, log, f"{folder}/{name}.parquet", **playing))
    for job, arm in run.arms.items():
        row = (job, arm.task, arm.method)
        if arm.policies == job:
            log = f"logs/train/{job}.log"
            jobs.append(Job("train", *row, log, f"policies/{job}.safetensors", **training))
        if arm.points:
            log = f"logs/curves/{job}.log"
            jobs.append(Job("curves", *row, log, f"curves/{job}.parquet", **playing))
        if not run.own_policies or job in run.candidates(arm.task):
            log = f"logs/{rule_played}/{job}.log"
            jobs.append(Job(rule_played, *row, log, f"{folder}/{job}.parquet", **playing))
    for task in run.own_policies:
        log, output = f"logs/compare/{task}.log", f"episodes/{task}/before_after.parquet"
        jobs.append(Job("compare", f"{REFERENCE}/{task}", task, REFERENCE, log, output, **playing))
    if run.timing_is_asked and not run.own_policies:
        row = (f"{TIMING}/{run.timed_task}", run.timed_task, TIMING)
        every = {"threads": cores, "gpu": gpu}
        jobs.append(Job("timing", *row, "logs/timing.log", "tables/timing.csv", **every))
    return jobs


def write(
    run: Run, awaited: list[str], cores: int, gpus: int, to_make: Collection[str] = ()
) -> None:
    """Write the plan; a run goes on where there is no room for it.

    Args:
        to_make: files that are made, those that are there and out of date too.
    """
    jobs = jobs_of(run, int(gpus > 0), cores)
    told = [replace(job, again=f"{run.folder}/{job.output}" in to_make) for job in jobs]
    content = {
        "jobs": [asdict(job) for job in told],
        "limits": {task: thresholds(run.config, task) for task in run.tasks},
        "awaited": awaited,
        "cores": cores,
        "gpus": gpus,
        "pid": os.getpid(),
        "host": socket.gethostname(),
        "begun": time.time(),
    }
    with contextlib.suppress(UserError, OSError):
        files.write_json(Path(run.folder) / FILE, content, noted=False)


def read(folder: Path) -> Plan | None:
    """Read what ``write`` wrote in a run's folder; None if no run has begun there.

    Raises:
        UserError: it is damaged, or names files elsewhere.
    """
    path = folder / FILE
    if not path.exists():
        return None
    content = results.read_object(path, *Plan.__dataclass_fields__, advice="")
    with reading.refused_in_one_line(path, "is no plan of a run"):
        jobs = tuple(
            Job(**{k: _typed(Job, k, v) for k, v in own.items()}) for own in content["jobs"]
        )
        limits = {
            str(task): [None if tau is None else float(tau) for tau in own]
            for task, own in content["limits"].items()
        }
        awaited = [str(task) for task in content["awaited"]]
        rest = {k: _typed(Plan, k, content[k]) for k in ("cores", "gpus", "pid", "host", "begun")}
    for job in jobs:
        for own in (job.log, job.output):
            if Path(own).is_absolute() or ".." in Path(own).parts or not own.isprintable():
                raise UserError(f"{path}: {own}: is not a file of this run")
    return Plan(jobs, limits, awaited, **rest)


def _typed(owner: type, name: str, value: object) -> object:
    """The value of a field, if it is of the field's type."""
    kind = owner.__dataclass_fields__[name].type
    if kind is float and isinstance(value, int):
        value = float(value)
    if type(value) is not kind or (kind in (int, float) and not 0 <= value < 2**53):
        raise ValueError(f"{name} is not {kind.__name__}")
    return value


def goes_on(plan: Plan) -> bool | None:
    """Whether the Snakemake of a plan still runs; None where it ran on another machine."""
    if plan.host != socket.gethostname():
        return None
    try:
        return b"snakemake" in Path(f"/proc/{plan.pid}/cmdline").read_bytes()
    except OSError:
        return False
