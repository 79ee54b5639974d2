"""Milliseconds an iteration, and memory, on this device; a part of ``gpu.py``."""

import functools
import gc
import time
from collections.abc import Callable

import numpy as np
import torch
from loops import Loop
from plain import PlainLoop
from prefine.methods import METHODS, REFERENCE, method_settings
from prefine.training.batches import NOISE_BLOCK

RUNS = (1, 15, 75, 300)
TABLE_RUNS = 15  # of a method and task in Table 1: three thresholds, five seeds
WARM_UP, BLOCKS, SECONDS = 30, 5, 0.35
GIB = 2**30
TINY = {"hidden": [8, 8], "batch_size": 8, "vae_hidden": 8, "segments": 2}
TINY |= {"bags": 2, "bag_size": 2, "cost_hidden": 8}


def timed(build: Callable, least: int, seconds: float, warm_up: int) -> tuple[object, dict]:
    """A loop, its milliseconds an iteration (median and quartiles of blocks), a GPU's peak memory.

    Args:
        build: returns what has ``steps``.
        least: a block's iterations are a multiple of it.
        seconds: that a block takes, or one ``least``.
    """
    cuda = torch.cuda.is_available()
    gc.collect()
    if cuda:
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()
    loop = build()
    loop.steps(warm_up)
    began = time.perf_counter()
    loop.steps(least)
    block = max(1, round(seconds / (time.perf_counter() - began))) * least
    times = []
    for _ in range(BLOCKS):
        began = time.perf_counter()
        loop.steps(block)
        times.append((time.perf_counter() - began) * 1000 / block)
    low, middle, high = np.quantile(times, [0.25, 0.5, 0.75]).tolist()
    memory = {"gib": torch.cuda.max_memory_reserved() / GIB} if cuda else {}
    return loop, {"ms": middle, "q25": low, "q75": high} | memory


def stacked(name: str, kind: str, runs: int, tiny: bool, phase: int = -1, **changes) -> dict:
    """The project's loop, all runs in one stack."""
    if tiny:
        known = {"hidden", "batch_size", *method_settings(name)}
        changes |= {key: value for key, value in TINY.items() if key in known}

    def build():
        torch.manual_seed(0)
        return Loop(name, kind, runs, 1, phase=phase, **changes)

    loop, found = timed(build, *(1, 0.0, 2) if tiny else (NOISE_BLOCK, SECONDS, WARM_UP))
    captured = bool(loop.loop.graph and loop.loop.graph.graph)
    if captured != (torch.cuda.is_available() and changes.get("cuda_graphs", True)):
        raise AssertionError(f"the step was not captured as a CUDA graph: {found}")
    return {"runs": runs} | found


def plain(kind: str, runs: int, tiny: bool) -> dict:
    """A loop over separate policies."""
    torch.backends.cuda.matmul.allow_tf32 = False
    how = (1, 0.0, 1) if tiny else (1, SECONDS, 3)
    return {"runs": runs} | timed(lambda: PlainLoop(kind, runs, 1), *how)[1]


def items(tiny: bool) -> list[tuple]:
    """Name and function of each rate, the most important first: ``{method} {way} {runs}``."""
    sizes = (1, 3) if tiny else RUNS
    table = sizes[1]
    listed = {}

    def add(name: str, function, *args, **options) -> None:
        listed[name] = functools.partial(function, *args, tiny=tiny, **options)

    def prefine(runs: int) -> None:
        add(f"prefine graphs {runs}", stacked, "prefine", "cvae", runs)
        add(f"prefine eager {runs}", stacked, "prefine", "cvae", runs, cuda_graphs=False)
        add(f"prefine plain {runs}", plain, "cvae", runs)
        add(f"prefine compiled {runs}", stacked, "prefine", "cvae", runs, compile=True)
        add(f"prefine TF32 {runs}", stacked, "prefine", "cvae", runs, tf32=True)
        both = {"compile": True, "tf32": True}
        add(f"prefine compiled TF32 {runs}", stacked, "prefine", "cvae", runs, **both)

    for runs in sizes[:2]:
        prefine(runs)
    add("reference graphs 1", stacked, REFERENCE, "cvae", 1)
    for name in METHODS:
        add(f"{name} graphs {table}", stacked, name, "cvae", table)
        if name == "safedice":
            add(f"{name} discriminator {table}", stacked, name, "cvae", table, phase=0)
    for runs in sizes[2:]:
        prefine(runs)
    add(f"gaussian graphs {table}", stacked, "prefine", "gaussian", table)
    add(f"gaussian eager {table}", stacked, "prefine", "gaussian", table, cuda_graphs=False)
    add(f"gaussian plain {table}", plain, "gaussian", table)
    return list(listed.items())


def protocol(config: dict) -> list[dict]:
    """Iterations of Table 1: one row a task, method and phase, with the stacks that do it."""
    from prefine.config.plan import draw_seed_pairs
    from prefine.config.settings import sees, thresholds, training_settings

    rows = []
    for task in config["tasks"]:
        reference = training_settings(config, REFERENCE, task)["iterations"]
        rows.append({"rate": "reference graphs 1", "iterations": reference, "stacks": 1, "runs": 1})
        for method in config["studies"]["main"]["methods"]:
            settings = training_settings(config, method, task)
            seen = sees(method, settings)
            pairs = draw_seed_pairs(config["draws"], config["seeds"], config["pairing"], seen)
            runs = len(pairs) * len(thresholds(config, task))
            stacks = -(-runs // TABLE_RUNS)
            row = {"rate": f"{method} graphs", "stacks": stacks, "runs": runs}
            rows.append(row | {"iterations": settings["iterations"]})
            if "discriminator_iterations" in settings:
                first = {"rate": f"{method} discriminator"}
                rows.append(row | first | {"iterations": settings["discriminator_iterations"]})
    return rows
