"""Measure the cost gap of snapshots of a training (Figure 2): one row a run, iteration and set."""

import logging
from dataclasses import fields
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from prefine import files
from prefine.analysis.metrics import AGREEMENT
from prefine.data import hdf5
from prefine.errors import UserError
from prefine.evaluation.cost_classifier import ITERATIONS, fit
from prefine.evaluation.cost_gap import (
    COLUMNS,
    KEYS,
    RUN_COLUMNS,
    SETS,
    GapSettings,
    Record,
    actor,
    chosen_runs,
    chosen_trajectories,
    gap,
    measure,
    n_simulated,
    replay_agreement,
    replay_gap,
)
from prefine.pipeline import cli
from prefine.policies import file as policy_file
from prefine.simulators.states import RESETTABLE, open_simulator
from prefine.tasks import Task, of_policy


def read_records(data: Path, task: Task, table: pd.DataFrame, indices) -> dict[int, Record]:
    """Read some trajectories; their costs must be those of the table of trajectories."""
    own = table.set_index("index").loc[sorted(indices)]
    spans = hdf5.spans(data, task, KEYS, own["start"], own["length"])
    records = dict(zip(own.index, spans, strict=True))
    for index, record in records.items():
        if abs(record["costs"].sum(dtype=np.float64) - own["cost"][index]) > 1e-2:
            raise UserError(f"{data}: trajectory {index} has another cost in the table")
    return records


def fit_classifier(data: Path, task: Task, table: pd.DataFrame):
    """Train on all trajectories of the data; return the classifier and its AUC."""
    everything = hdf5.read(data, task, KEYS)
    stop = int(table["length"].sum())
    arrays = [everything.pop(key)[:stop] for key in KEYS]
    numbers = np.repeat(table["index"].to_numpy(), table["length"])
    progress = cli.Progress(f"classifier {task.name}", ITERATIONS, "steps")
    found = fit(*arrays, numbers, task.name, on_step=progress.update)
    progress.close()
    return found


def gap_rows(task: Task, loaded, runs: pd.DataFrame, args, settings: GapSettings) -> list[dict]:
    """Measure every cell of threshold and draw; return a row a run, iteration and set."""
    policy, params, mean, std, _ = loaded
    table, splits = files.read_csv(args.trajectories), files.read_csv(args.splits)
    cells = {}
    for (tau, draw), own in runs.groupby(["tau", "draw"], dropna=False):
        tau = None if pd.isna(tau) else int(tau)
        for role in SETS:
            cell = (splits, task.name, tau, int(draw), role, settings.trajectories)
            cells[tau, int(draw), role] = own, chosen_trajectories(*cell)
    used = {int(index) for _, indices in cells.values() for index in indices}
    records = read_records(args.data, task, table, used)

    about = {"agreement": np.nan, "auc": np.nan}
    if task.name in RESETTABLE:
        simulator, about["simulated"] = open_simulator(task), "simulator"
        everything = list(records.values())
        about["agreement"] = replay_agreement(simulator, everything, settings.every)
    else:
        simulator, about["auc"] = fit_classifier(args.data, task, table)
        about["simulated"] = "classifier"
    logging.info("%s: %s", task.name, about)
    if about["agreement"] < AGREEMENT:
        share = 100 * about["agreement"]
        logging.warning("%s: only %.2f %% of the recorded costs are made again", task.name, share)

    total = sum(
        n_simulated([records[index] for index in indices], settings, len(own))
        for own, indices in cells.values()
    )
    progress, rows = cli.Progress(f"cost gap {task.name}", total, "steps"), []
    for (_, _, role), (own, indices) in cells.items():
        if not len(indices):
            continue
        act = actor(policy, {name: value[own.index] for name, value in params.items()}, mean, std)
        chosen = {int(index): records[int(index)] for index in indices}
        recorded, drawn = measure(
            *(simulator, act, len(own), chosen, task.name, settings, policy.sample_dim),
            on_steps=progress.update,
        )
        found = gap(recorded, drawn)
        common = about | {
            "task": task.name,
            "set": role,
            "data_cost": recorded.mean(),
            "replay_gap": replay_gap(simulator, [*chosen.values()], settings.every),
            "trajectories": len(chosen),
        }
        for place, run in enumerate(own[list(RUN_COLUMNS)].to_dict("records")):
            rows.append(
                common
                | run
                | {
                    "gap": found.absolute[place],
                    "signed_gap": found.signed[place],
                    "counterfactual_cost": found.counterfactual[place],
                }
            )
    progress.close()
    simulator.close()
    return rows


def main() -> None:
    parser = cli.parser(
        *(__doc__, "policies", "data", "trajectories", "splits", "output"),
        source=str,
        settings=cli.json_argument,
    )
    parser.add_argument("--module", type=Path, nargs="?", help="registers the environment")
    args = parser.parse_args()
    torch.set_num_threads(1)
    loaded = policy_file.load(args.policies)
    trained = loaded[-1]
    task, wanted = of_policy(args.policies, trained.get("task"), args.module), args.settings
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
    else:
        rows = gap_rows(task, loaded, runs, args, settings)
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
