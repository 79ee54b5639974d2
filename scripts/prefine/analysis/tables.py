"""From episodes to the tables: one row a run, then Table 1 (methods 6, "Aggregation")."""

import itertools
from collections.abc import Iterable, Mapping

import numpy as np
import pandas as pd

from prefine.analysis import metrics, statistics
from prefine.analysis.names import method_order
from prefine.analysis.scores import complete_seeds, described, made
from prefine.errors import UserError, shown
from prefine.methods import REFERENCE
from prefine.results import DELETE
from prefine.tasks import Task

IDENTITY = ("study", "task", "method", "arm", "draw", "seed")
SPREAD = ("std", "se", "low", "high")


def runs_table(
    episodes: Iterable[pd.DataFrame],
    training: Iterable[pd.DataFrame],
    manifests: Mapping[str, dict],
) -> pd.DataFrame:
    """Reduce episodes to one row a run and iteration, normalised with kappa = tau of the run.

    The reference policy knows no threshold: it gets one row for each threshold of its task.
    """
    columns = ["run", "phase", "iteration", "seconds"]
    logs = pd.concat([log[columns] for log in training] or [pd.DataFrame(columns=columns)])
    seconds = logs.groupby("run")["seconds"].max()
    iterations = logs.groupby(["run", "phase"])["iteration"].max().groupby("run").sum()
    rows = []
    for table in episodes:
        for (run, iteration), own in table.groupby(["run", "iteration"], sort=False):
            first = own.iloc[0]
            manifest = manifests[first["task"]]
            task = Task(**manifest["task"])
            identity = {name: first.get(name) for name in IDENTITY}
            cells = [cell["tau"] for cell in manifest["cells"] if cell["feasible"]]
            for tau in dict.fromkeys(cells) if first["method"] == REFERENCE else [first["tau"]]:
                tau = np.nan if tau is None else tau  # sets that come from labels have none
                rows.append(
                    {"run": run, "suite": task.suite, "label": task.label, "tau": tau}
                    | identity
                    | {"iteration": iteration}
                    | {"action_mode": first["action_mode"], "source": manifest["source"]}
                    | metrics.summarize(own, task, tau)
                    | {"train_iterations": iterations.get(run, np.nan)}
                    | {"train_seconds": seconds.get(run, np.nan)}
                )
    first = ["run", "study", "suite", "task", "label", "method", "arm", "tau", "draw", "seed"]
    table = pd.DataFrame(rows).astype({"tau": "Int64"})
    return table[first + [c for c in table.columns if c not in first]]


def add_hyperparameters(runs: pd.DataFrame, plans: Iterable[pd.DataFrame]) -> pd.DataFrame:
    """Put the hyper-parameters of the plans behind the columns that identify a run."""
    identity = [*IDENTITY, "tau", "stream"]
    table = pd.concat(plans, ignore_index=True).drop(columns=identity)
    played = set(runs.loc[runs["method"] != REFERENCE, "run"])
    if other := sorted(played ^ set(table["run"])):
        told = "has episodes and is in no plan" if other[0] in played else "has no episodes"
        raise UserError(f"{shown(other[0])} {told}: a table of its job was cut or changed{DELETE}")
    merged = runs.merge(table, on="run", how="left")
    hyper = [c for c in table.columns if c != "run"]
    first = list(runs.columns[: list(runs.columns).index("seed") + 1])
    return merged[first + hyper + [c for c in merged.columns if c not in first + hyper]]


def table1(
    runs: pd.DataFrame, expected: Mapping[str, list[int]], seen: Mapping[str, str] | None = None
) -> pd.DataFrame:
    """Table 1: one row a (task, method) with reward, cost, their spread and what is missing.

    For every seed the scores are averaged over thresholds; the cell is mean and standard
    deviation (ddof 1) over seeds, with the interval of the mean. The reference policy
    has no seeds and no spread. A cell without runs has a row with the reason.

    Args:
        expected: task -> thresholds that the config asks for.
        seen: method -> what it is given of the data (``dataset.SEES``).
    """
    rows, seen = [], seen or {}
    names = described(runs, expected)
    for task, method in itertools.product(expected, method_order(runs["method"])):
        own = runs[(runs["task"] == task) & (runs["method"] == method)]
        there, row, missing = made(own), {}, []
        for name, score in (("reward", "normalized_return"), ("cost", "normalized_cost")):
            by_seed, gaps = complete_seeds(own, score, expected[task])
            row |= _spread(name, by_seed.to_numpy())
            missing += [gap for gap in gaps if gap not in missing]
        n = there["seed"].nunique()  # the reference policy has none
        rows.append(
            {"suite": names["suite"][task], "task": task, "label": names["label"][task]}
            | {"method": method, "outside": False, "sees_costs": seen.get(method) == "everything"}
            | row
            | {
                "raw_cost": there["cost"].mean(),
                "seeds": n,
                "runs": there["run"].nunique(),
                "episodes": there["episodes"].min(),
                "thresholds": " ".join(f"{tau:.0f}" for tau in sorted(set(there["tau"].dropna()))),
                "missing": "; ".join(missing),
                "action_mode": made(runs)["action_mode"].iloc[0],
                "source": (own if len(own) else runs)["source"].iloc[0],
            }
        )
    table = pd.DataFrame(rows)
    table["safe"] = metrics.is_safe(table["cost"])
    best = table[table["safe"]].groupby("task")["reward"].idxmax()
    table["best_safe"] = table.index.isin(best)
    return table


def with_outside(table: pd.DataFrame, scores: Iterable[Mapping]) -> pd.DataFrame:
    """Table 1 with scores of others behind it, on its tasks; none of them is its best safe one.

    Args:
        scores: rows of ``data.outside.read_scores``.
    """
    tasks = table.drop_duplicates("task").set_index("task")[["suite", "label"]]
    rows = [
        {"suite": tasks["suite"][row["task"]], "label": tasks["label"][row["task"]]}
        | {name: row[name] for name in ("task", "method", "reward", "cost", "source")}
        | {name: row[name] for name in ("reward_std", "cost_std")}
        | {"outside": True, "sees_costs": row["sees"] == "costs", "missing": ""}
        | {"safe": bool(metrics.is_safe(row["cost"])), "best_safe": False}
        for row in scores
        if row["task"] in tasks.index
    ]
    return pd.concat([table, pd.DataFrame(rows)], ignore_index=True) if rows else table


def _spread(name: str, by_seed: np.ndarray) -> dict[str, float]:
    """Mean, standard deviation and error over seeds, and the interval of the mean."""
    if not len(by_seed):
        return dict.fromkeys([name, *(f"{name}_{part}" for part in SPREAD)], np.nan)
    estimate = statistics.mean_interval([by_seed])
    std = by_seed.std(ddof=1) if len(by_seed) > 1 else np.nan
    parts = (std, statistics.standard_error(by_seed), estimate.low, estimate.high)
    return {name: estimate.value} | {
        f"{name}_{part}": value for part, value in zip(SPREAD, parts, strict=True)
    }


def dataset_statistics(
    manifests: Iterable[dict], checks: Iterable[dict], paper: pd.DataFrame
) -> pd.DataFrame:
    """Tables 2 and 3: sizes and means of D_p and D_np over all thresholds and draws.

    ``paper_{column}`` are the paper's own numbers, on DSRL's data.

    ``cost_agreement`` is the share of recorded costs that the record gives (methods 2.5).
    """
    rows, agreement = [], {check["task"]: check["agreement"] for check in checks}
    paper = paper.set_index("task")
    for manifest in manifests:
        task = Task(**manifest["task"])
        cells = [cell for cell in manifest["cells"] if cell["feasible"]]
        row = {
            "suite": task.suite,
            "task": task.name,
            "source": manifest["source"],
            "trajectories": manifest["n_trajectories"],
            "max_cost": manifest["max_cost"],
            "cost_agreement": agreement[task.name],
            "mean_return_reference": manifest["reference"].get("mean_return", np.nan),
            "mean_cost_reference": manifest["reference"].get("mean_cost", np.nan),
            "infeasible": len(manifest["cells"]) - len(cells),
            "short": sum(bool(cell["short"]) for cell in manifest["cells"]),
        }
        for role in ("preferred", "nonpreferred"):
            row[f"n_{role}"] = np.mean([c[role]["n"] for c in cells]) if cells else np.nan
            for score in ("cost", "return"):
                values = [c[role][f"mean_{score}"] for c in cells]
                row[f"mean_{score}_{role}"] = np.mean(values) if values else np.nan
                row[f"paper_mean_{score}_{role}"] = paper[f"mean_{score}_{role}"].get(task.name)
        rows.append(row)
    return pd.DataFrame(rows)
