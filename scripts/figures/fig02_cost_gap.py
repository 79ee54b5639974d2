"""Figure 2: how much PREFINE's policies change what recorded states cost, early, mid and late."""

from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from prefine import frames
from prefine.analysis.names import source_note
from prefine.pipeline import cli
from prefine.report import style as plotting
from prefine.simulators.costs import REPLAY_AGREEMENT

FIGURES = {"fig2": {"file": "fig02_cost_gap", "title": "Figure 02: cost gap", "tasks": "fig2"}}
SECTION = "Figures"
READS = {"tables": "cost_gap/{task}.csv"}
NEEDS = ()

PHASES = ("early", "mid", "late")
COLORS = plotting.SET_COLORS
LABELS = {"preferred": "preferred $D_p$", "nonpreferred": "non-preferred $D_{np}$"}
BEFORE = r"$\pi_\mathrm{ref}$"
SETS = tuple(LABELS)
SCORES = {"gap": "mean absolute gap", "signed_gap": "mean gap, data − policy"}
ABOUT = ("simulated", "agreement", "auc", "horizon", "every", "action_draws", "until", "source")
MISSING = "no cost gap was measured"
CAVEAT = (
    "States stay the data's: one step moves the speed by only about 31 % of its limit "
    "(HalfCheetah), 17 % (Walker2d, Hopper), 14 % (Ant), 110 % (Swimmer), whatever the action, "
    "so the state decides most costs."
)


def read(path: Path) -> tuple[str, pd.DataFrame]:
    """Return the task, which a file is named after, and the table: empty if there is none."""
    if not path.exists() or not path.read_bytes().strip():
        return path.stem, pd.DataFrame()
    return path.stem, frames.read_csv(path)


def phases(iterations: pd.Series, until: pd.Series) -> pd.Series:
    """Name the third of (0, until] that holds each iteration; NaN for π_ref's 0 and beyond."""
    third = -(-3 * iterations // until.where(until > 0)) - 1
    return third.map(dict(enumerate(PHASES)))


def summary(table: pd.DataFrame) -> pd.DataFrame:
    """Return one row a set and phase: means over runs of means over snapshots, π_ref's too."""
    table = table.assign(phase=phases(table["iteration"], table["until"]))
    rows = []
    for role in SETS:
        own = table[table["set"] == role]
        before = own[own["iteration"] == 0]
        for phase in PHASES:
            now = own[own["phase"] == phase]
            row = {"set": role, "phase": phase, "runs": now["run"].nunique()}
            row["snapshots"] = now["iteration"].nunique()
            for score in SCORES:
                by_run = now.groupby("run")[score].mean()
                row |= {score: by_run.mean(), f"{score}_std": by_run.std()}
                row[f"baseline_{score}"] = before[score].mean()
            row["replay_gap"] = own["replay_gap"].mean()
            rows.append(row | table[[*ABOUT]].iloc[0].to_dict())
    return pd.DataFrame(rows)


def title(task: str, row: pd.Series) -> str:
    """Name the task, and mark what does not come from a simulator that repeats the data."""
    if row["simulated"] == "classifier":
        return f"{task}: a classifier's guess, AUC {row['auc']:.3f}"
    if row["agreement"] < REPLAY_AGREEMENT:
        return f"{task}: REPLAY AGREES ON {100 * row['agreement']:.1f} % ONLY"
    return task


def floor(task: str, own: pd.DataFrame) -> str:
    """Say which gaps of a classifier mean nothing: it misses the data's own costs by as much."""
    sizes = own.drop_duplicates("set").set_index("set")["replay_gap"]
    parts = f"{sizes['preferred']:.1f} (D_p) and {sizes['nonpreferred']:.1f} (D_np)"
    return f"{task}: its classifier has gaps of {parts} for the data's own actions."


def draw(axis: plt.Axes, own: pd.DataFrame, score: str) -> None:
    """Bars of each phase and set, π_ref's value of each set as a dashed line."""
    for side, role in zip((-0.2, 0.2), SETS, strict=True):
        rows, color = own[own["set"] == role], COLORS[role]
        places = np.arange(len(PHASES)) + side
        axis.bar(places, rows[score], 0.38, color=color, label=LABELS[role])
        known = rows[f"{score}_std"].notna().to_numpy()
        axis.errorbar(
            places[known],
            rows[score][known],
            rows[f"{score}_std"][known],
            fmt="none",
            color="0.2",
            lw=1,
            capsize=2,
            path_effects=plotting.outlined(),
        )
        level = rows[f"baseline_{score}"].iloc[0]
        axis.axhline(
            level, color=color, lw=1, ls="--", zorder=0.9, label=f"{LABELS[role]}, {BEFORE}"
        )
        axis.hlines([level] * 3, places - 0.19, places + 0.19, color="0.1", lw=1, ls="--")
    for place, phase in enumerate(PHASES):
        if not own.loc[own["phase"] == phase, "runs"].any():
            axis.text(place, 0, "no snapshot", ha="center", va="bottom", fontsize=6, color="0.4")
    axis.axhline(0, color="0.2", lw=0.6)
    axis.set_xticks(range(len(PHASES)), PHASES)
    axis.set_xlim(-0.6, len(PHASES) - 0.4)
    axis.margins(y=0.1)
    if score == "gap":
        axis.set_ylim(bottom=0)
    axis.grid(axis="x", visible=False)


def main() -> None:
    parser = cli.parser(__doc__, "output")
    parser.add_argument("--tables", type=Path, nargs="+", required=True, help="one a task")
    args = parser.parse_args()
    found, numbers = dict(map(read, args.tables)), []

    plotting.use_style()
    figure, axes = plt.subplots(
        len(found),
        len(SCORES),
        figsize=(plotting.TEXT_WIDTH, 0.7 + 1.75 * len(found)),
        squeeze=False,
    )
    for row, (name, table) in zip(axes, found.items(), strict=True):
        if table.empty:
            numbers.append(pd.DataFrame([{"task": name, "missing": MISSING}]))
            for axis in row:
                axis.text(
                    0.5,
                    0.5,
                    f"missing: {MISSING}",
                    transform=axis.transAxes,
                    ha="center",
                    color="0.4",
                )
                axis.set(title=name, xticks=[], yticks=[])
            continue
        own = summary(table)
        numbers.append(own.assign(task=table["task"].iloc[0]))
        for axis, (score, label) in zip(row, SCORES.items(), strict=True):
            draw(axis, own, score)
            axis.set_ylabel(f"{label}\n(costs a trajectory)")
            axis.set_title(title(table["task"].iloc[0], own.iloc[0]))
    handles, labels = next(
        (axis.get_legend_handles_labels() for axis in axes[:, 0] if axis.containers), ([], [])
    )
    figure.legend(handles, labels, loc="outside upper center", ncols=4)

    result = pd.concat(numbers, ignore_index=True)
    result = result[["task", *result.columns.drop("task")]]
    notes = [source_note(result["source"].dropna()) if "source" in result else ""]
    if "horizon" in result:
        thirds = result.dropna(subset="until").drop_duplicates("until")["until"]
        until = " and ".join(f"{value:,.0f}" for value in thirds)
        notes.append(f"Early, mid, late: thirds of the first {until} iterations.")
        notes.append("Bars: mean and standard deviation over runs.")
        if (result["every"] > 1).any():
            notes.append("A part of the steps was sampled, which makes absolute gaps larger.")
        guessed = result[result["simulated"] == "classifier"]
        notes += [floor(task, own) for task, own in guessed.groupby("task", sort=False)]
        if (result["horizon"] > 1).any():
            ahead = result["horizon"].max()
            notes.append(f"From each state the policy goes on for {ahead:.0f} steps.")
        else:
            notes.append(CAVEAT)
    gone = result["task"][result["missing"].notna()].tolist() if "missing" in result else []
    if gone:
        notes.append(f"Missing: {', '.join(gone)}.")
    plotting.save(figure, args.output, result, " ".join(filter(None, notes)))


if __name__ == "__main__":
    cli.run(main)
