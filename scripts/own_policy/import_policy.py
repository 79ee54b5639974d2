"""Take a policy of the user's own as the reference policy, distilled where it has no density."""

import logging
from dataclasses import replace

import pandas as pd
from prefine import files, provenance, results
from prefine.data.dataset import Transitions, load_transitions
from prefine.methods import REFERENCE, method_module
from prefine.pipeline import cli
from prefine.policies import file as policy_file
from prefine.policies.formats.read import read_policy
from prefine.policies.registry import describe, make_policy
from prefine.policies.stack import PolicyStack
from prefine.preferences.sets import reference_sets
from prefine.tasks import Task, find
from prefine.training.cuda import device
from prefine.training.loop import train


def distil(own: PolicyStack, data: Transitions, task: Task, name: str, settings: dict):
    """Clone what the policy would do in the states of all trajectories.

    Returns:
        Policy, its parameters (1, ...), the log, and data with the policy's actions.
    """
    data = replace(data, actions=own.act(data.observations)[0])
    everything = pd.DataFrame({"role": "reference", "index": range(len(data.starts))})
    sets = reference_sets(everything, settings["seed"], settings["held_out"], task.name)
    limits = {key: settings[key] for key in ("log_std_min",) if settings[key] is not None}
    sizes = task.obs_dim, task.act_dim, settings["hidden"]
    policy = make_policy(settings["policy"], *sizes, **limits)
    runs = pd.DataFrame([{"run": name, "stream": name}])
    progress = cli.Progress(f"distil {task.name}", settings["iterations"] + 1, "it")
    method = method_module(REFERENCE)
    params, log = train(method, policy, runs, data, sets, settings, on_iteration=progress.update)
    progress.close()
    return policy, {key: value.cpu() for key, value in params.items()}, log, data


def main() -> None:
    parser = cli.parser(
        __doc__,
        "data output log",
        task=find,
        policy=cli.json_argument,
        settings=cli.json_argument,
    )
    args = parser.parse_args()
    task, settings = args.task, args.settings
    own = read_policy(args.policy, task)
    data, digest = results.hashed(
        args.data, lambda: None if own.has_density else load_transitions(args.data, task)
    )
    name = f"{task.name}/reference/own"
    if own.has_density:
        trained = own
        log = pd.DataFrame([{"run": name, "phase": "import", "iteration": 0, "seconds": 0.0}])
        settings = settings | {"iterations": 0}
    else:
        policy, params, log, data = distil(own, data, task, name, settings)
        trained = PolicyStack(policy, params, data.mean, data.std)
    metadata = {
        "task": task.to_dict(),
        "method": REFERENCE,
        **describe(trained.policy),
        "runs": [{"run": name, "task": task.name, "method": REFERENCE, "stream": name}],
        "settings": settings,
        "own_policy": own.metadata | {"distilled": not own.has_density},
        "data_sha256": digest,
        "versions": provenance.versions(),
        "device": str(device()),
    }
    log.attrs = {"provenance": metadata}
    policy_file.save(args.output, replace(trained, metadata=metadata))
    files.write_table(args.log, log)
    logging.info("%s", metadata["own_policy"])


if __name__ == "__main__":
    cli.run(main)
