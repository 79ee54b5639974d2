"""Choose `split.preferred_top` and `split.reference_top` by the paper's own Tables 1 to 3."""

import logging
from dataclasses import asdict
from pathlib import Path

import pandas as pd
from prefine import files, frames
from prefine.analysis import calibration
from prefine.analysis.names import source_note
from prefine.errors import UserError
from prefine.pipeline import cli
from prefine.preferences.split import SplitSettings
from prefine.report.tables import markdown


def lines(means: pd.DataFrame, settings: dict) -> list[list[str]]:
    """The errors, the best first, and what the config has."""
    found = [["parameter", "value", "error of return", "error of cost", ""]]
    for row in means.itertuples():
        marks = []
        if row.Index == means.index[means["parameter"] == row.parameter][0]:
            marks.append("smallest error")
        if settings[row.parameter] == row.value:
            marks.append("in the config")
        cost = "" if pd.isna(row.cost_error) else f"{row.cost_error:.1f}"
        found.append([row.parameter, f"{row.value:g}", f"{row.error:.3f}", cost, ", ".join(marks)])
    return found


def main() -> None:
    parser = cli.parser(__doc__, "tables1 tables23 csv markdown", settings=cli.json_argument)
    parser.add_argument("--trajectories", type=Path, nargs="+", required=True)
    args = parser.parse_args()
    settings = args.settings
    split = SplitSettings(**settings["split"])
    paper = frames.read_csv(args.tables23)
    paths = [path for path in args.trajectories if path.stem in set(paper["task"])]
    if not paths:
        raise UserError("no task of this run is in the paper's tables, so nothing can be compared")
    trajectories = {path.stem: frames.read_csv(path) for path in paths}
    rows = pd.concat(
        [
            calibration.preferred_rows(
                trajectories,
                settings["thresholds"],
                settings["draws"],
                split,
                paper,
            ),
            calibration.reference_rows(trajectories, split, frames.read_csv(args.tables1)),
        ],
        ignore_index=True,
    )
    means = calibration.errors(rows)
    logging.info("\n%s\n%s", rows.to_string(), means.to_string())
    files.write_table(args.csv, rows)
    note = "Mean absolute error over tasks against the paper; returns normalised. "
    note += source_note([settings["source"]])
    files.write_text(args.markdown, markdown(lines(means, asdict(split)), note))


if __name__ == "__main__":
    cli.run(main)
