"""How much processor time the workflow takes to start, against another copy of this project.

``python benchmarks/startup.py OTHER``: a dry run of the paper's protocol, and what a cluster pays
for each job: a Snakemake that looks at one job, then the job's script up to its first line. The two
copies take turns, user and system time are added, and the ratio is of their medians.
"""

import argparse
import os
import statistics
import subprocess
import sys
from pathlib import Path

import pandas as pd

ROOT = Path(__file__).resolve().parents[1]
SNAKEMAKE = ["-m", "snakemake", "-n", "--quiet", "all", "--cores", "8"]
JOB = ["--mode", "subprocess", "--allowed-rules", "label_sheet"]
JOB += ["--target-jobs", "label_sheet:task=BallRun"]


def script(folder: Path, name: str) -> list[str]:
    """The command of a script; scripts have lain in one folder, once."""
    if (folder / "scripts/__main__.py").exists():
        return ["scripts", name, "--help"]
    return [f"scripts/{Path(name).name}", "--help"]


def commands(folder: Path) -> dict[str, list[str]]:
    """What is measured in a copy of the project."""
    return {
        "dry run of the paper's protocol": SNAKEMAKE,
        "Snakemake of one job": [*SNAKEMAKE, *JOB],
        "training/train.py": script(folder, "training/train.py"),
        "evaluation/evaluate.py": script(folder, "evaluation/evaluate.py"),
    }


def processor_seconds(folder: Path, command: list[str]) -> float:
    """User and system time of a command and its children, which must succeed."""
    with subprocess.Popen(
        [sys.executable, *command],
        cwd=folder,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    ) as process:
        _, status, used = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"ERROR: in {folder}: {' '.join(command)} ended with {process.returncode}")
    return used.ru_utime + used.ru_stime


def main() -> None:
    """Measure and print a Markdown table."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("other", type=Path, help="another copy of the project")
    parser.add_argument("--rounds", type=int, default=7)
    args = parser.parse_args()
    folders = {"here": ROOT, "there": args.other.resolve()}
    taken: dict[str, dict[str, list[float]]] = {}
    for number in range(args.rounds + 1):  # the first fills caches
        for side, folder in folders.items():
            for name, command in commands(folder).items():
                seconds = processor_seconds(folder, command)
                if number:
                    taken.setdefault(name, {}).setdefault(side, []).append(seconds)
    for job in ("training/train.py", "evaluation/evaluate.py"):
        parts = (taken["Snakemake of one job"], taken[job])
        whole = {
            s: [sum(pair) for pair in zip(*(p[s] for p in parts), strict=True)] for s in folders
        }
        taken[f"start of a job: the two, with {job}"] = whole
    rows = []
    for name, sides in taken.items():
        ours, theirs = (statistics.median(sides[side]) for side in ("here", "there"))
        ratios = [a / b for a, b in zip(sides["here"], sides["there"], strict=True)]
        rows.append(
            {
                "what": name,
                "s": f"{ours:.2f}",
                "s before": f"{theirs:.2f}",
                "ratio": f"{ours / theirs:.2f}",
                "lowest": f"{min(ratios):.2f}",
                "highest": f"{max(ratios):.2f}",
            }
        )
    print(pd.DataFrame(rows).to_markdown(index=False, disable_numparse=True))


if __name__ == "__main__":
    main()
