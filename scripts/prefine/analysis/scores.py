"""Scores of a method, task by task, and what is missing of them (methods 6, "Aggregation").

The runs table has rows for runs and, with a reason in the column ``missing``, for cells whose
runs cannot be. A score is a mean over thresholds within each seed; what is not there is named,
never averaged away.
"""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd

from prefine import frames
from prefine.methods import REFERENCE
from prefine.tasks import OWN, TASKS

# What a score says when there is no number in a run that was made.
UNDEFINED = {
    "normalized_cost": "no normalised cost without a threshold",
    "violation_rate": "no violations without a threshold",
    "cost_reduction": "π_ref has no cost to reduce",
    "violation_reduction": "π_ref has no violation to reduce",
    "severe_reduction": "π_ref has no severe violation to reduce",
    "reward_kept": "π_ref has no reward to keep",
}


@dataclass(frozen=True)
class TaskScores:
    """One score of one method: task -> (seeds,), task -> names of its runs, what is missing.

    ``pairs`` are task -> what the seeds are called, by which they are paired with another
    method's: runs of one draw and seed see the same sets, batches and noise.
    """

    values: Mapping[str, np.ndarray]
    runs: Mapping[str, frozenset[str]]
    missing: tuple[str, ...]
    pairs: Mapping[str, tuple] = field(default_factory=dict)


def read_study(path: str | Path, study: str) -> pd.DataFrame:
    """Read the runs table: the runs of a study, and π_ref's, which belongs to none."""
    runs = frames.read_csv(path)
    return runs[runs["study"].isna() | (runs["study"] == study)]


def with_infeasible_cells(runs: pd.DataFrame, manifests: Iterable[dict]) -> pd.DataFrame:
    """Add a row for each cell of which no run can be, with the reason in ``missing``.

    A (task, threshold) cell is infeasible if no trajectory is safe or none is unsafe (2.6).
    """
    rows = []
    for manifest in manifests:
        own = runs[runs["task"] == manifest["task"]["name"]]
        same = ["study", "suite", "task", "label", "method", "source"]
        methods = own[same].drop_duplicates().to_dict("records")
        cells = {cell["tau"]: cell for cell in manifest["cells"] if not cell["feasible"]}
        for tau, cell in cells.items():
            side = "safe" if cell["n_safe"] == 0 else "unsafe"
            reason = {"tau": tau, "missing": f"infeasible: no {side} trajectory"}
            rows += [method | reason for method in methods]
    runs = runs.assign(missing=pd.Series(dtype=object))
    return pd.concat([runs, pd.DataFrame(rows)], ignore_index=True) if rows else runs


def described(runs: pd.DataFrame, tasks: Iterable[str]) -> pd.DataFrame:
    """Suite and label of ``tasks``: of those that were run as the runs say, of others DSRL's."""
    known = runs.drop_duplicates("task").set_index("task")[["suite", "label"]]
    rest = [TASKS[task] for task in tasks if task in TASKS and task not in known.index]
    others = {task.name: [task.suite, task.label] for task in rest}
    others |= {t: [OWN, t] for t in tasks if t not in TASKS and t not in known.index}
    extra = pd.DataFrame.from_dict(others, orient="index", columns=["suite", "label"])
    return pd.concat([known, extra]) if others else known


def made(runs: pd.DataFrame) -> pd.DataFrame:
    """Leave out the rows that stand for what is missing."""
    if "missing" not in runs or not (gone := runs["missing"].notna()).any():
        return runs
    return runs[~gone]


def complete_seeds(
    runs: pd.DataFrame, score: str, thresholds: Iterable[int]
) -> tuple[pd.Series, list[str]]:
    """Average the runs of one method on one task over thresholds, within each seed.

    A threshold without runs, and a seed that lacks one of the other thresholds, is left out
    and named: seeds are only compared over the same thresholds.

    Args:
        thresholds: those that the config asks for.

    Returns:
        Seed -> score, and what is missing.
    """
    own, thresholds = made(runs), {tau for tau in thresholds if tau is not None}
    if own.empty:
        several = runs.empty and len(thresholds) != 1
        return pd.Series(dtype=float), ["no run"] if several else _absent(runs, thresholds)
    seeds, rows = np.unique(own["seed"].fillna(0).to_numpy(int), return_inverse=True)
    known = own["tau"].fillna(-1).to_numpy(int)  # sets made from labels have no threshold
    taus, columns = np.unique(known, return_inverse=True)
    cells = [[[] for _ in taus] for _ in seeds]
    for row, column, value in zip(rows, columns, own[score].to_numpy(float), strict=True):
        cells[row][column].append(value)
    most = max(len(cell) for row in cells for cell in row)
    # The sum is exact, so that it does not hang on the order of the runs; one NaN makes it NaN.
    table = np.array(
        [[math.fsum(cell) / most if len(cell) == most else np.nan for cell in row] for row in cells]
    )
    missing = _absent(runs, thresholds - set(taus))
    measured = ~np.isnan(table).all(axis=0)
    for tau in taus[~measured]:
        place = f"tau={tau}: " if tau >= 0 else ""
        missing.append(f"{place}{UNDEFINED.get(score, f'no {score}')}")
    if not measured.any():
        return pd.Series(dtype=float), missing
    taus, table = taus[measured], table[:, measured]
    gaps = np.isnan(table)
    for seed, gap in zip(seeds, gaps, strict=True):
        if gap.any():
            lacks = ", ".join(f"tau={tau}" for tau in taus[gap])
            missing.append(f"seed {seed}: not all runs with {lacks}")
    whole = ~gaps.any(axis=1)
    return pd.Series(table[whole].mean(axis=1), seeds[whole]), missing


def _absent(runs: pd.DataFrame, thresholds: Iterable[int]) -> list[str]:
    """Say why each of ``thresholds`` has no run."""
    known, thresholds = {}, sorted(thresholds)
    if thresholds and "missing" in runs:
        known = runs.dropna(subset="missing").set_index("tau")["missing"].to_dict()
    return [f"tau={tau}: {known.get(tau, 'no run')}" for tau in thresholds]


def task_scores(
    runs: pd.DataFrame, method: str, score: str, expected: Mapping[str, list[int]]
) -> TaskScores:
    """Collect ``score`` of ``method`` on the tasks of ``expected`` (task -> thresholds)."""
    values, names, missing, pairs = {}, {}, [], {}
    of_method = runs[(runs["method"] == method).to_numpy()]
    tasks = of_method["task"].to_numpy()
    for task, thresholds in expected.items():
        own = of_method[tasks == task]
        by_seed, gaps = complete_seeds(own, score, thresholds)
        missing += [f"{task}: {gap}" for gap in gaps]
        if len(by_seed):
            values[task], pairs[task] = by_seed.to_numpy(), tuple(by_seed.index)
            own = made(own)
            whole = np.isin(own["seed"].fillna(0).to_numpy(), by_seed.index)
            names[task] = frozenset(own["run"].to_numpy()[whole])
    return TaskScores(values, names, tuple(missing), pairs)


def contrast(more: TaskScores, less: TaskScores, task: str) -> list[np.ndarray]:
    """Strata whose means add up to ``more`` minus ``less``: differences of pairs, or both.

    Where the two have other seeds, or seeds without names, their runs count as independent.
    """
    ours, theirs = more.pairs.get(task, ()), less.pairs.get(task, ())
    if ours and set(ours) == set(theirs) and len(set(ours)) == len(ours):
        order = [theirs.index(name) for name in ours]
        return [more.values[task] - less.values[task][order]]
    return [more.values[task], -less.values[task]]


def of_study(runs: pd.DataFrame, members: Iterable[Mapping]) -> pd.DataFrame:
    """Pick the runs of a study, its own and those of earlier studies, and say how they differ.

    Args:
        members: what ``studies.Member`` holds, as dictionaries.

    Returns:
        The runs with ``variant`` and a column for each setting that the study varies, and
        pi_ref's rows for its tasks and thresholds.
    """
    jobs = (runs["study"] + "/" + runs["task"] + "/" + runs["arm"]).to_numpy()
    places = list(zip(*(_integers(runs[name]) for name in ("tau", "draw", "seed")), strict=True))
    cells, chosen = set(), []
    for member in members:
        rows = {tuple(-1 if x is None else x for x in row) for row in member["rows"]}
        cells |= {(member["task"], row[0]) for row in rows}
        same = (jobs == member["job"]) & np.array([place in rows for place in places])
        for name, value in member["numbers"].items():
            same &= (runs[name] == value).to_numpy()
        told = {"variant": member["variant"]} | member["settings"]
        chosen += [(row, told) for row in np.flatnonzero(same)]
    known = list(zip(runs["task"], _integers(runs["tau"]), strict=True))
    reference = (runs["method"] == REFERENCE) & np.array([cell in cells for cell in known])
    chosen = [(row, {}) for row in np.flatnonzero(reference)] + chosen
    table = runs.iloc[[row for row, _ in chosen]].reset_index(drop=True)
    told = pd.DataFrame([told for _, told in chosen])
    return table.drop(columns=told.columns.intersection(table.columns)).join(told)


def _integers(column: pd.Series) -> list[int]:
    """-1 stands for none."""
    return column.fillna(-1).astype(int).tolist()


def against_reference(runs: pd.DataFrame) -> pd.DataFrame:
    """Add what each run changes against π_ref of the same task and threshold.

    ``reward_kept`` is the share of π_ref's normalised return, 1 + (ours - π_ref's) / |π_ref's|,
    which a negative return does not turn round; ``cost_reduction``, ``violation_reduction`` and
    ``severe_reduction`` are 1 - ours / π_ref's. NaN where π_ref has nothing to keep or to reduce.
    """
    columns = {
        "reward_kept": "normalized_return",
        "cost_reduction": "cost",
        "violation_reduction": "violation_rate",
        "severe_reduction": "severe_rate",
    }
    base = runs.loc[runs["method"] == REFERENCE, ["task", "tau", *columns.values()]]
    both = runs.merge(base, on=["task", "tau"], how="left", suffixes=("", "_reference"))
    for name, column in columns.items():
        there = both.pop(f"{column}_reference")
        if name == "reward_kept":
            size = there.abs()
            both[name] = 1 + (both[column] - there) / size.where(size > 0)
        else:
            both[name] = 1 - both[column] / there.where(there > 0)
    return both
