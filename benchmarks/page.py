"""Write docs/benchmarks.md from the figures in results/bench/."""

import json
import sys
from pathlib import Path

import pandas as pd

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "scripts"))

from paired import RESULTS
from prefine.files import atomic

PAGE = Path("docs/benchmarks.md")

STACK = """## One stack against a plain loop

PREFINE's step at the sizes of a velocity task (batch 256 from each set, hidden [256, 256]):
all runs in one stack, against a loop over separate `nn.Module` policies with an optimiser
each. Milliseconds for one iteration of all runs; `ms a run` is the stack's, divided by the
number of runs.
"""
OSRL = """## The whole loop against OSRL

One run, sampler and update, same network, batch (512) and loss as osrl-lib 0.1.0, with its data
loader in the training process; nothing is logged on either side. OSRL's own scripts ask for 8
loader processes: with cores to spare for them its loop is faster than here, as most of its time
goes into the loader.
"""
EVALUATION = """## Evaluation

Environment steps a second. A job: 15 policies of 100 episodes in two worker processes, whole and
from the first answer of a simulator on. The simulator: whole episodes of the stock environment
alone on one core. One by one: one policy, one stock environment, an observation a forward pass, as
OSRL does it.
"""
MEMORY = """## Memory of every rule

The largest peak of resident memory, MB, of a rule's jobs at the paper's sizes (15 runs a job, 45 in
the sweep; Walker2dVelocity, CarGoal1, CarRun; two processes of simulators). `mem_mb` of rules and
profiles goes by it (`python benchmarks/memory.py`). Pages that processes share count for each; the
largest evaluation is CarRun's, whose worlds of Bullet take most of it.
"""
HOURS = """## What a run of the paper's protocol takes

`config.yaml` on this machine, from the rates above: hours of the whole machine for training, from
the rows of 15 runs, and for rollouts. Not counted: getting data (`collect` trains PPO; minutes to
hours a task), tables and figures; that a few studies change the cost of a step (`likelihood_draws`,
`level`).
"""
GOAL = """## Navigation tasks

Whole episodes, reset and 1000 steps with given actions, against the stock environment; the same to
the last bit (`benchmarks/goal_parity.py`). `ms_physics` are MuJoCo's own steps, and `times_at_most`
what would be left of the factor if nothing else took time.
"""
METHODS = """## Time and memory of every method

Each method at its own batch size, with the VAE policy where the paper has it. `hours` is the
published number of iterations extrapolated from the measured step (SafeDICE with its
discriminator); `with π_ref` adds the pretraining of as many reference policies as there are
runs, though one a task is enough. Memory is the peak above the start of the process.
"""
NAMES = {
    "ms_ours": "ms",
    "ms_theirs": "ms theirs",
    "times_as_fast": "times as fast",
    "q25": "25 %",
    "q75": "75 %",
    "ms_per_run": "ms a run",
    "gib": "GiB",
    "hours_with_reference": "with π_ref",
    "replicas": "runs",
}


def cell(value) -> str:
    """A number with three digits; nothing where there is none."""
    if value is None or value != value:
        return ""
    if isinstance(value, float):
        return f"{value:,.3g}" if abs(value) < 1000 else f"{value:,.0f}"
    return str(value)


def section(name: str, text: str) -> str:
    """One table with its machine; empty if it was not measured."""
    file = RESULTS / f"{name}.json"
    if not file.exists():
        return f"{text}\nNot measured here.\n"
    content = json.loads(file.read_text())
    table = pd.DataFrame(content["rows"]).rename(columns=NAMES)
    lines = ["| " + " | ".join(table.columns) + " |", "|" + " --- |" * len(table.columns)]
    lines += ["| " + " | ".join(map(cell, row)) + " |" for row in table.itertuples(index=False)]
    place = content["place"]
    where = f"CPU: {place['cpu']}; GPU: {place['gpu'] or 'none'}; torch {place['torch']}."
    return "\n".join([text, where, "", *lines, ""])


def main() -> None:
    parts = [
        "# Benchmarks\n\n<!-- Written by `make bench`; do not edit. -->\n\n"
        "Either side runs in a process of its own and blocks of the two alternate: the figure is "
        "the median of their ratios, so that a drift of the machine's speed does not matter. "
        "Times themselves are this machine's; the ratios travel better.\n",
        section("stack", STACK),
        section("osrl", OSRL),
        section("methods", METHODS),
        section("evaluation", EVALUATION),
        section("goal", GOAL),
        section("paper_hours", HOURS),
        section("memory", MEMORY),
    ]
    with atomic(PAGE) as temporary:
        temporary.write_text("\n".join(parts))
    print(f"wrote {PAGE}")


if __name__ == "__main__":
    main()
