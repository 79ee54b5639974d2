"""Figure 5: PREFINE with other sizes of D_p and D_np: reward and safety (1 - normalised cost)."""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from prefine import frames
from prefine.analysis.names import source_note
from prefine.methods import REFERENCE
from prefine.pipeline import cli
from prefine.report import style as plotting

FIGURES = {
    "fig5": {
        "file": "fig05_sizes",
        "title": "Figure 05: sizes of D_p and D_np",
        "study": "sizes",
    },
}
SECTION = "Ablations"
READS = {"runs": "tables/studies/{study}.csv"}
NEEDS = ("sizes", "fixed")

SIZES = {
    "n_preferred": "preferred trajectories, $N_p$",
    "n_nonpreferred": "non-preferred, $N_{np}$",
}
SCORES = {"normalized_return": "normalised reward", "safety": "1 − normalised cost"}


def main() -> None:
    parser = cli.parser(__doc__, "output", sizes=cli.json_argument, fixed=cli.json_argument)
    parser.add_argument("--runs", nargs="?", help="table; none if the study has no runs")
    args = parser.parse_args()
    runs = frames.read_csv(args.runs) if args.runs else pd.DataFrame()
    if runs.empty:
        return plotting.save_missing(args.output)
    own = runs[runs["method"] != REFERENCE].assign(safety=lambda t: 1 - t["normalized_cost"])
    rows = []
    for size, usual in args.sizes.items():
        others = [name for name in args.sizes if name != size]
        varied = own[(own[others] == [args.sizes[name] for name in others]).all(axis="columns")]
        for (task, n), group in varied.groupby(["task", size]):
            row = {"task": task, "varied": size, "n": int(n), "usual": n == usual}
            row |= {"runs": group["run"].nunique(), "source": group["source"].iloc[0]}
            for score in SCORES:
                row |= {score: group[score].mean(), f"{score}_std": group[score].std(ddof=1)}
            rows.append(row)
    table = pd.DataFrame(rows)

    plotting.use_style()
    figure, axes = plt.subplots(
        2, 2, figsize=(plotting.TEXT_WIDTH, 3.8), sharex="col", sharey="row"
    )
    names = list(dict.fromkeys(own["task"]))
    aside = np.linspace(-1, 1, len(names)) if len(names) > 1 else [0]
    for column, (size, label) in zip(axes.T, SIZES.items(), strict=True):
        for axis, (score, title) in zip(column, SCORES.items(), strict=True):
            for (task, style), side in zip(plotting.task_looks(names).items(), aside, strict=True):
                line = table[(table["task"] == task) & (table["varied"] == size)].sort_values("n")
                axis.errorbar(
                    line["n"] * 1.02**side,  # so that intervals stay apart
                    line[score],
                    line[f"{score}_std"].fillna(0).to_numpy(),
                    **style,
                    ms=4,
                    lw=1.2,
                    capsize=2,
                    label=task,
                )
            ticks = sorted(table.loc[table["varied"] == size, "n"].unique())
            axis.set_xscale("log", base=2)
            axis.set_xticks(ticks, [f"{n:g}" for n in ticks])
            axis.minorticks_off()
            axis.axvline(args.sizes[size], color="0.6", lw=0.7, ls=":")
            if size == "n_preferred":
                axis.set_ylabel(title)
            if score == "safety":
                axis.axhline(0.0, color="0.2", lw=0.8, ls=":")
        column[-1].set_xlabel(label)
    if len(table):
        keys = axes[0][0].get_legend_handles_labels()
        figure.legend(*keys, loc="outside upper center", ncols=4, frameon=False)
    notes = [
        f"PREFINE at the middle threshold, mean and standard deviation over "
        f"{plotting.count(table['runs'], 'run')}{plotting.having(args.fixed)}; "
        "dotted upright: the config's size; dotted across: the cost limit.",
        source_note(runs["source"].dropna()),
    ]
    plotting.save(figure, args.output, table, " ".join(notes))


if __name__ == "__main__":
    cli.run(main)
