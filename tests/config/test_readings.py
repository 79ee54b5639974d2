"""docs/readings.md names only keys and values that the config has, and all that was read."""

import re
from copy import deepcopy

import pytest
import yaml
from conftest import ROOT
from prefine.config import check as configuration
from prefine.config.settings import OWN_TRAINING
from prefine.methods import METHODS, method_constant
from test_config import PAPER, SCHEMA, merge

PAGE = (ROOT / "docs/readings.md").read_text()
ROWS = [
    line.strip("| ").split(" | ") for line in PAGE.splitlines() if re.match(r"\| [AB]?\d", line)
]
SWITCHES = [key for row in ROWS for key in re.findall(r"`([^`]+)`", row[3])]


def test_every_contradiction_and_open_point_has_its_row():
    numbers = [row[0] for row in ROWS]
    assert sorted(int(n) for n in numbers if n.isdigit()) == list(range(1, 32))
    for letter in "AB":
        opened = [n for n in numbers if n.startswith(letter)]
        assert opened == [f"{letter}{place + 1}" for place in range(len(opened))]
    assert "B13" in numbers
    assert all(len(row) == 4 for row in ROWS)


def test_every_row_names_a_switch_or_says_that_there_is_none():
    for row in ROWS:
        assert "`" in row[3] or row[3].startswith("None"), row[0]


def exists(path: list[str]) -> bool:
    """Whether a key is in the schema or, below ``methods``, in the method's own file."""
    if path[0] == "methods" and len(path) == 3:
        assert path[1] in METHODS
        numbers = method_constant(path[1], "HYPERPARAMETERS")
        own = {*numbers, *method_constant(path[1], "SETTINGS"), *OWN_TRAINING}
        return path[2] in own or (path[2] == "eta" and {"beta", "lam"} <= set(numbers))
    part = SCHEMA
    for name in path:
        if name not in part.get("properties", {}):
            return False
        part = part["properties"][name]
    return True


@pytest.mark.parametrize("switch", SWITCHES)
def test_a_switch_is_a_key_of_the_config_and_its_value_is_allowed(switch):
    key, _, value = switch.partition(": ")
    path = key.split(".")
    assert exists(path), f"{key}: not in the schema nor in a method's file"
    if value:
        overlay = yaml.safe_load(value)
        for name in reversed(path):
            overlay = {name: overlay}
        configuration.check(merge(deepcopy(PAPER), overlay))


def test_the_readme_leads_to_the_page():
    assert "docs/readings.md" in (ROOT / "README.md").read_text()
