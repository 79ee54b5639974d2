"""A page to label trajectories on: one moves at a time, two keys, an overview, a table to save.

It is one file without anything from elsewhere, so it opens on any machine. ``label_page.js`` draws
it and keeps what was judged.
"""

import html
import json
from pathlib import Path

import pandas as pd

from prefine.files import styles, template
from prefine.preferences.drawing import Drawing
from prefine.preferences.labels import FEWEST

COLUMNS = ("trajectory", "return", "length", "label", "fingerprint")  # of what is saved
BETTER = 20  # of each label

PAGE = template(__file__, ".html")


def page(title: str, table: pd.DataFrame, drawing: Drawing) -> str:
    """Return the page's text.

    Args:
        table: the sheet: trajectory, return, length, label, and fingerprint if it is known.
        drawing: of the same trajectories.
    """
    keys = table["fingerprint" if "fingerprint" in table else "trajectory"].astype(str)
    columns = [name for name in COLUMNS if name in table and name != "label"]
    data = {
        "file": f"{title}.csv",
        "header": [name for name in COLUMNS if name in table],
        "rows": table[columns].astype(object).to_numpy().tolist(),
        "filled": {key: own for key, own in zip(keys, table["label"], strict=True) if own},
        "enough": [FEWEST, BETTER],
        **drawing.to_dict(),
    }
    return PAGE.substitute(
        title=html.escape(title),
        data=json.dumps(data, separators=(",", ":")).replace("<", "\\u003c"),
        css=styles(__file__),
        js=Path(__file__).with_suffix(".js").read_text(encoding="utf-8"),
    )
