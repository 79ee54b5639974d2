"""Write the plan of an arm: one row a run that a job trains."""

import csv
import io
import logging

from prefine import files
from prefine.config.plan import COLUMNS, plan
from prefine.pipeline import cli
from prefine.rows import read_manifest


def main() -> None:
    parser = cli.parser(
        __doc__,
        "manifest output",
        **dict.fromkeys(("study", "task", "method", "arm"), str),
        settings=cli.json_argument,
    )
    args = parser.parse_args()
    cells, settings = read_manifest(args.manifest)["cells"], args.settings
    of = args.study, args.task, args.method, args.arm
    runs = plan(*of, cells, settings["rows"], settings["variants"])
    numbers = [name for name in settings["variants"][0] if name != "suffix"]
    # Not by pandas: there are many plans, and to import it takes longer than to write one.
    table = io.StringIO()
    writer = csv.DictWriter(table, [*COLUMNS, *numbers], lineterminator="\n")
    writer.writeheader()
    writer.writerows(runs)
    logging.info("%d runs\n%s", len(runs), table.getvalue())
    files.write_text(args.output, table.getvalue())


if __name__ == "__main__":
    cli.run(main)
