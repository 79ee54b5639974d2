"""The page that goes with an exported policy: what it does, what it was made of, its limits."""

import json
from collections.abc import Mapping

import numpy as np
import pandas as pd

from prefine.analysis.metrics import is_safe, normalized_cost
from prefine.analysis.statistics import LEVEL, Estimate, interval

USE = """\
```python
import prefine

policy = prefine.load_policy("policy.safetensors")  # or the folder
action = policy.act(observation)  # raw, (n_obs,) or (n, n_obs); the environment's own action
```

`policy.predict(obs)` is Stable-Baselines3's. `policy.onnx` (input `observation`, output `action`)
and `policy.pt` (TorchScript) do the same without this package: deterministic, standardisation and
action bounds included."""


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
    settings = json.dumps(trained.get("settings", {}), indent=1, sort_keys=True)
    limit = "no limit" if np.isnan(tau) else f"above {tau:g}"
    return f"""\
---
library_name: prefine
tags: [reinforcement-learning, safe-rl, preference-learning, {method}]
---
# {run["run"]}

A policy for {task["name"]}, made safer from preferences with {method.upper()}.

{verdict(costs["after"], tau)}

| | return | cost | episodes {limit} | episodes |
|---|---|---|---|---|
{chr(10).join(rows)}

Means over episodes of one policy with {LEVEL:.0%} intervals, undiscounted sums. They say
how sure the mean of *this* policy is, not how much training runs differ.

## Use

{USE}

## Trained on

| | |
|---|---|
{chr(10).join(f"| {name} | {value} |" for name, value in facts.items())}

## Limits

* Safe means that the mean cost of an episode is at most the limit, in this simulator and from its
  own starts. It is no guarantee for an episode, another environment or a machine.
* Outside the states of its data nothing is known of what it does.
{f"* {remarks}" if remarks else ""}

## Provenance

{versions or "versions were not noted"}

<details><summary>settings of the training</summary>

```json
{settings}
```
</details>
"""
