"""Where DSRL's files are on this machine, and what to do about those that are not.

Light enough for the Snakefile; nothing here touches a network.
"""

import json
import os
import re
from collections.abc import Iterable, Mapping
from pathlib import Path

from prefine import reading
from prefine.errors import UserError, reason
from prefine.tasks import TASKS


def settings_of_environment() -> dict:
    """What the workflow hands to the script that downloads: the config's section `dsrl`.

    Raises:
        UserError: it is not there, or is something else.
    """
    try:
        settings = json.loads(os.environ["PREFINE_DSRL"])
        return {name: settings[name] for name in _SETTINGS}
    except (KeyError, ValueError, TypeError):
        raise UserError(
            "PREFINE_DSRL: is not the config's section `dsrl` as JSON; the workflow sets it, so "
            "call snakemake rather than this script"
        ) from None


_SETTINGS = ("folder", "lock", "sources", "revision", "offline")


def local_paths(name: str) -> list[Path]:
    """Where dsrl itself keeps its files."""
    folder = os.environ.get("DSRL_DATASET_DIR") or "~/.dsrl/datasets"
    return [Path(os.path.expanduser(folder)) / name]  # noqa: PTH111 (an unknown ~user is a name)


def urls(settings: Mapping, name: str) -> list[str]:
    """The sources of a file, in order.

    Without a ``revision`` in the config it is the one that the lock's files were first taken
    from, so that a dataset that changes later does not mix with theirs.
    """
    revision = settings["revision"] or locked_revision(Path(settings["lock"])) or "main"
    return [source.format(file=name, revision=revision) for source in settings["sources"]]


def read_lock(path: Path) -> dict[str, dict]:
    """Return file name -> sha256, size, revision and url, as the lock file has them.

    Raises:
        UserError: it holds something else.
    """
    if not path.exists() and not path.is_symlink():
        return {}
    try:
        entries = reading.json_of(path, reading.read_text(path, reading.JSON))
        for name, entry in entries.items():
            good = re.fullmatch("[0-9a-f]{64}", entry["sha256"]) and entry["size"] > 0
            revision = entry.setdefault("revision", None)
            if not good or not re.fullmatch(r"[\w.-]*", revision or ""):
                raise ValueError(name)
    except (UserError, ValueError, KeyError, TypeError, AttributeError) as error:
        why = reason(error).removeprefix(f"{path}: ")
        raise UserError(
            f"{path}: is no lock file of this project ({why}); restore it, or take it away to "
            "lock the files anew"
        ) from None
    return entries


def locked_revision(lock: Path) -> str | None:
    """The revision that the lock's files have in common."""
    revisions = {entry["revision"] for entry in read_lock(lock).values() if entry["revision"]}
    return revisions.pop() if len(revisions) == 1 else None


def how_to_help(settings: Mapping, tasks: Iterable[str]) -> str | None:
    """Name every missing file of ``tasks`` with its URL and its place; None if none is missing."""
    folder, lines = Path(settings["folder"]), []
    for task in tasks:
        name = TASKS[task].file
        if not any(path.exists() for path in (folder / name, *local_paths(name))):
            lines.append(f"  {urls(settings, name)[0]}\n    -> {folder / name}")
    if not lines:
        return None
    return (
        f"{len(lines)} of DSRL's files are not here. Put them in place on your own (or set "
        "DSRL_DATASET_DIR to a folder that has them) and run the same command again; or set "
        "`source: collect`:\n" + "\n".join(lines)
    )
