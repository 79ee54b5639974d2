"""The page that goes with an exported policy: what it does, what it was made of, its limits."""

import json
from collections.abc import Mapping

import numpy as np
import pandas as pd

from prefine.analysis.metrics import is_safe, normalized_cost
from prefine.analysis.paired import difference, difference_apart, share
from prefine.analysis.statistics import LEVEL, Estimate, interval
from prefine.files import template
from prefine.methods import REFERENCE
from prefine.numbers import count, four_digits, percentage

CARD = template(__file__, ".md")
ORIGINS = {REFERENCE: "cloned from the trajectories of best return, to be made safe: π_ref"}
ONNX = """ `policy.onnx` (input `observation`, float32 (n, n_obs); output `action`)
does the same without this package: deterministic, standardisation and action bounds included."""
FEWEST = 10  # episodes; with fewer nothing is said to be shown
MOST_SHARE = 100.0  # of what was before; of next to nothing any share is large


def estimate(values: np.ndarray) -> Estimate:
    """Mean over episodes with its interval."""
    return interval([values])


def text_of(value: Estimate) -> str:
    """A number with its interval, short."""
    if np.isnan(value.value):
        return "not known"
    interval = (
        "" if np.isnan(value.low) else f" [{four_digits(value.low)}, {four_digits(value.high)}]"
    )
    return four_digits(value.value) + interval


def verdict(cost: Estimate, tau: float, episodes: int) -> str:
    """Say whether the mean episode cost is at most ``tau``, and how sure that is."""
    if np.isnan(tau) or np.isnan(cost.value):
        why = "labels said what is preferred" if np.isnan(tau) else "its cost is not known"
        return f"There is no cost limit to hold it against ({why}): this page cannot call it safe."
    safe = bool(is_safe(normalized_cost(cost.value, tau)))
    sides = bool(is_safe(normalized_cost(cost.low, tau))), is_safe(normalized_cost(cost.high, tau))
    said = f"mean episode cost {text_of(cost)}, limit {tau:g}"
    if episodes < FEWEST or np.isnan(cost.low) or sides[0] != sides[1]:
        hint = "the interval reaches over the limit"
        are = "is" if episodes == 1 else "are"
        hint = f"{count(episodes, 'episode')} {are} too few to tell" if episodes < FEWEST else hint
        hint += "; play more episodes before you rely on it"
        return f"**{'Safe' if safe else 'Not safe'}, but not for certain**: {said}; {hint}."
    return f"**{'Safe' if safe else 'Not safe'}**: {said}."


def known_number(value: object) -> bool:
    """Whether there is a number to show."""
    return value is not None and not pd.isna(value)


def effect(before: pd.DataFrame | None, after: pd.DataFrame, name: str) -> str:
    """Say how the policy differs from the one that it was made from, if that was shown.

    Episodes are paired where both tables number them alike.

    Args:
        name: of the score, ``cost`` or ``return``.
    """
    if before is None:
        return f"Its {name} was not compared with that of the policy that it was made from."
    both = [episodes.set_index("episode", drop=False) if "episode" in episodes else episodes
            for episodes in (before, after)]  # fmt: skip
    one, other = (episodes[name].astype(float) for episodes in both)
    if one.isna().any() or other.isna().any():
        none = one.isna().all() or other.isna().all()
        what = f"No {name}s are known" if none else f"Not all {name}s are known"
        return f"{what}: whether it has less {name} than the policy before is not known."
    alike = "episode" in before and "episode" in after and set(one.index) == set(other.index)
    alike = alike and one.index.is_unique and other.index.is_unique
    if alike:
        one, other = one.to_numpy(), other[one.index].to_numpy()
        where, gap, left = (
            f"the same {count(len(one), 'episode')}",
            difference(one, other),
            share(one, other),
        )
    else:
        one, other = one.to_numpy(), other.to_numpy()
        where = f"{len(one)} and {count(len(other), 'episode')}"
        gap, left = difference_apart(one, other), Estimate(np.nan)
    new, old = four_digits(other.mean()), four_digits(one.mean())
    means = f"mean {name} {new} after, {old} before, over {where}"
    if min(len(one), len(other)) < FEWEST:
        return f"No difference of {name} was shown: so few episodes cannot ({means})."
    if not (gap.low > 0 or gap.high < 0):
        return f"No difference of {name} was shown ({means})."
    way = "less" if gap.value < 0 else "more"
    if left.value <= MOST_SHARE:
        own, *ends = (100 * abs(1 - value) for value in (left.value, left.low, left.high))
        amount, text = f"{percentage(own)} % {way} {name}", percentage
    else:
        own, *ends = (abs(value) for value in (gap.value, gap.low, gap.high))
        amount, text = f"{four_digits(own)} {way} {name} an episode", four_digits
    amount += f" [{text(min(ends))}, {text(max(ends))}]"
    return f"It has {amount} than the policy that it was made from ({means})."


def model_card(
    trained: Mapping,
    after: pd.DataFrame,
    before: pd.DataFrame | None = None,
    trained_on: Mapping[str, object] | None = None,
    remarks: str = "",
    film: str = "",
    zoo: str = "",
) -> str:
    """Write the page, in Markdown.

    Args:
        trained: metadata of a policy file with one run (`policy_file.load_run`).
        after, before: episodes of the policy and of the one that it was made from: columns
            ``return`` and ``cost``, one row an episode.
        trained_on: what went in, name -> value, such as numbers of labelled trajectories.
        remarks: a paragraph of one's own among the limits.
        film: a picture that moves, by its name beside the page.
        zoo: the policy's name there; it is then without ONNX.
    """
    (run,), task, method = trained["runs"], trained["task"], trained["method"]
    tau = float("nan") if run.get("tau") is None else float(run["tau"])
    rows, costs = [], {}
    for label, episodes in (("before", before), ("after", after)):
        if episodes is None:
            continue
        values = {name: episodes[name].to_numpy(dtype=float) for name in ("return", "cost")}
        found = {name: estimate(own) for name, own in values.items()}
        costs[label] = found["cost"]
        known = not np.isnan(values["cost"].sum() + tau)
        above = [f"{(values['cost'] > tau).mean():.0%}" if known else "not known"]
        above = [] if np.isnan(tau) else above
        numbers = [text_of(found["return"]), text_of(found["cost"]), *above, str(len(episodes))]
        rows.append(f"| {label} | {' | '.join(numbers)} |")
    facts = {
        "task": f"{task['name']} (`{task['env_id']}`)",
        "method": method,
        "run": run["run"],
        **{key: run[key] for key in ("tau", "beta", "lam", "seed") if known_number(run.get(key))},
        **(trained_on or {}),
        "sha256 of the data": trained.get("data_sha256", "not known"),
        "policy class": trained["policy"],
        "hidden layers": trained["hidden"],
    }
    versions = ", ".join(f"{name} {v}" for name, v in trained.get("versions", {}).items())
    changes = " ".join(effect(before, after, name) for name in ("cost", "return"))
    heading = ["return", "cost", *([] if np.isnan(tau) else [f"episodes above {tau:g}"])]
    heading.append("episodes")
    return CARD.substitute(
        run=run["run"],
        task=task["name"],
        method=method,
        origin=ORIGINS.get(method, f"fine-tuned from preferences with {method.upper()}"),
        changes="" if method in ORIGINS else changes,
        name=zoo or "policy.safetensors",
        where="" if zoo else "  # or the folder",
        onnx="" if zoo else ONNX,
        verdict=verdict(costs["after"], tau, len(after)),
        heading=" | ".join(heading),
        rule="---|" * len(heading),
        rows="\n".join(rows),
        level=f"{LEVEL:.0%}",
        facts="\n".join(f"| {name} | {value} |" for name, value in facts.items()),
        film=f"\n![The same episode before and after]({film})\n" if film else "",
        remarks=f"* {remarks}" if remarks else "",
        versions=versions or "versions were not noted",
        settings=json.dumps(trained.get("settings", {}), indent=1, sort_keys=True),
    )
