"""Figure 9: PREFINE with several lambda and beta: cost, CVaR and reward over training."""

import matplotlib.pyplot as plt
import pandas as pd
from matplotlib.lines import Line2D
from prefine import frames
from prefine.analysis.names import source_note
from prefine.pipeline import cli
from prefine.report import curves as learning
from prefine.report import style as plotting

FIGURES = {
    "fig9": {
        "file": "fig09_sweep",
        "title": "Figure 09: lambda and beta",
        "study": "sweep",
        "task": 0,
    },
}
SECTION = "Ablations"
READS = {"curves": "tables/curves/{study}.csv"}
NEEDS = ("task", "episodes", "fixed")

SCORES = {
    "normalized_cost": "normalised cost",
    "cvar_normalized": "normalised CVaR",
    "normalized_return": "normalised reward",
}
LEVEL = 0.1  # of the CVaR; the paper does not name its own (docs/readings.md, point 29)
STYLES = ["-", "--", ":", "-.", (0, (5, 1, 1, 1, 1, 1))]


def main() -> None:
    parser = cli.parser(__doc__, "output", task=str, episodes=int, fixed=cli.json_argument)
    parser.add_argument("--curves", nargs="?", help="table; none if the study has no runs")
    args = parser.parse_args()
    curves = frames.read_csv(args.curves) if args.curves else pd.DataFrame()
    own = curves[curves["task"] == args.task] if len(curves) else curves
    if own.empty:
        return plotting.save_missing(args.output)
    own = own.assign(cvar_normalized=own[f"cvar_{LEVEL}"] / own["tau"])
    table = learning.summarize(own, ["task", "lam", "beta"], list(SCORES))
    lams, betas = sorted(own["lam"].unique()), sorted(own["beta"].unique())
    colors = plotting.shades(lams)
    lines = {beta: STYLES[place % len(STYLES)] for place, beta in enumerate(betas)}

    plotting.use_style()
    figure, axes = plt.subplots(3, 1, figsize=(plotting.TEXT_WIDTH, 6.0), sharex=True)
    for axis, (score, label) in zip(axes, SCORES.items(), strict=True):
        for (lam, beta), rows in table.groupby(["lam", "beta"]):
            learning.draw(axis, rows, score, "se", 0.08, color=colors[lam], ls=lines[beta])
        learning.iteration_axis(axis)
        axis.set_ylabel(label)
        if "reward" not in label:
            axis.axhline(1.0, color="0.2", lw=0.8, ls=":")
            plotting.from_zero(axis)
    axes[0].set_title(args.task)
    axes[-1].set_xlabel("iteration")
    keys = [Line2D([], [], color=colors[lam], label=f"λ = {lam:g}") for lam in lams]
    keys += [Line2D([], [], color="0.2", ls=lines[b], label=f"β = {b:g}") for b in betas]
    figure.legend(handles=keys, loc="outside right upper", frameon=False, handlelength=2.4)
    seeds = plotting.count(table["runs"], "seed")
    notes = [
        f"Mean and standard error over {seeds}{plotting.having(args.fixed)}, {args.episodes} "
        "episodes each; "
        f"CVaR of the worst {100 * LEVEL:.0f} %.",
        source_note(curves["source"].dropna()),
    ]
    plotting.save(
        figure, args.output, table.assign(source=curves["source"].iloc[0]), " ".join(notes)
    )


if __name__ == "__main__":
    cli.run(main)
