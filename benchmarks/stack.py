"""Time the stacked PREFINE step against a plain loop over separate torch.nn policies.

All do the same work at HalfCheetahVelocity's sizes: batches by index, counterfactual
samples, Eq. 9, gradient clip, Adam. On a GPU also against the project's own runs one after
another with graphs off, and with TF32.

    .venv/bin/python benchmarks/stack.py --replicas 15 --threads 2
"""

import argparse

import torch
from loops import Loop, OneByOne
from paired import Subject, compare, report
from plain import PlainLoop
from tqdm import tqdm


def subjects(kind: str, replicas: int, threads: int) -> dict[str, Subject]:
    """What the stack is compared with."""
    own = ("prefine", kind, replicas, threads)
    others = {"plain loop": Subject(PlainLoop, kind, replicas, threads)}
    if torch.cuda.is_available():
        others["one by one, no graphs"] = Subject(OneByOne, *own, cuda_graphs=False)
        others["TF32"] = Subject(Loop, *own, tf32=True)
    return others


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--replicas", type=int, nargs="+", default=[1, 5, 15, 75])
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--pairs", type=int, default=9)
    parser.add_argument("--steps", type=int, default=10)
    args = parser.parse_args()
    rows = []
    for kind in ("gaussian", "cvae"):
        for replicas in tqdm(args.replicas, desc=kind, unit="size"):
            place = {"policy": kind, "replicas": replicas, "threads": args.threads}
            with Subject(Loop, "prefine", kind, replicas, args.threads) as ours:
                for name, other in subjects(kind, replicas, args.threads).items():
                    with other:
                        figures = compare(ours, other, args.pairs, args.steps)
                    per_run = {"ms_per_run": figures["ms_ours"] / replicas}
                    rows.append(place | {"against": name} | figures | per_run)
    report("stack", rows)


if __name__ == "__main__":
    main()
