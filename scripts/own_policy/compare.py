"""Play the policy before and after on the same episodes: one row an episode, with its costs."""

import logging
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from prefine import files, provenance, reading
from prefine.evaluation.rollout import evaluate
from prefine.pipeline import cli
from prefine.policies import file as policy_file
from prefine.policies.formats.read import read_policy
from prefine.simulators import own as own_task
from prefine.tasks import Task


def players(args, choice: dict, own) -> dict[str, tuple]:
    """Who plays: name -> (policy, its parameters (1, ...), mean, std, its run's name)."""
    policy, params, mean, std, trained = policy_file.load(args.reference)
    found = {"before": (policy, params, mean, std, trained["runs"][0]["run"])}
    if not own.has_density:
        as_it_was = (own.actor, own.actor_params, own.mean, own.std, "original")
        found = {"original": as_it_was} | found
    wanted = {choice["run"]: "after"}
    wanted |= {run: f"other seed {n}" for n, run in enumerate(set_aside(choice), 1)}
    found |= of_file(args.policies / f"{choice['job']}.safetensors", wanted)
    if args.control:
        *_, trained = policy_file.load(args.control)
        runs = pd.DataFrame(trained["runs"])
        same = runs["tau"].isna() if choice["tau"] is None else runs["tau"] == choice["tau"]
        found |= of_file(args.control, {runs.loc[same, "run"].iloc[0]: "control"})
    return found


def set_aside(choice: dict) -> list[str]:
    """The other runs of the chosen variant."""
    return [run for run in choice["runs"] if run != choice["run"]]


def of_file(path: Path, wanted: dict[str, str]) -> dict[str, tuple]:
    """Policies of a file by their runs' names."""
    policy, params, mean, std, trained = policy_file.load(path)
    places = {own["run"]: place for place, own in enumerate(trained["runs"])}
    return {
        who: (policy, {k: v[places[run], None] for k, v in params.items()}, mean, std, run)
        for run, who in wanted.items()
    }


def main() -> None:
    parser = cli.parser(
        *(__doc__, "choice", "policies", "reference", "output", "box"),
        policy=cli.json_argument,
        environment=cli.json_argument,
        settings=cli.json_argument,
    )
    parser.add_argument("--control", type=Path, help="BC from pi_ref, to compare with")
    parser.add_argument("--workers", type=int, default=1, help="processes that step simulators")
    args = parser.parse_args()
    torch.set_num_threads(1)
    choice, settings = reading.read_object(args.choice), args.settings
    *_, trained = policy_file.load(args.reference)
    task = Task(**trained["task"])
    _, box, _ = own_task.describe(task.name, args.environment, has_costs=False)
    own = read_policy(args.policy, task.obs_dim, task.act_dim, box.low, box.high)
    playing = players(args, choice, own)
    progress = cli.Progress(f"compare {task.name}", len(playing) * settings["episodes"], "episodes")
    tables = []
    for who, (policy, params, mean, std, run) in playing.items():
        table = evaluate(
            *(policy, params, mean, std, task, settings["episodes"], settings["action_mode"]),
            on_episode=progress.update,
            workers=args.workers,
            names=[run],
            step_costs=True,
        )
        tables.append(table.drop(columns="replica").assign(who=who, run=run, iteration=0))
    progress.close()
    episodes = pd.concat(tables, ignore_index=True)
    logging.info("%s", episodes.groupby("who")[["return", "cost", "length"]].mean().to_string())
    episodes.attrs = {
        "provenance": {
            "policies_sha256": files.sha256(args.policies / f"{choice['job']}.safetensors"),
            "data_sha256": trained["data_sha256"],
            "settings": settings,
            "versions": provenance.versions(),
        }
    }
    files.write_table(args.output, episodes)
    bounds = {name: np.asarray(getattr(box, name)).tolist() for name in ("low", "high")}
    files.write_json(args.box, bounds)


if __name__ == "__main__":
    cli.run(main)
