"""Which run and which episode a film shows, by a rule that looks at neither of them."""

from dataclasses import dataclass

import pandas as pd

from prefine.errors import UserError

NUMBERS = ["return", "cost", "length"]


@dataclass(frozen=True)
class Choice:
    """What is shown: a run, an episode, what the evaluation recorded of both policies in it.

    ``before`` and ``after`` hold ``return``, ``cost`` and ``length``; ``why`` is the rule.
    """

    run: str
    episode: int
    why: str
    before: dict[str, float]
    after: dict[str, float]


def of_study(before: pd.DataFrame, after: pd.DataFrame, tau: float | None) -> Choice:
    """Choose among the runs of a study.

    Args:
        before: episodes of pi_ref; ``episode`` and ``NUMBERS``.
        after: episodes of all runs of a method, ``run`` and ``tau`` besides.
        tau: the threshold whose runs are meant; None where labels made the sets.

    Raises:
        UserError: there is no run of that threshold.
    """
    wanted = after if tau is None else after[after["tau"] == tau]
    if wanted.empty:
        raise UserError(f"episodes: no run has the threshold {tau}")
    by = _score(wanted)
    run = median_run(wanted, by)
    limit = "" if tau is None else f" at the threshold {tau:g}"
    count = wanted["run"].nunique()
    why = f"of {count} runs{limit} the one with the median mean {by}; " if count > 1 else ""
    return _of(before, wanted[wanted["run"] == run], run, why)


def of_pair(episodes: pd.DataFrame) -> Choice:
    """Choose an episode of a policy of one's own and of the one that was chosen for it.

    Args:
        episodes: ``who`` is ``before`` or ``after``, ``run``, ``episode`` and ``NUMBERS``.
    """
    before, after = (episodes[episodes["who"] == who] for who in ("before", "after"))
    return _of(before, after, after["run"].iloc[0], "the policy that was chosen; ")


def median_run(episodes: pd.DataFrame, by: str) -> str:
    """The run whose mean score is the median: the lower of two, equal ones by return and name."""
    means = episodes.groupby("run")[["return", "cost"]].mean().reset_index()
    means = means.sort_values([by, "return", "run"], ignore_index=True)
    return means["run"].iloc[_lower_median(len(means))]


def median_episode(before: pd.DataFrame, after: pd.DataFrame, by: str) -> int:
    """The episode in which the policies differ by the median, equal ones by return and number."""
    both = before.merge(after, on="episode", suffixes=("_before", "_after"), validate="1:1")
    for name in ("return", "cost"):
        both[name] = both[f"{name}_after"] - both[f"{name}_before"]
    both = both.sort_values([by, "return", "episode"], ignore_index=True)
    return int(both["episode"].iloc[_lower_median(len(both))])


def _of(before: pd.DataFrame, after: pd.DataFrame, run: str, why: str) -> Choice:
    by = _score(pd.concat([before, after]))
    episode = median_episode(before, after, by)
    recorded = (
        table.loc[table["episode"] == episode, NUMBERS].iloc[0].astype(float).to_dict()
        for table in (before, after)
    )
    count = after["episode"].nunique()
    why += f"of {count} evaluated episodes the one in which the two differ by the median {by}"
    return Choice(run, episode, why, *recorded)


def _score(episodes: pd.DataFrame) -> str:
    """Cost, or return where the environment tells no costs."""
    return "return" if episodes["cost"].isna().any() else "cost"


def _lower_median(count: int) -> int:
    return (count - 1) // 2
