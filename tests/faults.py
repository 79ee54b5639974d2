"""Kill a run at random moments, start it again, compare: `make test-faults KILLS=100 SEED=1`.

A run of every kind of job is made once undisturbed. Then a Snakemake beside it is killed, or one of
its processes is, at a random moment, and the same command is given again, and so on until all
kills are spent; each time the run comes to its end, what it made must be what the undisturbed one
made, with nothing left over, and it begins anew. The seed of the moments is printed.
"""

import argparse
import base64
import itertools
import json
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

from conftest import ROOT, copy_project
from prefine.evaluation.rollout import START
from prefine.pipeline import same as compare

TARGETS = ["table1", "table2", "provenance", "fig1", "fig2", "fig3", "fig5", "fig12"]
CONFIG = ["--configfile", "workflow/presets/tiny.yaml", "faults.yaml"]
COMMAND = [sys.executable, "-m", "snakemake", *TARGETS, "--cores", "2", *CONFIG]
RESULTS = "results/faults"
LONGEST_RUN = 1800.0  # seconds, on a busy machine
MISSED = 5  # whole runs in which nothing of a kind was found to kill: then it is never found
# Who gets which signal. `terminal` is Ctrl-C: every process of the run gets it.
KINDS = {
    "SIGKILL job": 5,
    "SIGKILL worker": 2,
    "SIGKILL snakemake": 6,
    "SIGTERM snakemake": 3,
    "SIGINT snakemake": 2,
    "SIGINT terminal": 2,
}


class Broken(AssertionError):
    """A run that did not come back as it should."""


@dataclass
class Process:
    """A process of a run, and the log file of its job."""

    pid: int
    command: str
    log: str


def children(pid: int) -> list[int]:
    """The processes that one has started and that still run."""
    try:
        listed = [path.read_text() for path in Path(f"/proc/{pid}/task").glob("*/children")]
    except OSError:
        return []
    return [int(child) for text in listed for child in text.split()]


def descendants(pid: int, log: str = "") -> list[Process]:
    """All processes of a job under ``pid``; shell, script, workers."""
    found = []
    for child in children(pid):
        try:
            command = Path(f"/proc/{child}/cmdline").read_bytes().replace(b"\0", b" ").decode()
        except OSError:
            continue
        named = re.search(rf"{RESULTS}/logs/\S+?\.log", command)
        own = named[0] if named else log
        found += [Process(child, command, own)] if own else []
        found += descendants(child, own)
    return found


class Run:
    """One Snakemake in a folder, in a session of its own as from a terminal."""

    def __init__(self, folder: Path, printed: Path | None = None):
        self.folder, self.text = folder, printed or folder / "printed.txt"
        with self.text.open("w") as text:
            self.process = subprocess.Popen(
                COMMAND, cwd=folder, stdout=text, stderr=subprocess.STDOUT, start_new_session=True
            )

    def wait(self, seconds: float) -> int | None:
        """The exit status; None if it still runs."""
        try:
            return self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            return None

    def kill(
        self, kind: str, chance: random.Random, known: Collection[str]
    ) -> list[Process] | None:
        """Do it; return what it hit, a process of each job; None if there is none of the kind.

        Args:
            known: logs of jobs that are left alone if the signal is for one job.
        """
        name, target = kind.split()
        processes = descendants(self.process.pid)
        if target in ("job", "worker"):
            workers = [p for p in processes if START in p.command]
            own = workers if target == "worker" else [p for p in processes if p not in workers]
            own = [process for process in own if process.log not in known]
            if not own:
                return None
            processes = [chance.choice(own)]
            pid = processes[0].pid
        else:
            pid = self.process.pid
        try:
            (os.killpg if target == "terminal" else os.kill)(pid, signal.Signals[name])
        except ProcessLookupError:
            return None
        return list({process.log: process for process in processes}.values())


def same_as(undisturbed: Path, folder: Path) -> int:
    """Compare two finished runs; return how many files are alike.

    Raises:
        Broken: a file differs, is missing or is left over.
    """
    here, there = (set(files_of(each / RESULTS)) for each in (folder, undisturbed))
    if here != there:
        raise Broken(f"left over: {sorted(here - there)}; missing: {sorted(there - here)}")
    compared = [path for path in sorted(here) if not compare.depends_on_the_clock(Path(path))]
    compared = [path for path in compared if path.split("/")[0] not in ("logs", "benchmarks")]
    for path in compared:
        where = compare.first_difference(*(each / RESULTS / path for each in (undisturbed, folder)))
        if where:
            raise Broken(f"{path} differs in {where}")
    return len(compared)


def files_of(folder: Path) -> list[str]:
    """All files, hidden ones too."""
    return [str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()]


def check_end(run: Run, undisturbed: Path) -> int:
    """A run that came to its end: compare it, and see that nothing is left to do."""
    alike = same_as(undisturbed, run.folder)
    again = Run(run.folder, run.text)
    if again.wait(LONGEST_RUN) != 0 or "Nothing to be done" not in again.text.read_text():
        raise Broken(f"a finished run has more to do:\n{again.text.read_text()[-4000:]}")
    return alike


def rules_of(folder: Path) -> dict[str, str]:
    """Which rule writes which log file, as Snakemake has noted for a finished run."""
    return {log: record["rule"] for record in records(folder).values() for log in record["log"]}


def records(folder: Path) -> dict[str, dict]:
    """What Snakemake has noted of each output: rule, command, ..."""
    base, found = folder / ".snakemake/metadata", {}
    for path in base.rglob("*"):
        if path.is_file():
            parts = [part.removeprefix("@") for part in path.relative_to(base).parts]
            output = base64.urlsafe_b64decode("".join(parts)).decode()
            found[output] = json.loads(path.read_text())
    return found


def project(folder: Path) -> Path:
    """A copy of the project, with the config of these runs."""
    folder.mkdir(parents=True)
    shutil.copy(ROOT / "tests/faults.yaml", copy_project(folder))
    return folder


def undisturbed_run(folder: Path) -> Path:
    """Make the run that others are compared with."""
    run = Run(project(folder))
    if run.wait(LONGEST_RUN) != 0:
        raise Broken(run.text.read_text()[-4000:])
    return folder


def seconds_of(folder: Path) -> float:
    """How long a finished run took."""
    text = next(iter(sorted((folder / ".snakemake/log").glob("*.log")))).read_text()
    hours, minutes, seconds = re.search(r"Elapsed time: (\d+):(\d+):([\d.]+)", text).groups()
    return 3600 * int(hours) + 60 * int(minutes) + float(seconds)


def moments(chance: random.Random, kills: int, longest: float):
    """Kinds of kills, each as often as its weight says, in random order; and when."""
    kinds = list(itertools.chain.from_iterable([kind] * n for kind, n in KINDS.items()))
    deck: list[str] = []
    for _ in range(kills):
        deck = deck or chance.sample(kinds, len(kinds))
        yield deck.pop(), chance.uniform(0.0, longest)


def torment(
    killed: Path, whole: Path, kills: int, seed: int, hits: Counter, within: float | None = None
) -> None:
    """Kill a run again and again.

    Args:
        killed: a new folder, where to run.
        whole: that of the undisturbed run.
        hits: takes how often which rule was hit by what.
        within: longest time between a start and a kill; a quarter of the undisturbed run.

    Raises:
        Broken: at the first time that anything is not as it should be.
    """
    seconds, rules = seconds_of(whole), rules_of(whole)
    within = within or seconds / 4
    print(f"undisturbed: {seconds:.0f} s; kills within {within:.0f} s; seed {seed}", flush=True)
    # Ctrl-C is ignored by what a shell starts in the background, and so by what that starts.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    chance, began = random.Random(seed), time.monotonic()
    run = Run(project(killed))
    for number, (kind, delay) in enumerate(moments(chance, kills, within), 1):
        hit, end, missed = None, time.monotonic() + delay, 0
        while hit is None:
            if (code := run.wait(max(0.0, end - time.monotonic()) or 0.05)) is None:
                # For some time one waits for a job of a rule that no such signal has hit yet.
                late = time.monotonic() > end + within
                hit_before = {log for log, rule in rules.items() if hits[rule, kind] and not late}
                hit = run.kill(kind, chance, hit_before)
                continue
            if code != 0:
                raise Broken(f"a run ended with {code}:\n{run.text.read_text()[-4000:]}")
            print(f"  at its end: {check_end(run, whole)} files alike", flush=True)
            if (missed := missed + 1) > MISSED:
                raise Broken(f"{kind}: {missed} whole runs had no process of that kind to kill")
            shutil.rmtree(killed / RESULTS)
            run = Run(killed)
        hit = sorted({rules[process.log] for process in hit}) or ["(between jobs)"]
        hits.update((rule, kind) for rule in hit)
        hits["", kind] += 1
        clock = time.monotonic() - began
        print(f"{number:4} {clock:6.0f} s  {kind:18} {', '.join(hit)}", flush=True)
        if kind == "SIGKILL worker":
            continue  # the run goes on: its episodes are played again
        if run.wait(LONGEST_RUN) is None:
            run.process.kill()
            raise Broken(f"{kind}: Snakemake did not end:\n{run.text.read_text()[-4000:]}")
        run = Run(killed)  # the same command at once, whatever still runs
    if run.wait(LONGEST_RUN) != 0:
        raise Broken(run.text.read_text()[-4000:])
    print(f"  at its end: {check_end(run, whole)} files alike", flush=True)


def as_table(hits: Counter) -> str:
    """Rules by kinds of kills, as Markdown; a kill of Snakemake hits all rules that ran then."""
    rules = sorted({rule for rule, _ in hits if rule})
    lines = [["rule", *KINDS], ["---", *(["--:"] * len(KINDS))]]
    lines += [[rule, *(str(hits[rule, kind] or "") for kind in KINDS)] for rule in rules]
    lines.append(["**kills**", *(str(hits["", kind]) for kind in KINDS)])
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(10**6))
    parser.add_argument("--within", type=float, help="seconds after a start; usually a quarter run")
    parser.add_argument("--folder", type=Path, help="where to work; it must not be there yet")
    args = parser.parse_args()
    folder = args.folder or Path(tempfile.mkdtemp(prefix="faults-")) / "runs"
    hits: Counter = Counter()
    try:
        whole = undisturbed_run(folder / "undisturbed")
        torment(folder / "killed", whole, args.kills, args.seed, hits, args.within)
    except Broken as error:
        print(f"\nBROKEN, seed {args.seed}, see {folder}: {error}\n\nuntil then:")
        sys.exit(as_table(hits))
    shutil.rmtree(folder)
    print(f"\n{args.kills} kills, seed {args.seed}: no difference, nothing left over\n")
    print(as_table(hits))


if __name__ == "__main__":
    main()
