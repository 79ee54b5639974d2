"""Draw D_ref, D_p and D_np of a task for every threshold and draw, with a manifest.

With ``--reuse`` the sets of another run are taken instead, if its trajectories are ours.
"""

import itertools
import json
import logging
import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
from prefine import files
from prefine.errors import UserError
from prefine.pipeline import cli
from prefine.preferences.labels import read_labels, waiting
from prefine.preferences.split import SplitSettings, labelled_split, reference_set, split
from prefine.tasks import find

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
    cells = []
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
        if drawn.short or not drawn.feasible:
            logging.warning(
                "%s tau=%s: %d safe and %d unsafe trajectories; short: %s%s",
                *(task, tau, drawn.n_safe, drawn.n_unsafe, drawn.short or "none"),
                "" if drawn.feasible else "; infeasible, skipped everywhere",
            )
    columns = pd.DataFrame(rows).astype({"tau": "Int64", "draw": "Int64"})
    fingerprints = table[FINGERPRINT].iloc[columns["index"]].reset_index(drop=True)
    return columns.join(fingerprints), {"reference": means(table, reference), "cells": cells}


def reuse_sets(
    table: pd.DataFrame, splits: Path, manifest: Path, wanted: dict
) -> tuple[pd.DataFrame, dict]:
    """Take another run's sets, if the trajectories that they name are the same ones here.

    Raises:
        UserError: a set is not there, or a trajectory differs; the first one is named.
    """
    theirs, there = files.read_csv(splits), json.loads(manifest.read_text())
    theirs = theirs.astype({"tau": "Int64", "draw": "Int64"})
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


def _same(one, other) -> bool:
    return np.allclose(one, other, rtol=1e-6, atol=1e-6, equal_nan=True)


def main() -> None:
    parser = cli.parser(
        *(__doc__, "data", "trajectories", "output", "manifest"),
        task=find,
        source=str,
        settings=cli.json_argument,
    )
    parser.add_argument("--reuse", type=Path, nargs=2, help="splits and manifest of another run")
    parser.add_argument("--labels", type=Path, help="table of trajectory and label")
    parser.add_argument("--save-as", help="where the labels are awaited, if they are a bare sheet")
    args = parser.parse_args()
    table = files.read_csv(args.trajectories)
    if args.reuse:
        rows, sets = reuse_sets(table, *args.reuse, args.settings)
    else:
        if args.labels and waiting(args.labels):
            again = os.environ.get("PREFINE_COMMAND", "the same command")
            page = f"look at {args.labels.with_suffix('.html')}, " if args.save_as else ""
            there = f", save it as {args.save_as}" if args.save_as else ""
            raise UserError(
                f"{args.task.name} has no labels yet: {page}fill in the column label of "
                f"{args.labels} (preferred or nonpreferred){there}, then: {again}"
            )
        labels = read_labels(args.labels, table) if args.labels else None
        rows, sets = draw_sets(table, args.task.name, args.settings, labels)
    manifest = {
        "task": args.task.to_dict(),
        "labelled": args.labels is not None,
        "source": args.source,
        "data_sha256": files.sha256(args.data),
        "settings": args.settings,
        "n_trajectories": len(table),
        "max_cost": float(table["cost"].max()),
        "all": means(table, np.arange(len(table))),
    }
    files.write_table(args.output, rows)
    files.write_json(args.manifest, manifest | sets)


if __name__ == "__main__":
    cli.run(main)
