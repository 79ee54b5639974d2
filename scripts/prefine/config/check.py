"""Check config.yaml when the workflow starts and say what is wrong in one line."""

from collections.abc import Mapping
from copy import deepcopy

from jsonschema import Draft202012Validator
from jsonschema.exceptions import ValidationError

from prefine.config.constraints import (
    check_finite,
    check_meaning,
    check_methods,
    check_own_policies,
    check_tasks,
    near,
    one_spelling,
    unknown_key,
    with_own_figure,
)
from prefine.errors import UserError


def check(config: Mapping, schema: Mapping) -> dict:
    """Return the config with defaults filled in.

    Raises:
        UserError: one line that names the key, its value and what is allowed.
    """
    validator = Draft202012Validator(schema)
    errors = sorted(validator.iter_errors(dict(config)), key=lambda e: (len(e.path), str(e.path)))
    if errors:
        raise UserError(f"config: {_explain(errors[0], schema)}")
    check_finite(config, [])
    filled = _fill(deepcopy(dict(config)), schema, schema)
    filled = _fill(one_spelling(filled), schema, schema)
    for part in (check_methods, check_own_policies, check_tasks):
        part(filled)
    filled = with_own_figure(filled)
    check_meaning(filled)
    return filled


def _explain(error: ValidationError, schema: Mapping) -> str:
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
        "minItems": f"needs at least {error.validator_value} item",
        "maxItems": f"takes at most {error.validator_value} items",
        "uniqueItems": "items must differ",
    }
    return f"{value}; {needs.get(error.validator, error.message)}"


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
