"""Loops timed in turn, each in a process of its own; the median of the paired ratios.

A process each, so that either has its own memory allocator and threads, as its user has.
Blocks in turn, so that a drift of the machine's speed does not matter.
"""

import importlib
import json
import multiprocessing
import platform
import time
from pathlib import Path

import numpy as np
import pandas as pd
import torch

RESULTS = Path("results/bench")


def serve(connection, module: str, name: str, args: tuple, options: dict) -> None:
    """Build a loop; time as many steps of it as are asked for, or call what is named."""
    loop = getattr(importlib.import_module(module), name)(*args, **options)
    connection.send("ready")
    while wanted := connection.recv():
        if isinstance(wanted, str):
            connection.send(getattr(loop, wanted)())
            continue
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

    def call(self, method: str):
        """Call a method of the loop in its process."""
        self.connection.send(method)
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


def processor() -> str:
    """Name of the CPU, as Linux has it."""
    lines = Path("/proc/cpuinfo").read_text().splitlines() if Path("/proc/cpuinfo").exists() else []
    names = [line.split(":")[1].strip() for line in lines if line.startswith("model name")]
    return f"{len(names)} x {names[0]}" if names else platform.processor()


def report(name: str, rows: list[dict]) -> None:
    """Write figures and where they were taken to ``results/bench/{name}.json``; print them."""
    RESULTS.mkdir(parents=True, exist_ok=True)
    place = {"cpu": processor(), "torch": torch.__version__, "gpu": None}
    if torch.cuda.is_available():
        place["gpu"] = torch.cuda.get_device_name()
    (RESULTS / f"{name}.json").write_text(json.dumps({"place": place, "rows": rows}, indent=2))
    print(pd.DataFrame(rows).round(3).to_string(index=False))
