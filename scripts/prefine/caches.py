"""Places for what other packages write: no home, environment or cache need be writable."""

import getpass
import os
import tempfile
from pathlib import Path

from prefine.errors import UserError
from prefine.files import may

OWN = ".cache"  # in the working folder


def find() -> None:
    """Name places that can be written, in the environment, for this process and its children.

    Snakemake (``XDG_CACHE_HOME``) keeps its own where that works; matplotlib and numba keep theirs
    in the working folder unless the user has named others.
    """
    find_user()
    if not usable(Path(os.environ.get("XDG_CACHE_HOME") or of_home(".cache"))):
        os.environ["XDG_CACHE_HOME"] = str(own("home"))
    for variable, name in {"MPLCONFIGDIR": "matplotlib", "NUMBA_CACHE_DIR": "numba"}.items():
        if not (variable in os.environ and usable(Path(os.environ[variable]))):
            os.environ[variable] = str(own(name))


def find_user() -> None:
    """Name the user and a home where the system knows neither, as of a number in a container.

    Snakemake asks for both when it starts, and ends in a traceback without them.
    """
    if not Path(of_home("")).is_absolute():
        os.environ["HOME"] = str(own("home"))
    try:
        getpass.getuser()
    except (KeyError, OSError):  # OSError from Python 3.13 on
        os.environ["USER"] = str(os.getuid())


def own(name: str) -> Path:
    """A folder in the working folder's ``.cache``, or a temporary one where that is not ours.

    Raises:
        UserError: neither can be written.
    """
    here = Path(OWN).resolve() / name
    if usable(here):
        return here
    try:
        shared = Path(tempfile.gettempdir()) / f"prefine-{os.getuid()}"
    except FileNotFoundError:
        raise UserError(
            f"{here}: may not be written, nor any folder for temporary files; name one that may "
            "be: TMPDIR=FOLDER"
        ) from None
    try:
        shared.mkdir(mode=0o700, exist_ok=True)
        if not shared.is_symlink() and shared.stat().st_uid == os.getuid():
            return shared / name
    except OSError:
        pass
    return Path(tempfile.mkdtemp(prefix="prefine-")) / name


def of_home(name: str) -> Path:
    """A folder of the user's home, which need not exist; relative where nobody knows the home."""
    return Path(os.path.expanduser(f"~/{name}"))  # noqa: PTH111 (Path's raises without a home)


def usable(folder: Path) -> bool:
    """Whether a folder is there, made if it is not, and can be written."""
    if not folder.is_absolute():
        return False
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError:
        return False
    return may(folder, os.W_OK | os.X_OK)
