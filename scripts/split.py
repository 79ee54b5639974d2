"""Draw D_ref, D_p and D_np of a task for every threshold and draw, with a manifest."""

import logging

import numpy as np
import pandas as pd
from prefine import cli, files
from prefine.split import SplitSettings, reference_set, split


def main() -> None:
    parser = cli.parser(
        *(__doc__, "data", "trajectories", "output", "manifest"),
        task=str,
        source=str,
        settings=cli.json_argument,
    )
    args = parser.parse_args()
    thresholds, draws = args.settings["thresholds"], args.settings["draws"]
    settings = SplitSettings(**args.settings["split"])
    table = pd.read_csv(args.trajectories)
    returns, costs = table["return"].to_numpy(), table["cost"].to_numpy()

    def means(indices: np.ndarray) -> dict:
        if not len(indices):
            return {"n": 0}
        return {
            "n": len(indices),
            "mean_return": float(returns[indices].mean()),
            "mean_cost": float(costs[indices].mean()),
        }

    reference = reference_set(returns, settings)
    rows = [{"tau": np.nan, "draw": np.nan, "role": "reference", "index": i} for i in reference]
    cells = []
    for tau in thresholds:
        for draw in range(draws):
            drawn = split(returns, costs, args.task, tau, draw, settings)
            sets = {"preferred": drawn.preferred, "nonpreferred": drawn.nonpreferred}
            for role, indices in sets.items():
                rows += [{"tau": tau, "draw": draw, "role": role, "index": i} for i in indices]
            cells.append(
                {
                    "tau": tau,
                    "draw": draw,
                    "feasible": drawn.feasible,
                    "short": drawn.short,
                    "n_safe": drawn.n_safe,
                    "n_unsafe": drawn.n_unsafe,
                    "checksum": drawn.checksum(),
                    "overlap_with_reference": int(np.isin(drawn.preferred, reference).sum()),
                }
                | {role: means(indices) for role, indices in sets.items()}
            )
            if drawn.short or not drawn.feasible:
                logging.warning(
                    "%s tau=%s: %d safe and %d unsafe trajectories; short: %s%s",
                    *(args.task, tau, drawn.n_safe, drawn.n_unsafe, drawn.short or "none"),
                    "" if drawn.feasible else "; infeasible, skipped everywhere",
                )
    columns = pd.DataFrame(rows).astype({"tau": "Int64", "draw": "Int64"})
    manifest = {
        "task": args.task,
        "source": args.source,
        "data_sha256": files.sha256(args.data),
        "settings": args.settings,
        "n_trajectories": len(table),
        "max_cost": float(costs.max()),
        "all": means(np.arange(len(table))),
        "reference": means(reference),
        "cells": cells,
    }
    files.write_table(args.output, columns)
    files.write_json(args.manifest, manifest)


if __name__ == "__main__":
    cli.run(main)
