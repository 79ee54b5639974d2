"""Where a Minari dataset keeps its data. Light enough for the Snakefile."""

from pathlib import Path

from prefine import reading, results
from prefine.errors import UserError, shown

MINARI_FILE = Path("data/main_data.hdf5")
AS_OTHER = (
    "is a Minari dataset whose data are stored as {}, which is not read; write it again as HDF5 "
    '(Minari: data_format="hdf5")'
)


def minari_file(path: Path) -> Path:
    """The HDF5 file of a Minari dataset, if ``path`` is its folder; else ``path`` itself.

    Raises:
        UserError: the folder is none of Minari's, or keeps its data as Arrow.
    """
    with reading.refused_in_one_line(path):
        if not path.is_dir():
            if path.suffix == ".arrow":
                raise UserError(f"{path}: {AS_OTHER.format('Arrow')}")
            return path
    for file in (path / MINARI_FILE, path / MINARI_FILE.name):
        if file.exists():
            return file
    # Minari's own places alone: a folder may hold a whole disk.
    places = ("", "*/", "data/", "data/*/")
    arrow = any(file for place in places for file in path.glob(f"{place}*.arrow"))
    storage = _storage(path)
    if arrow or storage not in (None, "hdf5"):
        name = "Arrow" if arrow or storage == "arrow" else shown(storage)
        raise UserError(f"{path}: {AS_OTHER.format(name)}")
    raise UserError(
        f"{path}: is a folder, and no Minari dataset with {MINARI_FILE}; give the folder of one, "
        "or an HDF5 file"
    )


def _storage(path: Path) -> object:
    """How a Minari dataset says that it is stored; None where it does not."""
    for file in (path / "data/metadata.json", path / "metadata.json"):
        if file.exists():
            found = results.read_json(file)
            return found.get("data_format") if isinstance(found, dict) else None
    return None
