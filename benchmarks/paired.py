"""Two loops timed in turn: medians, and the median of the paired ratios."""

import json
import time
from pathlib import Path

import numpy as np
import pandas as pd
import torch


def seconds(work, n: int) -> float:
    """Time ``work.steps(n)``."""
    started = time.perf_counter()
    work.steps(n)
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return time.perf_counter() - started


def compare(ours, theirs, pairs: int, steps: int) -> dict[str, float]:
    """Return ms a step of either and how many times as fast ours is, with quartiles."""
    seconds(ours, 5), seconds(theirs, 5)
    times = [(seconds(ours, steps), seconds(theirs, steps)) for _ in range(pairs)]
    ratios = [b / a for a, b in times]
    return {
        "ms_ours": float(np.median([a for a, _ in times]) * 1000 / steps),
        "ms_theirs": float(np.median([b for _, b in times]) * 1000 / steps),
        "times_as_fast": float(np.median(ratios)),
        "q25": float(np.quantile(ratios, 0.25)),
        "q75": float(np.quantile(ratios, 0.75)),
    }


def report(rows: list[dict], output: Path) -> None:
    """Write the figures as JSON and print them."""
    output.parent.mkdir(parents=True, exist_ok=True)
    output.write_text(json.dumps(rows, indent=2))
    print(pd.DataFrame(rows).round(3).to_string(index=False))
