"""Collect a task's dataset in its simulator.

A family of behaviour policies plays it (``--family``), or policies are trained for it, PPO at
several cost limits, and every episode is kept (``--recipe``).
"""

import argparse
import logging
from collections import Counter
from pathlib import Path

import numpy as np
import torch
from prefine import provenance, results
from prefine.data import dataset
from prefine.data.hdf5 import MAX_STEPS
from prefine.data.thinning import episodes_to_play, thin
from prefine.errors import UserError
from prefine.evaluation.record import record
from prefine.pipeline import cli
from prefine.policies import file as policy_file
from prefine.policies.stack import PolicyStack
from prefine.tasks import TASKS, Task


def load_family(path: Path, task: Task) -> PolicyStack:
    """Read a family of a task.

    Raises:
        UserError: it is none, or of another task.
    """
    family = policy_file.load(path)
    rows = family.metadata.get("runs", [])
    if not rows or len(rows) != len(family) or not all(plays(row) for row in rows):
        raise UserError(
            f"{path}: no family of behaviour policies; it does not say how many episodes each plays"
        )
    if twice := [name for name, n in Counter(family.names).items() if n > 1]:
        raise UserError(f"{path}: has {twice[0]!r} twice; episodes are named by their policy")
    of_task = family.metadata.get("task", task.name)
    if of_task != task.name:
        raise UserError(f"{path}: a family of {of_task}, not of {task.name}")
    sizes = family.policy.obs_dim, family.policy.act_dim
    if sizes != (task.obs_dim, task.act_dim):
        raise UserError(
            f"{path}: policies of {sizes[0]} observations and {sizes[1]} actions; {task.name} has "
            f"{task.obs_dim} and {task.act_dim}"
        )
    return family


def plays(row: dict) -> bool:
    """Whether a policy has a name and a number of episodes."""
    name, episodes = row.get("run"), row.get("episodes")
    named = isinstance(name, str) and name.encode("utf-8", "replace").decode() == name
    return named and type(episodes) is int and episodes > 0


def check_size(source: str, episodes: int, task: Task) -> None:
    """Refuse more episodes than a file of them could be read again."""
    if episodes * task.horizon > MAX_STEPS:
        most = MAX_STEPS // task.horizon
        raise UserError(f"{source}: {episodes:,} episodes of {task.name}; at most {most:,}")


def by_family(args: argparse.Namespace) -> tuple[list[dict[str, np.ndarray]], dict]:
    """Roll a family out and thin what it played; return episodes and metadata."""
    torch.set_num_threads(1)
    task = TASKS[args.task]
    family, digest = results.hashed(args.family, lambda: load_family(args.family, task))
    wanted = args.trajectories or task.n_trajectories
    check_size("--trajectories", wanted, task)
    check_size(str(args.family), sum(row["episodes"] for row in family.metadata["runs"]), task)
    counts = episodes_to_play([row["episodes"] for row in family.metadata["runs"]], wanted, task)
    progress = cli.Progress(f"collect {task.name}", sum(counts), "episodes")
    # Thinning keeps none that costs more, so none is played on.
    played = record(family, task, counts, progress.update, args.workers, task.max_cost)
    progress.close()
    if not played:
        raise UserError(
            f"{args.family}: each of its {sum(counts)} episodes costs more than "
            f"{task.max_cost:g}, the most in DSRL's dataset of {task.name}"
        )
    returns, costs = (
        np.array([own.steps[name].sum(dtype=np.float64) for own in played])
        for name in ("rewards", "costs")
    )
    kept = [played[place] for place in thin(returns, costs, task, wanted)]
    logging.info("played %d episodes, kept %d", sum(counts), len(kept))
    if len(kept) < wanted:
        logging.warning("%s: %d trajectories, %d were asked for", task.name, len(kept), wanted)
    metadata = {
        "family": {"file": args.family.name, "sha256": digest},
        "policies": family.names,
        "behaviours": [own.replica for own in kept],  # which policy made each trajectory
        "numbers": [own.number for own in kept],
    }
    return [own.steps for own in kept], metadata


def by_recipe(args: argparse.Namespace) -> tuple[list[dict[str, np.ndarray]], dict]:
    """Train the recipe's policies; return every episode, and metadata."""
    from prefine.data.collect import collect  # and Stable-Baselines3, which no family needs

    total = sum(behaviour["steps"] for behaviour in args.recipe["behaviours"])
    progress = cli.Progress(f"collect {args.task}", total, "steps")

    def on_steps(steps: int, mean_return: float, mean_cost: float) -> None:
        finished = mean_return == mean_return  # NaN while no episode has ended
        note = f"return {mean_return:.0f} cost {mean_cost:.0f}" if finished else ""
        progress.update(steps, note)

    log = collect(args.task, args.recipe, on_steps)
    progress.close()
    metadata = {"recipe": args.recipe, "behaviours": log.behaviours, "seeds": log.seeds}
    return log.episodes, metadata


def main() -> None:
    parser = cli.parser(__doc__, "output", task=str)
    how = parser.add_mutually_exclusive_group(required=True)
    how.add_argument("--recipe", type=cli.json_argument, help="trains policies")
    how.add_argument("--family", type=Path, help="policies that are there")
    parser.add_argument("--trajectories", type=int, help="of a family; DSRL's number if not given")
    parser.add_argument("--workers", type=int, default=1, help="processes that step simulators")
    args = parser.parse_args()
    episodes, made = (by_family if args.family else by_recipe)(args)
    common = {"source": "collect", "task": args.task, "env_id": TASKS[args.task].env_id}
    metadata = common | made | {"versions": provenance.versions()}
    dataset.write(args.output, episodes, metadata, args.workers)


if __name__ == "__main__":
    cli.run(main)
