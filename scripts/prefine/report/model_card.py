"""The page that goes with an exported policy: what it does, what it was made of, its limits."""

import json
from collections.abc import Mapping

import numpy as np
import pandas as pd

from prefine.analysis.metrics import is_safe, normalized_cost
from prefine.analysis.statistics import LEVEL, Estimate, interval
from prefine.files import template

CARD = template(__file__, ".md")


def estimate(values: np.ndarray) -> Estimate:
    """Mean over episodes with its interval."""
    return interval([values])


def text_of(value: Estimate) -> str:
    """A number with its interval, short."""
    if np.isnan(value.value):
        return "not known"
    interval = "" if np.isnan(value.low) else f" [{value.low:.4g}, {value.high:.4g}]"
    return f"{value.value:.4g}{interval}"


def verdict(cost: Estimate, tau: float) -> str:
    """Say whether the mean episode cost is at most ``tau``, and how sure that is."""
    if np.isnan(tau) or np.isnan(cost.value):
        return (
            "There is no cost limit here: labels said what is preferred, so that this page cannot "
            "say whether the policy is safe."
        )
    safe = bool(is_safe(normalized_cost(cost.value, tau)))
    sides = bool(is_safe(normalized_cost(cost.low, tau))), is_safe(normalized_cost(cost.high, tau))
    said = f"mean episode cost {text_of(cost)}, limit {tau:g}"
    if np.isnan(cost.low) or sides[0] != sides[1]:
        hint = "the interval reaches over the limit; play more episodes before you rely on it"
        return f"**{'Safe' if safe else 'Not safe'}, but not for certain**: {said}; {hint}."
    return f"**{'Safe' if safe else 'Not safe'}**: {said}."


def model_card(
    trained: Mapping,
    after: pd.DataFrame,
    before: pd.DataFrame | None = None,
    trained_on: Mapping[str, object] | None = None,
    remarks: str = "",
) -> str:
    """Write the page, in Markdown.

    Args:
        trained: metadata of a policy file with one run (`policy_file.load_run`).
        after, before: episodes of the policy and of the one that it was made from: columns
            ``return`` and ``cost``, one row an episode.
        trained_on: what went in, name -> value, such as numbers of labelled trajectories.
        remarks: a paragraph of one's own among the limits.
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
        above = f"{(values['cost'] > tau).mean():.0%}" if known else "not known"
        numbers = [text_of(found["return"]), text_of(found["cost"]), above, str(len(episodes))]
        rows.append(f"| {label} | {' | '.join(numbers)} |")
    facts = {
        "task": f"{task['name']} (`{task['env_id']}`)",
        "method": method,
        "run": run["run"],
        **{key: value for key, value in run.items() if key in ("tau", "beta", "lam", "seed")},
        **(trained_on or {}),
        "sha256 of the data": trained.get("data_sha256", "not known"),
        "policy class": trained["policy"],
        "hidden layers": trained["hidden"],
    }
    versions = ", ".join(f"{name} {v}" for name, v in trained.get("versions", {}).items())
    return CARD.substitute(
        run=run["run"],
        task=task["name"],
        method=method,
        label=method.upper(),
        verdict=verdict(costs["after"], tau),
        limit="no limit" if np.isnan(tau) else f"above {tau:g}",
        rows="\n".join(rows),
        level=f"{LEVEL:.0%}",
        facts="\n".join(f"| {name} | {value} |" for name, value in facts.items()),
        remarks=f"* {remarks}" if remarks else "",
        versions=versions or "versions were not noted",
        settings=json.dumps(trained.get("settings", {}), indent=1, sort_keys=True),
    )
