"""Time and memory of every method: ms a step, 500k iterations extrapolated, peak memory.

Warm-up steps are dropped, then blocks of a second or more are timed (the median and the
quartiles of five), at each method's own batch size. The total is for the iterations of the
published protocol; SafeDICE's has its discriminator, and a method that starts from pi_ref
is given with and without pi_ref's own pretraining (methods 7). Memory is the peak of the
process above that of a process that only imports the library.
"""

import argparse
import multiprocessing
from concurrent.futures import ProcessPoolExecutor

from loops import Loop, timed
from paired import report
from prefine.config.settings import starts_from_reference
from prefine.methods import METHODS, REFERENCE, method_constant, method_settings
from tqdm import tqdm

WARM_UP, BLOCK_SECONDS = 10, 1.0
PUBLISHED = 500_000  # paper A.4
OWN_ITERATIONS = {REFERENCE: 100_000} | {
    m: method_constant(m, "ITERATIONS", PUBLISHED) for m in METHODS
}
DISCRIMINATOR = 100_000


def measure(*args, **options) -> dict:
    """Time and memory of a ``Loop``, in a process of its own."""
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as process:
        return process.submit(figures_of, args, options).result()


def figures_of(args: tuple, options: dict) -> dict:
    """The same in this process."""
    return timed(lambda: Loop(*args, **options), 3, BLOCK_SECONDS, WARM_UP)[1]


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
