"""The trajectory sets that each run of a table is given."""

import itertools
import logging
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd

from prefine import frames, reading, results
from prefine.config.plan import SIZES
from prefine.errors import UserError
from prefine.preferences.split import Split, SplitSettings, labelled_split, reference_set, split
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
        if cell.empty:
            raise UserError(
                f"the splits have no sets of τ {tau:g}, draw {run['draw']}: their file is damaged, "
                "or of another config; move it away, and the same snakemake command makes it anew"
            )
        for role in ("preferred", "nonpreferred"):
            sets[role].append(cell.loc[cell["role"] == role, "index"].to_numpy())
        sets["unlabelled"].append(cell["index"].sort_values().to_numpy())
        sets["all"].append(trajectories["index"].to_numpy())
        safe = trajectories.loc[trajectories["cost"] < tau, "index"].to_numpy()
        drawn = np.concatenate([sets["preferred"][-1], sets["nonpreferred"][-1]])
        sets["held_out"].append(np.setdiff1d(safe, drawn))  # none where labels are all there is
    sets["initial"] = sets["unlabelled"]
    return sets


FINGERPRINT = ["length", "return", "cost"]  # what tells one trajectory from another


def means(table: pd.DataFrame, indices: np.ndarray) -> dict:
    """Size, mean return and mean cost of a set."""
    if not len(indices):
        return {"n": 0}
    chosen = table.iloc[indices]
    return {
        "n": len(indices),
        "mean_return": float(chosen["return"].mean()),
        "mean_cost": float(chosen["cost"].mean()),
    }


def draw_sets(
    table: pd.DataFrame, task: str, wanted: dict, labels: dict[str, np.ndarray] | None = None
) -> tuple[pd.DataFrame, dict]:
    """Draw all sets, by costs or by labels; return their rows and the manifest's part on them."""
    settings = SplitSettings(**wanted["split"])
    sizes = wanted.get("sizes")
    returns, costs = table["return"].to_numpy(), table["cost"].to_numpy()
    reference = reference_set(returns, settings)
    rows = [{"tau": None, "draw": None, "role": "reference", "index": i} for i in reference]
    rows = [] if sizes else rows  # the set that has one size stands in the other file
    cells: list[dict] = []
    findings: list[str] = []
    for tau, draw, size in itertools.product(
        wanted["thresholds"], range(wanted["draws"]), sizes or [{}]
    ):
        own = replace(settings, **size)
        if labels is None:
            drawn = split(returns, costs, task, tau, draw, own)
        else:
            drawn = labelled_split(labels, task, draw, own)
        sets = {"preferred": drawn.preferred, "nonpreferred": drawn.nonpreferred}
        place = {"tau": tau, "draw": draw} | size
        for role, indices in sets.items():
            rows += [place | {"role": role, "index": i} for i in indices]
        cells.append(
            place
            | {
                "feasible": drawn.feasible,
                "short": drawn.short,
                "n_safe": drawn.n_safe,
                "n_unsafe": drawn.n_unsafe,
                "checksum": drawn.checksum(),
                "overlap_with_reference": int(np.isin(drawn.preferred, reference).sum()),
            }
            | {role: means(table, indices) for role, indices in sets.items()}
        )
        if labels is None and (drawn.short or not drawn.feasible):
            findings.append(_short_of(task, tau, drawn, own))  # of labels all are used
    for finding in dict.fromkeys(findings):  # draws of the same size say the same
        logging.warning("%s", finding)
    columns = pd.DataFrame(rows).astype({"tau": "Int64", "draw": "Int64"})
    fingerprints = table[FINGERPRINT].iloc[columns["index"]].reset_index(drop=True)
    return columns.join(fingerprints), {"reference": means(table, reference), "cells": cells}


def _short_of(task: str, tau: int, drawn: Split, asked: SplitSettings) -> str:
    """Say which sets of a threshold have fewer trajectories than asked."""
    there = f"{task}, limit {tau:g}: {drawn.n_safe} safe and {drawn.n_unsafe} unsafe trajectories"
    if not drawn.feasible:
        return f"{there}; both are needed, so that nothing is trained with this limit"
    sizes = {"preferred": asked.n_preferred, "nonpreferred": asked.n_nonpreferred}
    return f"{there}; fewer than " + " and ".join(f"{sizes[k]} {k}" for k in drawn.short)


def reuse_sets(
    table: pd.DataFrame, splits: Path, manifest: Path, wanted: dict
) -> tuple[pd.DataFrame, dict]:
    """Take another run's sets, if the trajectories that they name are the same ones here.

    Raises:
        UserError: a set is not there, or a trajectory differs; the first one is named.
    """
    theirs = frames.read_csv(splits, "tau", "draw", "role", "index", *FINGERPRINT)
    there = results.read_object(manifest, "cells", "reference")
    with reading.refused_in_one_line(splits, "is no table of sets"):
        theirs = theirs.astype({"tau": "Int64", "draw": "Int64", "index": int})
    with reading.refused_in_one_line(manifest, "does not list its sets"):
        cells = {(cell["tau"], cell["draw"]): cell for cell in there["cells"]}
    asked = [(tau, draw) for tau in wanted["thresholds"] for draw in range(wanted["draws"])]
    missing = [f"tau {tau} draw {draw}" for tau, draw in asked if (tau, draw) not in cells]
    if missing:
        raise UserError(f"{splits}: has no sets of {', '.join(missing)}")
    for row in theirs.to_dict("records"):
        ours = table.iloc[row["index"]][FINGERPRINT] if row["index"] < len(table) else None
        own = [row[name] for name in FINGERPRINT]
        if ours is None or not _same(own, ours.to_numpy(float)):
            found = "is not here" if ours is None else f"has {ours.to_dict()} here"
            expected = {name: row[name] for name in FINGERPRINT}
            raise UserError(
                f"{splits}: trajectory {row['index']} ({row['role']}) has {expected} there and "
                f"{found}; the sets belong to other data"
            )
    kept = [
        row.role == "reference" or (row.tau, row.draw) in asked
        for row in theirs.itertuples(index=False)
    ]
    own = {"reference": there["reference"], "cells": [cells[cell] for cell in asked]}
    return theirs[kept], own | {"reused": str(splits)}


def check_belongs(splits: pd.DataFrame, path: Path, table: pd.DataFrame, data: Path) -> None:
    """Raise UserError if the sets of ``path`` are not of the trajectories in ``data``.

    Args:
        splits: the sets, with length and return of each trajectory.
        table: the trajectory table of ``data``.
    """
    indices = splits["index"].to_numpy()
    inside = (indices >= 0) & (indices < len(table))
    own = table.iloc[np.where(inside, indices, 0).astype(int)]
    same = inside.copy()
    for name in ("length", "return"):
        given, found = splits[name].to_numpy(float), own[name].to_numpy(float)
        same &= np.isclose(given, found, rtol=1e-6, atol=1e-6)
    if not same.all():
        row = int(np.argmin(same))
        here, there = splits.iloc[row], own.iloc[row]
        found = "is not there"
        if inside[row]:
            found = f"has length {there['length']}, return {there['return']:g} there"
        raise UserError(
            f"{path}: its sets are not of the trajectories in {data}: {int((~same).sum())} of "
            f"{len(splits)} differ. The first one, {indices[row]}, {found} and length "
            f"{here['length']}, return {here['return']:g} here; move {path} away, and the same "
            "snakemake command makes it anew"
        )


def _same(one, other) -> bool:
    return np.allclose(one, other, rtol=1e-6, atol=1e-6, equal_nan=True)
