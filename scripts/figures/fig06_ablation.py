"""Figures 6 and 10: PREFINE and DPO, which lacks the SFT term, over training on one task."""

import matplotlib.pyplot as plt
import pandas as pd
from prefine import frames
from prefine.analysis.names import method_label, method_order, source_note
from prefine.pipeline import cli
from prefine.report import curves as learning
from prefine.report import style as plotting

FIGURES = {
    "fig6": {
        "file": "fig06_ablation",
        "title": "Figure 06: without the SFT term",
        "study": "ablation",
        "task": 0,
    },
    "fig10": {
        "file": "fig10_ablation",
        "title": "Figure 10: without the SFT term, another task",
        "study": "ablation",
        "task": 1,
    },
}
SECTION = "Ablations"
READS = {"curves": "tables/curves/{study}.csv"}
NEEDS = ("task", "episodes", "fixed")

SCORES = {"return": "return", "cost": "cost"}


def main() -> None:
    parser = cli.parser(__doc__, "output", task=str, episodes=int, fixed=cli.json_argument)
    parser.add_argument("--curves", nargs="?", help="table; none if the study has no runs")
    args = parser.parse_args()
    curves = frames.read_csv(args.curves) if args.curves else pd.DataFrame()
    own = curves[curves["task"] == args.task] if len(curves) else curves
    if own.empty:
        return plotting.save_missing(args.output)
    table = learning.summarize(own, ["task", "method", "tau"], list(SCORES))

    plotting.use_style()
    figure, axes = plt.subplots(1, 2, figsize=(plotting.TEXT_WIDTH, 2.3))
    for axis, (score, label) in zip(axes, SCORES.items(), strict=True):
        for place, method in enumerate(reversed(method_order(own["method"]))):
            rows = table[table["method"] == method]
            look = learning.look(method, 2 * place, len(rows))
            name = method_label(method) + (" (λ = 0)" if method == "dpo" else "")
            line = "--" if method == "dpo" else "-"  # neither hides the other
            learning.draw(axis, rows, score, "std", label=name, ls=line, **look)
        learning.iteration_axis(axis)
        axis.set_xlabel("iteration")
        axis.set_ylabel(label)
        axis.set_title(f"{args.task}: {label}")
    for tau in own["tau"].dropna().unique():
        axes[1].axhline(tau, color="0.2", lw=0.8, ls=":", label=f"threshold τ = {tau:g}")
    plotting.from_zero(axes[1])
    axes[1].legend(frameon=False)
    runs = plotting.count(table["runs"], "run")
    note = f"Mean and standard deviation over {runs} a method{plotting.having(args.fixed)}, "
    note += f"{args.episodes} episodes each."
    notes = [note, source_note(curves["source"].dropna())]
    plotting.save(
        figure, args.output, table.assign(source=curves["source"].iloc[0]), " ".join(notes)
    )


if __name__ == "__main__":
    cli.run(main)
