"""The trajectory sets that each run of a table is given."""

import numpy as np
import pandas as pd

from prefine.config.plan import SIZES
from prefine.streams import generator


def reference_sets(
    splits: pd.DataFrame, seed: int, share: float, task: str
) -> dict[str, list[np.ndarray]]:
    """D_ref, with a share of its trajectories held out."""
    indices = splits.loc[splits["role"] == "reference", "index"].to_numpy()
    n_held_out = int(share * len(indices))
    order = generator("held_out", task, seed).permutation(indices)
    return {
        "reference": [np.sort(order[n_held_out:])],
        "held_out": [np.sort(order[:n_held_out])],
    }


def run_sets(
    splits: pd.DataFrame, trajectories: pd.DataFrame, runs: pd.DataFrame
) -> dict[str, list[np.ndarray]]:
    """The trajectory sets of each run; held out is what is safe and not in D_p (methods 4.1).

    Sets of several sizes are told apart by the columns n_preferred and n_nonpreferred.
    """
    sets = {role: [] for role in ("preferred", "nonpreferred", "unlabelled", "all", "held_out")}
    sizes = [name for name in SIZES if name in splits]
    for run in runs.to_dict("records"):
        tau = run["tau"]
        same = splits["tau"].isna() if np.isnan(tau) else splits["tau"] == tau
        for name in ("draw", *sizes):
            same &= splits[name] == run[name]
        cell = splits[same]
        for role in ("preferred", "nonpreferred"):
            sets[role].append(cell.loc[cell["role"] == role, "index"].to_numpy())
        sets["unlabelled"].append(cell["index"].sort_values().to_numpy())
        sets["all"].append(trajectories["index"].to_numpy())
        safe = trajectories.loc[trajectories["cost"] < tau, "index"].to_numpy()
        drawn = np.concatenate([sets["preferred"][-1], sets["nonpreferred"][-1]])
        sets["held_out"].append(np.setdiff1d(safe, drawn))  # none where labels are all there is
    sets["initial"] = sets["unlabelled"]
    return sets
