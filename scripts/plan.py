"""Write the plan of an arm: one row a run that a job trains."""

import json
import logging

import pandas as pd
from prefine import cli, files
from prefine.plan import COLUMNS, plan


def main() -> None:
    parser = cli.parser(
        *(__doc__, "manifest", "output"),
        **dict.fromkeys(("study", "task", "method", "arm"), str),
        settings=cli.json_argument,
    )
    args = parser.parse_args()
    cells, settings = json.loads(args.manifest.read_text())["cells"], args.settings
    of = args.study, args.task, args.method, args.arm
    numbers = [name for name in settings["variants"][0] if name != "suffix"]
    runs = pd.DataFrame(
        plan(*of, cells, settings["rows"], settings["variants"]), columns=[*COLUMNS, *numbers]
    )
    logging.info("%d runs\n%s", len(runs), runs.to_string())
    files.write_table(args.output, runs)


if __name__ == "__main__":
    cli.run(main)
