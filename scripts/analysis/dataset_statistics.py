"""Tables 2 and 3: sizes, mean costs and mean returns of D_p and D_np."""

from pathlib import Path

from prefine import files, frames, results
from prefine.analysis import tables
from prefine.pipeline import cli
from prefine.report.tables import markdown, statistics_lines, statistics_note
from prefine.rows import read_manifest


def main() -> None:
    parser = cli.parser(__doc__, "csv markdown paper")
    parser.add_argument("--manifests", type=Path, nargs="+", required=True)
    parser.add_argument("--checks", type=Path, nargs="+", required=True)
    args = parser.parse_args()
    manifests = [read_manifest(path) for path in args.manifests]
    checks = [results.read_object(path, "task", "agreement") for path in args.checks]
    table = tables.dataset_statistics(manifests, checks, frames.read_csv(args.paper))
    files.write_table(args.csv, table)
    files.write_text(args.markdown, markdown(statistics_lines(table), statistics_note(table)))
    print(table.T.to_string())


if __name__ == "__main__":
    cli.run(main)
