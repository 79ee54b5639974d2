"""Draw D_ref, D_p and D_np of a task for every threshold and draw, with a manifest.

With ``--reuse`` the sets of another run are taken instead, if its trajectories are ours.
"""

import logging
import os
from pathlib import Path

import numpy as np
import pandas as pd
from prefine import files, frames, results
from prefine.data.dataset import read_trajectories
from prefine.errors import UserError
from prefine.pipeline import cli
from prefine.pipeline.messages import no_labels_yet
from prefine.preferences.content import OtherTrajectories, keys, n_moved, n_new
from prefine.preferences.labels import read_labels, waiting
from prefine.preferences.laid_out import (
    check_same_content,
    filled_in,
    keep_used,
    lay_out,
    read_sheet,
    sheets_of,
)
from prefine.preferences.sets import draw_sets, means, reuse_sets
from prefine.tasks import find


def read(args, trajectories: pd.DataFrame) -> dict[str, np.ndarray]:
    """Read the labels: the user's, or those that were filled in on the sheet.

    Raises:
        UserError: there are none yet, or they are of other trajectories; it says what to do.
    """
    found = frames.read_csv(args.fingerprints)
    trajectories = trajectories.assign(fingerprint=found["fingerprint"])
    sources = [args.labels, *sheets_of(args.sheet)]
    newest = lay_out(args.sheet, filled_in(found, sources), sources[:1])  # if it was removed
    path = args.labels if args.labels.exists() else args.sheet
    command = os.environ.get("PREFINE_COMMAND", "the same command")
    page = args.sheet.with_suffix(".html")
    if waiting(path):
        raise UserError(no_labels_yet(args.task.name, page, newest, args.labels, command))
    used = args.sheet.with_suffix(".used.csv")
    try:
        check_same_content(path, used, trajectories)
        sets = read_labels(path, trajectories)
    except OtherTrajectories as error:
        raise UserError(
            f"{error}. {newest} has all that are here, with the labels of those that are the same "
            f"filled in: complete it (by hand, or on {page}), save it as {path}, then: {command}"
        ) from None
    table = read_sheet(path)
    if table is not None and "fingerprint" in table:
        new, n = n_new(keys(table), trajectories), len(trajectories)
        if moved := n_moved(table, trajectories):
            logging.warning(
                "%s: %d trajectories have another number here; their labels follow the column "
                "fingerprint (was the sheet sorted by some of its columns alone?)",
                path,
                moved,
            )
        if new:
            logging.warning(
                "%s: %d of %d trajectories are new and have no label; %s has them too",
                path,
                new,
                n,
                newest,
            )
    keep_used(used, sets, trajectories)
    return sets


def main() -> None:
    parser = cli.parser(
        __doc__,
        "data trajectories output manifest",
        task=find,
        source=str,
        settings=cli.json_argument,
    )
    parser.add_argument("--reuse", type=Path, nargs=2, help="splits and manifest of another run")
    parser.add_argument("--labels", type=Path, help="table of trajectory and label")
    parser.add_argument("--sheet", type=Path, help="where one to fill in was laid out")
    parser.add_argument("--fingerprints", type=Path, help="of the trajectories")
    args = parser.parse_args()
    table, digest = results.hashed(
        args.data, lambda: read_trajectories(args.trajectories, args.data, args.task)
    )
    if args.reuse:
        rows, sets = reuse_sets(table, *args.reuse, args.settings)
    else:
        labels = read(args, table) if args.labels else None
        rows, sets = draw_sets(table, args.task.name, args.settings, labels)
    manifest = {
        "task": args.task.to_dict(),
        "labelled": args.labels is not None,
        "source": args.source,
        "data_sha256": digest,
        "settings": args.settings,
        "n_trajectories": len(table),
        "max_cost": float(table["cost"].max()),
        "all": means(table, np.arange(len(table))),
    }
    files.write_table(args.output, rows)
    files.write_json(args.manifest, manifest | sets)


if __name__ == "__main__":
    cli.run(main)
