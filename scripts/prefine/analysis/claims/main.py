"""The paper's claims, each with where it is said, its number and how it is measured here.

A claim is a function from the results to its evidence; `verdicts` says what follows. Those that
need other tables than the main study's are in `study_claims`. "§" is a section of the paper.
"""

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from prefine.analysis.claims.evidence import Evidence, Results
from prefine.analysis.claims.shares import best_safe, highest, lead, spread
from prefine.analysis.claims.verdict import Claim, Rule
from prefine.analysis.names import method_label
from prefine.analysis.statistics import (
    Estimate,
    Scores,
    improvement_interval,
    iqm_interval,
    solved_interval,
)
from prefine.tasks import BULLET_GYM, SAFETY_GYM

BASELINES = ("bc", "ppl", "safedice", "cpq")
REWARD, COST = "normalized_return", "normalized_cost"
COLLAPSED = 0.88  # of the return (§5.5, which does not say of which)
IQM = "IQM over tasks and runs"
HALF = Rule("above", 0.5, percent=True, reading="better in more than half of all pairs of runs")


CLAIMS: list[Claim] = []


def claim(says: str, where: str, rule: Rule, paper: str = "", of: str = "") -> Callable:
    """Register the function below as the measurement of a claim."""

    def register(measure: Callable[[Results], Evidence]) -> Callable[[Results], Evidence]:
        CLAIMS.append(Claim(measure.__name__, says, where, paper, rule, measure, of))
        return measure

    return register


def reduction_interval(scores: Scores) -> Estimate:
    """An IQM with its interval; more than all cannot be gone."""
    own = iqm_interval(scores)
    return replace(own, high=np.minimum(own.high, 1.0))


# Q1, effectiveness ---------------------------------------------------------------------------


@claim(
    "PREFINE reduces the cost of π_ref by over 60 %",
    "abstract, §1, §6",
    Rule("at least", 0.6, percent=True, reading=IQM),
    "over 60 %",
)
def cost_reduction(results: Results) -> Evidence:
    """1 - C / C(π_ref) of each run, IQM over tasks and runs."""
    return results.evidence(reduction_interval, results.scores("prefine", "cost_reduction"))


@claim(
    "PREFINE reduces constraint violations by over 60 %",
    "abstract, §1, §6",
    Rule("at least", 0.6, percent=True, reading=f"of the share of episodes with C > τ, {IQM}"),
    "over 60 %; 60-92 % in §1",
)
def violation_reduction(results: Results) -> Evidence:
    """1 - P(C > τ) / P(C(π_ref) > τ) of each run, IQM over tasks and runs."""
    return results.evidence(reduction_interval, results.scores("prefine", "violation_reduction"))


@claim(
    "PREFINE reduces catastrophic failures by over 60 %",
    "abstract, §1",
    Rule("at least", 0.6, percent=True, reading=f"of the share of episodes with C > 2τ, {IQM}"),
    "over 60 %; 60-92 % in §1",
)
def severe_reduction(results: Results) -> Evidence:
    """1 - P(C > 2τ) / P(C(π_ref) > 2τ) of each run; the paper does not define the failure."""
    return results.evidence(reduction_interval, results.scores("prefine", "severe_reduction"))


@claim(
    "PREFINE keeps the reward of π_ref",
    "abstract, Eq. 4, §5.2",
    Rule("at least", 0.9, percent=True, reading=f"our reading of 'minimal loss', {IQM}"),
    "no number in the text",
)
def reward_kept(results: Results) -> Evidence:
    """Normalised return over π_ref's, IQM over tasks and runs."""
    return results.evidence(iqm_interval, results.scores("prefine", "reward_kept"))


@claim(
    "PREFINE is safe on every task of Safety Gym",
    "§5.2, Fig. 8",
    Rule("at least", 1.0, percent=True, every_task=True),
    "100 %",
)
def safe_safety_gym(results: Results) -> Evidence:
    results = results.on(SAFETY_GYM)
    return results.evidence(solved_interval, results.scores("prefine", COST))


@claim(
    "PREFINE is safe on all tasks of Bullet Gym but one",
    "§5.2, Fig. 8",
    Rule("at least", 0.8, percent=True, every_task=True),
    "80 %",
)
def safe_bullet_gym(results: Results) -> Evidence:
    results = results.on(BULLET_GYM)
    return results.evidence(solved_interval, results.scores("prefine", COST))


@claim(
    "No baseline is safe on more tasks than PREFINE",
    "§5.2, B.1",
    Rule("at least", 0.0, percent=True),
    "PREFINE 100 % and 80 %, CPQ 71 % and 100 % of the suites",
)
def safe_on_most_tasks(results: Results) -> Evidence:
    """PREFINE's fraction of safe tasks minus the best baseline's."""
    return results.evidence(lead, *(results.scores(m, COST) for m in ("prefine", *BASELINES)))


def _reward_is_highest(results: Results, tolerance: float) -> Evidence:
    """Share of tasks where PREFINE's mean reward is at least every baseline's, less a tolerance."""
    scores = [results.scores(m, REWARD) for m in ("prefine", *BASELINES)]
    return results.by_task(lambda tasks: highest(scores, tasks, tolerance), *scores)


@claim(
    "PREFINE has the highest reward on every task of Safety Gym except PointGoal",
    "§5.2",
    Rule("at least", 1.0, percent=True, every_task=True),
)
def highest_reward_safety_gym(results: Results) -> Evidence:
    return _reward_is_highest(results.on(SAFETY_GYM, without=("PointGoal1",)), 0.0)


@claim(
    "PREFINE matches or exceeds the baselines' reward on Bullet Gym except BallRun and CarCircle",
    "§5.2",
    Rule("at least", 1.0, percent=True, every_task=True, reading="a match is within 0.05"),
)
def highest_reward_bullet_gym(results: Results) -> Evidence:
    return _reward_is_highest(results.on(BULLET_GYM, without=("BallRun", "CarCircle")), 0.05)


@claim(
    "PREFINE attains the best trade-off of reward and cost",
    "§5.2, Table 1",
    Rule("at least", 0.5, percent=True, reading="best safe method on at least half of the tasks"),
    "'consistently'",
)
def best_trade_off(results: Results) -> Evidence:
    """Share of tasks where PREFINE is safe and no safe baseline has more reward."""
    methods = ("prefine", *BASELINES)
    rewards, costs = ([results.scores(m, score) for m in methods] for score in (REWARD, COST))
    return results.by_task(lambda tasks: best_safe(rewards, costs, tasks), *rewards, *costs)


def _improves(results: Results, score: str, method: str, other: str) -> Evidence:
    """P(a run of ``method`` has the better score than one of ``other``), averaged over tasks."""
    better, worse = (other, method) if score == COST else (method, other)  # lower cost is better
    return results.evidence(
        improvement_interval, results.scores(better, score), results.scores(worse, score)
    )


@claim("PREFINE has lower cost than BC, which often violates", "§5.2, Fig. 3", HALF)
def lower_cost_than_bc(results: Results) -> Evidence:
    return _improves(results, COST, "prefine", "bc")


@claim("PREFINE has lower cost than PPL, which often violates", "§5.2, Fig. 3", HALF)
def lower_cost_than_ppl(results: Results) -> Evidence:
    return _improves(results, COST, "prefine", "ppl")


@claim("PREFINE has more reward than SafeDICE", "§5.2, Fig. 3", HALF)
def more_reward_than_safedice(results: Results) -> Evidence:
    return _improves(results, REWARD, "prefine", "safedice")


@claim("PREFINE has more reward than CPQ, which is safe but gives up reward", "§5.2, Fig. 3", HALF)
def more_reward_than_cpq(results: Results) -> Evidence:
    return _improves(results, REWARD, "prefine", "cpq")


# Q3, robustness and sensitivity --------------------------------------------------------------


@claim(
    "PREFINE's reward is robust to the threshold τ",
    "§5.4, Fig. 7",
    Rule("at most", 0.1, reading="our reading: normalised reward moves by at most 0.1"),
    "no number; τ = 30, 40, 50",
)
def reward_robust_to_tau(results: Results) -> Evidence:
    scores = results.by_threshold("prefine", REWARD)
    return results.by_task(lambda tasks: spread(scores, tasks), *scores)


@claim(
    "PREFINE's safety is robust to the threshold τ",
    "§5.4, Fig. 7",
    Rule("at most", 0.2, reading="our reading: normalised cost moves by at most 0.2"),
    "no number; τ = 30, 40, 50",
)
def safety_robust_to_tau(results: Results) -> Evidence:
    scores = results.by_threshold("prefine", COST)
    return results.by_task(lambda tasks: spread(scores, tasks), *scores)


@claim(
    "PREFINE's cost slightly increases as τ is relaxed",
    "§5.4, Fig. 7",
    Rule("above", 0.0, reading="normalised cost at the largest τ minus at the smallest"),
)
def cost_rises_with_tau(results: Results) -> Evidence:
    """Paired by seed."""
    scores = results.by_threshold("prefine", COST)
    return results.difference(scores[-1], scores[0])


# Ablation ------------------------------------------------------------------------------------


@claim("The SFT term is essential: without it (DPO) there is less reward", "§5.5, Fig. 6", HALF)
def more_reward_than_dpo(results: Results) -> Evidence:
    return _improves(results, REWARD, "prefine", "dpo")


@claim(
    "Without the SFT term the return collapses below 88 %",
    "§5.5, Figs. 6, 10",
    Rule(
        *("at most", COLLAPSED - 1),
        percent=True,
        reading="DPO's return minus PREFINE's at the end, in shares of π_ref's",
    ),
    "below 88 %, of what is not said",
)
def dpo_collapses(results: Results) -> Evidence:
    """A difference and not a ratio, which a negative return would turn round; paired by seed."""
    return results.difference(
        results.scores("dpo", "reward_kept"), results.scores("prefine", "reward_kept")
    )


@claim("DPO alone has lower cost than PREFINE", "§5.5, Figs. 6, 10", HALF)
def dpo_has_lower_cost(results: Results) -> Evidence:
    return _improves(results, COST, "dpo", "prefine")


# Ours: PREFINE against bc_from_reference, which is PREFINE with β = 0 (methods 4.3). ----------


@claim("The preference term lowers the cost, against BC from π_ref", "ours", HALF, "not measured")
def preference_term_lowers_cost(results: Results) -> Evidence:
    return _improves(results.everywhere(), COST, "prefine", "bc_from_reference")


@claim("The preference term adds reward, against BC from π_ref", "ours", HALF, "not measured")
def preference_term_adds_reward(results: Results) -> Evidence:
    return _improves(results.everywhere(), REWARD, "prefine", "bc_from_reference")


def _difference(results: Results, score: str, more: str, less: str) -> Evidence:
    """Mean over tasks of ``more``'s mean score minus ``less``'s."""
    results = results.everywhere()
    return results.difference(results.scores(more, score), results.scores(less, score))


@claim(
    "... by how much it lowers the cost",
    "ours",
    Rule("above", 0.0, reading="normalised cost of BC from π_ref minus PREFINE's"),
    "not measured",
)
def preference_term_cost(results: Results) -> Evidence:
    return _difference(results, COST, "bc_from_reference", "prefine")


@claim(
    "... by how much it adds reward",
    "ours",
    Rule("above", 0.0, reading="normalised reward of PREFINE minus that of BC from π_ref"),
    "not measured",
)
def preference_term_reward(results: Results) -> Evidence:
    return _difference(results, REWARD, "prefine", "bc_from_reference")


# Ours: PREFINE against methods that are newer than its paper's baselines, one of them ours. ------

RIVALS = ("cpl", "trac", "safemil", "endorse")


def _against(rival: str) -> None:
    """Register two claims, of the cost and of the reward; without runs of the rival neither."""
    name = method_label(rival)
    for score, says, key in (
        (COST, "lower cost", "lower_cost"),
        (REWARD, "more reward", "more_reward"),
    ):

        def measure(results: Results, score: str = score) -> Evidence:
            return _improves(results.everywhere(), score, "prefine", rival)

        measure.__name__ = f"{key}_than_{rival}"
        told = claim(f"PREFINE has {says} than {name}", "ours", HALF, "not measured", of=rival)
        told(measure)


for own in RIVALS:
    _against(own)
