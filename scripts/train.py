"""Train all runs of a plan together, or pretrain the reference policy."""

import logging
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from prefine import files, provenance
from prefine.data.dataset import load_transitions
from prefine.errors import NoRoom, UserError
from prefine.methods import REFERENCE, method_module
from prefine.pipeline import cli
from prefine.policies import file as policy_file
from prefine.policies.networks import Params
from prefine.policies.registry import describe, make_policy
from prefine.preferences.sets import reference_sets, run_sets
from prefine.tasks import find
from prefine.training.loop import device, snapshot_iterations, train
from safetensors.torch import load_file, save_file


def stack_size(policy, settings: dict) -> int:
    """How many runs to stack: the config's number, or what was measured to be fastest.

    On a CPU the activations of a large stack leave the cache (benchmarks/stack.py).
    """
    if settings["max_runs"] is not None:
        return settings["max_runs"]
    if device().type == "cuda":
        return 75
    return 5 if policy.name == "cvae" else 15


def keep_snapshots(folder: Path, stack: int) -> Callable[[int, Params], None]:
    """Write a stack's policies on the way, beside its checkpoints."""

    def write(iteration: int, params: Params) -> None:
        tensors = {name: value.detach().cpu().contiguous() for name, value in params.items()}
        with files.atomic(folder / f"{stack}-{iteration}.safetensors") as temporary:
            save_file(tensors, temporary)

    return write


def join_snapshots(
    folder: Path, stacks: int, iterations: list[int], runs: pd.DataFrame
) -> tuple[Params, pd.DataFrame]:
    """Stack what ``keep_snapshots`` wrote: one replica an iteration and run."""
    if runs.empty:
        return {}, runs
    moments = []
    for iteration in iterations:
        parts = [load_file(folder / f"{n}-{iteration}.safetensors") for n in range(stacks)]
        moments.append({name: torch.cat([part[name] for part in parts]) for name in parts[0]})
    joined = {name: torch.cat([part[name] for part in moments]) for name in moments[0]}
    rows = [runs.assign(iteration=iteration) for iteration in iterations]
    return joined, pd.concat(rows, ignore_index=True)


def train_in_chunks(method, policy, runs, data, sets, settings, reference, progress, state):
    """Train at most ``max_runs`` runs at a time; how a plan is cut changes no result.

    A chunk that diverges does not stop the others; the error at the end names each.
    """
    size = stack_size(policy, settings)
    if runs.empty:  # a part of a plan that lost runs to infeasible cells
        return {}, pd.DataFrame()
    parts = [runs.index[start : start + size] for start in range(0, len(runs), size)]
    params, logs, errors = [], [], []
    for number, rows in enumerate(parts):
        own = {role: [indices[row] for row in rows] for role, indices in sets.items()}
        file = state / f"{number}.safetensors"
        try:
            done = train(
                *(method, policy, runs.loc[rows], data, own, settings, reference),
                on_iteration=progress.update,
                state=file,
                on_snapshot=keep_snapshots(state, number),
            )
        except NoRoom:
            raise
        except UserError as error:
            logging.warning("%s", error)
            logging.info("runs %d to %d", rows[0], rows[-1], exc_info=True)
            errors.append(str(error))
            continue
        params.append(done[0])
        logs.append(done[1])
    if errors:
        raise UserError("\n".join(errors))
    joined = {name: torch.cat([part[name].cpu() for part in params]) for name in params[0]}
    log = pd.concat(logs, ignore_index=True)
    order = log["run"].map({run: place for place, run in enumerate(runs["run"])})
    return joined, log.iloc[order.argsort(kind="stable")].reset_index(drop=True)


def part_of(runs: pd.DataFrame, number: int, parts: int) -> pd.DataFrame:
    """Return one of ``parts`` consecutive shares of a plan, the first ones a run longer."""
    return runs.iloc[np.array_split(np.arange(len(runs)), parts)[number]].reset_index(drop=True)


def main() -> None:
    parser = cli.parser(
        *(__doc__, "data", "trajectories", "splits", "output", "log"),
        task=find,
        method=str,
        settings=cli.json_argument,
    )
    parser.add_argument(
        "--state",
        nargs=2,
        type=Path,
        required=True,
        metavar=("FOLDER", "KEY"),
        help="this job's own folder, removed at its end, and which checkpoints in it are of use",
    )
    parser.add_argument("--plan", help="table of runs; not for the reference policy")
    parser.add_argument("--part", type=int, nargs=2, metavar=("NUMBER", "PARTS"), default=(0, 1))
    parser.add_argument("--sizes", type=Path, help="sets of other sizes than the config's")
    parser.add_argument("--snapshots", type=Path, help="where to keep policies on the way")
    parser.add_argument("--reference", help="pi_ref, for methods that start from it")
    args = parser.parse_args()
    task, method, settings = args.task, method_module(args.method), args.settings
    state = Path(*args.state)
    splits, trajectories = files.read_csv(args.splits), files.read_csv(args.trajectories)
    data = load_transitions(args.data, task, method.SEES)
    if args.method == REFERENCE:
        name = f"{task.name}/reference/seed{settings['seed']}"
        runs = pd.DataFrame([{"run": name, "task": task.name, "method": REFERENCE, "stream": name}])
        sets = reference_sets(splits, settings["seed"], settings["held_out"], task.name)
    else:
        runs = files.read_csv(args.plan)
        if runs.empty:
            raise UserError(
                f"{args.plan}: no feasible run; every threshold lacks safe or unsafe "
                f"trajectories of {task.name}. Take the task or the threshold out of the config."
            )
        runs = part_of(runs, *args.part)
        drawn = files.read_csv(args.sizes) if args.sizes else splits
        sets = run_sets(drawn, trajectories, runs)
    settings["horizon"] = task.horizon
    settings["longest"] = int(trajectories["length"].max())
    limits = {key: settings[key] for key in ("log_std_min",) if settings[key] is not None}
    sizes = task.obs_dim, task.act_dim, settings["hidden"]
    policy = make_policy(settings["policy"], *sizes, **limits)
    reference = None
    if method.STARTS_FROM == "reference":
        # A reference that was not trained on these data has standardisation constants of its own.
        of_reference, reference, mean, std, _ = policy_file.load(args.reference)
        data = replace(data, mean=mean, std=std)
        policy = replace(of_reference, **limits)

    n_chunks = -(-len(runs) // stack_size(policy, settings))
    total = n_chunks * sum(phase.iterations + 1 for phase in method.phases(policy, settings))
    progress = cli.Progress(f"train {args.method} {task.name}", total, "it")
    params, log = train_in_chunks(
        method, policy, runs, data, sets, settings, reference, progress, state
    )
    progress.close()
    if len(log):
        logging.info("last log point\n%s", log.groupby("run").tail(1).T.to_string())
    metadata = {
        "task": task.to_dict(),
        "method": args.method,
        **describe(policy),
        "runs": runs.to_dict("records"),
        "settings": settings,
        "data_sha256": files.sha256(args.data),
        "versions": provenance.versions(),
        "device": str(device()),
    }
    log.attrs = {"provenance": metadata}
    policy_file.save(args.output, params, data.mean, data.std, metadata)
    files.write_table(args.log, log)
    if args.snapshots:
        iterations = sorted(snapshot_iterations(method, policy, settings))
        taken, rows = join_snapshots(state, n_chunks, iterations, runs)
        metadata["runs"] = rows.to_dict("records")
        policy_file.save(args.snapshots, taken, data.mean, data.std, metadata)
    # With it what other settings or code have left of this job.
    shutil.rmtree(args.state[0], ignore_errors=True)


if __name__ == "__main__":
    cli.run(main)
