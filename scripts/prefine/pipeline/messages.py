"""What a run says at its end: where its results are, what it waits for, or what went wrong."""

import codecs
import csv
import re
from collections.abc import Iterable, Mapping
from pathlib import Path

from prefine.reading import is_there

RESULTS = {  # under results/{run}: what it is
    "index.html": "the report, one page for your browser and for sending around",
    "tables/before_after.md": "your policy before and after, on the same episodes",
    "tables/claims.md": "the paper's claims, each with a verdict",
    "tables/table1.md": "reward and cost of every method",
    "export": "the chosen policy, with its model card",
    "films": "the same episode before and after, as MP4 and WebP",
    "figures": "figures, as PNG, PDF and CSV",
}
LONGEST = 1000  # letters of an error that is repeated


def awaited(path: Path) -> bool:
    """Whether a table of labels is not there, or nobody has filled in anything.

    What cannot be read is not awaited: the job that reads it says what is wrong.
    """
    if not path.exists():
        return True
    if not path.is_file():
        return False
    try:
        content = path.read_bytes()
        mark = content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
        lines = content.decode("utf-16" if mark else "utf-8-sig").strip().splitlines()
        lines = lines[lines[0].lower().startswith("sep=") :]
        separator = max(",;\t", key=lines[0].count)  # as spreadsheets write it
        rows = csv.reader(lines, delimiter=separator)
        column = [name.strip().lower() for name in next(rows)].index("label")
        return not any(len(row) > column and row[column].strip() for row in rows)
    except (OSError, ValueError, IndexError, StopIteration, csv.Error):
        return False


def tasks_without_labels(labels: Mapping[str, str], folder: Path) -> list[str]:
    """The tasks for which somebody has to label first.

    Args:
        labels: task -> the user's table (config, ``labels``).
        folder: where the sheets are laid out, which may be filled in instead.
    """
    return [
        task
        for task, own in labels.items()
        if awaited(Path(own) if is_there(own) else folder / f"{task}.csv")
    ]


def no_labels_yet(task: str, page: Path, sheet: Path, save_as: Path, command: str) -> str:
    """One line: what to look at, what to fill in, and how to go on."""
    return (
        f"{task} has no labels yet: look at {page}, fill in the column label of {sheet} "
        f"(preferred or nonpreferred), save it as {save_as}, then: {command}"
    )


def stopped_for_labels(
    folder: str, labels: Mapping[str, str], tasks: Iterable[str], command: str
) -> str:
    """What is shown where a run has come to the point at which a person must judge."""
    sheets = {task: Path(folder, "labels", f"{task}.csv") for task in tasks}
    lines = [
        no_labels_yet(task, sheet.with_suffix(".html"), sheet, labels[task], command)
        for task, sheet in sheets.items()
    ]
    return "\n".join(["", "Stopped, as planned: now it is your turn.", *lines, ""])


def where_results_are(folder: Path) -> str:
    """What is shown after a success: of the run's results those that are there."""
    there = [name for name in RESULTS if (folder / name).exists()]
    if not there:
        return ""
    width = max(len(str(folder / name)) for name in there)
    lines = [f"  {folder / name!s:{width}}  {RESULTS[name]}" for name in there]
    return "\n".join(["", "Done. Results:", *lines, ""])


def what_went_wrong(logs: Iterable[str]) -> str:
    """The last line of each failed job's log that says why, from Snakemake's own log."""
    found: dict[str, str] = {}
    for log in map(Path, logs):
        text = log.read_text("utf-8", "replace") if log.is_file() else ""
        for block in re.split(r"^Error in rule ", text, flags=re.MULTILINE)[1:]:
            rule = block.partition(":")[0]
            named = re.search(r"^\s+log: (.+?)(?: \(check log file|$)", block, re.MULTILINE)
            reason = _reason(Path(named[1].split(", ")[0])) if named else None
            if reason:
                found[reason] = rule
    lines = [f"  {rule}: {reason}" for reason, rule in found.items()]
    return "\n".join(["", "Not finished, because of:", *lines, ""]) if lines else ""


def _reason(log: Path) -> str | None:
    """The last line of a log that is an error, or a traceback's, safe to show."""
    try:
        with log.open("rb") as file:
            file.seek(max(0, log.stat().st_size - 100_000))
            lines = file.read().decode(errors="replace").split("\n")
    except OSError:
        return None
    errors = [line.partition("ERROR: ")[2] for line in lines if line.startswith("ERROR: ")]
    errors = errors or [line for line in lines if re.match(r"[\w.]+(Error|Exception|Exit)\b", line)]
    shown = "".join(c if c.isprintable() else "?" for c in errors[-1]) if errors else None
    return shown[:LONGEST] if shown else None
