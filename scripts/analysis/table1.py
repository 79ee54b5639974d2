"""Table 1: normalised reward and cost of every method on every task."""

from pathlib import Path

from prefine import files
from prefine.analysis import tables
from prefine.analysis.scores import read_study
from prefine.data.outside import read_scores
from prefine.methods import METHODS, REFERENCE
from prefine.pipeline import cli
from prefine.report.tables import table1_latex, table1_markdown


def main() -> None:
    parser = cli.parser(
        __doc__,
        "runs csv markdown latex",
        thresholds=cli.json_argument,
        seen=cli.json_argument,
        study=str,
    )
    parser.add_argument("--outside", type=Path, nargs="*", default=[], help="scores of others")
    args = parser.parse_args()
    table = tables.table1(read_study(args.runs, args.study), args.thresholds, args.seen)
    for path in args.outside:
        scores = read_scores(path, (*METHODS, REFERENCE), args.thresholds)
        table = tables.with_outside(table, scores)
    files.write_table(args.csv, table)
    files.write_text(args.markdown, table1_markdown(table))
    files.write_text(args.latex, table1_latex(table))
    print(table1_markdown(table))


if __name__ == "__main__":
    cli.run(main)
