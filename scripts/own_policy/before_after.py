"""The table of an own policy before and after, with paired intervals."""

from pathlib import Path

import pandas as pd
from prefine import files, frames, results
from prefine.analysis.paired import compare
from prefine.pipeline import cli
from prefine.report.model_card import FEWEST
from prefine.report.tables import before_after_lines, markdown


def main() -> None:
    parser = cli.parser(__doc__, "csv markdown")
    parser.add_argument("--episodes", type=Path, nargs="+", required=True)
    parser.add_argument("--choices", type=Path, nargs="+", required=True)
    args = parser.parse_args()
    parts, remarks = [], []
    for path, choice in zip(args.episodes, args.choices, strict=True):
        task, episodes = path.parent.name, frames.read_parquet(path)
        own = results.read_object(choice)
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
    laid_out = before_after_lines(table)
    files.write_table(args.csv, table)
    files.write_text(args.markdown, markdown(laid_out, note))


if __name__ == "__main__":
    cli.run(main)
