"""Check config.yaml when the workflow starts and say what is wrong in one line."""

from collections.abc import Mapping
from copy import deepcopy
from pathlib import Path

from jsonschema import Draft202012Validator
from jsonschema.exceptions import ValidationError
from jsonschema.validators import extend

from prefine.config import strict_yaml, studies
from prefine.config.constraints import (
    check_finite,
    check_meaning,
    check_methods,
    check_names,
    check_own_policies,
    check_tasks,
    near,
    one_spelling,
    unknown_key,
    with_own_figure,
)
from prefine.config.schema import filled, schema
from prefine.errors import UserError
from prefine.tasks import TASKS


def check(config: Mapping) -> dict:
    """Return the config with defaults filled in.

    Raises:
        UserError: one line that names the key, its value and what is allowed.
    """
    validator = _VALIDATOR(schema())
    errors = sorted(validator.iter_errors(dict(config)), key=lambda e: (len(e.path), str(e.path)))
    if errors:
        raise UserError(f"config: {_explain(errors[0])}")
    check_finite(config, [])
    whole = filled(one_spelling(filled(deepcopy(dict(config)))))
    for part in (check_names, check_methods, check_own_policies, check_tasks):
        part(whole)
    whole = with_own_figure(whole)
    check_studies(whole)
    studies.check(whole)
    check_meaning(whole)
    return whole


def behaviour_recipes(path: Path) -> dict[str, dict[str, dict]]:
    """The branches by which families of behaviour policies are trained: task -> name -> recipe.

    Raises:
        UserError: one line with the file and the key.
    """
    strict_yaml.check(path)
    recipes = strict_yaml.load(path)
    part = {"$ref": "#/$defs/branches", "$defs": schema()["$defs"]}
    for error in _VALIDATOR(part).iter_errors(recipes):
        raise UserError(f"{path}: {_explain(error).replace('config', 'the file', 1)}")
    for task, branches in recipes.items():
        if task not in TASKS:
            raise UserError(f"{path}: {task!r} is no task; {near(task, TASKS)}")
        for name, own in branches.items():
            seen = [name]
            while own and "begin" in own:
                seen.append(own["begin"][0])
                own = branches.get(seen[-1])
                if own is None or seen[-1] in seen[:-1]:
                    raise UserError(
                        f"{path}: {task}.{name}.begin: {' goes on from '.join(map(str, seen))}, "
                        f"which {'is no branch' if own is None else 'has no beginning'}"
                    )
    return recipes


def check_studies(config: Mapping) -> None:
    """What studies give for keys of ``training`` is checked as the config's own."""
    for name, study in config["studies"].items():
        if study is None:
            continue
        vary = study["vary"]
        lists = vary.values() if isinstance(vary, Mapping) else [vary]
        given = [("fixed", key, value) for key, value in study["fixed"].items()]
        varied = [item for entries in lists for entry in entries for item in entry.items()]
        given += [("vary", key, value) for key, values in varied for value in values]
        for place, key, value in given:
            if key in schema()["properties"]["training"]["properties"]:
                check_training(f"studies.{name}.{place}", key, value)


def check_training(place: str, key: str, value: object) -> None:
    """Check a value that a study gives for a key of ``training`` as the config's own.

    Raises:
        UserError: one line that names the place, the value and what is allowed.
    """
    part = schema()["properties"]["training"]["properties"][key] | {"$defs": schema()["$defs"]}
    for error in _VALIDATOR(part).iter_errors(value):
        raise UserError(f"config: {place}.{_explain(error).replace('config', key, 1)}")


def _is_integer(_checker, value: object) -> bool:
    """JSON's 5.0 is an integer too, and none that Python counts with."""
    return isinstance(value, int) and not isinstance(value, bool)


_VALIDATOR = extend(
    Draft202012Validator,
    type_checker=Draft202012Validator.TYPE_CHECKER.redefine("integer", _is_integer),
)


def _explain(error: ValidationError) -> str:
    """Turn a schema violation into one line."""
    if error.context:  # of several alternatives show the one that came nearest
        error = max(error.context, key=lambda e: len(e.path))
    key = ".".join(str(part) for part in error.absolute_path) or "config"
    if error.validator == "additionalProperties":
        allowed = list(error.schema.get("properties", {}))
        unknown = next(name for name in error.instance if name not in allowed)
        return unknown_key(unknown, "" if key == "config" else key, allowed)
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
        "exclusiveMaximum": f"must be below {error.validator_value}",
        "minItems": f"needs at least {error.validator_value} item",
        "maxItems": f"takes at most {error.validator_value} items",
        "uniqueItems": "items must differ",
        "maxLength": f"takes at most {error.validator_value} letters",
    }
    return f"{value}; {needs.get(error.validator, error.message)}"


def _shown(value) -> str:
    """A value as one line of moderate length."""
    text = repr(value)
    return text if len(text) <= 200 else f"{text[:200]}..."
