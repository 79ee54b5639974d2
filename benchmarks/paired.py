"""Loops timed in turn, each in a process of its own; the median of the paired ratios.

A process each, so that either has its own memory allocator and threads, as its user has.
Blocks in turn, so that a drift of the machine's speed does not matter.
"""

import importlib
import multiprocessing
import os
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd
import torch

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "scripts"))

from gpu_report import number, table
from prefine.training.timing import device_name

RESULTS = Path("results/bench")
NAMES = {
    "ms_ours": "ms",
    "ms_theirs": "ms theirs",
    "times_as_fast": "times as fast",
    "q25": "25 %",
    "q75": "75 %",
    "ms_per_run": "ms a run",
    "replicas": "runs",
}


def serve(connection, module: str, name: str, args: tuple, options: dict) -> None:
    """Build a loop; time as many steps of it as are asked for."""
    loop = getattr(importlib.import_module(module), name)(*args, **options)
    connection.send("ready")
    while wanted := connection.recv():
        started = time.perf_counter()
        loop.steps(wanted)
        connection.send(time.perf_counter() - started)


class Subject:
    """A loop in a process of its own: ``with Subject(Class, ...) as s: s.seconds(100)``."""

    def __init__(self, kind: type, *args, **options):
        spawn = multiprocessing.get_context("spawn")
        self.connection, theirs = spawn.Pipe()
        parts = (theirs, kind.__module__, kind.__name__, args, options)
        self.process = spawn.Process(target=serve, args=parts, daemon=True)
        self.process.start()
        theirs.close()
        self.connection.recv()

    def seconds(self, n: int) -> float:
        """Time of ``n`` steps."""
        self.connection.send(n)
        return self.connection.recv()

    def __enter__(self):
        return self

    def __exit__(self, *_) -> None:
        self.connection.send(0)
        self.process.join()


def compare(ours: Subject, theirs: Subject, pairs: int, steps: int) -> dict[str, float]:
    """Return ms a step of either and how many times as fast ours is, with quartiles."""
    ours.seconds(5), theirs.seconds(5)
    times = [(ours.seconds(steps), theirs.seconds(steps)) for _ in range(pairs)]
    ratios = [b / a for a, b in times]
    return {
        "ms_ours": float(np.median([a for a, _ in times]) * 1000 / steps),
        "ms_theirs": float(np.median([b for _, b in times]) * 1000 / steps),
        "times_as_fast": float(np.median(ratios)),
        "q25": float(np.quantile(ratios, 0.25)),
        "q75": float(np.quantile(ratios, 0.75)),
    }


def report(name: str, rows: list[dict]) -> None:
    """Print the figures in Markdown, and where they were taken; `results/bench/` keeps them."""
    found = pd.DataFrame(rows).rename(columns=NAMES)
    cells = [[own if isinstance(own, str) else number(own) for own in row] for row in found.values]
    place = f"{os.cpu_count()} cores; {device_name()}; torch {torch.__version__}."
    text = "\n".join([f"## {name}", "", *table(list(found.columns), cells), place, ""])
    RESULTS.mkdir(parents=True, exist_ok=True)
    (RESULTS / f"{name}.md").write_text(text)
    print(text)
