"""Make files of a finished run again in a temporary folder and say whether they are the same.

make verify FILE=results/quickstart/policies/main/BallCircle/prefine.safetensors
"""

import argparse
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import yaml
from prefine.config import strict_yaml
from prefine.errors import UserError
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
        config |= yaml.safe_load(Path(path).read_text())
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


def verdict(left: Path, right: Path) -> tuple[str, str]:
    """A word and an explanation for a file and the one that was made again."""
    if compare.depends_on_the_clock(left):
        return "clock", "holds times, not compared"
    if not left.exists():
        return "gone", "was removed after its use, nothing to compare with"
    where = compare.first_difference(left, right)
    return ("DIFFERS", where) if where else ("identical", "")


def main() -> None:
    parser = argparse.ArgumentParser(description=summary(__doc__))
    parser.add_argument("files", nargs="*", help="results/{run}/...; a usual choice without one")
    parser.add_argument("--configfile", nargs="*", type=Path, default=[], help="that of the run")
    parser.add_argument("--cores", default="all")
    args = parser.parse_args()
    os.chdir(ROOT)
    wanted = args.files or usual_files(args.configfile)
    wanted = [os.path.relpath(path, ROOT) for path in wanted]
    for name in wanted:
        if Path(name).parts[0] != "results" or not Path(name).is_file():
            raise UserError(f"{name}: no file of results/; make it first")
    runs = {Path(name).parts[1] for name in wanted}
    if len(runs) > 1:
        raise UserError(f"files of one run at a time, not of {', '.join(sorted(runs))}")
    (run,) = runs
    with tempfile.TemporaryDirectory(prefix="verify-") as folder:
        link_project(Path(folder), run, wanted)
        command = [sys.executable, "-m", "snakemake", *wanted, "--cores", args.cores]
        command += ["--rerun-triggers", "mtime"]
        if args.configfile:
            command += ["--configfile", *(str(path.resolve()) for path in args.configfile)]
        if subprocess.run(command, cwd=folder, stdout=sys.stderr).returncode:
            raise UserError("it could not be made again; the lines above say why")
        made = made_in(Path(folder), run)
        verdicts = [verdict(ROOT / name, folder / name) for name in made]
    for name, (word, text) in zip(made, verdicts, strict=True):
        print(f"{word:<10}{name}{f': {text}' if text else ''}")
    if any(word == "DIFFERS" for word, _ in verdicts):
        sys.exit(1)


if __name__ == "__main__":
    try:
        main()
    except UserError as error:
        sys.exit(f"ERROR: {error}")
