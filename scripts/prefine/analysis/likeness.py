"""How like DSRL's datasets ours are: the numbers that the paper and DSRL tell of theirs."""

from collections.abc import Mapping

import numpy as np
import pandas as pd

from prefine.analysis.metrics import normalized_cost, normalized_return
from prefine.preferences.split import SplitSettings, reference_set, split
from prefine.tasks import BULLET_GYM, SAFETY_GYM, TASKS, Task

ROLES, SCORES = ("preferred", "nonpreferred"), ("return", "cost")
SETS = [f"mean_{score}_{role}" for role in ROLES for score in SCORES]
THRESHOLDS = {SAFETY_GYM: (30, 40, 50), BULLET_GYM: (10, 20, 40)}  # the paper's

# Like DSRL's is a dataset whose numbers are within these bounds of the paper's.
SHARE = 0.15  # of D_p's return and of D_np's cost
COST = 10  # D_p's cost
REWARD, FACTOR = 0.15, 1.6  # of pi_ref's normalised reward and cost


def likeness(
    statistics: pd.DataFrame,
    trajectories: Mapping[str, pd.DataFrame],
    reference: Mapping[str, pd.DataFrame],
    table1: pd.DataFrame,
) -> pd.DataFrame:
    """One row a dataset: its numbers and, as ``paper_{column}``, DSRL's and the paper's.

    Sets are drawn as in the paper, whatever the run's own thresholds are. ``reference_reward``
    and ``reference_cost`` are pi_ref's normalised return, and its cost over each threshold,
    averaged, as in Table 1; ``d_ref_reward`` and ``d_ref_cost`` those of D_ref, which it clones;
    ``n_safe`` and ``n_unsafe`` the fewest trajectories at a threshold.

    Args:
        statistics: Tables 2 and 3 (``analysis.tables.dataset_statistics``).
        trajectories: by task: return and cost.
        reference: by task, episodes of pi_ref: return and cost.
        table1: the paper's.
    """
    paper = table1[table1["method"] == "reference"].set_index("task")
    rows = []
    for own in statistics.to_dict("records"):
        task = TASKS[own["task"]]
        limits, played = THRESHOLDS[task.suite], reference[task.name]
        reached = trajectories[task.name]["return"].to_numpy()
        found = scores(reached, trajectories[task.name]["cost"].to_numpy(), task, limits)
        row = {
            **{name: own[name] for name in ("suite", "task", "source", "trajectories")},
            "paper_trajectories": task.n_trajectories,
            "max_cost": own["max_cost"],
            "paper_max_cost": task.max_cost,
            "min_return": reached.min(),
            "paper_min_return": task.min_return,
            "max_return": reached.max(),
            "paper_max_return": task.max_return,
        }
        for name in SETS:
            row |= {name: found[name], f"paper_{name}": own.get(f"paper_{name}", np.nan)}
        row |= {f"d_ref_{name}": found[f"reference_{name}"] for name in ("reward", "cost")}
        row["reference_reward"] = normalized_return(played["return"].mean(), task)
        row["paper_reference_reward"] = paper["reward"].get(task.name, np.nan)
        row["reference_cost"] = np.mean([normalized_cost(played["cost"].mean(), k) for k in limits])
        row["paper_reference_cost"] = paper["cost"].get(task.name, np.nan)
        row |= {name: found[name] for name in ("n_safe", "n_unsafe")}
        rows.append(row | {"out_of_bounds": ", ".join(out_of_bounds(row))})
    return pd.DataFrame(rows)


def out_of_bounds(row: Mapping[str, float]) -> list[str]:
    """The numbers in which a dataset is not like DSRL's; of tasks beyond the paper none is known.

    Args:
        row: of ``likeness``. A number that is missing, of a set that is empty, is out of bounds.
    """
    paper = {name: row[f"paper_{name}"] for name in [*SETS, "reference_reward", "reference_cost"]}
    apart = {name: abs(row[name] - printed) for name, printed in paper.items()}
    # On CarRun the paper's cost of D_p is a copy of D_np's.
    misprint = paper["mean_cost_preferred"] == paper["mean_cost_nonpreferred"]
    factor = np.exp(abs(np.log(max(row["reference_cost"], 1e-9) / paper["reference_cost"])))
    within = {
        "mean_return_preferred": apart["mean_return_preferred"]
        <= SHARE * paper["mean_return_preferred"],
        "mean_cost_preferred": apart["mean_cost_preferred"] <= COST or misprint,
        "mean_cost_nonpreferred": apart["mean_cost_nonpreferred"]
        <= SHARE * paper["mean_cost_nonpreferred"],
        "reference_reward": apart["reference_reward"] <= REWARD,
        "reference_cost": factor <= FACTOR,
    }
    return [name for name, is_in in within.items() if not (is_in or np.isnan(paper[name]))]


def scores(
    returns: np.ndarray, costs: np.ndarray, task: Task, thresholds: list[int], draws: int = 5
) -> dict[str, float]:
    """The numbers of a dataset that the paper tells, means over thresholds and draws.

    Args:
        returns, costs: (n,) by trajectory.
    """
    settings = SplitSettings()
    cells = [
        split(returns, costs, task.name, tau, draw, settings)
        for tau in thresholds
        for draw in range(draws)
    ]
    found: dict[str, float] = {"trajectories": len(returns), "max_return": returns.max()}
    for role in ROLES:
        sets = [getattr(cell, role) for cell in cells if len(getattr(cell, role))]
        for score, values in zip(SCORES, (returns, costs), strict=True):
            means = [values[own].mean() for own in sets]
            found[f"mean_{score}_{role}"] = np.mean(means) if means else np.nan
    best = reference_set(returns, settings)
    found["reference_reward"] = normalized_return(returns[best], task).mean()
    costs_over = [normalized_cost(costs[best], tau).mean() for tau in thresholds]
    found["reference_cost"] = np.mean(costs_over)
    found["n_safe"] = min(cell.n_safe for cell in cells)
    found["n_unsafe"] = min(cell.n_unsafe for cell in cells)
    return found


def distance(found: Mapping[str, float], paper: Mapping[str, float], task: Task) -> float:
    """How far a dataset is from the paper's numbers; each term is 0 well within its bounds.

    D_ref stands for pi_ref. Nor are there to be fewer trajectories than DSRL has, nor less than 100
    safe and 100 unsafe ones at every threshold.
    """

    def share(name: str) -> float:
        return max(0.0, abs(found[name] / paper[name] - 1) / SHARE - 0.4)

    terms = [1.5 * share("mean_return_preferred"), share("mean_cost_nonpreferred")]
    printed = paper["mean_cost_preferred"]
    if printed != paper["mean_cost_nonpreferred"]:  # on CarRun one is a copy of the other
        terms.append(max(0.0, abs(found["mean_cost_preferred"] - printed) / COST - 0.5))
    reward, cost = (f"reference_{name}" for name in ("reward", "cost"))
    terms.append(max(0.0, abs(found[reward] - paper[reward]) / REWARD - 0.4))
    # Hardest to meet: an even density has few of the costliest among the best.
    terms.append(2.5 * max(0.0, abs(np.log(found[cost] / paper[cost])) / np.log(FACTOR) - 0.6))
    terms += [4 * max(0.0, 1.25 - found[name] / 100) for name in ("n_safe", "n_unsafe")]
    size = 10 * max(0.0, 1 - found["trajectories"] / task.n_trajectories)
    above = 10 * max(0.0, found["max_return"] / task.max_return - 1.06)
    return 3 * sum(terms) + size + above
