"""Train all runs of a plan together, or pretrain the reference policy."""

import json
import logging
import os
import shutil
from dataclasses import replace
from pathlib import Path

import pandas as pd
from prefine import files, frames, provenance, results
from prefine.data.dataset import load_transitions, read_trajectories
from prefine.errors import UserError
from prefine.methods import HOW, REFERENCE, decided, method_module
from prefine.pipeline import cli
from prefine.policies import file as policy_file
from prefine.policies.registry import describe, make_policy
from prefine.policies.stack import PolicyStack
from prefine.preferences.plans import read_plan
from prefine.preferences.sets import check_belongs, reference_sets, run_sets
from prefine.tasks import find
from prefine.training.cuda import device
from prefine.training.loop import snapshot_iterations
from prefine.training.stacks import join_snapshots, stack_size, train_in_chunks


def how_to_train(settings: dict) -> dict:
    """What changes no result (`Run.how_to_train`), as far as ``settings`` do not say it."""
    try:
        return {n: json.loads(os.environ["PREFINE_TRAINING"])[n] for n in HOW if n not in settings}
    except (KeyError, ValueError, TypeError):
        raise UserError(
            f"PREFINE_TRAINING: is not {' and '.join(HOW)} as JSON; the workflow sets it, so call "
            "snakemake rather than this script"
        ) from None


def main() -> None:
    parser = cli.parser(
        __doc__,
        "data trajectories splits output log",
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
    parser.add_argument("--sizes", type=Path, help="sets of other sizes than the config's")
    parser.add_argument("--snapshots", type=Path, help="where to keep policies on the way")
    parser.add_argument("--reference", help="pi_ref, for methods that start from it")
    args = parser.parse_args()
    task, method = args.task, method_module(args.method)
    settings = how_to_train(args.settings) | args.settings
    state = Path(*args.state)
    splits = frames.read_csv(args.splits)
    trajectories = read_trajectories(args.trajectories, args.data, task)
    check_belongs(splits, args.splits, trajectories, args.data)
    seen = decided(method.SEES, settings)
    data, digest = results.hashed(args.data, lambda: load_transitions(args.data, task, seen))
    if args.method == REFERENCE:
        name = f"{task.name}/reference/seed{settings['seed']}"
        runs = pd.DataFrame([{"run": name, "task": task.name, "method": REFERENCE, "stream": name}])
        sets = reference_sets(splits, settings["seed"], settings["held_out"], task.name)
    else:
        runs = read_plan(args.plan)
        if runs.empty:
            raise UserError(
                f"{args.plan}: no feasible run; every threshold lacks safe or unsafe "
                f"trajectories of {task.name}. Take the task or the threshold out of the config."
            )
        drawn = frames.read_csv(args.sizes) if args.sizes else splits
        if args.sizes:
            check_belongs(drawn, args.sizes, trajectories, args.data)
        sets = run_sets(drawn, trajectories, runs)
    settings["horizon"] = task.horizon
    settings["longest"] = int(trajectories["length"].max())
    limits = {key: settings[key] for key in ("log_std_min",) if settings[key] is not None}
    sizes = task.obs_dim, task.act_dim, settings["hidden"]
    policy = make_policy(settings["policy"], *sizes, **limits)
    reference = own = None
    if decided(method.STARTS_FROM, settings) == REFERENCE:
        # A reference that was not trained on these data has standardisation constants of its own.
        of_reference = policy_file.load(args.reference)
        own = of_reference.policy
        reference = of_reference.params
        data = replace(data, mean=of_reference.mean, std=of_reference.std)
        policy = replace(of_reference.policy, **limits)

    n_chunks = -(-len(runs) // stack_size(policy, settings))
    total = n_chunks * sum(phase.iterations + 1 for phase in method.phases(policy, settings))
    progress = cli.Progress(f"train {args.method} {task.name}", total, "it")
    params, log = train_in_chunks(
        method, policy, runs, data, sets, settings, reference, progress, state, own
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
        "data_sha256": digest,
        "versions": provenance.versions(),
        "device": str(device()),
    }
    log.attrs = {"provenance": metadata}
    trained = PolicyStack(policy, params, data.mean, data.std, metadata)
    policy_file.save(args.output, trained)
    files.write_table(args.log, log)
    if args.snapshots:
        iterations = sorted(snapshot_iterations(method, policy, settings))
        taken, rows = join_snapshots(state, n_chunks, iterations, runs)
        metadata = metadata | {"runs": rows.to_dict("records")}
        policy_file.save(args.snapshots, replace(trained, params=taken, metadata=metadata))
    # With it what other settings or code have left of this job.
    shutil.rmtree(args.state[0], ignore_errors=True)


if __name__ == "__main__":
    cli.run(main)
