"""Where the project lies and where its results go, before Snakemake looks there."""

from pathlib import Path

from prefine.errors import UserError


def check_places(folder: Path) -> None:
    """Refuse a folder in which Snakemake fails in its own words, or silently takes other paths.

    Raises:
        UserError: one line that names the folder and what to do.
    """
    here = str(folder)
    wrong = sorted({character for character in here if character in "{}" or not _plain(character)})
    if wrong:
        names = " and ".join(map(repr, wrong))
        raise UserError(
            f"{here}: has {names} in its path, which Snakemake takes for something else; move or "
            "rename the folder"
        )
    for name in ("results", ".snakemake"):
        check_folder(folder / name)


def check_folder(path: Path) -> None:
    """Refuse what is no folder where one is needed; it may be missing.

    Raises:
        UserError: one line that names it and what to do.
    """
    if path.is_symlink() and not path.exists():
        raise UserError(
            f"{path}: is a link to {path.readlink()}, which is not there; make that folder, or "
            "take the link away"
        )
    if path.exists() and not path.is_dir():
        raise UserError(f"{path}: is a file where a folder is needed; move it away")


def _plain(character: str) -> bool:
    return character.isprintable()
