"""Tables that jobs of this project write for each other, read as `prefine.reading` reads."""

import csv
import io
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from prefine import parquet
from prefine.errors import UserError, shown
from prefine.reading import CELLS, COLUMNS, LINE, TABLE, read_bytes, refused_in_one_line
from prefine.results import DELETE, check_place, intact
from prefine.rows import check_rows

UNPACKED = 2**28  # bytes of a Parquet file
PART = 2**14  # rows of it at a time
KINDS = ("BOOLEAN", "INT32", "INT64", "FLOAT", "DOUBLE", "BYTE_ARRAY")  # of its columns


def read_arrays(path: str | Path) -> dict[str, np.ndarray]:
    """Read an .npz of this project, nothing pickled.

    Raises:
        UserError: it is none.
    """
    with refused_in_one_line(path, "is no archive of arrays", DELETE), np.load(path) as file:
        return dict(file)


def read_csv(path: str | Path, *columns: str, largest: int = TABLE, **options):
    """Read a CSV of this project as a pandas table whose numbers are those that were written.

    By default pandas may miss the last bit.

    Args:
        columns: those that must be there.

    Raises:
        UserError: it is no such table, or is not what was written.
    """
    intact(path, largest)
    content = read_bytes(path, largest)
    check_lines(path, content)
    with refused_in_one_line(path, "cannot be read as CSV", DELETE):
        _check_shape(path, content)
        table = pd.read_csv(io.BytesIO(content), float_precision="round_trip", **options)
    return _checked(path, table, columns)


def _check_shape(path: str | Path, content: bytes) -> None:
    """Refuse a CSV of which pandas would make another table than it looks.

    It numbers columns of one name, takes a value too many in every row for the row's name, and
    fills a row that was cut.
    """
    # As a stream: a text with one wide letter takes four times its bytes.
    reader = csv.reader(io.TextIOWrapper(io.BytesIO(content), "utf-8-sig", newline=""))
    names = next(reader)
    if len(set(names)) < len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise UserError(f"{path}: has {names.count(twice)} columns {shown(twice)}{DELETE}")
    for row in reader:
        if row and len(row) != len(names):
            raise UserError(
                f"{path}: line {reader.line_num}: has {len(row)} values for {len(names)} "
                f"columns{DELETE}"
            )
    if not content.endswith((b"\n", b"\r")):
        raise UserError(f"{path}: its last line has no end; it was cut{DELETE}")


def check_lines(path: str | Path, content: bytes, most: int = COLUMNS, longest: int = LINE) -> None:
    """Raise UserError for a CSV of too many columns or too long a line, before it is parsed."""
    if not content.strip():
        raise UserError(f"{path}: is empty{DELETE}")
    if b"\0" in content:
        raise UserError(f"{path}: cannot be read as CSV (it has zero bytes){DELETE}")
    if content.count(b",") + content.count(b"\n") > CELLS:
        raise UserError(f"{path}: has more than {CELLS:,} values")
    start = 0
    while start < len(content):
        end = content.find(b"\n", start, start + longest)
        if end < 0 and len(content) - start > longest:
            raise UserError(f"{path}: has a line of more than {longest:,} bytes")
        end = len(content) if end < 0 else end
        if (n := content.count(b",", start, end) + 1) > most:
            raise UserError(f"{path}: has a line of {n:,} columns; {most:,} are allowed")
        start = end + 1


def read_parquet(path: str | Path, *columns: str, largest: int = TABLE):
    """Read a Parquet file as a pandas table; its ``attrs`` are those that were written."""
    intact(path, largest)
    with refused_in_one_line(path, "cannot be read as Parquet", DELETE):
        _check_unpacked(path)
        table = pd.read_parquet(path)
    return _checked(path, table, columns)


def _checked(path: str | Path, table, columns: tuple[str, ...]):
    with_columns(path, table, columns)
    with refused_in_one_line(path, "is no table of this project", DELETE):
        check_rows(path, table)
    return table


def _check_unpacked(path: str | Path) -> None:
    """Unpack a Parquet file in small parts, up to a bound, whatever it claims.

    A page is unpacked as a whole, so the pages' own sizes are looked at first. A value that is
    repeated takes nothing in the file; so text is looked at before it is repeated.
    """
    about = pq.read_metadata(path)
    if about.num_columns > COLUMNS:
        raise UserError(f"{path}: has {about.num_columns:,} columns; {COLUMNS:,} are allowed")
    groups = (about.row_group(number) for number in range(about.num_row_groups))
    places = range(about.num_columns)
    n = sum(group.column(place).num_values for group in groups for place in places)
    if n > CELLS:
        raise UserError(f"{path}: has {n:,} values; {CELLS:,} are allowed")
    if parquet.unpacked_bytes(path, about, UNPACKED) > UNPACKED:
        raise UserError(f"{path}: has more than {UNPACKED:,} bytes unpacked")
    leaves = (about.schema.column(place) for place in places)
    kinds = {leaf.path: leaf.physical_type for leaf in leaves}
    if odd := [name for name, kind in kinds.items() if kind not in KINDS]:  # repeated unseen
        raise UserError(f"{path}: {shown(odd[0])} is of a type that no table here has")
    text = [name for name, kind in kinds.items() if kind == "BYTE_ARRAY"]
    if lists := [name for name in text if "." in name]:
        raise UserError(f"{path}: {shown(lists[0])} is lists of text, which no table here has")
    size = 0
    with pq.ParquetFile(path, read_dictionary=text) as file:
        for batch in file.iter_batches(PART):
            for column in batch.columns:
                if pa.types.is_dictionary(column.type):
                    size += _repeated(column)
                else:
                    size += column.nbytes
            if size > UNPACKED:
                raise UserError(f"{path}: has more than {UNPACKED:,} bytes unpacked")


def _repeated(column: pa.DictionaryArray) -> int:
    """Bytes of text when each value stands where it is."""
    lengths = pc.binary_length(column.dictionary).cast(pa.int64())
    return pc.sum(lengths.take(column.indices)).as_py() or 0


def with_columns(path: str | Path, table, columns: tuple[str, ...]):
    """Return the table if it has these columns.

    Raises:
        UserError: one is missing.
    """
    if missing := [name for name in columns if name not in table]:
        raise UserError(f"{path}: lacks the columns {', '.join(missing)}{DELETE}")
    if "run" in table:
        check_place(path, table["run"].unique())
    return table
