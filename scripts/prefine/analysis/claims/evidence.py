"""The runs of a study as evidence for a claim: which tasks, which scores, what is missing."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace

import numpy as np
import pandas as pd

from prefine.analysis.hours import MATCHED, PUBLISHED
from prefine.analysis.names import method_label
from prefine.analysis.scores import TaskScores, against_reference, contrast, made, task_scores
from prefine.analysis.statistics import Estimate, interval


class NotMeasured(Exception):
    """What a claim needs and the results do not have."""


@dataclass(frozen=True)
class Evidence:
    """A measured number, the tasks and runs that it is from, and the tasks it lacks.

    ``iterations`` is how long the run was trained that has the least share of the ``published``
    number of its method; ``episodes`` how many the run has that has the fewest; NaN where that is
    not known or does not matter. ``device`` is named where the number is a time.
    """

    estimate: Estimate
    tasks: tuple[str, ...]
    absent: tuple[str, ...]
    runs: int
    missing: tuple[str, ...]
    iterations: float = np.nan
    published: float = np.nan
    episodes: float = np.nan
    device: str = ""

    def trained(self, iterations: float, published: float) -> "Evidence":
        """The same, of runs that were trained for so many iterations of so many."""
        return replace(self, iterations=float(iterations), published=float(published))

    def played(self, episodes: float) -> "Evidence":
        """The same, of so many episodes a run; NaN where the number is of no episodes."""
        return replace(self, episodes=float(episodes))

    def named(self, tasks: tuple[str, ...]) -> "Evidence":
        """The same, of tasks that were resampled as runs are."""
        return replace(self, tasks=tasks)


@dataclass(frozen=True)
class Results:
    """The runs of a study, looked at for one claim.

    ``expected`` is task -> thresholds of the config, ``suites`` task -> suite of the paper's
    tasks, ``tasks`` those that the claim is about, ``tables`` those of other studies and figures by
    name, where there are any. ``kept`` holds the scores that a claim asked for; others ask again.
    """

    runs: pd.DataFrame
    expected: Mapping[str, list[int]]
    suites: Mapping[str, str]
    tasks: tuple[str, ...]
    tables: Mapping[str, pd.DataFrame] = field(default_factory=dict)
    kept: dict[tuple, TaskScores] = field(default_factory=dict, repr=False, compare=False)

    @classmethod
    def of(
        cls, runs: pd.DataFrame, expected: Mapping, suites: Mapping, tables: Mapping | None = None
    ) -> "Results":
        tables = {} if tables is None else tables
        return cls(against_reference(runs), expected, suites, tuple(suites), tables=tables)

    def on(self, suite: str, without: tuple[str, ...] = ()) -> "Results":
        """Look at one suite of the paper, without the tasks that the claim leaves out."""
        own = (task for task, name in self.suites.items() if name == suite)
        return replace(self, tasks=tuple(task for task in own if task not in without))

    def everywhere(self) -> "Results":
        """Look at every task of the config, those that are not the paper's too."""
        return replace(self, tasks=tuple(self.expected))

    def of_tasks(self, tasks: Iterable[str]) -> "Results":
        """Look at these tasks, those of a study."""
        return replace(self, tasks=tuple(tasks))

    def scores(self, method: str, score: str) -> TaskScores:
        """Scores of ``method`` on the claim's tasks, averaged over thresholds within a seed."""
        thresholds = self._thresholds()
        asked = method, score, *thresholds
        if asked not in self.kept:
            self.kept[asked] = self._scores(self.runs, method, score, thresholds)
        return self.kept[asked]

    def by_threshold(self, method: str, score: str) -> list[TaskScores]:
        """The same at the smallest threshold of each task, the next one, ... the largest."""
        thresholds = {task: sorted(own) for task, own in self._thresholds().items()}
        ranks = max(map(len, thresholds.values()))
        if ranks < 2:
            raise NotMeasured("one threshold a task; it needs several")
        found = []
        for rank in range(ranks):
            tau = {task: own[rank] for task, own in thresholds.items() if len(own) == ranks}
            runs = self.runs[self.runs["tau"] == self.runs["task"].map(tau)]
            found.append(self._scores(runs, method, score, {task: [tau[task]] for task in tau}))
        return found

    def evidence(self, estimate: Callable[..., Estimate], *scores: TaskScores) -> Evidence:
        """The number and its interval over the tasks that all ``scores`` have.

        Args:
            estimate: of one list a method, with the runs' scores of each common task.
        """
        common = self._common(scores)
        groups = [[own.values[task] for task in common] for own in scores]
        return self._evidence(estimate(*groups), common, scores)

    def difference(self, more: TaskScores, less: TaskScores) -> Evidence:
        """Mean over tasks of ``more`` minus ``less``, paired by seed where seeds are shared."""
        common = self._common((more, less))
        estimate = interval(
            [part / len(common) for task in common for part in contrast(more, less, task)]
        )
        return self._evidence(estimate, common, (more, less))

    def by_task(self, estimate: Callable[..., Estimate], *scores: TaskScores) -> Evidence:
        """As `evidence`, of an ``estimate`` that is given the names of the common tasks."""
        common = self._common(scores)
        return self._evidence(estimate(common), common, scores)

    def _common(self, scores: Iterable[TaskScores]) -> tuple[str, ...]:
        """The claim's tasks that all ``scores`` have."""
        common = tuple(task for task in self.tasks if all(task in own.values for own in scores))
        if not common:
            gaps = dict.fromkeys(gap for own in scores for gap in own.missing)
            raise NotMeasured("; ".join(gaps) or "no task that all have")
        return common

    def _evidence(self, estimate: Estimate, common: tuple, scores: Iterable) -> Evidence:
        """Put the number beside where it is from."""
        names = frozenset().union(*(own.runs[task] for own in scores for task in common))
        return Evidence(
            estimate,
            common,
            tuple(task for task in self.tasks if task not in common),
            len(names),
            tuple(dict.fromkeys(gap for own in scores for gap in own.missing)),
            *self.least_trained(names),
            self.fewest_episodes(names),
        )

    def least_trained(self, names: Iterable[str]) -> tuple[float, float]:
        """Trained and published iterations of the run that has the least share of them."""
        own = self._rows(names)
        if own.empty:
            return np.nan, np.nan
        published = own["method"].map(PUBLISHED).fillna(MATCHED)
        least = (own["train_iterations"] / published).to_numpy().argmin()
        return float(own["train_iterations"].iloc[least]), float(published.iloc[least])

    def fewest_episodes(self, names: Iterable[str]) -> float:
        """Reported episodes of the run that has the fewest."""
        return float(self._rows(names)["episodes"].min())

    def _rows(self, names: Iterable[str]) -> pd.DataFrame:
        """What all tables say of runs at the end of their training, not on the way."""
        tables = [t for t in (self.runs, *self.tables.values()) if "train_iterations" in t]
        columns = ["method", "train_iterations", "episodes"]
        of = [t[t["run"].isin(names)].reindex(columns=columns) for t in tables]
        whole = pd.concat(of) if of else pd.DataFrame(columns=columns)
        return whole.dropna(subset=["method", "train_iterations"])

    def _thresholds(self) -> dict[str, list[int]]:
        """The claim's tasks that the config has, with their thresholds."""
        own = {task: self.expected[task] for task in self.tasks if task in self.expected}
        if not own:
            raise NotMeasured("none of its tasks was run")
        return own

    def _scores(self, runs: pd.DataFrame, method: str, score: str, expected: Mapping) -> TaskScores:
        if method not in set(made(self.runs)["method"]):
            raise NotMeasured(f"no run of {method_label(method)}")
        found = task_scores(runs, method, score, expected)
        if not found.values:
            raise NotMeasured("; ".join(found.missing))
        return found


def from_paper(table: pd.DataFrame) -> Results:
    """The paper's Table 1 as results with one run a task, to measure a claim on it as well.

    Args:
        table: suite, task, method, reward, cost (workflow/paper/table1.csv).
    """
    runs = pd.DataFrame(
        {
            "run": table["task"] + table["method"],
            "task": table["task"],
            "method": table["method"],
            "tau": np.nan,
            "seed": np.nan,
            "normalized_return": table["reward"],
            "normalized_cost": table["cost"],
            "cost": table["cost"],
            **dict.fromkeys(["violation_rate", "severe_rate", "train_seconds"], np.nan),
        }
    )
    suites = dict(zip(table["task"], table["suite"], strict=True))
    return Results.of(runs, {task: [] for task in suites}, suites)
