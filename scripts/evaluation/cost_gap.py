"""Measure the cost gap of snapshots of a training (Figure 2): one row a run, iteration and set."""

import logging
from dataclasses import fields
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from prefine import files
from prefine.evaluation.cost_gap import (
    COLUMNS,
    GapSettings,
    chosen_runs,
    gap_rows,
    zeros_and_ones,
)
from prefine.pipeline import cli
from prefine.policies import file as policy_file
from prefine.simulators.states import RESETTABLE
from prefine.tasks import of_policy


def main() -> None:
    parser = cli.parser(
        __doc__, "policies data trajectories splits output", source=str, settings=cli.json_argument
    )
    parser.add_argument("--module", nargs="*", type=Path, default=[], help="before what it imports")
    args = parser.parse_args()
    torch.set_num_threads(1)
    stack = policy_file.load(args.policies)
    trained = stack.metadata
    task, wanted = of_policy(args.policies, trained.get("task"), *args.module[:1]), args.settings
    known = {field.name for field in fields(GapSettings)}
    settings = GapSettings(**{name: wanted[name] for name in known & set(wanted)})
    if task.name not in RESETTABLE and settings.horizon > 1:
        logging.warning("%s: a classifier knows one step alone: horizon 1", task.name)
        settings = GapSettings(settings.trajectories, settings.every, settings.action_draws)
    runs = chosen_runs(pd.DataFrame(trained["runs"]), wanted)

    rows = []
    if not task.has_costs:
        logging.warning("%s: has no costs, so there is no gap to measure", task.name)
    elif runs.empty:
        logging.warning("%s: no run is left of %s", args.policies, wanted)
    elif task.name not in RESETTABLE and not zeros_and_ones(args.data, task):
        logging.warning("%s: has other costs than 0 and 1; a classifier knows no others", task.name)
    else:
        rows = gap_rows(task, stack, runs, args, settings, cli.Progress)
    table = pd.DataFrame(rows, columns=[*COLUMNS])
    table["until"] = min(wanted.get("until", np.inf), runs["iteration"].max())
    for name in ("horizon", "every", "action_draws"):
        table[name] = getattr(settings, name)
    table["source"] = args.source
    table = table.sort_values(["run", "iteration", "set"], ascending=[True, True, False])
    shown = table.groupby(["set", "iteration"])[["gap", "signed_gap", "counterfactual_cost"]]
    logging.info("means over runs\n%s", shown.mean().to_string())
    files.write_table(args.output, table)


if __name__ == "__main__":
    cli.run(main)
