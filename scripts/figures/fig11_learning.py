"""Figures 11 and 12: learning curves of the tasks of a suite, return and cost of each."""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from prefine import frames
from prefine.analysis.names import method_label, method_order, source_note
from prefine.pipeline import cli
from prefine.report import curves as learning
from prefine.report import style as plotting
from prefine.tasks import SUITES

FIGURES = {
    "fig11": {
        "file": "fig11_learning_safety_gym",
        "title": "Figure 11: learning curves, Safety Gym",
        "suite": "safety_gym",
    },
    "fig12": {
        "file": "fig12_learning_bullet_gym",
        "title": "Figure 12: learning curves, Bullet Gym",
        "suite": "bullet_gym",
    },
    "own_learning_curves": {
        "file": "learning_own",
        "title": "Learning curves, own tasks",
        "suite": "own",
    },
}
SECTION = "Figures"
READS = {"curves": "tables/curves/{study}.csv"}
NEEDS = ("suite", "tasks", "episodes")

COLUMNS = 4
ROWS = {"return": "return", "cost": "cost"}


def panels(n_tasks: int) -> tuple[plt.Figure, np.ndarray]:
    """Two rows, return above cost, for at most ``COLUMNS`` tasks; unused panels are off."""
    blocks = -(-n_tasks // COLUMNS)
    columns = -(-n_tasks // blocks)
    size = (plotting.TEXT_WIDTH, 0.5 + 2.6 * blocks)
    figure, axes = plt.subplots(2 * blocks, columns, figsize=size, sharex="col", squeeze=False)
    pairs = axes.reshape(blocks, 2, columns).transpose(0, 2, 1).reshape(-1, 2)
    for axis in pairs[n_tasks:].flat:
        axis.set_axis_off()
    return figure, pairs[:n_tasks]


def main() -> None:
    parser = cli.parser(__doc__, "output", suite=str, tasks=cli.json_argument, episodes=int)
    parser.add_argument("--curves", nargs="?", help="table; none if the study has no runs")
    args = parser.parse_args()
    curves = frames.read_csv(args.curves) if args.curves else pd.DataFrame()
    own = curves[curves["task"].isin(args.tasks)] if len(curves) else curves
    if own.empty:  # also where the config has no task of the suite
        return plotting.save_missing(args.output)
    table = learning.summarize(own, ["task", "method"], list(ROWS))
    methods = method_order(own["method"])

    plotting.use_style()
    figure, pairs = panels(len(args.tasks))
    for task, pair in zip(args.tasks, pairs, strict=True):
        pair[0].set_title(task)
        of_task = table[table["task"] == task]
        for axis, (score, label) in zip(pair, ROWS.items(), strict=True):
            if of_task.empty:
                plotting.say_missing(axis, "no run")
                continue
            for place, method in enumerate(methods):
                rows = of_task[of_task["method"] == method]
                name = plotting.in_math(method_label(method))
                look = learning.look(method, place, len(rows))
                learning.draw(axis, rows, score, "std", label=name, **look)
            learning.iteration_axis(axis)
            axis.set_ylabel(label)
        taus = sorted(own.loc[own["task"] == task, "tau"].dropna().unique())
        for tau in taus:
            pair[1].axhline(tau, color="0.2", lw=0.8, ls=":")
        if len(of_task):
            plotting.from_zero(pair[1])
            pair[1].set_xlabel("iteration")
            pair[1].tick_params(labelbottom=True)
    if len(methods) > 1:
        drawn = next(pair[0] for pair in pairs if pair[0].lines)
        keys = drawn.get_legend_handles_labels()
        figure.legend(*keys, loc="outside upper center", ncols=6, frameon=False)
    runs = plotting.count(table.groupby("task")["runs"].max(), "run")
    notes = [
        f"{SUITES[args.suite]}. Mean and standard deviation over {runs} (thresholds and "
        f"seeds), {args.episodes} episodes each; dotted: thresholds.",
        source_note(curves["source"].dropna()),
    ]
    plotting.save(
        figure, args.output, table.assign(source=curves["source"].iloc[0]), " ".join(notes)
    )


if __name__ == "__main__":
    cli.run(main)
