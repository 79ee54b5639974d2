"""Claims that need other tables than the main study's: its parts are in ``claims``.

``results.tables`` holds what there is of them: ``sizes`` and ``sweep`` (studies, one row a run),
``ablation`` (learning curves), ``cost_gap`` (Figure 2), ``overlap`` (Figure 13), ``timing``
(Figure 4).
"""

import numpy as np
import pandas as pd

from prefine.claims import CLAIMS, REWARD, claim, spread
from prefine.methods import REFERENCE
from prefine.results import Evidence, NotMeasured, Results
from prefine.scores import TaskScores
from prefine.statistics import Scores, mean_of_tasks
from prefine.tables import method_label
from prefine.timings import totals
from prefine.verdicts import Rule

__all__ = ["CLAIMS"]
COLLAPSED = 0.88  # of the return at the start (§5.5)
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
    """One score of some runs: task -> (runs,)."""
    groups = rows.dropna(subset=score).groupby("task")
    values = {task: own[score].to_numpy() for task, own in groups}
    return TaskScores(values, {t: frozenset(own["run"]) for t, own in groups}, ())


def each(rows: pd.DataFrame, settings: list[str], score: str) -> list[TaskScores]:
    """The scores of every combination of ``settings`` that all tasks have."""
    groups = [own for _, own in rows.groupby(settings)]
    tasks = set(rows["task"])
    return [by_task(own, score) for own in groups if set(own["task"]) == tasks]


# Q2, efficiency ------------------------------------------------------------------------------


def hours_of(results: Results, method: str) -> pd.DataFrame:
    """Hours of a run at the published iterations, one row a block of the timing.

    The i-th blocks of a method's phases make one value, so that blocks can be resampled.
    """
    blocks = table_of(results, "timing", "every method timed alone on the machine (Figure 4)")
    if method not in set(results.tables["timing"]["method"]):
        raise NotMeasured(f"{method_label(method)} was not timed")
    own = results.tables["timing"]
    own = own[own["method"] == method]
    rows = [totals(part).assign(block=block) for block, part in own.groupby("block")]
    return pd.concat(rows).assign(task=blocks["task"].iloc[0], run=f"timing/{method}")


@claim(
    "PREFINE takes 8 to 12 times less wall-clock time than SafeDICE and CPQ",
    "§1, §3.4, §5.3, Fig. 4",
    Rule("at least", 8.0, reading="the smaller of the two ratios, at published iterations"),
    "8-12 ×; 10 × in §5.3",
)
def faster(results: Results) -> Evidence:
    """Hours of SafeDICE or CPQ, the faster, over PREFINE's without π_ref; blocks for runs."""

    def ratio(prefine: Scores, *others: Scores) -> np.ndarray:
        return np.min([mean_of_tasks(o) for o in others], axis=0) / mean_of_tasks(prefine)

    names = ("prefine", "safedice", "cpq")
    scores = [by_task(hours_of(results, name), "hours") for name in names]
    return results.of_tasks(scores[0].values).evidence(ratio, *scores)


@claim(
    "Fine-tuning takes 1.5 hours",
    "§5.3, §6, A.4",
    Rule("at most", 1.5, reading="hours for 500 000 iterations of one run, on our device"),
    "about 1.5 h; under 1.5 h in §6 (V100 or A100)",
)
def hours(results: Results) -> Evidence:
    scores = by_task(hours_of(results, "prefine"), "hours")
    return results.of_tasks(scores.values).evidence(mean_of_tasks, scores)


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
    return results.of_tasks(scores[0].values).evidence(spread, *scores)


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
    return results.of_tasks(scores[0].values).evidence(spread, *scores)


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
    ends = [runs[runs["lam"] == lam] for lam in (runs["lam"].min(), runs["lam"].max())]
    scores = [by_task(own, score) for own in ends for score in ("normalized_cost", REWARD)]

    def smaller(low_cost: Scores, low_reward: Scores, cost: Scores, reward: Scores) -> np.ndarray:
        falls = [
            mean_of_tasks(cost) - mean_of_tasks(low_cost),
            mean_of_tasks(reward) - mean_of_tasks(low_reward),
        ]
        return np.min(falls, axis=0)

    return results.of_tasks(scores[0].values).evidence(smaller, *scores)


# Ablation ------------------------------------------------------------------------------------


@claim(
    "Without the SFT term the return collapses within 10 000 iterations",
    "§5.5, Fig. 6",
    Rule("at most", 10_000.0, reading="median of the first iterations below 88 % of the start"),
    "10 000 iterations",
)
def dpo_collapses_early(results: Results) -> Evidence:
    """The first evaluated iteration whose normalised return is below 88 % of iteration 0's."""
    curves = table_of(results, "ablation", "rollouts of DPO's policies during training")
    curves = curves[curves["method"] == "dpo"]
    if curves.empty:
        raise NotMeasured("needs rollouts of DPO's policies during training")
    rows = []
    for (task, run), own in curves.sort_values("iteration").groupby(["task", "run"]):
        start = own[REWARD].iloc[0]
        below = own.loc[own[REWARD] < COLLAPSED * start, "iteration"]
        first = float(below.iloc[0]) if len(below) else np.inf
        rows.append({"task": task, "run": run, "first": first})
    last = curves["iteration"].max()
    table = pd.DataFrame(rows)
    if last < 10_000 and np.isinf(table["first"]).any():
        raise NotMeasured(f"needs 10 000 iterations; without a collapse in the first {last}")
    scores = by_task(table, "first")

    def median(own: Scores) -> np.ndarray:
        return np.max([np.median(task, axis=-1) for task in own], axis=0)

    return results.of_tasks(scores.values).evidence(median, scores)


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
    return results.of_tasks(["tasks"]).evidence(mean_of_tasks, scores).named(names)


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
    return results.of_tasks(scores.values).evidence(mean_of_tasks, scores)


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
    Rule("at most", 0.0, reading="gap of the early third minus that of the late one"),
)
def gap_widens_on_nonpreferred(results: Results) -> Evidence:
    return _narrowing(results, "nonpreferred")
