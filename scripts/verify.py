"""Make files of a finished run again in a temporary folder and say whether they are the same.

make verify FILE=results/quickstart/policies/main/BallCircle/prefine.safetensors

What a file is made of and is not there, as the data of a published result, is made again too.
"""

import argparse
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import yaml
from prefine import frames
from prefine.analysis.statistics import mean_interval
from prefine.config import strict_yaml
from prefine.errors import UserError
from prefine.files import sha256
from prefine.pipeline import published
from prefine.pipeline import same as compare
from prefine.pipeline.cli import summary

ROOT = Path(__file__).resolve().parents[1]
NOT_TAKEN = ("results", ".snakemake", ".git")  # what the rules read of the project is the rest
WRITTEN_ANEW = ("logs", "benchmarks", "state")
# Without a FILE: one of each kind of job that is made in minutes, each from the one before.
USUAL = (
    "trajectories/{task}.csv",
    "splits/{task}.csv",
    "plans/main/{task}/prefine.csv",
    "policies/main/{task}/prefine.safetensors",
    "episodes/main/{task}/prefine.parquet",
    "tables/runs.csv",
    "tables/table1.csv",
)


def usual_files(configfiles: list[Path]) -> list[str]:
    """What is verified when no file is named: the first task's."""
    config: dict = {}
    for path in ("config.yaml", *configfiles):
        strict_yaml.check(path)
        config |= yaml.safe_load(Path(path).read_text(encoding="utf-8"))
    folder = f"results/{config['run']}"
    return [f"{folder}/{path.format(task=config['tasks'][0])}" for path in USUAL]


def link_project(folder: Path, run: str, wanted: list[str]) -> None:
    """Fill ``folder`` with links to the project, and to a run's files but the wanted ones."""
    for path in ROOT.iterdir():
        if path.name not in NOT_TAKEN:
            (folder / path.name).symlink_to(path)
    (folder / "results").mkdir()
    for path in (ROOT / "results").iterdir():
        if path.name != run:
            (folder / "results" / path.name).symlink_to(path)
    for path in (ROOT / "results" / run).rglob("*"):
        name = path.relative_to(ROOT)
        if path.is_dir() or name.parts[2] in WRITTEN_ANEW or str(name) in wanted:
            continue
        link = folder / name
        link.parent.mkdir(parents=True, exist_ok=True)
        link.symlink_to(path)
        os.utime(link, ns=2 * (path.stat().st_mtime_ns,), follow_symlinks=False)


def made_in(folder: Path, run: str) -> list[Path]:
    """What was made in ``folder``: the files that are no links."""
    base = folder / "results" / run
    made = (path for path in base.rglob("*") if path.is_file() and not path.is_symlink())
    made = (path for path in made if not path.name.startswith("."))  # notes of hashes
    return sorted(
        path.relative_to(folder)
        for path in made
        if path.relative_to(base).parts[0] not in WRITTEN_ANEW
    )


def verdict(left: Path, right: Path, digest: str | None = None) -> tuple[str, str]:
    """A word and an explanation for a file and the one that was made again.

    Args:
        digest: the published hash of the file, where it is not published itself.
    """
    if compare.depends_on_the_clock(left):
        return "clock", "holds times, not compared"
    if not left.exists() and digest:
        same = sha256(right) == digest
        return ("identical", "by its hash") if same else ("DIFFERS", "its hash")
    if not left.exists():
        return "gone", "was removed after its use, nothing to compare with"
    if not (where := compare.first_difference(left, right)):
        return "identical", ""
    if compare.first_difference(left, right, provenance=False) is None:
        return "alike", f"the same numbers; {where}"
    if (means := means_within(left, right)) is None:
        return "DIFFERS", where
    return ("close" if means[0] else "DIFFERS"), f"{where}; {means[1]}"


def means_within(left: Path, right: Path) -> tuple[bool, str] | None:
    """Whether other episodes have the same means over runs, within the intervals of the first.

    Another type of processor rounds otherwise, which changes single episodes. None of what are
    no episodes of several runs.
    """
    if left.suffix != ".parquet" or "episodes" not in left.parts:
        return None
    scores = ["return", "cost"]
    runs = [frames.read_parquet(path).groupby("run")[scores].mean() for path in (left, right)]
    within, texts = True, []
    for score in scores:
        found = mean_interval([runs[0][score].to_numpy()])
        if np.isnan(found.low):
            return None
        mean = runs[1][score].mean()
        within &= bool(found.low <= mean <= found.high)
        texts.append(
            f"{score} {mean:.4g}, was {found.value:.4g} [{found.low:.4g}, {found.high:.4g}]"
        )
    return within, "; ".join(texts)


def config_of(run: str) -> list[Path]:
    """The config of a run where none is named: the one published with it, or a preset's."""
    own = ROOT / "results" / run / "config.yaml"
    presets = sorted((ROOT / "workflow/presets").glob("*.yaml"))
    of_run = [path for path in presets if strict_yaml.load(path).get("run") == run]
    return [own] if own.is_file() else of_run[:1]


def main() -> None:
    parser = argparse.ArgumentParser(description=summary(__doc__))
    parser.add_argument("files", nargs="*", help="results/{run}/...; a usual choice without one")
    parser.add_argument("--configfile", nargs="*", type=Path, default=[], help="that of the run")
    parser.add_argument("--cores", default="all")
    args = parser.parse_args()
    os.chdir(ROOT)
    wanted = args.files or usual_files(args.configfile)
    wanted = [os.path.relpath(path, ROOT) for path in wanted]
    if any(Path(name).parts[0] != "results" or len(Path(name).parts) < 3 for name in wanted):
        raise UserError(f"{' '.join(wanted)}: not all are files of results/")
    runs = {Path(name).parts[1] for name in wanted}
    if len(runs) > 1:
        raise UserError(f"files of one run at a time, not of {', '.join(sorted(runs))}")
    (run,) = runs
    base = Path("results", run)
    hashed = published.read_sums(base / published.OTHERS)
    hashes = {str(base / name): digest for name, digest in hashed.items()}
    for name in wanted:
        if not Path(name).is_file() and name not in hashes:
            raise UserError(f"{name}: no file of results/; make it first")
    published.settle(base, (path for path in Path("workflow").rglob("*") if path.is_file()))
    configfiles = args.configfile or config_of(run)
    with tempfile.TemporaryDirectory(prefix="verify-") as folder:
        link_project(Path(folder), run, wanted)
        command = [sys.executable, "-m", "snakemake", *wanted, "--cores", args.cores]
        command += ["--rerun-triggers", "mtime"]
        if configfiles:
            command += ["--configfile", *(str(path.resolve()) for path in configfiles)]
        if subprocess.run(command, cwd=folder, stdout=sys.stderr).returncode:
            raise UserError("it could not be made again; the lines above say why")
        made = made_in(Path(folder), run)
        names = [str(name) for name in made]
        verdicts = [verdict(ROOT / name, folder / name, hashes.get(str(name))) for name in made]
    different = False
    for name, (word, text) in zip(names, verdicts, strict=True):
        print(f"{word:<10}{name}{f': {text}' if text else ''}")
        different |= word == "DIFFERS" and name in wanted
    sys.exit(int(different))


if __name__ == "__main__":
    try:
        main()
    except UserError as error:
        sys.exit(f"ERROR: {error}")
