"""Fronts of return against cost, their hypervolume inside the limit, and what choosing costs.

A *point* is one setting of a method (a variant of the study `pareto`): its mean normalised reward
and cost over runs. A *front* is a method's points that no other of them beats in both. Two fronts
are trivial controls, which everybody can have: BC on D_p stopped early, and actions mixed of
π_ref's and BC's. π_ref's own point belongs to every front, for whoever has a method has π_ref.
"""

import itertools
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from math import comb

import numpy as np
import pandas as pd

from prefine.analysis.metrics import is_safe
from prefine.analysis.names import method_label, method_order
from prefine.analysis.scores import TaskScores, contrast, made
from prefine.analysis.statistics import interval
from prefine.config.plan import CONFIG
from prefine.methods import REFERENCE

LIMIT, FLOOR = 1.0, 0.0  # the reference point: a cost of τ, no reward
REWARD, COST = "normalized_return", "normalized_cost"
MIXED = "mixed:"  # before the method's name: its actions mixed with π_ref's
CONTROLS = ("bc", f"{MIXED}bc")
CONTROL = "controls"  # both as one front
CLONING = "bc_from_reference"
ALL = "all tasks"  # in place of a task's name


def front_label(front: str) -> str:
    """What figures and tables call a front."""
    if front == CONTROL:
        return "trivial controls"
    if front.startswith(MIXED):
        return f"π_ref and {method_label(front.removeprefix(MIXED))} mixed"
    return f"{method_label(front)}, stopped early" if front in CONTROLS else method_label(front)


def front_order(fronts: Iterable[str]) -> list[str]:
    """The controls first, then the methods as in every table."""
    own = set(fronts)
    return [c for c in CONTROLS if c in own] + [
        *sorted(f for f in own if f.startswith(MIXED) and f not in CONTROLS),
        *(m for m in method_order(f for f in own if not f.startswith(MIXED)) if m not in CONTROLS),
    ]


# Geometry ------------------------------------------------------------------------------------


def non_dominated(reward: np.ndarray, cost: np.ndarray) -> np.ndarray:
    """Which of (n,) points no other point equals in both and beats in one: more reward, less cost.

    Of points that are the same in both all are kept.
    """
    more, less = reward[:, None] >= reward, cost[:, None] <= cost
    better = more & less & ((reward[:, None] > reward) | (cost[:, None] < cost))
    return ~better.any(axis=0)


def hypervolume(reward: np.ndarray, cost: np.ndarray) -> float:
    """The area inside the limit that (n,) points dominate, seen from no reward at a cost of τ.

    The mean over budgets c from 0 to τ of the best reward of a point that costs at most c, and 0
    where there is none. Points above the limit or without reward add nothing. A reward of 1 at no
    cost has 1.
    """
    place = np.argsort(cost, kind="stable")
    steps = np.append(np.clip(cost[place], 0.0, LIMIT), LIMIT)
    best = np.maximum.accumulate(np.maximum(reward[place], FLOOR)) if len(place) else place
    return float(np.sum((best - FLOOR) * np.diff(steps)))


# Fronts --------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Front:
    """Scores of a front's points on one task, (points, seeds) each.

    ``variants`` are the points' names, ``seeds`` those that all points have; ``reference`` is
    π_ref's reward and cost, or empty.
    """

    variants: tuple[str, ...]
    seeds: tuple[int, ...]
    reward: np.ndarray
    cost: np.ndarray
    reference: np.ndarray
    runs: frozenset[str]

    def points(self, seeds: Sequence[int] | slice = slice(None)) -> tuple[np.ndarray, np.ndarray]:
        """Mean reward and cost of each point over some of the seeds, π_ref's behind them."""
        reward, cost = (own[:, seeds].mean(axis=1) for own in (self.reward, self.cost))
        theirs = self.reference[:1], self.reference[1:]
        return np.append(reward, theirs[0]), np.append(cost, theirs[1])

    def volumes(self) -> np.ndarray:
        """Jackknife values of the hypervolume, (seeds,): their mean is that of the mean points.

        A front is one of all seeds, and none has a hypervolume of its own. What a seed adds is
        what changes without it.
        """
        n, whole = len(self.seeds), hypervolume(*self.points())
        if n < 2:
            return np.full(n, whole)
        without = [hypervolume(*self.points(np.delete(np.arange(n), k))) for k in range(n)]
        return whole + (n - 1) * (np.mean(without) - np.array(without))


def of_front(runs: pd.DataFrame, name: str) -> pd.DataFrame:
    """The runs of a front; the method as the config has it belongs to both of its own."""
    if name == CONTROL:
        return pd.concat([of_front(runs, own) for own in CONTROLS]).drop_duplicates("run")
    own = runs[runs["method"] == name.removeprefix(MIXED)]
    mixed = own["mix"].fillna(1.0) < 1 if "mix" in own else pd.Series(False, own.index)
    if not name.startswith(MIXED):
        return own[~mixed]
    return own[mixed | (own["variant"] == CONFIG)] if mixed.any() else own.iloc[:0]


def fronts_of(runs: pd.DataFrame) -> list[str]:
    """The fronts that a study has, without the controls as one."""
    there = made(runs)
    methods = set(there["method"]) - {REFERENCE}
    names = [name for method in methods for name in (method, f"{MIXED}{method}")]
    return front_order(name for name in names if len(of_front(there, name)))


def front(runs: pd.DataFrame, task: str, name: str) -> Front | None:
    """A front on a task; None where it has no point with a cost limit.

    Args:
        runs: table of the study, one row a run, π_ref's too.
    """
    there = made(runs)
    there = there[there["task"] == task].dropna(subset=[REWARD, COST])
    own = of_front(there, name)
    place = [own["variant"], own["seed"].fillna(0).astype(int), own["tau"]]
    cells = own.groupby(place)[[REWARD, COST]].mean().unstack("tau").dropna()  # all thresholds
    if cells.empty:
        return None
    means = {score: cells[score].mean(axis=1).unstack("seed") for score in (REWARD, COST)}
    means = {score: table.dropna(axis="columns") for score, table in means.items()}
    seeds = list(means[REWARD])
    if not seeds:
        return None
    variants = [v for v in own["variant"].unique() if v in means[REWARD].index]
    reward, cost = (table.loc[variants].to_numpy() for table in means.values())
    theirs = there[(there["method"] == REFERENCE) & there["tau"].isin(own["tau"])]
    reference = theirs[[REWARD, COST]].mean().dropna().to_numpy()  # over thresholds
    names = own.loc[own["seed"].fillna(0).isin(seeds), "run"]
    parts = tuple(variants), tuple(seeds), reward, cost, reference, frozenset(names)
    return Front(*parts)


def volumes(runs: pd.DataFrame, name: str) -> TaskScores:
    """The hypervolume of a front on every task that has it, paired with others' by seed."""
    found = {task: front(runs, task, name) for task in runs["task"].unique()}
    there = {task: own for task, own in found.items() if own is not None}
    return TaskScores(
        {task: own.volumes() for task, own in there.items()},
        {task: own.runs for task, own in there.items()},
        (),
        {task: own.seeds for task, own in there.items()},
    )


def hypervolumes(runs: pd.DataFrame) -> pd.DataFrame:
    """One row a task and front, and behind them the mean over the tasks that have all fronts.

    ``hypervolume``, and by how much it is above that of the controls as one front
    (``over_controls``) and of BC from π_ref (``over_cloning``), each with its interval.
    """
    scores = {name: volumes(runs, name) for name in [*fronts_of(runs), CONTROL]}
    scores = {name: own for name, own in scores.items() if own.values}
    tasks = [t for t in runs["task"].unique() if any(t in own.values for own in scores.values())]
    places = {task: [task] for task in tasks}
    places[ALL] = [t for t in tasks if all(t in own.values for own in scores.values())]
    rows = []
    for (place, of), name in itertools.product(places.items(), scores):
        if not of or not set(of) <= set(scores[name].values):
            continue
        row = {"task": place, "front": name, "label": front_label(name), "tasks": len(of)}
        if place != ALL:
            row |= _sizes(front(runs, place, name))
        row |= _named("hypervolume", [scores[name].values[task] / len(of) for task in of])
        row["hypervolume_low"] = max(row["hypervolume_low"], 0.0)  # of too few runs it is NaN
        for key, other in (("over_controls", CONTROL), ("over_cloning", CLONING)):
            if other in scores and set(of) <= set(scores[other].values) and name != other:
                both = [contrast(scores[name], scores[other], task) for task in of]
                row |= _named(key, [part / len(of) for parts in both for part in parts])
        rows.append(row)
    return pd.DataFrame(rows, columns=None if rows else ["task", "front", "label"])


def _sizes(own: Front) -> dict[str, int]:
    """How many points and runs a front has, and how many points are on it."""
    there = non_dominated(*own.points())[: len(own.variants)]
    return {"points": len(there), "undominated": int(there.sum()), "runs": len(own.seeds)}


def _named(name: str, strata: list[np.ndarray]) -> dict[str, float]:
    """A sum of means with its interval, as columns."""
    own = interval(strata)
    values = (own.value, own.low, own.high)
    ends = ("", "_low", "_high")
    return {f"{name}{end}": float(value) for end, value in zip(ends, values, strict=True)}


# Choosing a point ----------------------------------------------------------------------------


def choice_order(reward: np.ndarray, cost: np.ndarray) -> np.ndarray:
    """(n,) points, the one that is chosen of all first, then the one that is without it ...

    Inside the limit more reward is better; outside, which comes behind, less cost is.
    """
    safe = is_safe(cost)
    return np.lexsort((np.where(safe, -reward, cost), ~safe))


def best_of(ordered: np.ndarray, k: int) -> np.ndarray:
    """Expected score of the first of k points that are drawn at random, without replacement.

    Args:
        ordered: (n, ...) scores, in the order of choice.
    """
    n = len(ordered)
    first = np.array([comb(n - 1 - place, k - 1) for place in range(n)]) / comb(n, k)
    return np.tensordot(first, ordered, 1)


def choices(runs: pd.DataFrame, validation: pd.DataFrame) -> pd.DataFrame:
    """What is had when k points of a front are tried and one is chosen by validation episodes.

    One row a task, front and k: ``reward`` and ``cost`` on the reported episodes, ``unsafe``, the
    share of runs in which they are above the limit, and ``score``, the reward where they are not
    and 0 where they are, with its interval. ``oracle`` is the score of who chooses by the reported
    episodes themselves. Each run chooses among its own points, as its owner would.

    Args:
        runs, validation: tables of the study, of the reported and of the validation episodes.
    """
    rows = []
    for task, name in itertools.product(runs["task"].unique(), fronts_of(runs)):
        own, other = (front(table, task, name) for table in (runs, validation))
        if own is None or other is None:
            continue
        if (own.variants, own.seeds) != (other.variants, other.seeds):
            raise ValueError(f"{task}, {name}: the validation is of other runs")
        n = len(own.variants)
        score = np.where(is_safe(own.cost), own.reward, FLOOR)
        kinds = {"reward": own.reward, "cost": own.cost, "unsafe": 1.0 - is_safe(own.cost)}
        kinds["score"] = score
        seeds = range(len(own.seeds))
        order = np.array([choice_order(other.reward[:, s], other.cost[:, s]) for s in seeds]).T
        best = np.array([choice_order(own.reward[:, s], own.cost[:, s]) for s in seeds]).T
        for k in range(1, n + 1):
            row = {"task": task, "front": name, "label": front_label(name), "points": n, "k": k}
            had = {
                kind: best_of(np.take_along_axis(values, order, 0), k)
                for kind, values in kinds.items()
            }
            row |= {kind: float(values.mean()) for kind, values in had.items()}
            row |= _named("score", [had["score"]])
            row["oracle"] = float(best_of(np.take_along_axis(score, best, 0), k).mean())
            rows.append(row)
    return pd.DataFrame(rows, columns=None if rows else ["task", "front", "label", "k"])
