"""Roll out all policies of a file in their simulator: one row a run and episode."""

import logging
from dataclasses import replace
from pathlib import Path

import pandas as pd
import torch
from prefine import files, provenance, results
from prefine.errors import UserError
from prefine.evaluation.rollout import Mix, evaluate
from prefine.pipeline import cli
from prefine.policies import file as policy_file
from prefine.preferences.plans import read_plan
from prefine.tasks import of_policy

RUN_COLUMNS = ("study", "task", "method", "arm", "tau", "draw", "seed", "iteration")


def planned(runs: pd.DataFrame, plan: pd.DataFrame) -> pd.DataFrame:
    """Find the policies of a plan among those of another arm; index is their place there."""
    same = [c for c in plan.columns if c not in ("run", "study", "arm")]
    places = runs[same].assign(place=runs.index)
    found = plan.merge(places, on=same, how="inner", validate="one_to_one").set_index("place")
    if len(found) < len(plan):
        gone = sorted(set(plan["run"]) - set(found["run"]))
        raise UserError(f"{gone[0]}: its policy is not in the file; run the training again")
    return found


def main() -> None:
    parser = cli.parser(__doc__, "policies output", settings=cli.json_argument)
    parser.add_argument("--plan", help="runs that are these policies, acting otherwise")
    parser.add_argument("--mixed-with", help="the policy whose actions are mixed with theirs")
    parser.add_argument("--module", nargs="*", type=Path, default=[], help="before what it imports")
    parser.add_argument("--workers", type=int, default=1, help="processes that step simulators")
    args = parser.parse_args()
    torch.set_num_threads(1)
    stack, digest = results.hashed(args.policies, lambda: policy_file.load(args.policies))
    trained = stack.metadata
    task = of_policy(args.policies, trained.get("task"), *args.module[:1])
    runs = pd.DataFrame(trained["runs"])
    if args.plan:
        runs = planned(runs, read_plan(args.plan))
        chosen = {name: value[list(runs.index)] for name, value in stack.params.items()}
        stack = replace(stack, params=chosen)
    mix = None
    if args.mixed_with:
        mix = Mix(policy_file.load(args.mixed_with), args.settings["mix"])
    n_episodes, mode = args.settings["episodes"], args.settings["action_mode"]
    title = f"evaluate {trained['method']} {task.name}"
    progress = cli.Progress(title, len(runs) * n_episodes, "episodes")
    episodes = evaluate(
        stack,
        task,
        n_episodes,
        mode,
        progress.update,
        workers=args.workers,
        names=list(runs["run"]),
        purpose=args.settings.get("purpose", "evaluate"),
        mix=mix,
    )
    progress.close()

    columns = ["run", *(name for name in RUN_COLUMNS if name in runs)]
    table = runs[columns].iloc[episodes["replica"]].reset_index(drop=True)
    if "iteration" not in table:  # policies on the way have it
        table["iteration"] = trained["settings"]["iterations"]
    table["action_mode"] = mode
    table = pd.concat([table, episodes.drop(columns="replica")], axis=1)
    summary = table.groupby(["run", "iteration"])[["return", "cost", "length"]].mean()
    logging.info("means over episodes\n%s", summary.to_string())
    table.attrs = {
        "provenance": {
            "policies_sha256": digest,
            "data_sha256": trained["data_sha256"],
            "settings": args.settings,
            "versions": provenance.versions(),
        }
    }
    files.write_table(args.output, table)


if __name__ == "__main__":
    cli.run(main)
