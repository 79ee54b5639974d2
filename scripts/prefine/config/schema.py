"""The schema of config.yaml, which is the one home of every default."""

import ast
import functools
from collections.abc import Mapping
from copy import deepcopy
from pathlib import Path

from prefine.config import strict_yaml
from prefine.policies import formats


@functools.cache
def schema() -> dict:
    """Return the JSON schema of the config; do not change it."""
    content = strict_yaml.load(Path(__file__).with_name("schema.yaml"))
    content["$defs"]["own_policy"]["properties"]["format"]["enum"] = policy_formats()
    return content


def policy_formats() -> list[str]:
    """The formats in the table of ``policies/formats/read.py``; it needs torch and is not run."""
    text = Path(formats.__file__).with_name("read.py").read_text(encoding="utf-8")
    statements = ast.parse(text).body
    (table,) = (s.value for s in statements if isinstance(s, ast.Assign) and _is_formats(s))
    return [*(ast.literal_eval(key) for key in table.keys), "python", "prefine"]


def _is_formats(statement: ast.Assign) -> bool:
    return any(isinstance(t, ast.Name) and t.id == "FORMATS" for t in statement.targets)


def filled(value, part: Mapping | None = None):
    """Fill in the defaults of a part of the config, nested ones too; the whole one by default."""
    part = _resolved(schema() if part is None else part)
    if isinstance(value, dict):
        for key, own in part.get("properties", {}).items():
            own = _resolved(own)
            if key not in value and "default" in own:
                value[key] = deepcopy(own["default"])
            if key in value:
                value[key] = filled(value[key], own)
        others = part.get("additionalProperties")
        if isinstance(others, dict):
            for key in set(value) - set(part.get("properties", {})):
                value[key] = filled(value[key], others)
    return value


def defaults(block: str) -> dict:
    """Return a block of the config as it is where nothing is given."""
    return filled({}, schema()["properties"][block])


def _resolved(part: Mapping) -> Mapping:
    """Put what a ``$ref`` names in its place."""
    if "$ref" not in part:
        return part
    return {**schema()["$defs"][part["$ref"].rsplit("/", 1)[1]], **part}
