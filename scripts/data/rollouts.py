"""Play a policy of the user's own and log its trajectories, behind those that they bring."""

import logging
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from prefine import files, provenance
from prefine.data import dataset
from prefine.data import rollouts as own_rollouts
from prefine.data.hdf5 import KEYS
from prefine.data.own import load, with_scores
from prefine.errors import UserError
from prefine.pipeline import cli
from prefine.policies.formats.read import read_policy
from prefine.simulators.own import describe


def main() -> None:
    parser = cli.parser(
        __doc__, "output task", name=str, policy=cli.json_argument, settings=cli.json_argument
    )
    parser.add_argument("--data", type=Path, help="trajectories that come first")
    parser.add_argument("--labelled", action="store_true", help="costs may be missing")
    args = parser.parse_args()
    torch.set_num_threads(1)
    task, scores = describe(args.name, args.settings, has_costs=not args.labelled)
    rollouts = args.policy["rollouts"]
    own = read_policy(args.policy, task)
    progress = cli.Progress(f"play {task.name}", rollouts["episodes"] * task.horizon, "steps")
    parts = own_rollouts.play(task, own, rollouts, progress.update)
    progress.close()
    if args.data:
        if not args.data.exists():
            raise UserError(f"config: file.{task.name}.data: {args.data} is not there")
        parts.insert(0, load(args.data, replace(task, has_costs=not args.labelled)))
    told = ["costs" in part and bool(np.isfinite(part["costs"]).all()) for part in parts]
    has_costs = all(told)
    if any(told) and not has_costs:
        logging.warning("%s: has no costs, so those of the rollouts are left out too", args.data)
    if not has_costs:  # never read
        parts = [part | {"costs": np.zeros_like(part["rewards"])} for part in parts]
    arrays = {key: np.concatenate([part[key] for part in parts]) for key in KEYS}
    task = with_scores(replace(task, has_costs=has_costs), arrays, scores)
    metadata = {
        "source": "policy",
        "policy": own.metadata,
        "rollouts": rollouts,
        "file": str(args.data or ""),
        "task": task.to_dict(),
        "versions": provenance.versions(),
    }
    dataset.write(args.output, [arrays], metadata)
    files.write_json(args.task, task.to_dict())
    logging.info("%d trajectories of %s", task.n_trajectories, own.metadata)


if __name__ == "__main__":
    cli.run(main)
