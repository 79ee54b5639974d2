"""Scores of others that go into Table 1: a CSV of the user's. Light enough for the Snakefile.

Text of the file stands in pages, in LaTeX and in figures: letters, digits and a few signs alone.
"""

import csv
import difflib
import io
import math
import re
from collections.abc import Collection
from pathlib import Path

from prefine.errors import UserError, reason, shown
from prefine.reading import MIB, is_a_value, read_text
from prefine.tasks import TASKS

NEEDED = ("task", "method", "reward", "cost", "sees", "source")
NUMBERS = {"reward": -1e3, "cost": 0.0, "reward_std": 0.0, "cost_std": 0.0}  # their least value
LARGEST = 1e4  # of a normalised score
SEES = ("labels", "costs")  # trajectories with labels alone; rewards and costs of steps
MOST_BYTES, MOST_ROWS = MIB, 5000
SEPARATORS = ",;\t"
METHOD = re.compile(r"[A-Za-z0-9][A-Za-z0-9 .()+-]{0,29}")
SOURCE = re.compile(r"[^\W_][\w .,:;()/+-]{0,149}")


def read_scores(path: str | Path, taken: Collection[str], own_tasks: Collection[str]) -> list[dict]:
    """Read a table of scores: ``NEEDED``, and ``reward_std`` and ``cost_std`` where there are any.

    Args:
        taken: names that no method of others may have.
        own_tasks: tasks of the run; those of DSRL may be there besides.

    Returns:
        One dictionary a row, numbers as numbers, NaN for a spread that is not given.

    Raises:
        UserError: one line that names the line of the file and what is wrong.
    """
    rows = _rows(path)
    _, names = next(rows, (1, []))
    _check_names(path, names)
    found: list[dict] = []
    seen: dict[tuple, int] = {}
    for line, values in rows:
        if not any(values):
            continue
        where = f"{path}: line {line}"
        if len(values) != len(names):
            raise UserError(f"{where}: has {len(values)} values for {len(names)} columns")
        if len(found) == MOST_ROWS:
            raise UserError(f"{where}: is row {MOST_ROWS + 1:,}; {MOST_ROWS:,} are allowed")
        row = _row(where, dict(zip(names, values, strict=True)), taken, own_tasks)
        key = row["task"], row["method"].lower()
        if key in seen:
            raise UserError(f"{where}: {row['method']} on {row['task']} is in line {seen[key]} too")
        seen[key] = line
        found.append(row)
    if not found:
        raise UserError(f"{path}: has no rows")
    return found


def _rows(path: str | Path):
    """Line and values of each row; separated by commas, or as spreadsheets do."""
    text = read_text(path, MOST_BYTES).lstrip("\ufeff")
    if "\0" in text:
        raise UserError(f"{path}: cannot be read as CSV (it has zero bytes)")
    separator = max(SEPARATORS, key=text.partition("\n")[0].count)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=separator, strict=True)
    try:
        for row in reader:
            yield reader.line_num, [" ".join(value.split()) for value in row]
    except csv.Error as error:
        line = reader.line_num
        raise UserError(f"{path}: line {line}: cannot be read as CSV ({reason(error)})") from None


def _check_names(path: str | Path, names: list[str]) -> None:
    allowed = list(dict.fromkeys([*NEEDED, *NUMBERS]))
    for name in names:
        if name not in allowed or names.count(name) > 1:
            what = "is there twice" if name in allowed else "is not allowed"
            raise UserError(
                f"{path}: line 1: column {shown(name)} {what}; columns are {', '.join(allowed)}"
            )
    if missing := [name for name in NEEDED if name not in names]:
        raise UserError(
            f"{path}: line 1: lacks the columns {', '.join(missing)}; it needs {','.join(NEEDED)}"
        )


def _row(where: str, row: dict, taken: Collection[str], own_tasks: Collection[str]) -> dict:
    """A row as it is, if all of it is allowed."""
    task, method = row["task"], row["method"]
    known = [*own_tasks, *TASKS]
    if task not in known:
        near = difflib.get_close_matches(task, known, n=1, cutoff=0.5)
        hint = f"; did you mean {near[0]}?" if near else ""
        raise UserError(f"{where}: task: {shown(task)} is neither DSRL's nor this run's{hint}")
    if not METHOD.fullmatch(method) or is_a_value(method):
        raise UserError(
            f"{where}: method: {shown(method)} is not allowed; a name has up to 30 letters, "
            "digits, spaces and . ( ) + -, begins with a letter or digit, and is no number"
        )
    if method.lower() in {name.lower() for name in taken}:
        raise UserError(
            f"{where}: method: {shown(method)} is a method that this project runs; say whose "
            f"numbers they are, such as {shown(f'{method} (OSRL)')}"
        )
    if row["sees"] not in SEES:
        raise UserError(
            f"{where}: sees: {shown(row['sees'])} is not allowed; labels (of trajectories alone) "
            "or costs (and rewards of steps)"
        )
    if not SOURCE.fullmatch(row["source"]):
        raise UserError(
            f"{where}: source: {shown(row['source'])} is not allowed; say in up to 150 letters, "
            "digits, spaces and . , : ; ( ) / + - _ where the number is from"
        )
    return row | {name: _number(where, name, row.get(name, "")) for name in NUMBERS}


def _number(where: str, name: str, text: str) -> float:
    """A finite number in its bounds; NaN for a spread that is not given."""
    if not text and name not in NEEDED:
        return math.nan
    plain = text.isascii() and "_" not in text and len(text) <= 40
    try:
        value = float(text) if plain else math.nan
    except ValueError:
        value = math.nan
    least = NUMBERS[name]
    if not least <= value <= LARGEST:
        raise UserError(
            f"{where}: {name}: {shown(text)} is not allowed; a normalised score, a number from "
            f"{least:g} to {LARGEST:g} with a decimal point"
        )
    return value
