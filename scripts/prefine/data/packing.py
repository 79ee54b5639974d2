"""How HDF5 packs an array, and what comes out of it: the pieces are unpacked here first.

HDF5 unpacks a piece to whatever size comes out, not to the size that it claims, and loads code for
filters that it does not know. So only filters whose output can be bounded are read.
"""

import zlib
from typing import TYPE_CHECKING

from prefine.errors import UserError, shown

if TYPE_CHECKING:
    import h5py

MAX_PIECE = 2**26  # bytes of a piece, unpacked
MAX_PIECES = 1_000_000
DEFLATE, SHUFFLE, FLETCHER, LZF = 1, 2, 3, 32000
KNOWN = {DEFLATE: "gzip", SHUFFLE: "shuffle", FLETCHER: "fletcher32", LZF: "lzf"}
NAMES = {
    4: "szip",
    5: "nbit",
    6: "scale-offset",
    307: "bzip2",
    32001: "Blosc",
    32004: "LZ4",
    32008: "bitshuffle",
    32013: "ZFP",
    32015: "Zstandard",
    32026: "Blosc2",
}
LZF_RATIO = 90  # at most, by its format: 264 bytes for 3
CHECKSUM = 4  # bytes of fletcher32


def filters_of(values: "h5py.Dataset") -> list[tuple[int, str]]:
    """Number and name of the filters of an array, in the order in which it was packed."""
    properties = values.id.get_create_plist()
    found = (properties.get_filter(place) for place in range(properties.get_nfilters()))
    return [(number, name.decode("ascii", "replace")) for number, _, _, name in found]


def check(values: "h5py.Dataset", where: str) -> None:
    """Refuse an array whose pieces are too large, too many, or packed in a way not read here.

    Raises:
        UserError: it begins with ``where`` and says how to write the file again.
    """
    if not values.chunks:
        return
    size = piece_bytes(values)
    if size > MAX_PIECE:
        raise UserError(
            f"{where}: is stored in pieces of {values.chunks}, too large to read; write it again "
            "in smaller ones: h5repack -l CHUNK=1000 OLD NEW"
        )
    found = filters_of(values)
    numbers = [number for number, _ in found]
    for number, name in found:
        if number not in KNOWN:
            what = NAMES.get(number) or (shown(name[:30]) if name else "a filter of others")
            raise UserError(
                f"{where}: is packed with {what} (HDF5 filter {number}), which is not read here; "
                "write the file again with gzip: h5repack -f GZIP=4 OLD NEW"
            )
    packers = [number for number in numbers if number in (DEFLATE, LZF)]
    order = [number for number in numbers if number != FLETCHER]
    if len(packers) > 1 or len(set(numbers)) < len(numbers) or order not in _ORDERS:
        names = ", ".join(KNOWN[number] for number in numbers)
        raise UserError(
            f"{where}: is packed in an unusual order ({names}); write the file again: "
            "h5repack -f GZIP=4 OLD NEW"
        )
    if values.id.get_num_chunks() > MAX_PIECES:
        raise UserError(f"{where}: is stored in more than {MAX_PIECES:,} pieces")


_ORDERS = ([], [SHUFFLE], [DEFLATE], [LZF], [SHUFFLE, DEFLATE], [SHUFFLE, LZF])


def piece_bytes(values: "h5py.Dataset") -> int:
    """Size of an unpacked piece."""
    size = values.dtype.itemsize
    for length in values.chunks:
        size *= int(length)
    return size


def check_pieces(values: "h5py.Dataset", start: int, stop: int, where: str) -> None:
    """Unpack the pieces that hold some rows, no further than to the size that they must have.

    Raises:
        UserError: a piece gives more or less, or cannot be unpacked.
    """
    if not values.chunks:
        return
    numbers = [number for number, _ in filters_of(values)]
    size = piece_bytes(values)
    rows = values.chunks[0]
    first, last = start // rows * rows, stop
    columns = range(0, values.shape[1], values.chunks[1]) if values.ndim == 2 else (None,)
    for row in range(first, last, rows):
        for column in columns:
            offset = (row,) if column is None else (row, column)
            info = values.id.get_chunk_info_by_coord(offset)
            if info.byte_offset is None:
                continue  # never written: HDF5 fills it
            place = f"{where}: the piece at step {row}"
            if info.size > 2 * size + 2**16:
                raise UserError(f"{place} has {info.size:,} bytes, more than it holds unpacked")
            check_piece(values, offset, numbers, size, place)


def check_piece(
    values: "h5py.Dataset", offset: tuple, numbers: list[int], size: int, place: str
) -> None:
    """Unpack one piece as HDF5 would, and compare its size."""
    mask, content = values.id.read_direct_chunk(offset)
    used = [number for bit, number in enumerate(numbers) if not mask >> bit & 1]
    expected = size
    for number in used:  # a checksum before the packing is packed too
        if number == FLETCHER:
            expected += CHECKSUM
        if number in (DEFLATE, LZF):
            break
    else:
        _same_size(len(content), expected, place)
        return
    if used[-1] == FLETCHER and number != FLETCHER:
        content = content[:-CHECKSUM]
    if number == LZF:
        if LZF_RATIO * len(content) > 16 * MAX_PIECE:
            raise UserError(f"{place} may unpack to more than {16 * MAX_PIECE:,} bytes")
        return
    unpacker = zlib.decompressobj()
    try:
        found = len(unpacker.decompress(content, expected + 1))
    except zlib.error as error:
        raise UserError(f"{place} is damaged ({error}); get or make the file again") from None
    _same_size(found, expected, place)


def _same_size(found: int, expected: int, place: str) -> None:
    if found != expected:
        much = "more than" if found > expected else "fewer than"
        raise UserError(f"{place} unpacks to {much} the {expected:,} bytes that it must have")
