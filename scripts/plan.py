"""Write the plan of a (study, task, method): one row a run."""

import json
import logging

from prefine import cli, files
from prefine.plan import plan


def main() -> None:
    parser = cli.parser(
        __doc__, "manifest", "output", study=str, task=str, method=str, settings=cli.json_argument
    )
    args = parser.parse_args()
    manifest = json.loads(args.manifest.read_text())
    runs = plan(args.study, args.task, args.method, manifest["cells"], args.settings)
    logging.info("%d runs\n%s", len(runs), runs.to_string())
    files.write_table(args.output, runs)


if __name__ == "__main__":
    cli.run(main)
