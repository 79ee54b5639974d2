"""Write the table in which a person labels trajectories, and a page to do it on.

The table is laid out where nobody's labels stand (prefine.preferences.laid_out). The job's own
outputs are the page and the table of fingerprints.
"""

import logging
from pathlib import Path

from prefine import files
from prefine.data.dataset import read_trajectories
from prefine.data.hdf5 import read
from prefine.pipeline import cli
from prefine.preferences.content import CONTENT, fingerprints
from prefine.preferences.drawing import draw
from prefine.preferences.label_page import page
from prefine.preferences.labels import sheet
from prefine.preferences.laid_out import filled_in, lay_out, sheets_of
from prefine.tasks import find


def main() -> None:
    parser = cli.parser(
        __doc__,
        "data trajectories sheet page fingerprints",
        task=find,
        axes=cli.json_argument,
    )
    parser.add_argument("--labels", type=Path, help="the user's own, from which it is filled in")
    args = parser.parse_args()
    data = read(args.data, args.task, CONTENT)
    trajectories = read_trajectories(args.trajectories, args.data, args.task)
    trajectories["fingerprint"] = fingerprints(data, trajectories)
    spans = [slice(row.start, row.start + row.length) for row in trajectories.itertuples()]
    drawing = draw(args.task, data, spans, args.axes)
    used = args.sheet.with_suffix(".used.csv")
    sources = [*([args.labels] if args.labels else []), *sheets_of(args.sheet), used]
    table = filled_in(sheet(trajectories), sources)
    place = lay_out(args.sheet, table, sources[:1] if args.labels else [])
    known = int((table["label"] != "").sum())
    logging.info("%s: %d trajectories, %d with a label from before", place, len(table), known)
    files.write_table(args.fingerprints, table.drop(columns="label"))
    files.write_text(args.page, page(args.task.name, table, drawing))


if __name__ == "__main__":
    cli.run(main)
