"""Check config.yaml when the workflow starts and say what is wrong in one line."""

import difflib
import math
from collections.abc import Mapping
from copy import deepcopy

from jsonschema import Draft202012Validator
from jsonschema.exceptions import ValidationError

from prefine.config import own as own_config
from prefine.errors import UserError
from prefine.methods import METHODS, REFERENCE, method_constant, method_settings
from prefine.tasks import BULLET_GYM, OWN, SAFETY_GYM, SUITES, TASKS

OWN_SOURCES = ("file", "policy")  # of data: the user's own
OWN_TRAINING = ("iterations", "batch_size")  # keys of training that a method may have its own of


def check(config: Mapping, schema: Mapping) -> dict:
    """Return the config with defaults filled in.

    Raises:
        UserError: one line that names the key, its value and what is allowed.
    """
    validator = Draft202012Validator(schema)
    errors = sorted(validator.iter_errors(dict(config)), key=lambda e: (len(e.path), str(e.path)))
    if errors:
        raise UserError(f"config: {_explain(errors[0], schema)}")
    _check_finite(config, [])
    filled = _fill(deepcopy(dict(config)), schema, schema)
    filled = _fill(own_config.one_spelling(filled), schema, schema)
    for part in (_check_methods, own_config.check, _check_tasks):
        part(filled)
    filled = own_config.with_own_figure(filled, thresholds)
    _check_meaning(filled)
    return filled


def _explain(error: ValidationError, schema: Mapping) -> str:
    """Turn a schema violation into one line."""
    if error.context:  # of several alternatives show the one that came nearest
        error = max(error.context, key=lambda e: len(e.path))
    key = ".".join(str(part) for part in error.absolute_path) or "config"
    if error.validator == "additionalProperties":
        allowed = list(error.schema.get("properties", {}))
        unknown = next(name for name in error.instance if name not in allowed)
        return _unknown(unknown, "" if key == "config" else key, allowed)
    value = f"{key}: {_shown(error.instance)} is not allowed"
    if error.validator == "enum":
        allowed = error.validator_value
        hint = near(error.instance, allowed)
        return f"{value}; {hint}Allowed: {', '.join(map(str, allowed))}"
    if error.validator == "required":
        missing = [name for name in error.validator_value if name not in error.instance]
        return f"{key}: lacks {', '.join(missing)}"
    if error.validator == "pattern":
        return f"{value}; {error.schema['description']}"
    needs = {
        "type": f"must be {error.validator_value}",
        "minimum": f"must be at least {error.validator_value}",
        "maximum": f"must be at most {error.validator_value}",
        "exclusiveMinimum": f"must be above {error.validator_value}",
        "minItems": f"needs at least {error.validator_value} item",
        "maxItems": f"takes at most {error.validator_value} items",
        "uniqueItems": "items must differ",
    }
    return f"{value}; {needs.get(error.validator, error.message)}"


def _check_finite(value, place: list[str]) -> None:
    """YAML has .inf and .nan, which no number of the config may be, and a schema cannot say so."""
    if isinstance(value, float) and not math.isfinite(value):
        raise UserError(f"config: {'.'.join(place)}: {value} is not allowed; it must be finite")
    if isinstance(value, Mapping | list):
        items = value.items() if isinstance(value, Mapping) else enumerate(value)
        for key, part in items:
            _check_finite(part, [*place, str(key)])


def _shown(value) -> str:
    """A value as one line of moderate length."""
    text = repr(value)
    return text if len(text) <= 200 else f"{text[:200]}..."


def _fill(value, schema: Mapping, root: Mapping):
    """Fill in the schema's defaults, nested ones too."""
    schema = _resolve(schema, root)
    if isinstance(value, dict):
        for key, part in schema.get("properties", {}).items():
            part = _resolve(part, root)
            if key not in value and "default" in part:
                value[key] = deepcopy(part["default"])
            if key in value:
                value[key] = _fill(value[key], part, root)
        others = schema.get("additionalProperties")
        if isinstance(others, dict):
            for key in set(value) - set(schema.get("properties", {})):
                value[key] = _fill(value[key], others, root)
    return value


def _resolve(schema: Mapping, root: Mapping) -> Mapping:
    """Put what a ``$ref`` names in its place."""
    if "$ref" not in schema:
        return schema
    return {**root["$defs"][schema["$ref"].rsplit("/", 1)[1]], **schema}


def _check_methods(config: Mapping) -> None:
    """Check names of methods and their keys against the methods' own files."""
    for name in config["methods"]:
        if name not in METHODS:
            raise UserError(f"config: {_unknown(name, 'methods', METHODS)}")
        for key, value in config["methods"][name].items():
            check_key(f"methods.{name}", name, key, value)
    for study, content in config["studies"].items():
        for place in ("methods", "curves"):
            for number, name in enumerate(content[place] if content else []):
                if name not in (METHODS if place == "methods" else content["methods"]):
                    allowed = METHODS if place == "methods" else content["methods"]
                    raise UserError(
                        f"config: studies.{study}.{place}.{number}: {name!r} is not allowed; "
                        f"{near(name, allowed)}Allowed: {', '.join(allowed)}"
                    )


def check_key(place: str, method: str, key: str, value, others: Mapping | None = None) -> None:
    """Check a key and value of a method against its file.

    Args:
        others: keys that are allowed besides, with a value of their type.

    Raises:
        UserError: one line that names the key.
    """
    numbers = dict(method_constant(method, "HYPERPARAMETERS"))
    extra = ["eta"] if {"beta", "lam"} <= set(numbers) else []
    known = method_constant(method, "SETTINGS") | dict.fromkeys(OWN_TRAINING, 1) | (others or {})
    where = f"{place}.{key}"
    if key in numbers or key in extra:
        given = value.values() if isinstance(value, Mapping) else [value]
        if isinstance(value, Mapping) and set(value) | {OWN} != set(SUITES):
            raise UserError(
                f"config: {where}: {value!r} is not allowed; give one number, or one for "
                f"each of {SAFETY_GYM}, {BULLET_GYM} (and {OWN})"
            )
        if not all(_is_number(v) and v >= 0 for v in given):
            raise UserError(
                f"config: {where}: {value!r} is not allowed; must be a number of at least 0"
            )
    elif key in known:
        _check_setting(where, value, known[key])
    else:
        raise UserError(f"config: {_unknown(key, place, [*numbers, *extra, *known])}")


def _check_setting(place: str, value, default) -> None:
    """A setting has the type of its default, or is one of its choices."""
    if default is None:
        if value is not None and not _is_number(value):
            raise UserError(f"config: {place}: {value!r} is not allowed; must be a number or null")
        return
    if isinstance(default, tuple):
        if value not in default:
            raise UserError(
                f"config: {place}: {value!r} is not allowed; "
                f"{near(value, default)}Allowed: {', '.join(default)}"
            )
        return
    right = isinstance(value, bool) == isinstance(default, bool)
    if isinstance(default, float):
        right = right and _is_number(value) and value >= 0
    elif not isinstance(default, bool):
        right = right and isinstance(value, int) and value >= 1
    if not right:
        wanted = {bool: "true or false", int: "an integer of at least 1"}
        wanted = wanted.get(type(default), "a number of at least 0")
        raise UserError(f"config: {place}: {value!r} is not allowed; must be {wanted}")


def _is_number(value) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def near(word, allowed) -> str:
    """A hint with the nearest allowed word, if one is near."""
    near = difflib.get_close_matches(str(word), list(map(str, allowed)), n=1, cutoff=0.5)
    return f"did you mean {near[0]!r}? " if near else ""


def _unknown(key, place: str, allowed) -> str:
    where = f" in {place}" if place else ""
    return (
        f"unknown key {key!r}{where}; {near(key, allowed)}"
        f"Valid keys: {', '.join(allowed) or 'none'}"
    )


def _check_meaning(config: Mapping) -> None:
    """Check the rest of what a schema cannot say."""
    if config["pairing"] == "paired" and config["draws"] != config["seeds"]:
        raise UserError(
            f"config: draws ({config['draws']}) and seeds ({config['seeds']}) must be equal "
            "when pairing is 'paired'; make them equal or set pairing: crossed"
        )
    if config["splits_from"] == config["run"]:
        raise UserError(
            f"config: splits_from: {config['run']!r} is not allowed; it is this run itself, "
            "name another one or null"
        )
    without = [task for task in config["tasks"] if task not in config["collect"]["recipes"]]
    if config["source"] == "collect" and without:
        raise UserError(
            f"config: collect.recipes: lacks {', '.join(without)}; add a recipe or take the "
            f"task out of tasks. Recipes: {', '.join(config['collect']['recipes'])}"
        )
    for task in config["collect"]["recipes"]:
        if task not in TASKS:
            raise UserError(f"config: {_unknown(task, 'collect.recipes', TASKS)}")
        for number, behaviour in enumerate(config["collect"]["recipes"][task]["behaviours"]):
            if behaviour.get("continues") and number == 0:
                raise UserError(
                    f"config: collect.recipes.{task}.behaviours.0.continues: True is not "
                    "allowed; the first behaviour has nothing to continue"
                )
    fig1 = config["figures"]["fig1"]
    if fig1["task"] not in config["tasks"]:
        raise UserError(
            f"config: figures.fig1.task: {fig1['task']!r} is not allowed; "
            f"it must be one of tasks: {', '.join(config['tasks'])}"
        )
    allowed = thresholds(config, fig1["task"])
    if fig1["tau"] not in allowed:
        raise UserError(
            f"config: figures.fig1.tau: {fig1['tau']} is not allowed; "
            f"{fig1['task']} has thresholds {allowed}"
        )
    for figure, own in config["figures"].items():
        if own.get("draw", 0) >= config["draws"]:
            raise UserError(
                f"config: figures.{figure}.draw: {own['draw']} is not allowed; "
                f"draws are 0 to {config['draws'] - 1}"
            )


def _check_tasks(config: Mapping) -> None:
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
        wrong = [key for key in ("env_id", "module", "horizon") if key in entry and task in TASKS]
        if wrong:
            raise UserError(
                f"config: file.{task}.{wrong[0]}: {entry[wrong[0]]!r} is not allowed; {task} is "
                "DSRL's task and has its own"
            )
    for number, task in enumerate(config["tasks"]):
        if config["source"] == "file" and task not in own:
            raise UserError(
                f"config: file: lacks {task}; with `source: file` each task needs an entry there "
                "with its `data`"
            )
        if task not in TASKS and not (mine and task in own):
            raise UserError(
                f"config: tasks.{number}: {task!r} is not allowed; {near(task, TASKS)}"
                f"Allowed: {', '.join(TASKS)}; a task of your own needs `source: file` or "
                "`policy`, and its env_id under `file`"
            )
        limits = thresholds(config, task)
        if task in labels and len(limits) > 1:
            raise UserError(
                f"config: file.{task}.thresholds: {limits} is not allowed; labels replace the "
                "thresholds, so at most one can be given, for normalised costs"
            )
        needs = [m for m in config["studies"]["main"]["methods"] if _needs_costs(m)]
        if limits == [None] and needs:
            raise UserError(
                f"config: studies.main.methods: {', '.join(needs)} needs costs and a threshold; "
                f"{task} has labels only. Take it out, or give file.{task}.thresholds"
            )
    for place, names in (("file", own), ("labels", labels)):
        unused = [name for name in names if name not in config["tasks"]]
        if unused and (place == "labels" or mine):
            raise UserError(
                f"config: {_unknown(unused[0], place, config['tasks'])}; it is none of tasks"
            )


def _needs_costs(method: str) -> bool:
    return method_constant(method, "SEES") == "everything"


def suite(task: str) -> str:
    """Return a task's suite; what is none of DSRL's is the user's own."""
    return TASKS[task].suite if task in TASKS else OWN


def thresholds(config: Mapping, task: str) -> list[int | None]:
    """Return the cost thresholds of a task; ``[None]`` if labels alone say what is preferred."""
    mine = config["source"] in OWN_SOURCES
    own = config["file"].get(task, {}).get("thresholds") if mine else None
    if own is None and task in config["labels"]:
        return [None]
    return own if own is not None else config["thresholds"][suite(task)]


def hyperparameters(config: Mapping, method: str, task: str) -> dict[str, float]:
    """Return a method's per-run numbers for a task: the suite's, or the method's own.

    ``eta`` is RPO's spelling of lambda: lam = eta beta (methods 4.6).
    """
    own = config["methods"].get(method, {})
    values = dict(method_constant(method, "HYPERPARAMETERS"))
    for name in (*values, "eta"):
        if own.get(name) is not None:
            value = own[name]
            if isinstance(value, Mapping):  # a task of the user's own takes Safety Gym's
                value = value.get(suite(task), value[SAFETY_GYM])
            values[name] = value
    if "eta" in values:
        values["lam"] = values.pop("eta") * values["beta"]
    return values


def training_settings(config: Mapping, method: str, task: str) -> dict:
    """Return what a training job needs of the config, and nothing more.

    SafeDICE and CPQ keep their publications' batch and learning rates unless
    ``training.matched`` gives them PREFINE's (methods 4.10).
    """
    training = dict(config["training"])
    matched = training.pop("matched")
    del training["parts"]  # of the workflow: no job needs to know
    own = config["methods"].get(method, {})
    settings = method_settings(method) | {
        key: value for key, value in own.items() if key in method_settings(method)
    }
    if method == REFERENCE:
        training["iterations"] = config["reference"]["iterations"]
        settings |= {name: config["reference"][name] for name in ("seed", "held_out")}
    elif matched:
        rates = [key for key in settings if key.endswith("_learning_rate")]
        settings |= dict.fromkeys(rates, training["learning_rate"])
    else:
        training["batch_size"] = method_constant(method, "BATCH_SIZE", training["batch_size"])
        training |= {key: own[key] for key in OWN_TRAINING if key in own}
    policy = method_constant(method, "POLICY") or config["policy"]
    return training | settings | {"policy": policy, "hidden": config["hidden"]}


def recipe(config: Mapping, task: str) -> dict:
    """Return a task's recipe with the common settings filled in."""
    own, common = config["collect"]["recipes"][task], config["collect"]["settings"]
    return {**common, **own, "ppo": {**common["ppo"], **own.get("ppo", {})}}
