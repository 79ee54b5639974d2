"""Does the return collapse without the SFT term, with gradients through the sample or without?

Takes the data, the splits and the reference policy of a finished run and trains DPO and PREFINE
with `counterfactual` detached and reparameterised; plays the policies on the way.

    python benchmarks/reparameterised.py results/quickstart BallCircle 20 --iterations 4000
"""

import argparse
import sys
from dataclasses import replace
from pathlib import Path

import pandas as pd

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "scripts"))

from prefine import files, frames
from prefine.analysis.metrics import normalized_return
from prefine.config.settings import suite
from prefine.data.dataset import load_transitions
from prefine.evaluation.rollout import evaluate
from prefine.methods import method_module, method_settings
from prefine.policies import file as policy_file
from prefine.policies.stack import PolicyStack
from prefine.preferences.sets import run_sets
from prefine.tasks import SAFETY_GYM, find
from prefine.training.fine_tune import DEFAULTS
from prefine.training.loop import train

# beta and lambda of the paper (A.4), by suite.
NUMBERS = {True: (0.05, 1.6), False: (0.2, 1.0)}


def play(stack: PolicyStack, params, task, episodes: int) -> pd.DataFrame:
    """Mean return and cost of each policy."""
    own = replace(stack, params=params, metadata={})  # π_ref's names its own run alone
    table = evaluate(own, task, episodes, "deterministic")
    return table.groupby("replica")[["return", "cost"]].mean()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("results", type=Path, help="of a run that is finished")
    parser.add_argument("task", type=find)
    parser.add_argument("tau", type=int)
    parser.add_argument("--iterations", type=int, default=4000)
    parser.add_argument("--points", type=int, default=4)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--episodes", type=int, default=20)
    parser.add_argument("--delta-level", default="step")
    parser.add_argument("--methods", nargs="+", default=["dpo", "prefine"])
    parser.add_argument("--through", nargs="+", default=["detached", "reparameterised"])
    parser.add_argument("--output", type=Path, default=Path("results/bench/reparameterised.csv"))
    args = parser.parse_args()
    task, folder = args.task, args.results
    splits = frames.read_csv(folder / f"splits/{task.name}.csv")
    trajectories = frames.read_csv(folder / f"trajectories/{task.name}.csv")
    data = load_transitions(folder / f"data/{task.name}.hdf5", task, "actions")
    reference = folder / f"reference/{task.name}.safetensors"
    reference_stack = policy_file.load(reference)
    policy, params = reference_stack.policy, reference_stack.params
    data = replace(data, mean=reference_stack.mean, std=reference_stack.std)
    beta, lam = NUMBERS[suite(task.name) == SAFETY_GYM]
    runs = pd.DataFrame({"seed": range(args.seeds)}).assign(draw=lambda t: t["seed"], tau=args.tau)
    runs["run"] = runs["stream"] = [
        f"{task.name}/tau{args.tau}/draw{k}/seed{k}" for k in runs["seed"]
    ]
    sets = run_sets(splits, trajectories, runs)
    start = play(reference_stack, params, task, args.episodes)
    rows = []
    for method in args.methods:
        for through in args.through:
            own = runs.assign(beta=beta, lam=lam if method == "prefine" else 0.0)
            settings = DEFAULTS | method_settings(method)
            settings |= {"iterations": args.iterations, "counterfactual": through}
            settings |= {"points": args.points, "hidden": list(policy.hidden)}
            settings |= {"delta_level": args.delta_level, "horizon": task.horizon}
            settings |= {"longest": int(trajectories["length"].max())}

            def keep(iteration, now, method=method, through=through):
                if not iteration:
                    return
                copied = {name: value.detach().clone() for name, value in now.items()}
                means = play(reference_stack, copied, task, args.episodes)
                print(method, through, iteration, means.round(2).to_dict("list"), flush=True)
                for seed, one in means.iterrows():
                    rows.append(
                        {"task": task.name, "method": method, "counterfactual": through}
                        | {"iteration": iteration, "seed": seed, "return": one["return"]}
                        | {"normalized_return": normalized_return(one["return"], task)}
                        | {"share_of_reference": one["return"] / start["return"][0]}
                        | {"cost": one["cost"], "cost_reference": start["cost"][0]}
                    )

            trained = train(
                method_module(method), policy, own, data, sets, settings, params, on_snapshot=keep
            )
            last = trained[1].groupby("run").tail(1)
            names = ["loss", "mean_log_std", "kl_to_reference"]
            print(method, through, last[names].mean().round(3).to_dict(), flush=True)
    table = pd.DataFrame(rows)
    args.output.parent.mkdir(parents=True, exist_ok=True)
    files.write_table(args.output, table)
    keys = ["method", "counterfactual", "iteration"]
    scores = ["normalized_return", "share_of_reference", "cost"]
    print("reference", start.round(2).to_dict("records"))
    print(table.groupby(keys)[scores].agg(["mean", "min", "max"]).round(3).to_string())


if __name__ == "__main__":
    main()
