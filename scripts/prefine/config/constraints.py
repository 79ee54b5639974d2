"""What a schema cannot say of a config."""

import difflib
import math
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import NoReturn

from prefine.config.schema import defaults
from prefine.config.settings import (
    OWN_SOURCES,
    OWN_TRAINING,
    middle,
    sees,
    takes_eta,
    thresholds,
    training_settings,
)
from prefine.data.minari import minari_file
from prefine.data.outside import read_scores
from prefine.errors import UserError, shown
from prefine.methods import METHODS, REFERENCE, method_constant
from prefine.reading import ABSENT, STEPS, is_a_value, missing, not_a_file
from prefine.tasks import BULLET_GYM, OWN, SAFETY_GYM, SUITES, TASKS

LARGEST, LONGEST = 1e18, 1000  # number and text of a config
MOST_ITERATIONS, MOST_COUNT = 10**9, 10**6  # of a method's settings


def check_finite(value, place: list[str]) -> None:
    """No .inf, .nan or absurdly large number or text; a schema cannot say so of every value."""
    where = f"config: {'.'.join(place)}"
    if isinstance(value, float) and not math.isfinite(value):
        raise UserError(f"{where}: {value} is not allowed; it must be finite")
    if isinstance(value, int | float) and abs(value) > LARGEST:
        raise UserError(f"{where}: {shown(value)} is not allowed; no number may be above 1e18")
    if isinstance(value, str) and len(value) > LONGEST:
        raise UserError(
            f"{where}: {shown(value)} is not allowed; it has {len(value):,} letters, {LONGEST:,} "
            "are allowed"
        )
    if isinstance(value, Mapping | list):
        items = value.items() if isinstance(value, Mapping) else enumerate(value)
        for key, part in items:
            check_finite(part, [*place, str(key)])


def refuse(place: str, value, why: str) -> NoReturn:
    """Say that a key has a value that is not allowed.

    Raises:
        UserError: one line.
    """
    raise UserError(f"config: {place}: {value!r} is not allowed; {why}")


def check_choice(place: str, value, allowed: Iterable[str]) -> None:
    """A value is one of those that are allowed."""
    if value not in allowed:
        refuse(place, value, f"{near(value, allowed)}Allowed: {', '.join(allowed)}")


def check_names_in(place: str, names: Iterable[str], allowed: Iterable[str]) -> None:
    """The keys of a part of the config are among those that are allowed."""
    for name in names:
        if name not in allowed:
            raise UserError(f"config: {unknown_key(name, place, allowed)}")


def check_methods(config: Mapping) -> None:
    """Check names of methods and their keys against the methods' own files."""
    check_names_in("methods", config["methods"], METHODS)
    for name, own in config["methods"].items():
        for key, value in own.items():
            check_key(f"methods.{name}", name, key, value)
    for study, content in config["studies"].items():
        if content is None:
            continue
        if isinstance(content["vary"], Mapping):
            check_names_in(f"studies.{study}.vary", content["vary"], METHODS)
        for place, allowed in {"methods": METHODS, "curves": content["methods"]}.items():
            for number, name in enumerate(content[place]):
                check_choice(f"studies.{study}.{place}.{number}", name, allowed)


def check_key(place: str, method: str, key: str, value, others: Mapping | None = None) -> None:
    """Check a key and value of a method against its file.

    Args:
        others: keys that are allowed besides, with a value of their type.

    Raises:
        UserError: one line that names the key.
    """
    numbers = dict(method_constant(method, "HYPERPARAMETERS"))
    extra = ["eta"] if takes_eta(method) else []
    known = method_constant(method, "SETTINGS") | dict.fromkeys(OWN_TRAINING, 1) | (others or {})
    where = f"{place}.{key}"
    if key in numbers or key in extra:
        given = value.values() if isinstance(value, Mapping) else [value]
        if isinstance(value, Mapping) and set(value) | {OWN} != set(SUITES):
            suites = f"{SAFETY_GYM}, {BULLET_GYM} (and {OWN})"
            refuse(where, value, f"give one number, or one for each of {suites}")
        share = key in method_constant(method, "SHARES", ())
        if not all(_is_number(v) and 0 <= v <= (1 if share else v) for v in given):
            refuse(where, value, f"must be a number {'from 0 to 1' if share else 'of at least 0'}")
    else:
        check_names_in(place, [key], [*numbers, *extra, *known])
        _check_setting(where, value, known[key])


def check_share(where: str, value, least: float = 0.0) -> None:
    """A share is a number from 0 to 1, or above 0 where none is nothing."""
    if not (_is_number(value) and least <= value <= 1):
        wanted = "from 0 to 1" if least == 0 else "above 0 and at most 1"
        refuse(where, value, f"must be a number {wanted}")


def _check_setting(place: str, value, default) -> None:
    """A setting has the type of its default, or is one of its choices."""
    if default is None:
        if value is not None and not _is_number(value):
            refuse(place, value, "must be a number or null")
        return
    if isinstance(default, tuple):
        check_choice(place, value, default)
        return
    right = isinstance(value, bool) == isinstance(default, bool)
    # All but iterations multiply the size of a batch.
    most = MOST_ITERATIONS if place.endswith("iterations") else MOST_COUNT
    if isinstance(default, float):
        right = right and _is_number(value) and value >= 0
    elif not isinstance(default, bool):
        right = right and isinstance(value, int) and 1 <= value <= most
    if not right:
        wanted = {bool: "true or false", int: f"an integer from 1 to {most:,}"}
        refuse(place, value, f"must be {wanted.get(type(default), 'a number of at least 0')}")


def _is_number(value) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def near(word, allowed) -> str:
    """A hint with the nearest allowed word, if one is near."""
    near = difflib.get_close_matches(str(word), list(map(str, allowed)), n=1, cutoff=0.5)
    return f"did you mean {near[0]!r}? " if near else ""


def unknown_key(key, place: str, allowed) -> str:
    where = f" in {place}" if place else ""
    return (
        f"unknown key {key!r}{where}; {near(key, allowed)}"
        f"Valid keys: {', '.join(allowed) or 'none'}"
    )


def check_meaning(config: Mapping) -> None:
    """Check the rest of what a schema cannot say."""
    if config["pairing"] == "paired" and config["draws"] != config["seeds"]:
        raise UserError(
            f"config: draws ({config['draws']}) and seeds ({config['seeds']}) must be equal "
            "when pairing is 'paired'; make them equal or set pairing: crossed"
        )
    if config["splits_from"] == config["run"]:
        refuse("splits_from", config["run"], "it is this run itself, name another one or null")
    if config["only_finished"] and config["own_policy"]:
        raise UserError(
            "config: only_finished: True is not allowed with policies of your own; one of them is "
            "chosen when all are finished"
        )
    known = config["collect"]["recipes"].keys() | config["collect"]["families"].keys()
    without = [task for task in config["tasks"] if task not in known]
    if config["source"] == "collect" and without:
        raise UserError(
            f"config: collect.recipes: lacks {', '.join(without)}; add a recipe or take the "
            f"task out of tasks. Recipes: {', '.join(config['collect']['recipes'])}"
        )
    for part in ("recipes", "families", "trajectories"):
        check_names_in(f"collect.{part}", config["collect"][part], TASKS)
    for task, own in config["collect"]["recipes"].items():
        if own["behaviours"] and own["behaviours"][0].get("continues"):
            place = f"collect.recipes.{task}.behaviours.0.continues"
            refuse(place, True, "the first behaviour has nothing to continue")
    if config["collect"]["train"] and config["collect"]["families"]:
        refuse("collect.train", True, "collect.families names policies that are there")
    sets = config["split"]["n_preferred"] + config["split"]["n_nonpreferred"]
    for task, n in config["collect"]["trajectories"].items():
        if n < sets:
            why = f"D_p and D_np alone take {sets} (split.n_preferred and split.n_nonpreferred)"
            refuse(f"collect.trajectories.{task}", n, why)
        if task in TASKS and n * TASKS[task].horizon > STEPS:
            most = STEPS // TASKS[task].horizon
            refuse(f"collect.trajectories.{task}", n, f"at most {most:,} of {task} can be read")
    fig1, tasks = config["figures"]["fig1"], config["tasks"]
    if fig1["task"] not in tasks:
        refuse("figures.fig1.task", fig1["task"], f"it must be one of tasks: {', '.join(tasks)}")
    allowed = thresholds(config, fig1["task"])
    if fig1["tau"] not in allowed:
        refuse("figures.fig1.tau", fig1["tau"], f"{fig1['task']} has thresholds {allowed}")
    for figure, own in config["figures"].items():
        if own.get("draw", 0) >= config["draws"]:
            place, last = f"figures.{figure}.draw", config["draws"] - 1
            refuse(place, own["draw"], f"draws are 0 to {last}")


def check_names(config: Mapping) -> None:
    """Names of tasks and studies stand in tables, where some words are no text but values.

    Raises:
        UserError: one line that names the key.
    """
    named = {f"tasks.{number}": task for number, task in enumerate(config["tasks"])}
    named |= {f"studies.{name}": name for name in config["studies"]}
    for place, name in named.items():
        if is_a_value(name):
            why = "a table would read it as a number, as true or false, or as nothing"
            refuse(place, name, f"{why}. Take another name")


def check_tasks(config: Mapping) -> None:
    """Every task is known, and has what its source needs."""
    own, labels, mine = config["file"], config["labels"], config["source"] in OWN_SOURCES
    if labels and config["splits_from"]:
        raise UserError(
            f"config: splits_from: {config['splits_from']!r} is not allowed with labels; the sets "
            "come from one or the other"
        )
    for task, entry in own.items():
        if config["source"] == "file" and "data" not in entry:
            raise UserError(f"config: file.{task}: lacks data, the trajectories")
        if task not in TASKS and not entry.get("env_id"):
            raise UserError(
                f"config: file.{task}: lacks env_id, the id of its environment in Gymnasium"
            )
        if task not in TASKS and task not in labels and not entry.get("thresholds"):
            raise UserError(
                f"config: file.{task}: lacks thresholds; give cost thresholds, or labels.{task}"
            )
        for key in ("env_id", "module", "horizon"):
            if key in entry and task in TASKS:
                why = f"{task} is DSRL's task and has its own"
                refuse(f"file.{task}.{key}", entry[key], why)
    for number, task in enumerate(config["tasks"]):
        if config["source"] == "file" and task not in own:
            raise UserError(
                f"config: file: lacks {task}; with `source: file` each task needs an entry there "
                "with its `data`"
            )
        if task not in TASKS and not (mine and task in own):
            own_task = "a task of your own needs `source: file` or `policy`, and its env_id under"
            allowed = f"{near(task, TASKS)}Allowed: {', '.join(TASKS)}"
            refuse(f"tasks.{number}", task, f"{allowed}; {own_task} `file`")
        limits = thresholds(config, task)
        if task in labels and len(limits) > 1:
            why = "labels replace the thresholds, so at most one can be given, for normalised costs"
            refuse(f"file.{task}.thresholds", limits, why)
        needs = [m for m in config["studies"]["main"]["methods"] if _needs_costs(config, m, task)]
        if limits == [None] and needs:
            raise UserError(
                f"config: studies.main.methods: {', '.join(needs)} needs costs and a threshold; "
                f"{task} has labels only. Take it out, or give file.{task}.thresholds"
            )
    for place, names in (("file", own), ("labels", labels)):
        unused = [name for name in names if name not in config["tasks"]]
        if unused and (place == "labels" or mine):
            raise UserError(
                f"config: {unknown_key(unused[0], place, config['tasks'])}; it is none of tasks"
            )


def _needs_costs(config: Mapping, method: str, task: str) -> bool:
    return sees(method, training_settings(config, method, task)) == "everything"


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


def check_own_policies(config: Mapping) -> None:
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


def check_files(config: Mapping, root: Path = Path()) -> None:
    """The files of own policies and families are there, and the trajectories that go with them.

    Scores of others are read as they will be: a wrong row is not found after hours of training.

    Args:
        root: where a family is looked for that the working folder has not.

    Raises:
        UserError: one line that names the key and the file.
    """
    for task, path in config["collect"]["families"].items():
        if why := not_a_file(path) and not_a_file(root / path):
            raise UserError(f"config: collect.families.{task}: {path} {why}")
    for task, own in config["own_policy"].items():
        named = {f"own_policy.{task}.{name}": own.get(name) for name in ("file", "vec_normalize")}
        named[f"file.{task}.data"] = config["file"].get(task, {}).get("data")
        for key, path in named.items():
            if path and (why := missing(path)):
                raise UserError(f"config: {key}: {path} {why}")
    for task, path in config["labels"].items():  # which may not be there yet
        if (why := missing(path)) and why != ABSENT:
            raise UserError(f"config: labels.{task}: {path} {why}")
    if path := config["outside_scores"]:
        read_scores(path, (*METHODS, REFERENCE), config["tasks"])
    for task, entry in config["file"].items():
        if config["source"] in OWN_SOURCES and "data" in entry:
            try:
                minari_file(Path(entry["data"]))
            except UserError as error:
                raise UserError(f"config: file.{task}.data: {error}") from None


def with_own_figure(config: dict) -> dict:
    """Figure 1 is of the first task, at its middle threshold, where the default is not there.

    What was named is left as it is, for ``check`` to refuse.
    """
    usual, fig1 = defaults("figures")["fig1"], dict(config["figures"]["fig1"])
    strange = config["source"] in OWN_SOURCES and fig1["task"] in TASKS
    usual_task = fig1["task"] == usual["task"] or strange or bool(config["own_policy"])
    usual_tau = fig1["tau"] == usual["tau"]
    moved = fig1["task"] not in config["tasks"] and usual_task
    if moved:
        fig1["task"] = config["tasks"][0]
    if usual_tau and fig1["task"] in config["tasks"]:
        allowed = thresholds(config, fig1["task"])
        if moved or fig1["tau"] not in allowed:
            fig1["tau"] = middle(allowed)
    return config | {"figures": config["figures"] | {"fig1": fig1}}
