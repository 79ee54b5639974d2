"""What of a plan was run, for how long, and whether learning had come to an end."""

from collections.abc import Iterable, Mapping

import numpy as np
import pandas as pd

from prefine.analysis import statistics
from prefine.analysis.hours import MATCHED, PUBLISHED
from prefine.analysis.scores import made
from prefine.methods import REFERENCE

# How far a normalised score may move between the last two evaluated points of a flat curve: the
# readings by which claims call a score robust.
FLAT = {"reward": 0.1, "cost": 0.2}
SCORES = {"reward": "normalized_return", "cost": "normalized_cost"}


def finished(runs: pd.DataFrame, asked: Iterable[Mapping]) -> pd.DataFrame:
    """One row a job that was asked for: how many of its runs were made, and how long.

    Args:
        runs: rows of the runs tables; a run may stand in several.
        asked: study, task, method, arm and number of ``runs`` of each job.

    Returns:
        Besides these ``made``, ``iterations`` and ``seconds`` of a run (means; NaN without runs),
        and ``iterations_published``.
    """
    runs = made(runs)
    runs = runs[runs["method"] != REFERENCE].drop_duplicates("run")
    same = ["study", "task", "method", "arm"]
    groups = runs.groupby(same).agg(
        made=("run", "nunique"),
        iterations=("train_iterations", "mean"),
        seconds=("train_seconds", "mean"),
    )
    table = pd.DataFrame(asked, columns=[*same, "runs"]).rename(columns={"runs": "asked"})
    table = table.join(groups, on=same)
    table["made"] = table["made"].fillna(0).astype(int)
    table["iterations_published"] = table["method"].map(PUBLISHED).fillna(MATCHED).astype(int)
    return table


def flatness(curves: pd.DataFrame) -> pd.DataFrame:
    """One row a (task, method, score): its change between the last two evaluated points.

    The change is that of each run, so that what runs have in common cancels. A curve is ``flat``
    where the whole interval of the mean change lies within the ``FLAT`` of its score, ``moves``
    where it lies without zero, and else ``open``; fewer runs than give an interval leave it open.

    Args:
        curves: one row a run and iteration (tables/curves).
    """
    rows = []
    curves = made(curves)
    for (task, method), own in curves.groupby(["task", "method"], sort=False):
        points = sorted(own["iteration"].unique())[-2:]
        if len(points) < 2:
            continue
        for score, column in SCORES.items():
            table = own.pivot_table(index="run", columns="iteration", values=column)[points]
            change = (table[points[1]] - table[points[0]]).dropna().to_numpy()
            if not len(change):
                continue
            found = statistics.mean_interval([change])
            rows.append(
                {"task": task, "method": method, "score": score, "runs": len(change)}
                | {"from_iteration": points[0], "to_iteration": points[1]}
                | {"change": float(found.value), "low": float(found.low), "high": float(found.high)}
                | {"within": FLAT[score], "verdict": _verdict(found, FLAT[score])}
            )
    return pd.DataFrame(rows)


def _verdict(change: statistics.Estimate, within: float) -> str:
    if np.isnan(change.low):
        return "open"
    if -within <= change.low and change.high <= within:
        return "flat"
    return "moves" if change.low > 0 or change.high < 0 else "open"
