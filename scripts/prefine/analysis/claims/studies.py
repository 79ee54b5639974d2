"""Claims that need other tables than the main study's: its parts are in ``claims``.

``results.tables`` holds what there is of them: ``sizes`` and ``sweep`` (studies, one row a run),
``ablation`` (learning curves), ``cost_gap`` (Figure 2), ``overlap`` (Figure 13), ``timing``
(Figure 4).
"""

import numpy as np
import pandas as pd

from prefine.analysis.claims.evidence import Evidence, NotMeasured, Results
from prefine.analysis.claims.main import CLAIMS, REWARD, claim, spread
from prefine.analysis.claims.verdict import Rule
from prefine.analysis.hours import totals
from prefine.analysis.names import method_label
from prefine.analysis.scores import TaskScores
from prefine.analysis.statistics import Scores, mean_of_tasks
from prefine.methods import REFERENCE

__all__ = ["CLAIMS"]
COLLAPSED = 0.88  # of the return (§5.5, which does not say of which)
SOON = 10_000  # iterations (§5.5)
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
    Rule(
        "at least",
        0.5,
        True,
        reading="share of the runs whose return is below 88 % of PREFINE's by then",
    ),
    "10 000 iterations",
)
def dpo_collapses_early(results: Results) -> Evidence:
    """Share of runs with an evaluation by then whose normalised return is below 88 % of PREFINE's.

    Of PREFINE's and not of π_ref's: what is safe returns less, with the SFT term too.
    """
    needs = "rollouts of DPO's and PREFINE's policies during training"
    curves = table_of(results, "ablation", needs)
    place = ["task", "tau", "draw", "seed", "iteration"]
    prefine = curves.loc[curves["method"] == "prefine", [*place, REWARD]]
    both = curves[curves["method"] == "dpo"].merge(prefine, on=place, suffixes=("", "_prefine"))
    if both.empty:
        raise NotMeasured(f"needs {needs}")
    last, early = both["iteration"].max(), both[both["iteration"] <= SOON]
    below = early[REWARD] < COLLAPSED * early[f"{REWARD}_prefine"]
    table = early.assign(collapsed=below).groupby(["task", "run"], as_index=False)["collapsed"]
    table = table.max().astype({"collapsed": float})
    if last < SOON and not table["collapsed"].all():
        raise NotMeasured(f"needs 10 000 iterations; not all collapse in the first {last}")
    scores = by_task(table, "collapsed")
    return results.of_tasks(scores.values).evidence(mean_of_tasks, scores)


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
