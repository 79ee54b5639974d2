"""Where DSRL's files are on this machine, and what to do about those that are not.

Light enough for the Snakefile; nothing here touches a network.
"""

import json
import os
from collections.abc import Iterable, Mapping
from pathlib import Path

from prefine.tasks import TASKS


def local_paths(name: str) -> list[Path]:
    """Where dsrl itself keeps its files."""
    folder = os.environ.get("DSRL_DATASET_DIR", "~/.dsrl/datasets")
    return [Path(folder).expanduser() / name]


def urls(settings: Mapping, name: str) -> list[str]:
    """The sources of a file, in order.

    Without a ``revision`` in the config it is the one that the lock's files were first taken
    from, so that a dataset that changes later does not mix with theirs.
    """
    revision = settings["revision"] or locked_revision(Path(settings["lock"])) or "main"
    return [source.format(file=name, revision=revision) for source in settings["sources"]]


def locked_revision(lock: Path) -> str | None:
    """The revision that the lock's files have in common."""
    entries = json.loads(lock.read_text()).values() if lock.exists() else []
    revisions = {entry["revision"] for entry in entries if entry.get("revision")}
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
