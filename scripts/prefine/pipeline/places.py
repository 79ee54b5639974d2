"""Where the project lies and where its results go, before Snakemake looks there."""

import os
from pathlib import Path

from prefine.errors import UserError
from prefine.files import may

NOTES = ("locks", "incomplete", "metadata", "shadow")  # folders in .snakemake
OWN_FOLDER = (
    "ask who owns it, or work in a folder of your own: snakemake -s THIS_PROJECT/Snakefile "
    "--directory FOLDER ..."
)


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
    """Refuse what is no folder where one is needed, or may not be read; it may be missing.

    Raises:
        UserError: one line that names it and what to do.
    """
    try:
        found, link = path.exists(), path.is_symlink()
        hidden = path.is_dir() and not may(path, os.R_OK | os.X_OK)
    except PermissionError:
        hidden = True
    if hidden:
        raise UserError(f"{path}: may not be read by this user; {OWN_FOLDER}")
    if link and not found:
        raise UserError(
            f"{path}: is a link to {path.readlink()}, which is not there; make that folder, or "
            "take the link away"
        )
    if found and not path.is_dir():
        raise UserError(f"{path}: is a file where a folder is needed; move it away")


def check_writable(path: Path) -> None:
    """Refuse a folder in which this user may not write; where it is missing, may not make it.

    Raises:
        UserError: one line that names it and what to do.
    """
    there = next(own for own in (path.absolute(), *path.absolute().parents) if own.exists())
    if not may(there, os.W_OK | os.X_OK):
        raise UserError(f"{there}: may not be written by this user; {OWN_FOLDER}")


def check_notes(folder: Path) -> None:
    """The same of all that Snakemake writes while it works, also in a dry run.

    Args:
        folder: ``.snakemake`` of the working directory.

    Raises:
        UserError: one line that names what is somebody else's.
    """
    check_folder(folder)
    for name in ("", *NOTES):
        check_writable(folder / name)


def check_results(folder: Path) -> None:
    """The same of a run's folder, and of what Snakemake itself writes there.

    Outputs of others may lie in it, for jobs to read; a job that would write them says so.

    Raises:
        UserError: one line that names what is somebody else's.
    """
    check_writable(folder)
    for name in ("logs", "benchmarks"):
        for own in (folder / name).glob("**/"):
            check_writable(own)


def _plain(character: str) -> bool:
    return character.isprintable()
