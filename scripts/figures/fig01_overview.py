"""Figure 1: the dataset and D_ref, D_p and D_np, and rollouts before and after PREFINE."""

import matplotlib.pyplot as plt
import pandas as pd
from prefine import frames
from prefine.analysis.names import source_note
from prefine.errors import UserError
from prefine.pipeline import cli
from prefine.report import style as plotting
from prefine.rows import read_manifest

FIGURES = {
    "fig1": {
        "file": "fig01_overview",
        "title": "Figure 01: overview",
        "tasks": "fig1",
        "methods": ("prefine",),
    },
}
SECTION = "Figures"
READS = {
    "trajectories": "trajectories/{task}.csv",
    "splits": "splits/{task}.csv",
    "manifest": "splits/{task}.json",
    "reference": "episodes/reference/{task}.parquet",
    "prefine": "episodes/main/{task}/prefine.parquet",
}
NEEDS = ("task", "tau", "draw")


def points(trajectories: pd.DataFrame, kind: str) -> pd.DataFrame:
    """Return what is plotted: without costs, the number of the trajectory takes their place."""
    if "cost" in trajectories and trajectories["cost"].notna().any():
        return trajectories[["cost", "return"]].assign(kind=kind)
    number = trajectories.get("episode", trajectories.index)
    return trajectories[["return"]].assign(cost=float("nan"), number=number, kind=kind)


def of_cell(table: pd.DataFrame, tau: int | None, draw: int) -> pd.Series:
    """Rows of one threshold (of none, if labels made the sets) and draw."""
    same = table["tau"].isna() if tau is None else table["tau"] == tau
    return same & (table["draw"] == draw)


def main() -> None:
    parser = cli.parser(
        __doc__, "trajectories splits manifest reference prefine output", task=str, draw=int
    )
    parser.add_argument("--tau", type=int, help="not where the sets come from labels")
    args = parser.parse_args()
    trajectories = frames.read_csv(args.trajectories).set_index("index")
    splits, manifest = frames.read_csv(args.splits), read_manifest(args.manifest)
    before, after = frames.read_parquet(args.reference), frames.read_parquet(args.prefine)
    after = after[of_cell(after, args.tau, args.draw)]
    if after.empty:
        raise UserError(
            f"figure 1: no PREFINE run of {args.task} with tau={args.tau}, draw={args.draw}"
        )
    cell = splits[of_cell(splits, args.tau, args.draw)]
    drawn = pd.concat([splits[splits["role"] == "reference"], cell])
    groups = {role: own["index"].to_numpy() for role, own in drawn.groupby("role")}
    sets = {role: points(trajectories.loc[index], role) for role, index in groups.items()}
    everything = points(trajectories, "all")
    x = "cost" if everything["cost"].notna().any() else "number"
    no_cost = {} if x == "cost" else {"cost": float("nan")}
    rollouts = {
        "reference": points(before.assign(**no_cost), "rollout_before"),
        "prefine": points(after.assign(**no_cost), "rollout_after"),
    }

    plotting.use_style()
    figure, axes = plt.subplots(1, 3, figsize=(plotting.TEXT_WIDTH, 2.6), sharex=True, sharey=True)
    titles = (
        r"(a) dataset and $D_\mathrm{ref}$: train $\pi_\mathrm{ref}$",
        r"(b) preferred $D_p$, non-preferred $D_{np}$",
        r"(c) rollouts before and after PREFINE",
    )
    for axis, title in zip(axes, titles, strict=True):
        axis.scatter(
            everything[x], everything["return"], s=4, color=plotting.SET_COLORS["all"], lw=0
        )
        if args.tau is not None:
            axis.axvline(args.tau, color="0.2", lw=0.8, ls=":")
        axis.set_title(title)
        axis.set_xlabel("episode cost" if x == "cost" else "number of the episode")
    axes[0].set_ylabel("episode return")

    names = {
        "reference": (axes[0], r"$D_\mathrm{ref}$"),
        "preferred": (axes[1], r"$D_p$ (safe)"),
        "nonpreferred": (axes[1], r"$D_{np}$ (unsafe)"),
    }
    for role, (axis, label) in names.items():
        color, marker, own = plotting.SET_COLORS[role], plotting.SET_MARKERS[role], sets[role]
        axis.scatter(own[x], own["return"], s=12, color=color, marker=marker, lw=0, label=label)
    for method, own in rollouts.items():
        color, marker = plotting.method_color(method), plotting.method_marker(method)
        label = r"$\pi_\mathrm{ref}$" if method == "reference" else "PREFINE"
        axes[2].scatter(own[x], own["return"], s=14, color=color, marker=marker, lw=0, label=label)
        axes[2].scatter(
            own[x].mean(),
            own["return"].mean(),
            s=70,
            facecolor="none",
            edgecolor=color,
            marker=marker,
            lw=1.2,
        )
    axes[0].margins(x=0.06, y=0.1)
    for axis in axes:
        axis.legend(loc="lower right", frameon=True, framealpha=0.9)
    chosen = "sets from labels" if args.tau is None else f"τ = {args.tau} (dotted)"
    figure.suptitle(f"{args.task}, {chosen}", fontsize=8)

    numbers = pd.concat([everything, *sets.values(), *rollouts.values()], ignore_index=True)
    note = f"Large open marks: means over episodes. {source_note([manifest['source']])}"
    plotting.save(figure, args.output, numbers, note)
    print(numbers.groupby("kind")[["cost", "return"]].agg(["mean", "count"]).to_string())


if __name__ == "__main__":
    cli.run(main)
