"""Train all runs of a plan together, or pretrain the reference policy."""

import logging

import numpy as np
import pandas as pd
from prefine import cli, files, policy_file, provenance
from prefine.dataset import load_transitions
from prefine.errors import UserError
from prefine.methods import REFERENCE, method_module
from prefine.policies import make_policy
from prefine.streams import generator
from prefine.tasks import TASKS
from prefine.training import TrainingSettings, device, train


def reference_sets(splits, seed: int, share: float, task: str) -> dict[str, list[np.ndarray]]:
    """D_ref, with a share of its trajectories held out."""
    indices = splits.loc[splits["role"] == "reference", "index"].to_numpy()
    n_held_out = int(share * len(indices))
    order = generator("held_out", task, seed).permutation(indices)
    return {
        "reference": [np.sort(order[n_held_out:])],
        "held_out": [np.sort(order[:n_held_out])],
    }


def run_sets(splits, trajectories, runs) -> dict[str, list[np.ndarray]]:
    """D_p and D_np of each run; held out is what is safe and not in D_p (methods 4.1)."""
    sets = {"preferred": [], "nonpreferred": [], "held_out": []}
    for tau, draw in zip(runs["tau"], runs["draw"], strict=True):
        cell = splits[(splits["tau"] == tau) & (splits["draw"] == draw)]
        for role in ("preferred", "nonpreferred"):
            sets[role].append(cell.loc[cell["role"] == role, "index"].to_numpy())
        safe = trajectories.loc[trajectories["cost"] < tau, "index"].to_numpy()
        sets["held_out"].append(np.setdiff1d(safe, sets["preferred"][-1]))
    return sets


def main() -> None:
    parser = cli.parser(
        *(__doc__, "data", "trajectories", "splits", "output", "log"),
        task=str,
        method=str,
        settings=cli.json_argument,
    )
    parser.add_argument("--plan", help="table of runs; not for the reference policy")
    parser.add_argument("--reference", help="pi_ref, for methods that start from it")
    args = parser.parse_args()
    task, method = TASKS[args.task], method_module(args.method)
    settings = TrainingSettings(**args.settings["training"])
    splits, trajectories = pd.read_csv(args.splits), pd.read_csv(args.trajectories)
    data = load_transitions(args.data, task)
    if args.method == REFERENCE:
        seed = args.settings["seed"]
        name = f"{args.task}/reference/seed{seed}"
        runs = pd.DataFrame([{"run": name, "task": args.task, "method": REFERENCE, "stream": name}])
        sets = reference_sets(splits, seed, args.settings["held_out"], args.task)
    else:
        runs = pd.read_csv(args.plan)
        if runs.empty:
            raise UserError(
                f"{args.plan}: no feasible run; every threshold lacks safe or unsafe "
                f"trajectories of {args.task}. Take the task or the threshold out of the config."
            )
        sets = run_sets(splits, trajectories, runs)
    policy = make_policy(
        args.settings["policy"], task.obs_dim, task.act_dim, args.settings["hidden"]
    )
    reference = None
    if method.STARTS_FROM == "reference":
        policy, reference, *_ = policy_file.load(args.reference)

    progress = cli.Progress(f"train {args.method} {args.task}", settings.iterations, "it")
    params, log = train(
        method, policy, runs, data, sets, settings, reference, lambda _: progress.update()
    )
    progress.close()
    logging.info("last log point\n%s", log.groupby("run").tail(1).T.to_string())
    metadata = {
        "task": args.task,
        "method": args.method,
        "policy": policy.name,
        "obs_dim": task.obs_dim,
        "act_dim": task.act_dim,
        "hidden": list(policy.hidden),
        "runs": runs.to_dict("records"),
        "settings": args.settings,
        "data_sha256": files.sha256(args.data),
        "versions": provenance.versions(),
        "device": str(device()),
    }
    log.attrs = {"provenance": metadata}
    policy_file.save(args.output, params, data.mean, data.std, metadata)
    files.write_table(args.log, log)


if __name__ == "__main__":
    cli.run(main)
