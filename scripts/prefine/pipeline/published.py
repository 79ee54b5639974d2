"""A result that is published with the repository: which files, their hashes, their times."""

import contextlib
import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path

from prefine.config.settings import as_json, middle, thresholds
from prefine.config.studies import Arm
from prefine.files import sha256
from prefine.methods import REFERENCE
from prefine.results import SUMS, read_sums

OTHERS = f"{SUMS}.unpublished"
# Tables, and all that tables and figures are made of; .gitignore lets the same through.
PATTERNS = (
    "index.html",
    "config.yaml",
    "lock*.txt",
    "tables/**/*",
    "figures/*",
    "films/**/*",
    "episodes/**/*.parquet",
    "curves/**/*.parquet",
    "training/**/*.parquet",
    "validation/**/*.parquet",
    "cost_gap/*.csv",
    "overlap/*",
    "plans/**/*.csv",
    "splits/*",
    "trajectories/*",
)
# What is too large; a rerun makes the same, and its hash says so.
TOO_LARGE = ("data/*.hdf5", "reference/*.safetensors", "policies/**/*.safetensors")
ZOO = ("zoo/*/*/policy.safetensors", "zoo/*/*/README.md")  # published with the package instead
LARGEST = 60_000_000  # bytes of all files together


class PublishedRun:
    """The part of `Run` that concerns what is published."""

    asked: Mapping
    asked_arms: dict[str, Arm]
    tasks: list[str]
    folder: str
    arms: dict[str, Arm]
    own_policies: Mapping
    is_there: Callable[[str], bool]

    def asked_jobs(self) -> str:
        """Every job of the config, finished or not, and how many runs it has."""
        return as_json(
            [
                {"study": own.study, "task": own.task, "method": own.method}
                | {"arm": own.name, "runs": len(own.rows)}
                for own in self.asked_arms.values()
            ]
        )

    def middle_threshold(self, task: str) -> int | None:
        """The one by which a task's policy for the zoo is judged; none where labels make sets."""
        return middle(thresholds(self.asked, task))

    @property
    def zoo_tasks(self) -> list[str]:
        """The tasks with policies of the main study to choose from, and a threshold to do so.

        With `only_finished` those whose policies are there: a clone has their cards alone.
        """
        return [
            task
            for task in self.tasks
            if not self.own_policies
            and f"main/{task}/prefine" in self.arms
            and self.middle_threshold(task) is not None
            and self.is_there(f"reference/{task}.safetensors")
            and self.is_there(f"policies/main/{task}/prefine.safetensors")
        ]

    def published_tables(self) -> list[str]:
        """Tables that a page on the result needs besides those of the report."""
        tables = [] if self.own_policies else [f"{self.folder}/tables/finished.csv"]
        curves = [f"{self.folder}/tables/flatness.csv"] if self.curves_table("main") else []
        return [*tables, *curves]

    def published_config(self) -> str:
        """The whole config, as of a run that is finished."""
        return as_json({**self.asked, "only_finished": False})


def files_of(folder: Path, patterns: Iterable[str]) -> list[str]:
    """The files of a run that patterns name, without notes and times."""
    found = (path for pattern in patterns for path in folder.glob(pattern) if path.is_file())
    names = {path.relative_to(folder).as_posix() for path in found}
    return sorted(name for name in names if not Path(name).name.startswith("."))


def write_lines(folder: Path, names: Iterable[str]) -> str:
    """The hashes of files, a line each."""
    return "".join(f"{sha256(folder / name)}  {name}\n" for name in names)


def unpublished(folder: Path) -> str:
    """The hashes of what a result is made of, a line each.

    Those of files that are not here are the earlier ones, as long as what was published of them is.
    """
    names = files_of(folder, (*TOO_LARGE, *ZOO))
    kept = {
        name: digest
        for name, digest in read_sums(folder / OTHERS).items()
        if name not in names and (folder / published_of(name)).is_file()
    }
    here = {name: sha256(folder / name) for name in names}
    return "".join(f"{digest}  {name}\n" for name, digest in sorted((kept | here).items()))


def published_of(name: str) -> str:
    """What is published of a file that is too large for it: its trajectories, or its training."""
    kind, rest = name.split("/", 1)
    place = rest.rpartition(".")[0]  # names of settings have points of their own
    if kind == "data":
        return f"trajectories/{place}.csv"
    if kind == "zoo":
        task, policy, _ = place.split("/")
        place = task if policy == "reference" else f"main/{task}/{policy}"
        kind = policy
    return f"training/{f'{REFERENCE}/' if kind == REFERENCE else ''}{place}.parquet"


def differing(folder: Path) -> list[str]:
    """The published files of a run that are gone, or are not what was published."""
    sums = read_sums(folder / SUMS)
    return [
        name
        for name, digest in sums.items()
        if not (folder / name).is_file() or sha256(folder / name) != digest
    ]


def settle(folder: Path, sources: Iterable[Path] = ()) -> None:
    """Give the published files of a fresh clone one time, so that none seems newer than another.

    Git gives files the time at which it happened to write them, and Snakemake makes anew what is
    older than what it is made of. Files that are not what was published keep their time; so do all
    where the run was made here, which its data or policies tell.

    Args:
        sources: files of the project that results are made of; they are not to seem newer either.
    """
    sums = read_sums(folder / SUMS)
    if not sums or any((folder / name).exists() for name in read_sums(folder / OTHERS)):
        return
    paths = [folder / name for name in sums if (folder / name).is_file()]
    if len({path.stat().st_mtime_ns for path in paths}) == 1:
        return
    paths = [path for path in paths if sha256(path) == sums[path.relative_to(folder).as_posix()]]
    times = {path.stat().st_mtime_ns for path in paths}
    if len(times) < 2:
        return
    latest = max(*times, *(path.stat().st_mtime_ns for path in sources))
    with contextlib.suppress(OSError):  # a folder that is read only
        for path in [*paths, *folders_of(folder, paths)]:
            os.utime(path, ns=(latest, latest))


def folders_of(folder: Path, paths: Iterable[Path]) -> Iterator[Path]:
    """The folders between a run and its files, some of which are outputs themselves."""
    yield from {p for path in paths for p in path.parents if folder in p.parents}
