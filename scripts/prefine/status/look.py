"""How far a run is, from its files alone: it is asked from outside, and may be asked at any time.

Whatever a file holds, damaged or half written, costs its own line at most. Log files are read from
their end.
"""

import functools
import json
import os
import re
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from prefine import frames, reading
from prefine.analysis.metrics import normalized_cost, normalized_return
from prefine.errors import UserError, short
from prefine.numbers import four_digits
from prefine.status import plan as plans
from prefine.status.plan import Job, Plan
from prefine.tasks import TASKS, Task, find

TAIL = 2**16  # bytes of a log
SILENT = 120.0  # seconds after which a job on another machine is taken for stopped
STARTED = " INFO root: command: "  # begins what a process wrote, in a log that others wrote before
# A line of cli.Progress.
METER = re.compile(
    r"(?P<title>[^|]{1,200}): +\d{1,3}%\|[^|]{0,200}\| *(?P<count>[\d.]+[kMGT]?)/"
    r"(?P<total>[\d.]+[kMGT]?) \[(?P<elapsed>[\d:]{1,20})<(?P<left>[\d:?]{1,20}), *"
    r"(?P<rate>[^\]]{1,40})\](?: (?P<note>.{0,200}))?"
)
LOSS = re.compile(r"(?P<name>loss\w*) (?P<value>[-+.\deinfa]{1,20})")
SCALE = {"k": 1e3, "M": 1e6, "G": 1e9, "T": 1e12}


@dataclass(frozen=True)
class Meter:
    """A progress line: units done and asked, seconds used and left (None: unknown)."""

    count: float
    total: float
    elapsed: float
    left: float | None
    rate: str
    note: str


@dataclass
class Work:
    """A job and how far it is: ``done``, ``runs``, ``stopped``, ``failed`` or ``waits``."""

    job: Job
    state: str
    meter: Meter | None = None
    seconds: float | None = None  # that it took
    left: float | None = None  # seconds; None: unknown
    kept: bool = False  # a checkpoint holds what was done when it stopped
    error: str = ""

    @property
    def share(self) -> float:
        """What is done of it, in [0, 1]."""
        if self.state == "done":
            return 1.0
        if self.meter is None or self.meter.total <= 0:
            return 0.0
        return min(1.0, self.meter.count / self.meter.total)


@dataclass
class Row:
    """What one task and method has come to; texts, safe to show."""

    task: str
    method: str
    name: str  # the study and the arm, where they say more
    works: list[Work] = field(default_factory=list)
    loss: str = ""
    reward: str = ""
    cost: str = ""


@dataclass(frozen=True)
class Status:
    """A run at a moment; ``left`` in seconds, a lower bound if ``at_least``."""

    folder: Path
    plan: Plan | None
    rows: list[Row]
    running: bool
    left: float | None = None
    at_least: bool = False
    problems: tuple[str, ...] = ()

    @property
    def works(self) -> list[Work]:
        """All jobs."""
        return [work for row in self.rows for work in row.works]

    @property
    def done(self) -> bool:
        """Whether there is nothing more to wait for."""
        return bool(self.rows) and all(work.state == "done" for work in self.works)


# ---- One job ----------------------------------------------------------------------------------


def tail(path: Path) -> tuple[str, float] | None:
    """The end of a log and when it was written, in seconds since 1970; None if there is none.

    Raises:
        UserError: it is no file, or cannot be read.
    """
    if not path.exists():
        return None
    with reading.refused_in_one_line(path):
        handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        with os.fdopen(handle, "rb") as file:
            found = os.fstat(handle)
            reading.check_kind(path, found, 2**50)
            file.seek(max(0, found.st_size - TAIL))
            text = file.read(TAIL).decode(errors="replace")
    return text[max(0, text.rfind(STARTED)) :], found.st_mtime


def last_meter(text: str) -> Meter | None:
    """The last whole progress line of a log."""
    for line in reversed(text.split("\n")[:-1]):  # what follows the last line end is half a line
        found = METER.fullmatch(line) if len(line) < 1000 else None
        if found:
            try:
                count, total = (_number(found[name]) for name in ("count", "total"))
                return Meter(
                    count,
                    total,
                    _seconds(found["elapsed"]) or 0.0,
                    _seconds(found["left"]),
                    short(" ".join(found["rate"].split()), 20),
                    short(found["note"] or "", 80),
                )
            except ValueError:  # somebody else's line
                continue
    return None


def _number(text: str) -> float:
    """A number of tqdm: 20.0, 31.2k."""
    unit = SCALE.get(text[-1], 1.0)
    return unit * float(text.rstrip("kMGT"))


def _seconds(text: str) -> float | None:
    """A time of tqdm: 01:02, 27:46:39; None for a question mark."""
    if "?" in text:
        return None
    return float(sum(int(part) * 60**place for place, part in enumerate(reversed(text.split(":")))))


def work_of(folder: Path, job: Job, plan: Plan, running: bool | None) -> Work:
    """How far a job is."""
    try:
        output = folder / job.output
        if output.exists() and not (job.again and output.stat().st_mtime < plan.begun):
            return Work(job, "done", seconds=_took(folder / job.benchmark))
        if (end := tail(folder / job.log)) is None:
            return Work(job, "waits")
    except (UserError, OSError) as error:
        return Work(job, "stopped", error=short(error, 300))
    text, written = end
    if job.again and written < plan.begun:
        return Work(job, "waits")
    meter = last_meter(text)
    errors = [line for line in text.split("\n") if line.startswith("ERROR: ")]
    if errors:
        return Work(job, "failed", meter, error=short(errors[-1].removeprefix("ERROR: "), 300))
    if running is None:
        running = time.time() - written < SILENT
    if running and written >= plan.begun:
        return Work(job, "runs", meter)
    kept = any(path.stem.isdigit() for path in (folder / job.state).glob("*/*.safetensors"))
    return Work(job, "stopped", meter, kept=kept)


def _took(benchmark: Path) -> float | None:
    """The seconds of Snakemake's benchmark file."""
    try:
        line = reading.read_text(benchmark, 2**16).strip().split("\n")[-1]
        seconds = float(json.loads(line)["s"])
        return seconds if 0 <= seconds < 1e9 else None
    except (UserError, ValueError, KeyError, TypeError, RecursionError):
        return None


# ---- Time left --------------------------------------------------------------------------------


def expect(works: list[Work]) -> None:
    """Say of each job how long it still takes, by those that were alike."""
    known: dict[tuple, list[float]] = {}
    for work in works:
        whole = work.seconds
        if whole is None and work.meter and work.meter.left is not None and work.share > 0:
            whole = work.meter.elapsed + work.meter.left
        if whole is not None:
            for key in ((work.job.rule, work.job.method), (work.job.rule, "")):
                known.setdefault(key, []).append(whole)
    for work in works:
        alike = known.get((work.job.rule, work.job.method)) or known.get((work.job.rule, ""))
        usual = sum(alike) / len(alike) if alike else None
        if work.state == "done":
            work.left = 0.0
        elif work.meter and work.meter.left is not None and work.state == "runs":
            work.left = work.meter.left
        else:
            work.left = usual and usual * (1.0 - work.share * work.kept)


def time_left(works: list[Work], plan: Plan) -> float | None:
    """Seconds of the whole: what is left on so many cores and GPUs; None if nothing is known."""
    known = [work for work in works if work.left is not None and work.state != "done"]
    if not known:
        return None
    cores = sum(w.left * min(w.job.threads, plan.cores) for w in known) / max(1, plan.cores)
    gpus = sum(w.left * w.job.gpu for w in known) / max(1, plan.gpus)
    return max(cores, gpus, max(w.left for w in known))


# ---- Losses and scores ------------------------------------------------------------------------


def loss_of(folder: Path, works: list[Work]) -> str:
    """The last loss: a running job's own words, or the end of the training log."""
    training = [w for w in works if w.job.rule in ("train", "pretrain", "import_policy")]
    for work in training:
        if work.meter and (found := LOSS.search(work.meter.note)):
            return found[2] if found[1] == "loss" else f"{found[2]} ({found[1][5:]})"
        if work.state == "done":
            name = work.job.output.removesuffix(".safetensors").removeprefix("policies/")
            return _of_table(folder / f"training/{name}.parquet", _last_loss) or ""
    return ""


def _last_loss(table) -> str:
    end = table[table["iteration"] == table["iteration"].max()]
    return f"{end['loss'].mean():.4g}" if "loss" in end else ""


def score_of(folder: Path, works: list[Work], limits: list) -> tuple[str, str]:
    """The last evaluated reward and cost, normalised as in Table 1 where the task says how."""
    for name in ("evaluate", "validate", "curves"):
        for work in works:
            if work.job.rule == name and work.state == "done":
                task = _task(folder, work.job.task)
                scores = functools.partial(_scores, task=task, limits=tuple(limits))
                return _of_table(folder / work.job.output, scores) or ("", "")
    return "", ""


def _task(folder: Path, name: str) -> Task | None:
    try:
        return TASKS[name] if name in TASKS else find(str(folder / f"tasks/{name}.json"))
    except UserError:
        return None


def _scores(table, task: Task | None, limits: tuple) -> tuple[str, str]:
    if "iteration" in table:
        table = table[table["iteration"] == table["iteration"].max()]
    reward = table["return"].mean()
    known = task is not None and task.max_return > task.min_return
    reward = f"{normalized_return(reward, task):.2f}" if known else f"{four_digits(reward)} raw"
    if table["cost"].isna().all():
        return reward, ""
    taus = [tau for tau in limits if tau is not None]
    if "tau" in table and table["tau"].notna().any():
        costs = [normalized_cost(own["cost"].mean(), tau) for tau, own in table.groupby("tau")]
    else:
        costs = [normalized_cost(table["cost"].mean(), tau) for tau in taus]
    if not costs:
        return reward, f"{four_digits(table['cost'].mean())} raw"
    return reward, f"{sum(costs) / len(costs):.2f}"


_SEEN: dict[Path, tuple] = {}


def _of_table(path: Path, reduce: Callable):
    """What ``reduce`` makes of a table, once for each version of it; None if it cannot be read."""
    try:
        found = path.stat()
        version = (found.st_mtime_ns, found.st_size, found.st_ino)
        if _SEEN.get(path, (None,))[0] != version:
            _SEEN[path] = (version, reduce(frames.read_parquet(path)))
        return _SEEN[path][1]
    except Exception:  # a damaged table, or one of another version
        return None


# ---- The whole --------------------------------------------------------------------------------


def look(folder: Path) -> Status:
    """See how far the run in results/{run} is.

    Raises:
        UserError: its list of jobs is damaged.
    """
    plan = plans.read(folder)
    if plan is None:
        return Status(folder, None, [], running=False)
    running = plans.goes_on(plan)
    rows: dict[str, Row] = {}
    for job in plan.jobs:
        if job.row not in rows:
            study, _, arm = job.row.partition(f"/{job.task}")
            more = arm.strip("/").removeprefix(job.method).strip("-")
            name = ", ".join(filter(None, [study if arm and study != "main" else "", more]))
            rows[job.row] = Row(short(job.task, 40), short(job.method, 40), short(name, 60))
        rows[job.row].works.append(work_of(folder, job, plan, running))
    works = [work for row in rows.values() for work in row.works]
    expect(works)
    for row in rows.values():
        limits = plan.limits.get(row.works[0].job.task, [])
        row.loss = loss_of(folder, row.works)
        row.reward, row.cost = score_of(folder, row.works, limits)
    problems = [f"{w.job.log}: {w.error}" for w in works if w.error]
    return Status(
        folder,
        plan,
        list(rows.values()),
        running=any(work.state == "runs" for work in works) if running is None else running,
        left=time_left(works, plan),
        at_least=any(work.left is None for work in works),
        problems=tuple(short(problem, 400) for problem in problems),
    )
