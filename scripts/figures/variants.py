"""A study's variants side by side: reward and cost of each, task by task, with intervals."""

import matplotlib.colors as mcolors
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from prefine import frames
from prefine.analysis.names import method_label, method_order, source_note
from prefine.analysis.scores import complete_seeds
from prefine.analysis.statistics import mean_interval
from prefine.config.plan import CONFIG
from prefine.methods import REFERENCE
from prefine.pipeline import cli
from prefine.report import style as plotting

FIGURES = {
    "control": {
        "file": "control",
        "title": "Control: PREFINE and BC from the reference",
        "study": "control",
    },
    "level": {
        "file": "level",
        "title": "Level of the preference: step, segment, trajectory",
        "study": "level",
    },
    "likelihood": {
        "file": "likelihood",
        "title": "Likelihood and actions of the VAE",
        "study": "likelihood",
    },
}
SECTION = "Beyond the paper"
READS = {"runs": "tables/studies/{study}.csv"}
NEEDS = ("study", "fixed")

SCORES = {"normalized_return": "normalised reward", "normalized_cost": "normalised cost"}


def describe(own: pd.DataFrame, study: str, place: dict) -> dict:
    """Mean and interval over seeds of one variant on one task, both scores."""
    row = place | {"runs": own["run"].nunique(), "source": own["source"].iloc[0]}
    for score in SCORES:
        by_seed, _ = complete_seeds(own, score, own["tau"].dropna().unique())
        values = by_seed.to_numpy()
        row |= {score: values.mean() if len(values) else np.nan}
        row |= {f"{score}_low": np.nan, f"{score}_high": np.nan}
        if len(values) > 1:
            interval = mean_interval([values])
            row |= {f"{score}_low": float(interval.low), f"{score}_high": float(interval.high)}
    return row


def label_of(method: str, variant: str, several: bool) -> str:
    """The method, the variant, or both."""
    name = plotting.in_math(method_label(method))
    if not several:
        return name
    return name if variant == CONFIG else f"{name}: {variant.replace('=', ' ').replace(' -', ' −')}"


def look(place: dict, places: list[dict]) -> dict:
    """The method's colour and mark; its variants differ by what of the mark is filled."""
    method = place["method"]
    own = [other for other in places if other["method"] == method]
    round_, fill = divmod(own.index(place), len(plotting.VARIANT_FILLS))
    color = np.array(mcolors.to_rgb(plotting.method_color(method)))
    color = 1 - (1 - color) * 0.55**round_  # lighter where no way to fill is left
    look = {"color": tuple(color), "marker": plotting.method_marker(method)}
    filled = plotting.VARIANT_FILLS[fill]
    if filled == "open":
        return look | {"markerfacecolor": "white"}
    return look | {"fillstyle": filled, "markerfacecoloralt": "white"}


def main() -> None:
    parser = cli.parser(__doc__, "output", study=str, fixed=cli.json_argument)
    parser.add_argument("--runs", nargs="?", help="table; none if the study has no runs")
    args = parser.parse_args()
    runs = frames.read_csv(args.runs) if args.runs else pd.DataFrame()
    if runs.empty:
        return plotting.save_missing(args.output)
    own = runs[runs["method"] != REFERENCE]
    places = own[["method", "variant"]].drop_duplicates().to_dict("records")
    order = method_order(own["method"])
    places.sort(key=lambda place: order.index(place["method"]))
    names = list(dict.fromkeys(own["task"]))
    rows = []
    for task in names:
        for place in places:
            group = own[(own[["task", *place]] == [task, *place.values()]).all(axis="columns")]
            if len(group):
                rows.append(describe(group, args.study, {"task": task} | place))
    table = pd.DataFrame(rows)

    plotting.use_style()
    figure, axes = plt.subplots(2, 1, figsize=(plotting.TEXT_WIDTH, 4.2), sharex=True)
    several = any(place["variant"] != CONFIG for place in places)
    offsets = (np.arange(len(places)) - (len(places) - 1) / 2) * 0.8 / max(len(places), 1)
    for axis, (score, title) in zip(axes, SCORES.items(), strict=True):
        for number, place in enumerate(places):
            line = table[(table[list(place)] == list(place.values())).all(axis="columns")]
            x = np.array([names.index(task) for task in line["task"]]) + offsets[number]
            low, high = line[score] - line[f"{score}_low"], line[f"{score}_high"] - line[score]
            axis.errorbar(
                x,
                line[score],
                np.nan_to_num([low, high]),
                ls="",
                ms=5,
                lw=1,
                capsize=2,
                **look(place, places),
                label=label_of(**place, several=several),
            )
        for place in range(1, len(names)):
            axis.axvline(place - 0.5, color="0.85", lw=0.6)
        axis.set_ylabel(title)
        axis.grid(axis="x", visible=False)
        if score == "normalized_cost":
            plotting.cost_axis(axis)
    if len(table):
        short = names if len(names) <= 4 else own.drop_duplicates("task")["label"].tolist()
        axes[1].set_xticks(range(len(names)), short)
        axes[1].set_xlim(-0.5, len(names) - 0.5)
        keys = axes[0].get_legend_handles_labels()
        figure.legend(*keys, loc="outside upper center", ncols=3, frameon=False)
    each = plotting.count(table["runs"], "run")
    notes = [
        f"Mean and 95 % interval over seeds, {each} a mark"
        f"{plotting.having(args.fixed)}; dotted: the cost limit.",
        source_note(runs["source"].dropna()),
    ]
    plotting.save(figure, args.output, table, " ".join(notes))


if __name__ == "__main__":
    cli.run(main)
