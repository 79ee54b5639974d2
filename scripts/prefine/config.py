"""Check config.yaml when the workflow starts and say what is wrong in one line."""

import difflib
from collections.abc import Mapping
from copy import deepcopy

from jsonschema import Draft202012Validator
from jsonschema.exceptions import ValidationError

from prefine.errors import UserError
from prefine.methods import REFERENCE, method_constant
from prefine.tasks import TASKS


def check(config: Mapping, schema: Mapping) -> dict:
    """Return the config with defaults filled in.

    Raises:
        UserError: one line that names the key, its value and what is allowed.
    """
    validator = Draft202012Validator(schema)
    errors = sorted(validator.iter_errors(dict(config)), key=lambda e: (len(e.path), str(e.path)))
    if errors:
        raise UserError(f"config: {_explain(errors[0], schema)}")
    filled = _fill(deepcopy(dict(config)), schema, schema)
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
        place = "" if key == "config" else f" in {key}"
        near = difflib.get_close_matches(str(unknown), allowed, n=1, cutoff=0.5)
        hint = f"did you mean {near[0]!r}? " if near else ""
        return f"unknown key {unknown!r}{place}; {hint}Valid keys: {', '.join(allowed) or 'none'}"
    value = f"{key}: {error.instance!r} is not allowed"
    if error.validator == "enum":
        near = difflib.get_close_matches(str(error.instance), map(str, error.validator_value), n=1)
        hint = f"did you mean {near[0]!r}? " if near else ""
        return f"{value}; {hint}Allowed: {', '.join(map(str, error.validator_value))}"
    if error.validator == "required":
        missing = [name for name in error.validator_value if name not in error.instance]
        return f"{key}: lacks {', '.join(missing)}"
    if error.validator == "pattern":
        return (
            f"{value}; a name has letters, digits, '_' and '-', begins with a letter or "
            "digit, and is at most 64 long"
        )
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


def _fill(value, schema: Mapping, root: Mapping):
    """Fill in the schema's defaults, nested ones too."""
    if "$ref" in schema:
        target = root["$defs"][schema["$ref"].rsplit("/", 1)[1]]
        schema = {**target, **schema}
    if isinstance(value, dict):
        for key, part in schema.get("properties", {}).items():
            if key not in value and "default" in part:
                value[key] = deepcopy(part["default"])
            if key in value:
                value[key] = _fill(value[key], part, root)
    return value


def _check_meaning(config: Mapping) -> None:
    """Check what a schema cannot say."""
    if config["pairing"] == "paired" and config["draws"] != config["seeds"]:
        raise UserError(
            f"config: draws ({config['draws']}) and seeds ({config['seeds']}) must be equal "
            "when pairing is 'paired'; make them equal or set pairing: crossed"
        )
    without = [task for task in config["tasks"] if task not in config["collect"]["recipes"]]
    if config["source"] == "collect" and without:
        raise UserError(
            f"config: collect.recipes: lacks {', '.join(without)}; add a recipe or take the "
            f"task out of tasks. Recipes: {', '.join(config['collect']['recipes'])}"
        )
    for task in config["collect"]["recipes"]:
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
    if fig1["draw"] >= config["draws"]:
        raise UserError(
            f"config: figures.fig1.draw: {fig1['draw']} is not allowed; "
            f"draws are 0 to {config['draws'] - 1}"
        )


def thresholds(config: Mapping, task: str) -> list[int]:
    """Return the cost thresholds of a task."""
    return config["thresholds"][TASKS[task].suite]


def hyperparameters(config: Mapping, method: str, task: str) -> dict[str, float]:
    """Return a method's hyper-parameters for a task: the suite's number, or the method's own."""
    values = dict(method_constant(method, "HYPERPARAMETERS"))
    for name, value in config["methods"].get(method, {}).items():
        values[name] = value[TASKS[task].suite] if isinstance(value, Mapping) else value
    return values


def training_settings(config: Mapping, method: str) -> dict:
    """Return what a training job needs of the config, and nothing more."""
    training = dict(config["training"])
    settings = {"policy": config["policy"], "hidden": config["hidden"], "training": training}
    if method == REFERENCE:
        training["iterations"] = config["reference"]["iterations"]
        settings |= {name: config["reference"][name] for name in ("seed", "held_out")}
    return settings


def recipe(config: Mapping, task: str) -> dict:
    """Return a task's recipe with the common settings filled in."""
    own, common = config["collect"]["recipes"][task], config["collect"]["settings"]
    return {**common, **own, "ppo": {**common["ppo"], **own.get("ppo", {})}}
