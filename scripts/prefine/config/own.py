"""What the config says of policies of the user's own, and what cannot be meant by it."""

from collections.abc import Callable, Mapping
from pathlib import Path

from prefine.errors import UserError


def one_spelling(config: dict) -> dict:
    """Write ``policy: {file: ...}``, the spelling for one task, as an entry of ``own_policy``.

    The methods that start from no reference policy are then of the class ``gaussian``.

    Raises:
        UserError: there are several tasks, or both spellings.
    """
    if not isinstance(config["policy"], Mapping):
        return config
    if len(config["tasks"]) != 1 or config["own_policy"]:
        raise UserError(
            "config: policy: a file is allowed where there is one task and no own_policy; "
            "with several tasks write own_policy: {Task: {file: ..., format: ...}}"
        )
    own = {config["tasks"][0]: config["policy"]}
    return config | {"policy": "gaussian", "own_policy": own}


def check(config: Mapping) -> None:
    """Check what a schema cannot say.

    Raises:
        UserError: one line that names the key.
    """
    own, tasks = config["own_policy"], config["tasks"]
    unused = [task for task in own if task not in tasks]
    if unused:
        raise UserError(
            f"config: own_policy.{unused[0]}: it is none of tasks; tasks are {', '.join(tasks)}"
        )
    if not own:
        if config["source"] == "policy":
            raise UserError(
                "config: source: 'policy' is not allowed without a policy; give "
                "policy: {file: ..., format: ...}, or own_policy with an entry for each task"
            )
        return
    without = [task for task in tasks if task not in own]
    if without:
        raise UserError(
            f"config: own_policy: lacks {', '.join(without)}; in a run with policies of your own "
            "each task has one"
        )
    if "prefine" not in config["studies"]["main"]["methods"]:
        raise UserError(
            "config: studies.main.methods: lacks prefine, which makes own policies safe; see "
            "workflow/presets/own_policy.yaml"
        )


def check_files(config: Mapping) -> None:
    """The files of own policies are there, and the trajectories that go with them.

    Raises:
        UserError: one line that names the key and the file.
    """
    for task, own in config["own_policy"].items():
        named = {f"own_policy.{task}.{name}": own.get(name) for name in ("file", "vec_normalize")}
        named[f"file.{task}.data"] = config["file"].get(task, {}).get("data")
        for key, path in named.items():
            if path and not Path(path).exists():
                raise UserError(f"config: {key}: {path} is not there")


def with_own_figure(config: dict, thresholds: Callable[[dict, str], list]) -> dict:
    """Figure 1 is of the first task where its default, the paper's, is none of the run's."""
    fig1, task = config["figures"]["fig1"], config["tasks"][0]
    fits = fig1["task"] in config["tasks"] and fig1["tau"] in thresholds(config, fig1["task"])
    if not config["own_policy"] or fits:
        return config
    own = fig1 | {"task": task, "tau": thresholds(config, task)[0]}
    return config | {"figures": config["figures"] | {"fig1": own}}
