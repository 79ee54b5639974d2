"""Get a task's dataset of DSRL: from this machine if it is there, else from a host."""

import json
import logging
import os
import shutil
from pathlib import Path

from prefine import cli, dataset
from prefine.download import obtain
from prefine.errors import UserError
from prefine.files import atomic
from prefine.tasks import TASKS


def local_paths(name: str) -> list[Path]:
    """Where dsrl itself keeps its files."""
    folder = os.environ.get("DSRL_DATASET_DIR", "~/.dsrl/datasets")
    return [Path(folder).expanduser() / name]


def how_to_help(settings: dict) -> str:
    """Name every file that the run lacks, with its URL and where to put it."""
    folder, lines = Path(settings["folder"]), []
    for task in settings["tasks"]:
        name = TASKS[task].file
        if not any(path.exists() for path in (folder / name, *local_paths(name))):
            lines.append(f"  {urls(settings, name)[0]}\n    -> {folder / name}")
    return (
        "Without a network, put these files in place on your own (or set DSRL_DATASET_DIR to a "
        "folder that has them) and run again; or set `source: collect`:\n" + "\n".join(lines)
    )


def urls(settings: dict, name: str) -> list[str]:
    """The sources of a file, in order."""
    return [
        source.format(file=name, revision=settings["revision"]) for source in settings["sources"]
    ]


def main() -> None:
    args = cli.parser(__doc__, "output", task=str).parse_args()
    # The config's `dsrl` with the run's tasks.
    task, settings = TASKS[args.task], json.loads(os.environ["PREFINE_DSRL"])
    folder = Path(settings["folder"])
    progress = cli.Progress(f"download {args.task}", 0, "B")

    def on_bytes(done: int, total: int | None) -> None:
        progress.total = total
        progress.update(done - progress.count)

    def check(path: Path) -> None:
        table = dataset.trajectory_table(path, task)
        if len(table) != task.n_trajectories:
            logging.warning(
                "%s: %d trajectories, its name says %d", path, len(table), task.n_trajectories
            )

    try:
        found = obtain(
            target=folder / task.file,
            urls=urls(settings, task.file),
            local=local_paths(task.file),
            lock=Path(settings["lock"]),
            check=check,
            offline=settings["offline"],
            progress=on_bytes,
        )
    except UserError as error:
        raise UserError(f"{error}\n{how_to_help(settings)}") from None
    if progress.count:
        progress.close()
    logging.info("%s is %s", args.task, found)
    with atomic(args.output) as temporary:
        try:
            os.link(found, temporary)
        except OSError:  # another file system
            shutil.copyfile(found, temporary)


if __name__ == "__main__":
    cli.run(main)
