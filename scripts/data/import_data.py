"""Bring data of the user's own into DSRL's layout, and describe their task."""

import logging
from dataclasses import replace

import numpy as np
from prefine import files, provenance
from prefine.data import dataset
from prefine.data.own import load, with_scores
from prefine.errors import UserError
from prefine.pipeline import cli
from prefine.simulators.own import describe


def main() -> None:
    parser = cli.parser(__doc__, "data output task", name=str, settings=cli.json_argument)
    parser.add_argument("--labelled", action="store_true", help="costs may be missing")
    args = parser.parse_args()
    data, settings = args.data, args.settings
    if not data.exists():
        raise UserError(f"config: file.{args.name}.data: {data} is not there")
    task, scores = describe(args.name, settings, has_costs=not args.labelled)
    arrays = load(data, replace(task, has_costs=not args.labelled))
    task = with_scores(replace(task, has_costs="costs" in arrays), arrays, scores)
    arrays.setdefault("costs", np.zeros_like(arrays["rewards"]))  # never read
    metadata = {"source": "file", "file": str(data), "versions": provenance.versions()}
    dataset.write(args.output, [arrays], metadata | {"task": task.to_dict()})
    files.write_json(args.task, task.to_dict())
    logging.info("%s: %d steps of %s", data, len(arrays["rewards"]), task)


if __name__ == "__main__":
    cli.run(main)
