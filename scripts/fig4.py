"""Figure 4: wall-clock time of training, by method."""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from prefine import cli, plotting, scores, tables
from prefine.methods import REFERENCE, method_constant

PAPER_TASK = "Walker2dVelocity"  # the paper's Figure 4
SECONDS = ("seconds", "seconds_1000", "seconds_reference")
LARGEST = 900  # area of the largest marker, points squared


def seconds_table(runs: pd.DataFrame) -> pd.DataFrame:
    """Seconds of a run and of 1 000 iterations by (task, method), and π_ref's where needed."""
    seconds = scores.seconds_per_run(runs)
    first = scores.made(runs).groupby(["task", "method"])[["train_iterations"]].first()
    table = first.join(seconds.rename("seconds"), how="inner").reset_index()
    table["seconds_1000"] = 1000 * table["seconds"] / table["train_iterations"]
    reference = table[table["method"] == REFERENCE].set_index("task")["seconds"]
    needs = table["method"].map(
        lambda m: m != REFERENCE and method_constant(m, "STARTS_FROM") == REFERENCE
    )
    table["seconds_reference"] = table["task"].map(reference).where(needs)
    return table


def scatter(axis: plt.Axes, own: pd.DataFrame, task: str) -> None:
    """Cost and reward of each method on one task; the area is the time."""
    axis.axvline(1.0, color="0.2", lw=0.8, ls=":")
    for row in own.sort_values("seconds", ascending=False).itertuples():  # small ones on top
        area = LARGEST * row.seconds / own["seconds"].max()
        color = plotting.method_color(row.method)
        axis.scatter(row.cost, row.reward, area, color=color, alpha=0.8, ec="white", lw=0.8)
    axis.plot(own["cost"], own["reward"], ".", ms=2, color="black", mfc="white", mew=0.4)
    axis.set_xscale("symlog", linthresh=1.0, linscale=1.2)
    top = max(10.0, own["cost"].max() * 2.5) if len(own) else 10.0
    axis.set_xlim(-0.4, top)
    ticks = [tick for tick in (0, 0.5, 1, 3, 10, 30) if tick <= top]
    axis.set_xticks(ticks, [f"{tick:g}" for tick in ticks])
    axis.minorticks_off()
    axis.margins(y=0.25)
    axis.set_xlabel("normalised cost (dotted: the limit)")
    axis.set_ylabel("normalised reward")
    if own.empty:
        axis.text(0.5, 0.5, "no normalised cost", transform=axis.transAxes, ha="center")
    axis.set_title(f"{task}: area ∝ time of a run")


def bars(axis: plt.Axes, table: pd.DataFrame, methods: list[str], column: str) -> None:
    """The mean over tasks as a bar, each task as a dot; π_ref's share on top, hatched."""
    long = table[column].max() > 2 * 3600
    table = table.assign(**{name: table[name] / (3600 if long else 1) for name in SECONDS})
    axis.set_xlabel("hours" if long else "seconds")
    for place, method in enumerate(methods):
        own = table[table["method"] == method]
        if own.empty:
            axis.text(0, place, " missing", va="center", fontsize=6.5, color="0.4")
            continue
        mean, color = own[column].mean(), plotting.method_color(method)
        axis.barh(place, mean, 0.7, color=color)
        if column == "seconds" and own["seconds_reference"].notna().any():
            axis.barh(
                *(place, own["seconds_reference"].mean(), 0.7),
                left=mean,
                color="none",
                edgecolor=color,
                hatch="////",
                lw=0.6,
            )
        spread = np.linspace(-0.2, 0.2, len(own)) if len(own) > 1 else np.zeros(1)
        dots = {"ms": 2.5, "mfc": "white", "mec": "0.2", "mew": 0.5}
        axis.plot(own[column], place + spread, "o", **dots)
    axis.set_yticks(range(len(methods)), [])
    axis.set_ylim(len(methods) - 0.4, -0.6)
    axis.grid(axis="y", visible=False)


def main() -> None:
    parser = cli.parser(__doc__, "runs", "table", "output", study=str)
    args = parser.parse_args()
    runs = scores.read_study(args.runs, args.study)
    cells = pd.read_csv(args.table)[["task", "method", "reward", "cost"]]
    table = seconds_table(runs).merge(cells, on=["task", "method"], how="left")
    methods = tables.method_order(runs["method"])
    tasks = list(dict.fromkeys(cells["task"]))
    shown = PAPER_TASK if PAPER_TASK in set(table["task"]) else tasks[0]

    plotting.use_style()
    figure, axes = plt.subplots(
        1, 3, figsize=(plotting.TEXT_WIDTH, 2.7), width_ratios=(1.25, 1, 1), layout="constrained"
    )
    own = table[table["task"] == shown].dropna(subset=["reward", "cost"])
    scatter(axes[0], own, shown)
    bars(axes[1], table, methods, "seconds")
    axes[1].set_yticks(
        range(len(methods)), [plotting.in_math(tables.method_label(m)) for m in methods]
    )
    axes[1].set_title(r"a run (hatched: $\pi_\mathrm{ref}$'s)")
    bars(axes[2], table, methods, "seconds_1000")
    axes[2].set_title("1 000 iterations of a run")

    notes = [tables.source_note(runs["source"].dropna())]
    notes.append("Not timed alone: runs of a job are stacked and jobs may share the machine.")
    if shown != PAPER_TASK:
        notes.append(f"{PAPER_TASK}, the paper's task, was not run.")
    present = set(zip(table["task"], table["method"], strict=True))
    gone = [
        {"task": task, "method": method, "missing": "no run"}
        for task in tasks
        for method in methods
        if (task, method) not in present
    ]
    if gone:
        notes.append(f"Missing: {tables.gaps_text(pd.DataFrame(gone), methods)}.")
    plotting.save(figure, args.output, table.assign(source=runs["source"].iloc[0]), " ".join(notes))


if __name__ == "__main__":
    cli.run(main)
