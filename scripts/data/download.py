"""Get a task's dataset of DSRL: from this machine if it is there, else from a host."""

import logging
import os
import shutil
from pathlib import Path

from prefine.data import dataset
from prefine.data.download import obtain
from prefine.data.dsrl import local_paths, settings_of_environment, urls
from prefine.files import atomic
from prefine.pipeline import cli
from prefine.tasks import TASKS


def main() -> None:
    args = cli.parser(__doc__, "output", task=str).parse_args()
    task, settings = TASKS[args.task], settings_of_environment()
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

    found = obtain(
        target=folder / task.file,
        urls=urls(settings, task.file),
        local=local_paths(task.file),
        lock=Path(settings["lock"]),
        check=check,
        offline=settings["offline"],
        progress=on_bytes,
    )
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
