"""Time the stacked PREFINE step against a plain loop over separate torch.nn policies.

Both do the same work at HalfCheetahVelocity's sizes: batches by index, counterfactual
samples, Eq. 9, gradient clip, Adam.

    .venv/bin/python benchmarks/stack.py --replicas 15 --threads 2
"""

import argparse

from loops import Loop
from paired import Subject, compare, report
from plain import PlainLoop
from tqdm import tqdm


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
            with (
                Subject(Loop, "prefine", kind, replicas, args.threads) as ours,
                Subject(PlainLoop, kind, replicas, args.threads) as plain,
            ):
                figures = compare(ours, plain, args.pairs, args.steps)
            per_run = {"ms_per_run": figures["ms_ours"] / replicas}
            rows.append(place | {"against": "plain loop"} | figures | per_run)
    report("stack", rows)


if __name__ == "__main__":
    main()
