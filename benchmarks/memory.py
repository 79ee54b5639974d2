"""Peak memory of every rule at the paper's sizes, from Snakemake's own benchmark files.

Episodes of the real simulators are repeated until there are as many as in DSRL's file; then
the workflow runs with the paper's numbers of runs and a few iterations of training. Figures
and tables are small whatever the run: those of any run tell (``--run quickstart``).

    python benchmarks/memory.py [--run quickstart]
"""

import argparse
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import yaml

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "scripts"))

from paired import report
from prefine.data.dataset import segment, write
from prefine.data.hdf5 import KEYS, read
from prefine.tasks import TASKS, Task

CONFIG = Path(__file__).with_suffix(".yaml")
CHOSEN = [TASKS[name] for name in yaml.safe_load(CONFIG.read_text())["tasks"]]
RESULTS = Path("results/memory")


def snakemake(*arguments: str) -> None:
    """Run the workflow on this benchmark's config."""
    command = [sys.executable, "-m", "snakemake", *arguments, "--cores", "2"]
    subprocess.run([*command, "--configfile", CONFIG, "--rerun-triggers", "mtime"], check=True)


def repeat(path: Path, task: Task) -> None:
    """Repeat a file's episodes until there are as many as in DSRL's."""
    arrays = read(path, task, KEYS)
    starts, lengths, _ = segment(arrays["terminals"], arrays["timeouts"])
    spans = [slice(start, start + length) for start, length in zip(starts, lengths, strict=True)]
    chosen = np.resize(np.arange(len(spans)), max(len(spans), task.n_trajectories))
    episodes = [{key: arrays[key][spans[n]] for key in KEYS} for n in chosen]
    write(path, episodes, {"source": "collect", "task": task.name, "repeated": True})


def targets() -> list[str]:
    """What is made: all that reads a whole dataset, trains, or steps simulators."""
    jobs = [f"main/{task.name}/prefine" for task in CHOSEN]
    methods = ("bc", "bc_from_reference", "dpo", "ppl", "safedice", "cpq")
    trained = [
        f"policies/main/{task.name}/{method}.safetensors" for task in CHOSEN for method in methods
    ]
    paths = [f"episodes/{job}.parquet" for job in jobs] + [f"curves/{job}.parquet" for job in jobs]
    paths += [f"overlap/{task.name}.csv" for task in CHOSEN]
    paths += ["policies/sweep/Walker2dVelocity/prefine.safetensors", "tables/timing.csv"]
    paths += ["cost_gap/Walker2dVelocity.csv", "tables/dataset_statistics.csv"]
    return [str(RESULTS / path) for path in [*trained, *paths]]


def peaks(results: Path) -> pd.Series:
    """The largest peak of resident memory of each rule's jobs, MB."""
    found = []
    for path in (results / "benchmarks").glob("**/*.jsonl"):
        rule = path.relative_to(results / "benchmarks").with_suffix("").parts[0]
        last = json.loads(path.read_text().splitlines()[-1])
        found.append((rule, last["max_rss"]))
    return pd.DataFrame(found, columns=["rule", "mb"]).groupby("rule")["mb"].max()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--run", help="a finished run, for the rules that are not made here")
    args = parser.parse_args()
    snakemake(*(f"{RESULTS}/data/{task.name}.hdf5" for task in CHOSEN))
    for task in CHOSEN:
        repeat(RESULTS / f"data/{task.name}.hdf5", task)
    snakemake(*targets())
    measured = peaks(RESULTS)
    if args.run:
        measured = measured.combine_first(peaks(Path("results", args.run)))
    report("memory", [{"rule": rule, "MB": round(mb)} for rule, mb in measured.items()])


if __name__ == "__main__":
    main()
