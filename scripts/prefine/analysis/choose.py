"""Which of several fine-tuned policies is handed back, by episodes that are not reported."""

from dataclasses import dataclass

import numpy as np
import pandas as pd

from prefine.errors import UserError

NUMBERS = ("beta", "lam")


@dataclass(frozen=True)
class Choice:
    """A variant (``job``, threshold, numbers), the run of it that is handed back, and why."""

    job: str
    tau: float | None  # none where labels say what is preferred
    numbers: dict
    run: str
    runs: tuple[str, ...]  # of the same variant, the chosen one too
    why: str


def summarize(episodes: pd.DataFrame, plans: pd.DataFrame) -> pd.DataFrame:
    """One row a run: job, run, tau, beta, lam, seed, and its mean return and cost."""
    means = episodes.groupby("run")[["return", "cost"]].mean().reset_index()
    return plans[["job", "run", "tau", "seed", *NUMBERS]].merge(
        means, on="run", validate="one_to_one"
    )


def choose(runs: pd.DataFrame, cost_before: float, cost_share: float, usual: dict) -> Choice:
    """Choose the variant of best mean return among those that cost little enough, then a run.

    Args:
        runs: what ``summarize`` returns.
        cost_before: of the policy before, on the same episodes.
        cost_share: of it that is allowed; where nothing is so cheap, the cheapest is chosen.
        usual: the config's numbers, which are kept where the environment tells no costs.
    """
    variant = runs.groupby(["job", "tau", *NUMBERS], dropna=False, sort=False).ngroup()
    variants = runs[["job", "tau", *NUMBERS]].groupby(variant).first()
    variants = variants.join(runs[["return", "cost"]].groupby(variant).mean())
    limit = cost_share * cost_before
    if variants["cost"].isna().any() or np.isnan(cost_before):
        same = np.isclose(variants[list(NUMBERS)], [usual[name] for name in NUMBERS]).all(axis=1)
        best = variants[same].iloc[0]
        why = "the environment tells no costs, so the config's own beta and lambda were kept"
    else:
        best, within = best_row(variants, limit)
        many = f"{len(variants)} variant{'s' if len(variants) > 1 else ''}"
        why = f"of {many}, the best mean return among those that cost at most {limit:.1f}"
        if not within:
            why = f"none of {many} costs at most {limit:.1f}; this one costs least"
        why += f" ({cost_share:.0%} of the policy's own {cost_before:.1f})"
    own = runs[variant == best.name]
    run = own.iloc[0] if own["cost"].isna().any() else best_row(own, limit)[0]
    numbers = {name: float(best[name]) for name in NUMBERS}
    tau = None if np.isnan(best["tau"]) else float(best["tau"])
    return Choice(best["job"], tau, numbers, run["run"], tuple(own["run"]), why)


def counterpart(run: str, runs: pd.DataFrame, others: pd.DataFrame) -> str:
    """The run among ``others`` that has the sets and the seed of ``run``."""
    same = ["tau", "draw", "seed"]
    own = runs.loc[runs["run"] == run, same].drop_duplicates()
    return own.merge(others, on=same, validate="one_to_one")["run"].item()


def best_row(rows: pd.DataFrame, limit: float) -> tuple[pd.Series, bool]:
    """The row of best return among those that cost at most ``limit``, and True.

    Where there is none, the row of least cost, and False.
    """
    within = rows[rows["cost"] <= limit]
    if len(within):
        return within.loc[within["return"].idxmax()], True
    return rows.loc[rows["cost"].idxmin()], False


def best_run(validation: pd.DataFrame, tau: float) -> tuple[str, str]:
    """The run whose policy is handed on, by its validation episodes, and why.

    Args:
        validation: one row a run and episode; those of other thresholds do not count.

    Raises:
        UserError: there is none at this threshold.
    """
    own = validation[validation["tau"] == tau]
    if own.empty:
        raise UserError(f"no validation episode at the threshold {tau:g}")
    runs = own.groupby("run", sort=False)[["return", "cost"]].mean().reset_index()
    row, within = best_row(runs, tau)
    each = own.groupby("run").size().min()
    rule = f"the best mean return among those that cost at most {tau:g}"
    rule = rule if within else f"none of them cost at most {tau:g}; this one costs least"
    return row["run"], (
        f"One of {len(runs)} runs, chosen by {each} validation episodes of each, with other starts "
        f"than the episodes above: {rule}."
    )
