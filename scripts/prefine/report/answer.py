"""What a run found, in a few words: which methods are safe, what return is left, how sure it is."""

from collections.abc import Mapping

import numpy as np
import pandas as pd

from prefine.analysis.names import method_label, method_order
from prefine.analysis.statistics import LEAST_RUNS
from prefine.methods import REFERENCE
from prefine.numbers import count, four_digits
from prefine.report.model_card import FEWEST

MOST_KEPT = 10.0  # times π_ref's reward; of one near zero any share is large, and says nothing
PUBLISHED = 500_000  # iterations of fine-tuning in the paper


def of_methods(table: pd.DataFrame, iterations: Mapping[str, float]) -> list[dict]:
    """One row a method over the tasks that it has runs and costs of, the reference first.

    Args:
        table: Table 1 (`analysis.tables.table1`).
        iterations: method -> of its longest training.

    Returns:
        tasks: with a cost; safe: of these; sure, unsafe: whose whole 95 % interval of the cost
        is below or above the limit; reward, cost: means over tasks, normalised; kept: the share
        of π_ref's mean reward on the same tasks, NaN where that is not above zero or the own is
        below; seeds.
    """
    known = table[table["cost"].notna()]
    before = known[known["method"] == REFERENCE].set_index("task")["reward"]
    rows = []
    for method in method_order(known["method"]):
        own = known[known["method"] == method].set_index("task")
        both = before.index.intersection(own.index)
        base, left = before[both].mean(), own["reward"][both].mean()
        rows.append(
            {
                "method": method,
                "label": method_label(method),
                "tasks": len(own),
                "safe": int(own["safe"].sum()),
                "sure": int((own["cost_high"] <= 1).sum()),
                "unsafe": int((own["cost_low"] > 1).sum()),
                "reward": own["reward"].mean(),
                "cost": own["cost"].mean(),
                "kept": left / base if base > 0 and left >= 0 else np.nan,
                "best": int(own["best_safe"].sum()),
                "seeds": int(own["seeds"].min()),
                "episodes": int(own["episodes"].min()),
                "iterations": iterations.get(method, np.nan),
            }
        )
    return rows


def headline(rows: list[dict]) -> str:
    """The answer in one sentence, of PREFINE where it was trained."""
    if not rows:
        return "No policy has a cost limit to be held against: nothing can be called safe here."
    own = next((row for row in rows if row["method"] == "prefine"), rows[-1])
    text = f"{own['label']} is safe on {own['safe']} of {count(own['tasks'], 'task')}"
    before = next((row for row in rows if row["method"] == REFERENCE), None)
    if before is None or own is before:
        return f"{text}."
    if own["kept"] <= MOST_KEPT:
        text += f" and keeps {100 * own['kept']:.0f} % of π_ref’s reward"
    elif pd.notna(own["reward"]) and pd.notna(before["reward"]):
        text += f" with a normalised reward of {four_digits(own['reward'])}"
        text += f" (π_ref: {four_digits(before['reward'])})"
    if own["seeds"] < LEAST_RUNS:
        text = f"By {count(own['seeds'], 'seed')} alone, which shows nothing for certain, {text}"
    return f"{text}; π_ref itself is safe on {before['safe']} of {before['tasks']}."


def certainty(rows: list[dict]) -> str:
    """How sure the headline is."""
    if not rows:
        return "There are no costs to judge by."
    own = next((row for row in rows if row["method"] == "prefine"), rows[-1])
    size = f"{count(own['seeds'], 'seed')}, {count(own['episodes'], 'episode')} a run"
    if own["seeds"] < LEAST_RUNS:
        return f"Not sure at all: {size}. Fewer than {LEAST_RUNS} seeds give no interval."
    left = own["tasks"] - own["sure"] - own["unsafe"]
    parts = [
        f"surely safe on {own['sure']}",
        f"surely unsafe on {own['unsafe']}",
        f"open on {left}",
    ]
    return f"{own['label']} is {', '.join(parts)} by the 95 % interval of its cost ({size})."


def length(rows: list[dict]) -> str:
    """How long was trained, against the paper."""
    found = [row["iterations"] for row in rows if row["method"] != REFERENCE]
    found = sorted({int(n) for n in found if pd.notna(n)})
    if not found:
        return ""
    text = f"{found[0]:,}" if len(found) == 1 else f"{found[0]:,} to {found[-1]:,}"
    text += " iteration" if found == [1] else " iterations"
    return f"Trained for {text}; the paper trains for {PUBLISHED:,}."


def of_own_policies(table: pd.DataFrame) -> tuple[str, list[str], str]:
    """What fine-tuning did to the user's own policies: in a sentence, task by task, how sure.

    Args:
        table: before and after (scripts/own_policy/before_after.py), a row a task, policy, score.
    """
    tasks, fewer, known, told = table.groupby("task", sort=False), 0, 0, []
    for task, own in tasks:
        mine = "original" if "original" in set(own["who"]) else "before"
        rows, words = own.set_index(["who", "score"]), []
        for score in ("cost", "return"):
            before, after = rows.loc[(mine, score)], rows.loc[("after", score)]
            if pd.isna(before["mean"]) or pd.isna(after["mean"]):
                words.append(f"{score} not known")
                continue
            known += score == "cost"
            low, high = after["difference_low"], after["difference_high"]
            fewer += score == "cost" and high < 0
            doubt = "" if low > 0 or high < 0 else ", no difference shown"
            means = " → ".join(four_digits(own["mean"]) for own in (before, after))
            words.append(f"{score} {means}{doubt}")
        told.append(f"{task}: {'; '.join(words)}")
    episodes = table["episodes"].min()
    sure = f"95 % intervals over {count(episodes, 'episode')} of these very policies; other seeds "
    sure += "differ more."
    headline = f"PREFINE made your policy cost less on {fewer} of {count(known, 'task')}"
    headline += "." if known == len(tasks) else " whose costs are known."
    if not known:
        headline = "No costs are known: whether PREFINE made your policy cost less is open."
    if episodes < FEWEST:
        sure = f"Not sure at all: with {count(episodes, 'episode')} nothing can be shown."
        headline = "Too few episodes to tell whether PREFINE made your policy cost less."
    return headline, told, sure
