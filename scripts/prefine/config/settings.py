"""From the config to what one job is told."""

import json
from collections.abc import Mapping

from prefine.methods import REFERENCE, decided, method_constant, method_settings
from prefine.tasks import OWN, SAFETY_GYM, TASKS

OWN_SOURCES = ("file", "policy")  # of data: the user's own


OWN_TRAINING = ("iterations", "batch_size")  # keys of training that a method may have its own of


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


def middle(limits: list):
    """The middle one of a task's thresholds, the lower of two."""
    return sorted(limits)[(len(limits) - 1) // 2] if len(limits) > 1 else limits[0]


def hyperparameters(config: Mapping, method: str, task: str) -> dict[str, float]:
    """Return a method's per-run numbers for a task: the suite's, or the method's own.

    ``eta`` is RPO's spelling of lambda: lam = eta beta (methods 4.6).
    """
    own = config["methods"].get(method, {})
    values = dict(method_constant(method, "HYPERPARAMETERS"))
    if controlled := method_constant(method, "CONTROL_OF", ""):
        theirs = hyperparameters(config, controlled, task)
        values |= {name: theirs[name] for name in values}
    for name in (*values, *(["eta"] if takes_eta(method) else [])):
        if own.get(name) is not None:
            value = own[name]
            if isinstance(value, Mapping):  # a task of the user's own takes Safety Gym's
                value = value.get(suite(task), value[SAFETY_GYM])
            values[name] = value
    if takes_eta(method) and "eta" in values:
        values["lam"] = values.pop("eta") * values["beta"]
    return values


def takes_eta(method: str) -> bool:
    """Whether ``eta`` is another spelling of a method's lambda, and not a number of its own."""
    numbers = method_constant(method, "HYPERPARAMETERS")
    return {"beta", "lam"} <= set(numbers) and "eta" not in numbers


def sees(method: str, settings: Mapping) -> str:
    """What a method with these settings may see of the data: a key of ``dataset.SEES``."""
    return decided(method_constant(method, "SEES"), settings)


def starts_from_reference(method: str, settings: Mapping) -> bool:
    """Whether a method with these settings waits for the reference policy."""
    return decided(method_constant(method, "STARTS_FROM"), settings) == REFERENCE


def _own(config: Mapping, method: str) -> dict:
    """The config's keys of a method; those of the method that it is a control of come first."""
    controlled = method_constant(method, "CONTROL_OF", "")
    theirs = config["methods"].get(controlled, {}) if controlled else {}
    return {**theirs, **config["methods"].get(method, {})}


def training_settings(config: Mapping, method: str, task: str) -> dict:
    """Return what a training job needs of the config, and nothing more.

    Methods keep the batch, learning rates and iterations of their publications unless
    ``training.matched`` gives them PREFINE's (methods 4.10). Segments, bags and the iterations of
    phases before the policy's are their own either way.
    """
    training = dict(config["training"])
    matched = training.pop("matched")
    own = _own(config, method)
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
    policy = method_constant(method, "POLICY", "") or config["policy"]
    return training | settings | {"policy": policy, "hidden": config["hidden"]}


def recipe(config: Mapping, task: str) -> dict:
    """Return a task's recipe with the common settings filled in."""
    own, common = config["collect"]["recipes"][task], config["collect"]["settings"]
    return {**common, **own, "ppo": {**common["ppo"], **own.get("ppo", {})}}


def as_json(value: object) -> str:
    """A part of the config as a script's argument; equal parts give equal text."""
    return json.dumps(value, sort_keys=True)
