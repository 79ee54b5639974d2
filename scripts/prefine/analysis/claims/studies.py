"""Claims that need other tables than the main study's: its parts are in ``claims``.

``results.tables`` holds what there is of them: ``sizes``, ``sweep`` and ``pareto`` (studies, a row
a run), ``ablation`` (learning curves), ``cost_gap`` (Figure 2), ``overlap`` (Figure 13), ``timing``
(Figure 4).
"""

from dataclasses import replace

import numpy as np
import pandas as pd

from prefine.analysis.claims.evidence import Evidence, NotMeasured, Results
from prefine.analysis.claims.main import CLAIMS, COLLAPSED, REWARD, claim
from prefine.analysis.claims.shares import spread
from prefine.analysis.claims.verdict import Rule
from prefine.analysis.hours import HOUR
from prefine.analysis.names import method_label
from prefine.analysis.pareto import CLONING, CONTROL, front_label, volumes
from prefine.analysis.scores import TaskScores
from prefine.analysis.statistics import Estimate, Scores, interval, mean_interval
from prefine.config.plan import CONFIG
from prefine.methods import REFERENCE

__all__ = ["CLAIMS"]
SOON = 10_000  # iterations (§5.5)
GAPS_UNTIL = 200_000  # iterations of Figure 2
PLACE = ["tau", "draw", "seed"]  # by which runs are paired
THIRD = 1 / 3  # early, mid, late of Figure 2


def table_of(results: Results, name: str, needs: str) -> pd.DataFrame:
    """A table, without the reference's rows.

    Raises:
        NotMeasured: it is not there; ``needs`` says what it is.
    """
    table = results.tables.get(name)
    if table is None or table.empty:
        raise NotMeasured(f"needs {needs}")
    return table[table["method"] != REFERENCE] if "method" in table else table


def by_task(rows: pd.DataFrame, score: str) -> TaskScores:
    """One score of some runs: task -> (runs,); of one place (tau, draw, seed), their mean."""
    rows = rows.dropna(subset=score)
    names = {task: frozenset(own["run"]) for task, own in rows.groupby("task")}
    values, pairs = {}, {}
    for task, own in rows.groupby("task"):
        if set(PLACE) <= set(own):
            means = own.groupby(PLACE, dropna=False)[score].mean()
            values[task], pairs[task] = means.to_numpy(), tuple(map(str, means.index))
        else:
            values[task] = own[score].to_numpy()
    return TaskScores(values, names, (), pairs)


def each(rows: pd.DataFrame, settings: list[str], score: str) -> list[TaskScores]:
    """The scores of every combination of ``settings`` that all tasks have."""
    groups = [own for _, own in rows.groupby(settings)]
    tasks = set(rows["task"])
    return [by_task(own, score) for own in groups if set(own["task"]) == tasks]


# Q2, efficiency ------------------------------------------------------------------------------


def hours_of(results: Results, method: str) -> pd.DataFrame:
    """Hours of a run at the protocol's iterations, one row a block of the timing.

    The i-th blocks of a method's phases make one value, so that blocks can be resampled.
    """
    blocks = table_of(results, "timing", "every method timed alone on the machine (Figure 4)")
    if method not in set(results.tables["timing"]["method"]):
        raise NotMeasured(f"{method_label(method)} was not timed")
    own = results.tables["timing"]
    own = own[own["method"] == method]
    found = (own["ms"] * own["iterations"] / HOUR).groupby(own["block"]).sum()
    table = pd.DataFrame({"block": found.index, "hours": found.to_numpy()})
    return table.assign(task=blocks["task"].iloc[0], run=f"timing/{method}")


def device_of(results: Results) -> str:
    """What the methods were timed on."""
    return str(results.tables["timing"]["device"].iloc[0])


@claim(
    "PREFINE takes 8 to 12 times less wall-clock time than SafeDICE and CPQ",
    "§1, §3.4, §5.3, Fig. 4",
    Rule("at least", 8.0, reading="the smaller of the two ratios, at the protocol's iterations"),
    "8-12 ×; 10 × in §5.3",
)
def faster(results: Results) -> Evidence:
    """Hours of SafeDICE or CPQ, the faster, over PREFINE's without π_ref; blocks for runs."""

    def ratio(prefine: Scores, *others: Scores) -> Estimate:
        found = []
        for other in others:  # on a scale of logarithms, and back
            (ours,), (theirs,) = prefine, other
            means = theirs.mean(), ours.mean()
            own = interval([theirs / means[0], -ours / means[1]], np.log(means[0] / means[1]))
            found.append([own.value, own.low, own.high])
        return Estimate(*np.exp(np.min(found, axis=0)))

    names = ("prefine", "safedice", "cpq")
    scores = [by_task(hours_of(results, name), "hours") for name in names]
    found = results.of_tasks(scores[0].values).evidence(ratio, *scores)
    return replace(found, device=device_of(results))


@claim(
    "Fine-tuning takes 1.5 hours",
    "§5.3, §6, A.4",
    Rule("at most", 1.5, reading="hours for 500 000 iterations of one run, on our device"),
    "about 1.5 h; under 1.5 h in §6 (V100 or A100)",
)
def hours(results: Results) -> Evidence:
    scores = by_task(hours_of(results, "prefine"), "hours")
    found = results.of_tasks(scores.values).evidence(mean_interval, scores)
    return replace(found, device=device_of(results))


# Q3, robustness and sensitivity --------------------------------------------------------------


@claim(
    "PREFINE is robust to the sizes of D_p and D_np",
    "§5.4, Fig. 5",
    Rule("at most", 0.1, reading="our reading: normalised reward moves by at most 0.1"),
    "no number",
)
def robust_to_sizes(results: Results) -> Evidence:
    """Largest minus smallest mean over all sizes; noise makes it larger."""
    runs = table_of(results, "sizes", "runs with other sizes N_p and N_np")
    scores = each(runs, ["n_preferred", "n_nonpreferred"], REWARD)
    results = results.of_tasks(scores[0].values)
    return results.by_task(lambda tasks: spread(scores, tasks), *scores)


@claim(
    "PREFINE performs well for λ in {1.0, 1.6} and β in {0.05, 0.2}",
    "§5.4, §6, Fig. 9",
    Rule("at most", 0.1, reading="our reading: normalised reward moves by at most 0.1"),
    "no number",
)
def robust_to_lambda_and_beta(results: Results) -> Evidence:
    runs = table_of(results, "sweep", "a sweep of λ and β")
    own = runs[runs["lam"].isin([1.0, 1.6]) & runs["beta"].isin([0.05, 0.2])]
    scores = each(own, ["lam", "beta"], REWARD) if len(own) else []
    if len(scores) < 4:
        raise NotMeasured("needs a sweep with λ in {1.0, 1.6} and β in {0.05, 0.2}")
    results = results.of_tasks(scores[0].values)
    return results.by_task(lambda tasks: spread(scores, tasks), *scores)


@claim(
    "A lower λ gives lower cost and less reward",
    "B.3, Fig. 9",
    Rule("above", 0.0, reading="the smaller of both falls from the largest to the smallest λ"),
)
def lambda_trades_reward_for_cost(results: Results) -> Evidence:
    """Means over β; the fall is of normalised cost and of normalised reward."""
    runs = table_of(results, "sweep", "a sweep of λ and β")
    if runs["lam"].nunique() < 2:
        raise NotMeasured("needs a sweep with several λ")
    low, high = (runs[runs["lam"] == lam] for lam in (runs["lam"].min(), runs["lam"].max()))
    falls = []
    for score in ("normalized_cost", REWARD):
        more, less = by_task(high, score), by_task(low, score)
        falls.append(results.of_tasks(more.values).difference(more, less))
    both = [[own.estimate.value, own.estimate.low, own.estimate.high] for own in falls]
    return replace(falls[0], estimate=Estimate(*np.min(both, axis=0)))


# Ours: fronts, of the study in which every method is taken along its own dial. -----------------


def _front_above(results: Results, other: str) -> Evidence:
    """Mean over tasks of PREFINE's hypervolume inside the limit minus that of another front.

    Paired by seed. How long was trained is said of the runs that were not stopped on purpose.
    """
    needs = "the study pareto"
    table = results.tables.get("pareto")
    if table is None or table.empty:
        raise NotMeasured(f"needs {needs}")
    scores = {name: volumes(table, name) for name in ("prefine", other)}
    for name, own in scores.items():
        if not own.values:
            raise NotMeasured(f"needs {needs} with {front_label(name)} and a cost limit")
    found = results.of_tasks(scores["prefine"].values).difference(*scores.values())
    names = {run for own in scores.values() for runs in own.runs.values() for run in runs}
    whole = table["run"].isin(names) & (table["variant"] == CONFIG)
    return found.trained(*results.least_trained(table.loc[whole, "run"]))


@claim(
    "PREFINE's front lies above BC from π_ref's",
    "ours",
    Rule("above", 0.0, reading="hypervolume inside the limit; PREFINE's minus that of BC"),
    "not measured",
)
def front_above_cloning(results: Results) -> Evidence:
    return _front_above(results, CLONING)


@claim(
    "PREFINE's front lies above the trivial controls' (BC stopped early, or mixed with π_ref)",
    "ours",
    Rule("above", 0.0, reading="hypervolume inside the limit; PREFINE's minus both controls'"),
    "not measured",
)
def front_above_controls(results: Results) -> Evidence:
    return _front_above(results, CONTROL)


# Ablation ------------------------------------------------------------------------------------


@claim(
    "Without the SFT term the return collapses within 10 000 iterations",
    "§5.5, Fig. 6",
    Rule(
        *("at most", COLLAPSED - 1),
        percent=True,
        reading="DPO's return minus PREFINE's by then, in shares of π_ref's",
    ),
    "10 000 iterations",
)
def dpo_collapses_early(results: Results) -> Evidence:
    """The mean over the evaluations of the last third of the first 10 000 iterations, two at least.

    A mean and not one of many noisy evaluations. Against PREFINE and not π_ref: what is safe
    returns less, with the SFT term too. In shares of π_ref's return, the mean at iteration 0.
    """
    needs = "rollouts of DPO's and PREFINE's policies during training"
    curves = table_of(results, "ablation", needs)
    place = ["task", *PLACE, "iteration"]
    prefine = curves.loc[curves["method"] == "prefine", [*place, REWARD]]
    both = curves[curves["method"] == "dpo"].merge(prefine, on=place, suffixes=("", "_prefine"))
    if both.empty:
        raise NotMeasured(f"needs {needs}")
    start = curves[curves["iteration"] == 0].groupby("task")[REWARD].mean().abs()
    taken = np.unique(both["iteration"])
    taken = taken[(taken > 0) & (taken <= SOON)]
    if len(taken) < 2:
        raise NotMeasured(f"needs two evaluations in the first {SOON} iterations")
    last = taken[-1]
    first = min(taken[-2], taken[taken > 2 * THIRD * last][0])
    window = both[both["iteration"].between(first, last)]
    size = window["task"].map(start)
    lost = (window[REWARD] - window[f"{REWARD}_prefine"]) / size.where(size > 0)
    table = window.assign(lost=lost).dropna(subset="lost")
    if table.empty:
        raise NotMeasured("needs an evaluation at the start")
    table = table.groupby(["task", "run"], as_index=False)["lost"].mean()
    scores = by_task(table, "lost")
    found = results.of_tasks(scores.values).evidence(mean_interval, scores)
    return found.trained(last, SOON).played(window["episodes"].min())


# Data and mechanism --------------------------------------------------------------------------


@claim(
    "D_p and D_np overlap by about 70 % (Jaccard)",
    "§3.2, B.5, Fig. 13",
    Rule("at least", 0.6, percent=True, reading="mean over tasks, interval over tasks"),
    "about 70 %",
)
def jaccard(results: Results) -> Evidence:
    """Figure 13's J at its grid; J depends on the grid and on the number of states."""
    table = table_of(results, "overlap", "the overlap of the sets' states (Figure 13)")
    names = tuple(table["task"])
    scores = TaskScores({"tasks": table["jaccard"].to_numpy()}, {"tasks": frozenset()}, ())
    return results.of_tasks(["tasks"]).evidence(mean_interval, scores).named(names)


def _narrowing(results: Results, of_set: str) -> Evidence:
    """The gap of the first third of the iterations minus that of the last, of each run."""
    gaps = table_of(results, "cost_gap", "policies during training (Figure 2)")
    own = gaps[(gaps["set"] == of_set) & (gaps["iteration"] > 0)]
    place = own["iteration"] / own["until"]
    early = own[place <= THIRD].groupby(["task", "run"])["gap"].mean()
    late = own[(place > 2 * THIRD) & (place <= 1)].groupby(["task", "run"])["gap"].mean()
    table = (early - late).dropna().rename("narrowing").reset_index()
    if table.empty:
        raise NotMeasured("needs policies of the first and the last third of training (Figure 2)")
    scores = by_task(table, "narrowing")
    found = results.of_tasks(scores.values).evidence(mean_interval, scores)
    return found.trained(own["iteration"].max(), GAPS_UNTIL).played(np.nan)  # data's states


@claim(
    "On D_p the cost gap narrows during training",
    "§3.2, Fig. 2",
    Rule("above", 0.0, reading="gap of the early third minus that of the late one"),
)
def gap_narrows_on_preferred(results: Results) -> Evidence:
    return _narrowing(results, "preferred")


@claim(
    "On D_np the cost gap widens during training",
    "§3.2, Fig. 2",
    Rule("below", 0.0, reading="gap of the early third minus that of the late one"),
)
def gap_widens_on_nonpreferred(results: Results) -> Evidence:
    return _narrowing(results, "nonpreferred")
