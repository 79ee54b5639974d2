"""Where a Minari dataset keeps its data. Light enough for the Snakefile."""

from pathlib import Path

from prefine import reading
from prefine.errors import UserError

MINARI_FILE = Path("data/main_data.hdf5")


def minari_file(path: Path) -> Path:
    """The HDF5 file of a Minari dataset, if ``path`` is its folder; else ``path`` itself.

    Raises:
        UserError: the folder is none of Minari's, or keeps its data as Arrow.
    """
    with reading.refused_in_one_line(path):
        if not path.is_dir():
            return path
    for file in (path / MINARI_FILE, path / MINARI_FILE.name):
        if file.exists():
            return file
    # Minari's own places alone: a folder may hold a whole disk.
    arrow = (file for place in ("", "data/", "data/*/") for file in path.glob(f"{place}*.arrow"))
    if _storage(path) == "arrow" or any(arrow):
        raise UserError(
            f"{path}: is a Minari dataset whose data are stored as Arrow, which is not read; write "
            'it again as HDF5 (Minari: data_format="hdf5")'
        )
    raise UserError(
        f"{path}: is a folder, and no Minari dataset with {MINARI_FILE}; give the folder of one, "
        "or an HDF5 file"
    )


def _storage(path: Path) -> object:
    """How a Minari dataset says that it is stored; None where it does not."""
    for file in (path / "data/metadata.json", path / "metadata.json"):
        if file.exists():
            found = reading.read_json(file)
            return found.get("data_format") if isinstance(found, dict) else None
    return None
