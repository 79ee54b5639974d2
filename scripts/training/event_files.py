"""Write training logs as TensorBoard events, one run a folder."""

import os
import threading
from pathlib import Path

import pandas as pd
from prefine import files
from prefine.pipeline import cli
from torch.utils.tensorboard import SummaryWriter

NOT_SCALARS = ("run", "phase", "iteration")


def write_run(folder: Path, rows: pd.DataFrame) -> None:
    """Write every column of a run's log rows that has a value; phases keep names of their own."""
    with SummaryWriter(str(folder)) as writer:
        for row in rows.to_dict("records"):
            for name in row.keys() - set(NOT_SCALARS):
                if pd.notna(row[name]):
                    writer.add_scalar(f"{row['phase']}/{name}", row[name], row["iteration"])


def say_once(failure: threading.ExceptHookArgs) -> None:
    """Leave it to the main thread to say what the writer's thread, too, had no room for."""
    if files.no_room(failure.exc_value) is None:
        threading.__excepthook__(failure)


def main() -> None:
    threading.excepthook = say_once
    parser = cli.parser(__doc__, "output")
    parser.add_argument("--logs", type=Path, nargs="+", required=True)
    args = parser.parse_args()
    root = os.path.commonpath(args.logs)  # results/{run}/training
    progress = cli.Progress("tensorboard", len(args.logs), "logs")
    for log in args.logs:
        for run, rows in pd.read_parquet(log).groupby("run"):
            folder = args.output / log.relative_to(root).with_suffix("") / run
            with files.room_for(folder):
                write_run(folder, rows)
        progress.update()
    progress.close()


if __name__ == "__main__":
    cli.run(main)
