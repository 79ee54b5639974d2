"""Play the policy before and after on the same episodes: one row an episode, with its costs."""

import logging
from dataclasses import replace
from pathlib import Path

import pandas as pd
import torch
from prefine import files, provenance, results
from prefine.analysis.choose import counterpart
from prefine.evaluation.rollout import evaluate
from prefine.pipeline import cli
from prefine.policies import file as policy_file
from prefine.policies.formats.read import read_policy
from prefine.policies.stack import PolicyStack
from prefine.tasks import Task


def players(
    args, choice: dict, own: PolicyStack, candidates: PolicyStack
) -> dict[str, PolicyStack]:
    """Who plays, each a stack of one."""
    found = {"before": policy_file.load(args.reference).replica(0)}
    if not own.has_density:
        found = {"original": replace(own, metadata={"runs": [{"run": "original"}]})} | found
    wanted = {choice["run"]: "after"}
    wanted |= {run: f"other seed {n}" for n, run in enumerate(set_aside(choice), 1)}
    found |= {who: candidates.run(run) for run, who in wanted.items()}
    if args.control:
        control = policy_file.load(args.control)
        rows = (pd.DataFrame(stack.metadata["runs"]) for stack in (candidates, control))
        found["control"] = control.run(counterpart(choice["run"], *rows))
    return found


def set_aside(choice: dict) -> list[str]:
    """The other runs of the chosen variant."""
    return [run for run in choice["runs"] if run != choice["run"]]


def main() -> None:
    parser = cli.parser(
        __doc__,
        "choice policies reference output",
        policy=cli.json_argument,
        settings=cli.json_argument,
    )
    parser.add_argument("--control", type=Path, help="BC from pi_ref, to compare with")
    parser.add_argument("--workers", type=int, default=1, help="processes that step simulators")
    args = parser.parse_args()
    torch.set_num_threads(1)
    choice, settings = results.read_object(args.choice), args.settings
    trained = policy_file.load(args.reference).metadata
    task = Task(**trained["task"])
    own = read_policy(args.policy, task)
    path = args.policies / f"{choice['job']}.safetensors"
    candidates, digest = results.hashed(path, lambda: policy_file.load(path))
    playing = players(args, choice, own, candidates)
    progress = cli.Progress(f"compare {task.name}", len(playing) * settings["episodes"], "episodes")
    tables = []
    for who, stack in playing.items():
        (run,) = stack.names
        table = evaluate(
            stack,
            task,
            settings["episodes"],
            settings["action_mode"],
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
            "policies_sha256": digest,
            "data_sha256": trained["data_sha256"],
            "settings": settings,
            "versions": provenance.versions(),
        }
    }
    files.write_table(args.output, episodes)


if __name__ == "__main__":
    cli.run(main)
