"""Policies that come with the package: zoo/{task}/prefine and zoo/{task}/reference."""

import difflib
from pathlib import Path

from prefine.errors import UserError

NAME = "zoo"
FOLDER = Path(__file__).resolve().parents[1] / NAME
FILE = "policy.safetensors"


def names(folder: Path = FOLDER) -> list[str]:
    """What the zoo has, such as ``zoo/BallRun/prefine``."""
    found = folder.glob(f"*/*/{FILE}")
    return sorted(f"{NAME}/{path.parent.relative_to(folder).as_posix()}" for path in found)


def place(path: str | Path, folder: Path = FOLDER) -> Path:
    """Where a policy is: a path that is there stays what it is, else it may name one of the zoo.

    Raises:
        UserError: it begins with ``zoo/`` and the zoo has no such policy.
    """
    path = Path(path)
    if path.parts[:1] != (NAME,) or path.exists():
        return path
    known = names(folder)
    if path.as_posix() in known:
        return folder.joinpath(*path.parts[1:])
    if not known:
        raise UserError(f"{path}: this installation of the package has no zoo")
    near = difflib.get_close_matches(path.as_posix(), known, n=1, cutoff=0.0)
    tasks = dict.fromkeys(name.split("/")[1] for name in known)
    raise UserError(
        f"{path}: the zoo has no such policy; did you mean {near[0]!r}? Its tasks: "
        f"{', '.join(tasks)}, each with prefine and reference"
    )
