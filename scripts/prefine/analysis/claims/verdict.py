"""What is concluded about a claim from runs: explicit rules, the burden of proof on the claim.

* holds: the whole interval keeps to the rule;
* does not hold: it does not; the reason says whether the interval contradicts the claim or
  merely leaves it open;
* not at this size: the same, of runs that were trained for less than half of the
  protocol's iterations;
* not measured: the runs, tasks or intervals that it needs are not there; the reason says which.
  Fewer than three runs of a task give no interval and no verdict.
"""

import contextlib
import operator
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from prefine.analysis.claims.evidence import Evidence, NotMeasured, Results
from prefine.analysis.statistics import LEAST_RUNS

HOLDS, FAILS, OPEN = "holds", "does not hold", "not measured"
SMALL = "not at this size"
ENOUGH = 0.5  # of the protocol's iterations; after fewer nothing is contradicted
COMPARISONS = {
    "at least": operator.ge,
    "above": operator.gt,
    "at most": operator.le,
    "below": operator.lt,
}


def written(value: float, percent: bool) -> str:
    """Write a share in percent, another number with two digits or as a whole."""
    if percent:
        return f"{100 * value:.0f} %"
    return f"{value:.2f}" if abs(value) < 100 else f"{value:.0f}"


@dataclass(frozen=True)
class Rule:
    """A claim holds where the measured number is ``comparison`` the ``limit``.

    ``percent`` is how numbers are written. ``every_task`` marks claims about all tasks of the
    paper or a suite: they hold only if all were measured. ``reading`` says what a number that
    the paper does not name rests on.
    """

    comparison: str
    limit: float
    percent: bool = False
    every_task: bool = False
    reading: str = ""

    def kept(self, value: float) -> bool:
        return bool(COMPARISONS[self.comparison](value, self.limit))

    def write(self, value: float) -> str:
        return written(value, self.percent)

    def __str__(self) -> str:
        text = f"{self.comparison} {self.write(self.limit)}"
        return f"{text} ({self.reading})" if self.reading else text


def verdict(rule: Rule, evidence: Evidence) -> tuple[str, str]:
    """Return the verdict and its reason, which names the iterations if there were few."""
    conclusion, reason = _verdict(rule, evidence)
    if conclusion == OPEN or not evidence.iterations < ENOUGH * evidence.published:
        return conclusion, reason
    size = f"after {evidence.iterations:.0f} of {evidence.published:.0f} iterations"
    reason = f"{size}: {reason}" if reason else size
    return SMALL if conclusion == FAILS else conclusion, reason


def _verdict(rule: Rule, evidence: Evidence) -> tuple[str, str]:
    low, high = evidence.estimate.low, evidence.estimate.high
    if np.isnan(low):
        if not np.isfinite(evidence.estimate.value):
            return OPEN, "some of its scores are not finite numbers"
        return OPEN, f"fewer than {LEAST_RUNS} runs of a task give no interval"
    kept = [rule.kept(low), rule.kept(high)]
    if rule.every_task and evidence.absent and not (rule.limit == 1 and not any(kept)):
        # ... unless it is a claim about each task: then the ones that fail decide.
        wanted = len(evidence.tasks) + len(evidence.absent)
        return OPEN, f"a claim about {wanted} tasks; measured: {len(evidence.tasks)}"
    if all(kept):
        return HOLDS, ""
    if any(kept):
        return FAILS, f"not shown: the interval goes beyond {rule.write(rule.limit)}"
    return FAILS, "contradicted: the whole interval is on the other side"


@dataclass(frozen=True)
class Claim:
    """A claim: its name, what the paper says and where, its number, the rule, the measurement.

    One ``of`` a method that a run need not have is left out where it has no runs of it.
    """

    name: str
    says: str
    where: str
    paper: str
    rule: Rule
    measure: Callable[[Results], Evidence]
    of: str = ""


def check(claims: Iterable[Claim], results: Results, paper: Results) -> Iterator[dict]:
    """Measure every claim: one row each, with the paper's number by the same formula.

    Args:
        paper: the paper's Table 1 (`results.from_paper`); where it does not say, its text stands
            alone.
    """
    there = set(results.runs["method"])
    for own in claims:
        if own.of and own.of not in there:
            continue
        row = {
            "claim": own.name,
            "says": own.says,
            "where": own.where,
            "paper": own.paper,
            "paper_table1": np.nan,
            "rule": str(own.rule),
            "percent": own.rule.percent,
            **dict.fromkeys(["ours", "low", "high", "tasks_of_claim", "runs"], np.nan),
            **dict.fromkeys(["iterations", "iterations_paper", "episodes"], np.nan),
            **dict.fromkeys(["tasks", "missing", "device"], ""),
        }
        with contextlib.suppress(NotMeasured):
            row["paper_table1"] = float(own.measure(paper).estimate.value)
        try:
            evidence = own.measure(results)
        except NotMeasured as reason:
            yield row | {"verdict": OPEN, "reason": str(reason)}
            continue
        conclusion, reason = verdict(own.rule, evidence)
        yield row | {
            "ours": float(evidence.estimate.value),
            "low": float(evidence.estimate.low),
            "high": float(evidence.estimate.high),
            "verdict": conclusion,
            "reason": reason,
            "tasks": " ".join(evidence.tasks),
            "tasks_of_claim": len(evidence.tasks) + len(evidence.absent),
            "runs": evidence.runs,
            "iterations": evidence.iterations,
            "iterations_paper": evidence.published,
            "episodes": evidence.episodes,
            "missing": "; ".join(evidence.missing),
            "device": evidence.device,
        }


def in_words(row: Mapping, of_tasks: str = "") -> dict[str, str]:
    """A claim's numbers as text: ``ours`` with its interval, ``table1``, what was ``measured``.

    Args:
        row: of ``check``, its empty texts filled in.
        of_tasks: what stands behind the number of tasks.
    """
    number = {
        name: written(row[name], row["percent"])
        for name in ("ours", "low", "high", "paper_table1")
        if not np.isnan(row[name])
    }
    ours, measured = number.get("ours", "–"), ""
    if "low" in number:
        ours += f" [{number['low']}, {number['high']}]"
    if "ours" in number:
        tasks = f"{len(row['tasks'].split())} of {row['tasks_of_claim']:.0f} tasks{of_tasks}"
        measured = f"{tasks}, {row['runs']:.0f} runs" if row["runs"] else tasks
        measured += f", {row['episodes']:.0f} episodes each" if row["episodes"] > 0 else ""
        measured += f", on {row['device']}" if row["device"] else ""
        measured += f". Missing: {row['missing']}" if row["missing"] else ""
    return {"ours": ours, "table1": number.get("paper_table1", ""), "measured": measured}
