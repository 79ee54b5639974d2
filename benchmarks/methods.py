"""Time and memory of every method: ms a step, 500k iterations extrapolated, peak memory.

Warm-up steps are dropped, then blocks of a second or more are timed (the median and the
quartiles of five), at each method's own batch size. The total is for the iterations of the
published protocol; SafeDICE's has its discriminator, and a method that starts from pi_ref
is given with and without pi_ref's own pretraining (methods 7). Memory is the peak of the
process above that of a process that only imports the library.
"""

import argparse
import resource
import time

import numpy as np
import torch
from loops import Loop
from paired import Subject, report
from prefine.config.settings import starts_from_reference
from prefine.methods import METHODS, REFERENCE, method_constant, method_settings
from tqdm import tqdm

WARM_UP, BLOCKS, BLOCK_SECONDS = 10, 5, 1.0
PUBLISHED = 500_000  # paper A.4
OWN_ITERATIONS = {REFERENCE: 100_000} | {
    m: method_constant(m, "ITERATIONS", PUBLISHED) for m in METHODS
}
DISCRIMINATOR = 100_000
GIB = 2**30


class Measured:
    """A loop that measures itself; ``steps`` builds, times and keeps the figures."""

    def __init__(self, *args, **options):
        before = peak()
        self.loop = Loop(*args, **options)
        self.loop.steps(WARM_UP)
        started = time.perf_counter()
        self.loop.steps(3)
        self.block = max(1, round(BLOCK_SECONDS * 3 / (time.perf_counter() - started)))
        self.memory = peak() - before

    def figures(self) -> dict:
        """Return ms a step (median, quartiles) and GiB."""
        times = []
        for _ in range(BLOCKS):
            started = time.perf_counter()
            self.loop.steps(self.block)
            times.append((time.perf_counter() - started) * 1000 / self.block)
        low, middle, high = np.quantile(times, [0.25, 0.5, 0.75])
        return {"ms": middle, "q25": low, "q75": high, "gib": self.memory / GIB}


def peak() -> int:
    """Peak memory of this process in bytes: the GPU's where there is one."""
    if torch.cuda.is_available():
        return torch.cuda.max_memory_allocated()
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def measure(name: str, kind: str, replicas: int, threads: int, phase: int = -1) -> dict:
    """Measure one method in a process of its own."""
    with Subject(Measured, name, kind, replicas, threads, phase=phase) as subject:
        return subject.call("figures")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--replicas", type=int, nargs="+", default=[1, 5, 15, 75])
    parser.add_argument("--threads", type=int, default=2)
    args = parser.parse_args()
    rows = []
    for replicas in tqdm(args.replicas, desc="methods", unit="size"):
        reference = measure(REFERENCE, "cvae", replicas, args.threads)
        reference_hours = hours(reference, OWN_ITERATIONS[REFERENCE])
        rows.append(row(REFERENCE, replicas, args.threads, reference, reference_hours, None))
        for name in METHODS:
            figures = measure(name, "cvae", replicas, args.threads)
            total = hours(figures, OWN_ITERATIONS[name])
            if name == "safedice":
                first = measure(name, "cvae", replicas, args.threads, phase=0)
                total += hours(first, DISCRIMINATOR)
                figures["gib"] = max(figures["gib"], first["gib"])
            from_reference = starts_from_reference(name, method_settings(name))
            with_reference = total + reference_hours if from_reference else None
            rows.append(row(name, replicas, args.threads, figures, total, with_reference))
    report("methods", rows)


def hours(figures: dict, iterations: int) -> float:
    """Extrapolate."""
    return figures["ms"] * iterations / 3.6e6


def row(name: str, replicas: int, threads: int, figures: dict, total: float, with_reference):
    """One row of the table."""
    place = {"method": name, "replicas": replicas, "threads": threads}
    totals = {"iterations": OWN_ITERATIONS[name], "hours": total}
    return place | figures | totals | {"hours_with_reference": with_reference}


if __name__ == "__main__":
    main()
