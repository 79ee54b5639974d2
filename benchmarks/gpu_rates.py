"""Milliseconds an iteration, memory and kernels on this device; parts of ``gpu.py``."""

import functools
import gc
import os
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
PROFILED, KERNELS = 25, 15
GIB = 2**30
TINY = {"hidden": [8, 8], "batch_size": 8, "vae_hidden": 8, "segments": 2}
TINY |= {"bags": 2, "bag_size": 2, "cost_hidden": 8}


def timed(build: Callable, least: int, seconds: float, warm_up: int) -> dict:
    """Milliseconds an iteration (median and quartiles of blocks) and the peak memory.

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
    low, middle, high = np.quantile(times, [0.25, 0.5, 0.75])
    found = {"ms": float(middle), "q25": float(low), "q75": float(high), "block": block}
    if cuda:
        found["gib"] = torch.cuda.max_memory_reserved() / GIB
        graphs = isinstance(loop, Loop) and loop.loop.graph
        found["captured"] = bool(graphs and graphs.graph is not None)
    return found


def stacked(name: str, kind: str, runs: int, tiny: bool, phase: int = -1, **changes) -> dict:
    """The project's loop, all runs in one stack."""
    if tiny:
        known = {"hidden", "batch_size", *method_settings(name)}
        changes |= {key: value for key, value in TINY.items() if key in known}

    def build():
        torch.manual_seed(0)
        return Loop(name, kind, runs, 1, phase=phase, **changes)

    found = timed(build, *(1, 0.0, 2) if tiny else (NOISE_BLOCK, SECONDS, WARM_UP))
    if found.get("captured", False) != (
        torch.cuda.is_available() and changes.get("cuda_graphs", True)
    ):
        raise AssertionError(f"the step was not captured as a CUDA graph: {found}")
    return {"runs": runs} | found


def plain(kind: str, runs: int, tiny: bool) -> dict:
    """A loop over separate policies."""
    torch.backends.cuda.matmul.allow_tf32 = False
    return {"runs": runs} | timed(
        lambda: PlainLoop(kind, runs, 1), 1, 0.0 if tiny else SECONDS, 1 if tiny else 3
    )


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
        add(f"prefine TF32 {runs}", stacked, "prefine", "cvae", runs, tf32=True)

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


def kernels(name: str, runs: int, tiny: bool, **changes) -> dict:
    """What an iteration's time on the device goes into: ms and launches of each kernel."""
    # A profiler that goes and comes again breaks graphs captured between.
    os.environ |= {"TEARDOWN_CUPTI": "0", "DISABLE_CUPTI_LAZY_REINIT": "1"}
    from torch.profiler import ProfilerActivity, profile

    cuda = torch.cuda.is_available()
    loop = Loop(name, "cvae", runs, 1, **changes, **(TINY if tiny else {}))
    steps = 2 if tiny else PROFILED
    loop.steps(steps)
    with profile(activities=[ProfilerActivity.CUDA if cuda else ProfilerActivity.CPU]) as seen:
        began = time.perf_counter()
        loop.steps(steps)
        wall = time.perf_counter() - began
    kind = "self_device_time_total" if cuda else "self_cpu_time_total"
    events = [e for e in seen.key_averages() if getattr(e, kind) > 0]
    events.sort(key=lambda event: -getattr(event, kind))
    ms = {e.key[:120]: getattr(e, kind) / 1000 / steps for e in events}
    return {
        "runs": runs,
        "ms": wall * 1000 / steps,
        "ms_kernels": sum(getattr(e, kind) for e in events) / 1000 / steps,
        "launches": sum(e.count for e in events) / steps,
        "kernels": [
            {"name": e.key[:120], "ms": ms[e.key[:120]], "launches": e.count / steps}
            for e in events[:KERNELS]
        ],
    }


def noise(runs: int, tiny: bool) -> dict:
    """What drawing the random numbers of an iteration takes of its milliseconds."""
    loop = Loop("prefine", "cvae", runs, 1, **(TINY if tiny else {})).loop

    def draw(first: int, blocks: int) -> float:
        began = time.perf_counter()
        for block in range(first, first + blocks):
            loop.noise.at(block * NOISE_BLOCK)
        if torch.cuda.is_available():
            torch.cuda.synchronize()
        return (time.perf_counter() - began) * 1000 / (blocks * NOISE_BLOCK)

    draw(0, 2)
    return {"runs": runs, "ms": draw(2, 2 if tiny else 20)}


def profile_items(tiny: bool) -> list[tuple]:
    """Where the time goes."""
    runs = 2 if tiny else TABLE_RUNS
    many = 3 if tiny else RUNS[2]
    part = functools.partial
    return [
        (f"kernels eager {runs}", part(kernels, "prefine", runs, tiny, cuda_graphs=False)),
        (f"kernels prefine {runs}", part(kernels, "prefine", runs, tiny)),
        (f"noise {runs}", part(noise, runs, tiny)),
        (f"kernels prefine TF32 {runs}", part(kernels, "prefine", runs, tiny, tf32=True)),
        (f"kernels prefine {many}", part(kernels, "prefine", many, tiny)),
        (f"noise {many}", part(noise, many, tiny)),
    ]


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
