"""Each dataset beside DSRL's: how like it is."""

from pathlib import Path

from prefine import files, frames
from prefine.analysis.likeness import likeness
from prefine.errors import UserError
from prefine.pipeline import cli
from prefine.report.tables import likeness_lines, likeness_note, markdown
from prefine.tasks import TASKS


def main() -> None:
    parser = cli.parser(__doc__, "statistics table1 csv markdown")
    parser.add_argument("--trajectories", type=Path, nargs="+", required=True)
    parser.add_argument("--reference", type=Path, nargs="+", required=True, help="its episodes")
    args = parser.parse_args()
    trajectories = {path.stem: frames.read_csv(path) for path in args.trajectories}
    reference = {path.stem: frames.read_parquet(path) for path in args.reference}
    statistics, table1 = frames.read_csv(args.statistics), frames.read_csv(args.table1)
    statistics = statistics[statistics["task"].isin(TASKS)]
    if statistics.empty:
        raise UserError("no task of this run is DSRL's, so its datasets have nothing beside them")
    table = likeness(statistics, trajectories, reference, table1)
    files.write_table(args.csv, table)
    files.write_text(args.markdown, markdown(likeness_lines(table), likeness_note(table)))
    print(table.T.to_string())


if __name__ == "__main__":
    cli.run(main)
