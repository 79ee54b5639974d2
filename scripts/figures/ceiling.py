"""Is D_p the ceiling? PREFINE's return against the mean return of the trajectories it prefers."""

from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from prefine import frames
from prefine.analysis import scores
from prefine.analysis.metrics import normalized_return
from prefine.analysis.names import source_note
from prefine.analysis.statistics import mean_interval
from prefine.pipeline import cli
from prefine.report import labels
from prefine.report import style as plotting
from prefine.report.tables import gaps_text
from prefine.rows import read_manifest
from prefine.tasks import PAPER_TASKS, SUITES, TASKS, Task

FIGURES = {
    "ceiling": {
        "file": "ceiling",
        "title": "Is D_p the ceiling of PREFINE's return?",
        "methods": ("prefine",),
    },
}
SECTION = "Beyond the paper"
READS = {
    "runs": "tables/runs.csv",
    "manifests": "splits/{task}.json",
    "table1": "workflow/paper/table1.csv",
    "tables23": "workflow/paper/tables2_3.csv",
}
NEEDS = ("study",)

METHOD = "prefine"
SUITE_MARKERS = {"safety_gym": "o", "bullet_gym": "s", "own": "D"}
OURS = ["task", "runs", "preferred", "reward", "reward_low", "reward_high"]
OURS += ["difference", "difference_low", "difference_high", "missing"]


def preferred_returns(manifest: dict) -> dict[tuple[int, int], float]:
    """Normalised mean return of D_p by (threshold or -1, draw)."""
    task = Task(**manifest["task"])
    return {
        (-1 if cell["tau"] is None else cell["tau"], cell["draw"]): normalized_return(
            cell["preferred"]["mean_return"], task
        )
        for cell in manifest["cells"]
        if cell["feasible"]
    }


def of_task(runs: pd.DataFrame, manifest: dict) -> dict:
    """PREFINE's runs of a task, each against the D_p that it was trained on, with intervals."""
    task = manifest["task"]["name"]
    own = scores.made(runs)
    own = own[(own["task"] == task) & (own["method"] == METHOD)]
    if own.empty:
        cells = {cell["feasible"] for cell in manifest["cells"]}
        return {"task": task, "missing": "no run" if True in cells else "infeasible"}
    ceiling = preferred_returns(manifest)
    keys = zip(own["tau"].fillna(-1).astype(int), own["draw"].astype(int), strict=True)
    preferred = np.array([ceiling[key] for key in keys])
    reward = own["normalized_return"].to_numpy()
    row = {"task": task, "runs": len(own), "preferred": preferred.mean()}
    for name, values in (("reward", reward), ("difference", reward - preferred)):
        estimate = mean_interval([values])
        row |= {name: estimate.value, f"{name}_low": estimate.low, f"{name}_high": estimate.high}
    return row


def of_paper(table1: pd.DataFrame, sets: pd.DataFrame) -> pd.DataFrame:
    """The same from the paper's Tables 1 to 3: task, paper_preferred, paper_reward."""
    reward = table1[table1["method"] == METHOD].set_index("task")["reward"]
    rows = [
        {
            "task": row.task,
            "paper_preferred": normalized_return(row.mean_return_preferred, TASKS[row.task]),
            "paper_reward": reward[row.task],
        }
        for row in sets.itertuples()
    ]
    table = pd.DataFrame(rows)
    return table.assign(paper_difference=table["paper_reward"] - table["paper_preferred"])


def scatter(axis: plt.Axes, table: pd.DataFrame) -> None:
    """Return of D_p and of PREFINE, a mark a task; on the diagonal they are the same."""
    columns = ["preferred", "reward", "paper_preferred", "paper_reward"]
    columns += ["reward_low", "reward_high"]
    low, high = min(0.0, table[columns].min().min()), max(1.0, table[columns].max().max())
    axis.plot([low, high], [low, high], color="0.2", lw=0.8, ls=":")
    color = plotting.METHOD_COLORS[METHOD]
    for row in table.itertuples():
        marker = SUITE_MARKERS[row.suite]
        axis.plot(
            [row.preferred, row.paper_preferred],
            [row.reward, row.paper_reward],
            color="0.8",
            lw=0.6,
        )
        if pd.notna(row.reward_low):
            axis.vlines(row.preferred, row.reward_low, row.reward_high, color=color, lw=0.8)
        axis.plot(row.preferred, row.reward, marker, ms=4.5, color=color, mec="white", mew=0.4)
        axis.plot(row.paper_preferred, row.paper_reward, marker, ms=4.5, mfc="none", mec="black")
    axis.set_aspect("equal")
    axis.set_xlabel(r"normalised mean return of $D_p$")
    axis.set_ylabel("normalised return of PREFINE")


def name_all(axis: plt.Axes, table: pd.DataFrame) -> None:
    """A name beside each mark, ours or else the paper's."""
    ours = table[["preferred", "reward"]].to_numpy(float)
    theirs = table[["paper_preferred", "paper_reward"]].to_numpy(float)
    places = np.where(np.isnan(ours), theirs, ours)
    known = ~np.isnan(places).any(axis=1)
    bars = table.dropna(subset=["preferred", "reward_low", "reward_high"])
    ends = bars[["preferred", "reward_low", "preferred", "reward_high"]].to_numpy(float)
    names = table["label"][known].tolist()
    labels.name_marks(axis, places[known], names, ends.reshape(-1, 2, 2))


def differences(axis: plt.Axes, table: pd.DataFrame) -> None:
    """PREFINE's return minus its D_p's, tasks downwards."""
    color = plotting.METHOD_COLORS[METHOD]
    axis.axvline(0, color="0.2", lw=0.8, ls=":")
    for place, row in enumerate(table.itertuples()):
        marker = SUITE_MARKERS[row.suite]
        if pd.isna(row.difference):
            plotting.mark_missing(axis, place)
        if pd.notna(row.difference_low):
            axis.hlines(place, row.difference_low, row.difference_high, color=color, lw=2)
        axis.plot(row.difference, place, marker, ms=4.5, color=color, mec="white", mew=0.4)
        axis.plot(row.paper_difference, place, "|", ms=8, color="black", mew=1.2)
    shown = table[["difference_low", "difference_high", "difference", "paper_difference"]].abs()
    reach = 1.15 * max(0.1, shown.max().max())
    axis.set_xlim(-reach, reach)
    axis.set_yticks(range(len(table)), table["task"])
    axis.set_ylim(len(table) - 0.5, -0.5)
    axis.set_xlabel(r"normalised return of PREFINE $-$ of $D_p$")


def main() -> None:
    parser = cli.parser(__doc__, "runs table1 tables23 output", study=str)
    parser.add_argument("--manifests", type=Path, nargs="+", required=True)
    args = parser.parse_args()
    runs = scores.read_study(args.runs, args.study)
    manifests = [read_manifest(path) for path in args.manifests]
    ours = pd.DataFrame([of_task(runs, manifest) for manifest in manifests]).reindex(columns=OURS)
    sources = {manifest["source"] for manifest in manifests}
    comparable = sources == {"dsrl"}
    paper = of_paper(frames.read_csv(args.table1), frames.read_csv(args.tables23))
    table = ours.merge(paper if comparable else paper[:0], on="task", how="outer")
    if comparable:
        table["missing"] = table["missing"].mask(~table["task"].isin(ours["task"]), "not run")
    known = {m["task"]["name"]: [m["task"]["suite"], m["task"]["label"]] for m in manifests}
    known |= {n: [t.suite, t.label] for n, t in PAPER_TASKS.items() if n not in known}
    table.insert(0, "suite", [known[task][0] for task in table["task"]])
    table.insert(2, "label", [known[task][1] for task in table["task"]])
    order = list(dict.fromkeys([*TASKS, *known]))
    places = [(list(SUITES).index(known[t][0]), order.index(t)) for t in table["task"]]
    table = table.iloc[sorted(range(len(table)), key=places.__getitem__)].reset_index(drop=True)

    plotting.use_style()
    figure, axes = plt.subplots(
        1, 2, figsize=(plotting.TEXT_WIDTH, 3.4), width_ratios=(1, 1), layout="constrained"
    )
    scatter(axes[0], table)
    differences(axes[1], table)
    axes[0].set_title("dotted: as much as the trajectories of $D_p$")
    axes[1].set_title("right of the dotted line: more than $D_p$")
    notes = [source_note(sources)]
    if comparable:
        notes.append("Blue: ours with 95 % intervals; black: the paper's Tables 1 to 3.")
    else:
        notes.append("Ours alone, with 95 % intervals: the paper's numbers are on DSRL's data.")
    gaps = table.dropna(subset="missing").assign(method=METHOD)
    if len(gaps):
        notes.append(f"Missing: {gaps_text(gaps, [])}.")
    table = table.assign(source=" ".join(sources))
    note = " ".join(notes)
    plotting.save(figure, args.output, table, note, lambda: name_all(axes[0], table))
    print(table.T.to_string())


if __name__ == "__main__":
    cli.run(main)
