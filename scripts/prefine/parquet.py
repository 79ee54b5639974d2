"""How a Parquet file packs its pages: the sizes to which they say they unpack, before any does.

A reader makes room for a page by what the page's own header says, whatever the file's says. So
these headers are read here first (Thrift's compact protocol; format/PageHeader of Apache Parquet).
"""

from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

LONGEST = 2**20  # bytes of a page's header that are looked at
STOP, TRUE, FALSE, BYTE, DOUBLE, BINARY, LIST, SET, STRUCT = 0, 1, 2, 3, 7, 8, 9, 10, 12
UNPACKED, PACKED = 2, 3  # fields of a page's header
DEEPEST = 20


def unpacked_bytes(path: str | Path, about, most: int) -> int:
    """What all pages of a file say that they unpack to, in bytes; no further than ``most``.

    Args:
        about: the file's metadata as pyarrow gives them.

    Raises:
        ValueError: a page's header cannot be read, or is of a page beyond its column.
    """
    total = 0
    with Path(path).open("rb") as file:
        for group in range(about.num_row_groups):
            for place in range(about.num_columns):
                for size in _pages(file, about.row_group(group).column(place)):
                    total += size
                    if total > most:
                        return total
    return total


def _pages(file: BinaryIO, column) -> Iterator[int]:
    """The unpacked size of each page of one column of one group of rows."""
    begin = column.data_page_offset
    if column.has_dictionary_page and 0 < column.dictionary_page_offset < begin:
        begin = column.dictionary_page_offset
    end = begin + column.total_compressed_size
    while begin < end:
        file.seek(begin)
        header = _Compact(file.read(min(LONGEST, end - begin)))
        found = header.struct()
        unpacked, packed = found.get(UNPACKED, -1), found.get(PACKED, -1)
        if min(unpacked, packed) < 0 or begin + header.place + packed > end:
            raise ValueError("a page's header says an impossible size")
        yield unpacked
        begin += header.place + packed


class _Compact:
    """A reader of Thrift's compact protocol that keeps whole numbers alone."""

    def __init__(self, content: bytes):
        self.content, self.place = content, 0

    def byte(self) -> int:
        if self.place >= len(self.content):
            raise ValueError("a page's header has no end")
        self.place += 1
        return self.content[self.place - 1]

    def number(self) -> int:
        value = 0
        for shift in range(0, 70, 7):
            byte = self.byte()
            value |= (byte & 127) << shift
            if byte < 128:
                return value
        raise ValueError("a page's header has a number of absurd length")

    def signed(self) -> int:
        value = self.number()
        return (value >> 1) ^ -(value & 1)

    def struct(self, depth: int = 0) -> dict[int, int]:
        """The whole numbers among the fields of a struct, by the field's number."""
        if depth > DEEPEST:
            raise ValueError("a page's header is nested too deep")
        found, field = {}, 0
        while (kind := self.byte()) & 15 != STOP:
            field = field + (kind >> 4) if kind >> 4 else self.signed()
            value = self.value(kind & 15, depth)
            if value is not None:
                found[field] = value
        return found

    def value(self, kind: int, depth: int) -> int | None:
        """A value that a field holds; None if it is no whole number."""
        if kind in (TRUE, FALSE):  # whose value is its type
            return None
        if BYTE < kind < DOUBLE:
            return self.signed()
        if kind in (LIST, SET):
            head = self.byte()
            for _ in range(self.number() if head >> 4 == 15 else head >> 4):
                if head & 15 in (TRUE, FALSE):
                    self.byte()
                else:
                    self.value(head & 15, depth + 1)
        elif kind == STRUCT:
            self.struct(depth + 1)
        elif kind in (BYTE, DOUBLE, BINARY):
            self.skip({BYTE: 1, DOUBLE: 8}.get(kind) or self.number())
        else:  # a map is in no page's header
            raise ValueError("a page's header holds what none has")
        return None

    def skip(self, n: int) -> None:
        if n > len(self.content) - self.place:
            raise ValueError("a page's header has no end")
        self.place += n
