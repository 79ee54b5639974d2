"""What every script shares: arguments, logs, progress, and errors in one line.

Standard output is the rule's log file: details go there. Standard error is shown to the
person and copied to the log: progress lines, warnings and the line that ends a failure.
"""

import argparse
import contextlib
import gc
import json
import logging
import os
import sys
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn

from tqdm import tqdm

from prefine.errors import UserError, plain, reason
from prefine.files import no_room
from prefine.pipeline.killed import end_with_snakemake


def summary(doc: str | None) -> str:
    """The first line of a docstring; nothing where Python was told to keep none (-OO)."""
    return (doc or "").strip().partition("\n")[0]


def parser(doc: str | None, paths: str = "", **options: Callable) -> argparse.ArgumentParser:
    """Build a parser of required arguments: paths, named in one text; options with their types."""
    result = argparse.ArgumentParser(description=summary(doc))
    for name in paths.split():
        result.add_argument(f"--{name}", type=Path, required=True)
    for name, kind in options.items():
        result.add_argument(f"--{name.replace('_', '-')}", type=kind, required=True)
    return result


def json_argument(text: str) -> object:
    """An argument that is JSON, such as a part of the config."""
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise argparse.ArgumentTypeError(f"is not JSON ({reason(error)})") from None


class PlainFormatter(logging.Formatter):
    """Lines in which text of files moves no cursor, and begins no line of its own."""

    def format(self, record: logging.LogRecord) -> str:
        """The record, further lines indented."""
        first, *more = super().format(record).split("\n")
        return "\n  ".join(plain(line, 100_000) for line in (first, *more))


def run(main: Callable[[], None]) -> None:
    """Run a script's ``main`` with logging; show what a user can mend as one line.

    A job ends with the Snakemake that started it.
    """
    gc.freeze()  # what was imported stays
    gc.enable()
    end_with_snakemake()
    logging.basicConfig(
        stream=sys.stdout,
        level=logging.INFO,
    )
    for handler in logging.getLogger().handlers:
        handler.setFormatter(PlainFormatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
    logging.raiseExceptions = False  # a log that cannot be written is said once, below
    warnings = logging.StreamHandler(sys.stderr)
    warnings.setLevel(logging.WARNING)
    warnings.setFormatter(PlainFormatter("%(levelname)s: %(message)s"))
    logging.getLogger().addHandler(warnings)
    logging.captureWarnings(True)
    started = time.perf_counter()
    logging.info("command: %s", " ".join(sys.argv))
    try:
        main()
        logging.info("done in %.1f s", time.perf_counter() - started)
        sys.stdout.flush()
    except UserError as error:
        stop(str(error))
    except KeyboardInterrupt:
        stop("interrupted")
    except OSError as error:
        # Files say so themselves (files.atomic, reading); this is the log, or an input that went.
        why = no_room(error)
        # What this job was not told of, such as an environment's own file, is a fault to be seen.
        if isinstance(error, FileNotFoundError) and str(error.filename) in sys.argv:
            why = "was removed while this job ran; run the same command again"
        if why is None:
            unexpected(error)
        stop(f"{error.filename or log_file()}: {why}")
    except Exception as error:
        unexpected(error)


def unexpected(error: Exception) -> NoReturn:
    """End the script after a fault of its own: a line, and the traceback in the log."""
    with contextlib.suppress(OSError):
        traceback.print_exc(file=sys.stdout)
    *_, last = traceback.extract_tb(error.__traceback__)
    place = f"{Path(last.filename).name}, line {last.lineno}"
    stop(
        f"unexpected {type(error).__name__}: {reason(error)} ({place}); the log has the traceback. "
        "If an input of this job was changed by hand, move it away and run the same command again"
    )


def stop(message: str) -> NoReturn:
    """End the script with a line, which is in the log too if there is room for it."""
    print(f"ERROR: {message}", file=sys.stderr, flush=True)  # UserError made it plain
    try:
        sys.stdout.flush()
    except OSError:  # or Python would say it in several lines
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    sys.exit(1)


def log_file() -> Path:
    """The file that standard output goes to."""
    return Path(f"/proc/self/fd/{sys.stdout.fileno()}").readlink()


class Progress:
    """Progress as whole lines, so that jobs that run side by side do not overwrite each other.

    A line has share, count, time used, time left and rate; one at most every ``every`` s.
    """

    def __init__(self, title: str, total: int, unit: str, every: float = 10.0):
        self.title, self.total, self.unit, self.every = title, total, unit, every
        self.count, self.skipped, self.note = 0, 0, ""
        self.started = time.perf_counter()
        self.shown = self.started - every + min(2.0, every)

    def update(self, n: int = 1, note: str = "") -> None:
        """Count ``n`` more units; ``note`` replaces the remark at the end of the line."""
        self.count += n
        self.note = note or self.note
        if time.perf_counter() - self.shown >= self.every:
            self._show()

    def skip(self, n: int) -> None:
        """Count ``n`` units that an earlier process has done: they say nothing of the rate."""
        self.count += n
        self.skipped += n

    def say(self, note: str) -> None:
        """Replace the remark, to be shown with the next line."""
        self.note = note

    def close(self) -> None:
        """Show the last line."""
        self._show()

    def _show(self) -> None:
        self.shown = time.perf_counter()
        meter = tqdm.format_meter(
            min(self.count, self.total),
            self.total,
            self.shown - self.started,
            ncols=64 + len(self.title),  # nothing is cut off
            ascii=" #",
            unit=f" {self.unit}",
            unit_scale=True,
            prefix=self.title,
            initial=self.skipped,
        )
        print(f"{meter} {self.note}".rstrip(), file=sys.stderr, flush=True)
