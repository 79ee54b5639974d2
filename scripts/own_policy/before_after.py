"""The table of an own policy before and after, with paired intervals."""

from pathlib import Path

import numpy as np
import pandas as pd
from prefine import files, frames, reading
from prefine.analysis.paired import compare
from prefine.pipeline import cli
from prefine.report.model_card import FEWEST
from prefine.report.tables import html_page, markdown

NAMES = {
    "original": "your policy",
    "before": "your policy",
    "distilled": "your policy, distilled",
    "after": "after PREFINE",
    "control": "BC from it on the preferred alone",
}
HEADING = ["Task", "Policy", "Return", "Cost", "Return kept", "Cost left", "Episodes"]


def named(who: str, everybody: set[str]) -> str:
    """What the table calls a policy; where it had to be distilled, pi_ref is not yours."""
    if who == "before" and "original" in everybody:
        who = "distilled"
    return NAMES.get(who, f"after PREFINE, {who}")


def text(row: pd.Series, name: str, style: str) -> str:
    """A number with its interval."""
    value, low, high = (row.get(key, np.nan) for key in (name, f"{name}_low", f"{name}_high"))
    if np.isnan(value):
        return "–"
    interval = "" if np.isnan(low) else f" [{low:{style}}, {high:{style}}]"
    return f"{value:{style}}{interval}"


def lines(table: pd.DataFrame) -> list[list[str]]:
    """A heading row, then one row a task and policy."""
    found = [HEADING]
    for (task, who), own in table.groupby(["task", "who"], sort=False):
        everybody = set(table.loc[table["task"] == task, "who"])
        row = {score: of.iloc[0] for score, of in own.groupby("score")}
        found.append(
            [
                task,
                named(who, everybody),
                *(text(row[score], "mean", ".1f") for score in ("return", "cost")),
                *(text(row[score], "share", ".0%") for score in ("return", "cost")),
                str(row["cost"]["episodes"]),
            ]
        )
    return found


def main() -> None:
    parser = cli.parser(__doc__, "csv html markdown")
    parser.add_argument("--episodes", type=Path, nargs="+", required=True)
    parser.add_argument("--choices", type=Path, nargs="+", required=True)
    args = parser.parse_args()
    parts, remarks = [], []
    for path, choice in zip(args.episodes, args.choices, strict=True):
        task, episodes = path.parent.name, frames.read_parquet(path)
        own = reading.read_object(choice)
        against = episodes["who"].iloc[0]  # what the user brought
        compared = compare(episodes, against)
        parts.append(compared.assign(task=task))
        numbers = ", ".join(f"{name} = {value:g}" for name, value in own["numbers"].items())
        remarks.append(
            f"{task}: {numbers}, chosen on {own['validation']['episodes']} other episodes: "
            f"{own['why']}."
        )
    table = pd.concat(parts, ignore_index=True)
    note = (
        "Every policy of a task played the same episodes. In brackets 95 % intervals of one "
        "policy's mean over episodes; what is kept and left is paired by episode, and – where your "
        "policy has none or it is not known. They are of these policies: other seeds differ more. "
        + " ".join(remarks)
    )
    if table["episodes"].min() < FEWEST:
        note += " With so few episodes intervals are far too narrow: nothing is shown by them."
    laid_out = lines(table)
    files.write_table(args.csv, table)
    files.write_text(args.html, html_page("Before and after", laid_out, note))
    files.write_text(args.markdown, markdown(laid_out, note))


if __name__ == "__main__":
    cli.run(main)
