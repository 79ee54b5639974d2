"""A sheet of labels as text editors and spreadsheets write it.

Spreadsheets separate by semicolons or tabs, write decimal commas, begin the file with a mark, put
values in quotes, and leave emptied rows. All of that is read; what could mean two things is not.
"""

import codecs
import csv
import io
import re
from collections.abc import Iterator
from pathlib import Path

import pandas as pd

from prefine.errors import UserError, reason, short, shown
from prefine.reading import MIB, read_bytes

MOST_BYTES, MOST_COLUMNS = 16 * MIB, 100
SEPARATORS = (",", ";", "\t")
NEEDED = ("trajectory", "label")
NUMBERS = ("return", "length")
FINGERPRINT = "fingerprint"
AROUND = " \t\u00a0\"'\u201c\u201d\u2018\u2019"  # spaces and quotes of all kinds
LINE = "line"  # column that is added: where a row stands in the file


def read_sheet(path: Path, most_rows: int | None = None) -> pd.DataFrame:
    """Read a sheet as text: trajectory, label, the other columns, and each row's line.

    ``return`` and ``length`` come as numbers, NaN where they are empty.

    Args:
        most_rows: of the file; emptied ones do not count.

    Raises:
        UserError: it is no such sheet, with the line and what to change.
    """
    text = _text(path, read_bytes(path, MOST_BYTES))
    rows = _rows(path, text)
    line, header = next((row for row in rows if any(map(str.strip, row[1]))), (1, []))
    names = [name.strip(AROUND).lower() for name in header]
    _check_names(path, names)
    found = []
    for line, row in rows:
        if not any(value.strip(AROUND) for value in row):
            continue
        if most_rows is not None and len(found) >= most_rows:
            raise UserError(f"{path}: line {line}: is one row more than the {most_rows:,} allowed")
        found.append((line, *_fitted(path, line, row, names)))
    table = pd.DataFrame(found, columns=[LINE, *_distinct(names)], dtype=object)
    table["label"] = table["label"].str.lower()
    for name in NUMBERS:
        if name in table:
            table[name] = [
                _number(path, *row, name) for row in zip(table[LINE], table[name], strict=True)
            ]
    return table


def _text(path: Path, content: bytes) -> str:
    """Decode what editors (UTF-8) and spreadsheets (with a mark, or UTF-16) write."""
    utf16 = content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
    try:
        text = content.decode("utf-16" if utf16 else "utf-8-sig")
    except UnicodeDecodeError:
        raise UserError(f"{path}: cannot be read as CSV; save it as CSV in UTF-8") from None
    if "\0" in text:
        raise UserError(f"{path}: cannot be read as CSV; it has zero bytes")
    return text.lstrip("\ufeff")


def _rows(path: Path, text: str) -> Iterator[tuple[int, list[str]]]:
    """The rows of a CSV and the line on which each ends."""
    first = text.lstrip().partition("\n")[0].strip()
    skipped = 0
    if first.lower() in {f"sep={separator}" for separator in (*SEPARATORS, "")}:
        text, skipped = text.lstrip().partition("\n")[2], 1  # a spreadsheet's own first line
        first = text.partition("\n")[0]
    separator = max(SEPARATORS, key=first.count)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=separator, strict=True)
    try:
        for row in reader:
            if len(row) > MOST_COLUMNS:
                raise UserError(
                    f"{path}: line {reader.line_num + skipped}: has {len(row):,} columns; "
                    f"{MOST_COLUMNS} are allowed"
                )
            yield reader.line_num + skipped, row
    except csv.Error as error:
        raise UserError(
            f"{path}: line {reader.line_num + skipped}: cannot be read as CSV ({reason(error)})"
        ) from None


def _check_names(path: Path, names: list[str]) -> None:
    """The needed columns are there, and none of those that are read twice."""
    if not set(NEEDED) <= set(names):
        some = ", ".join(short(name) for name in names[:8])
        raise UserError(
            f"{path}: has columns {some or 'none'}; it needs trajectory,label (separated by a "
            "comma, a semicolon or a tab)"
        )
    for name in (*NEEDED, *NUMBERS, FINGERPRINT):
        if names.count(name) > 1:
            raise UserError(f"{path}: has {names.count(name)} columns {name}; keep one")


def _distinct(names: list[str]) -> list[str]:
    """Names of columns, those that nobody reads numbered."""
    read = (*NEEDED, *NUMBERS, FINGERPRINT)
    return [name if name in read else f"{place}: {name}" for place, name in enumerate(names)]


def _fitted(path: Path, line: int, row: list[str], names: list[str]) -> list[str]:
    """A row of as many values as there are columns; missing ones at its end are empty."""
    values = [value.strip(AROUND) for value in row]
    if any(values[len(names) :]):
        raise UserError(
            f"{path}: line {line}: has {len(values)} values for {len(names)} columns; is a column "
            "shifted, or a decimal comma not in quotes?"
        )
    return (values + [""] * len(names))[: len(names)]


def _number(path: Path, line: int, text: str, name: str) -> float:
    """A number with a decimal point or comma; NaN for an empty one."""
    if not text:
        return float("nan")
    number = to_number(text)
    if number is None:
        raise UserError(f"{path}: line {line}: {name}: {shown(text)} is not a number")
    return number


def to_index(text: object) -> float:
    """The number of a trajectory; NaN for what is none, or could be two: 1,000 and 1.000."""
    number = None if _GROUPED.fullmatch(str(text)) else to_number(str(text))
    return float("nan") if number is None else number


_GROUPED = re.compile(r"[1-9][0-9]{0,2}([.,][0-9]{3})+")


def to_number(text: str) -> float | None:
    """A number as spreadsheets write it: of a point and commas the last one is the decimal."""
    text = text.replace("\u00a0", "").replace(" ", "")
    if "," in text and "." in text:
        mark = max(",.", key=text.rfind)
        text = text.replace("." if mark == "," else ",", "")
    text = text.replace(",", ".")
    plain = text.isascii() and "_" not in text and len(text) <= 40
    try:
        return float(text) if plain else None
    except ValueError:
        return None
