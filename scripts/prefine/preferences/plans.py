"""Plans of runs as their jobs read them."""

from pathlib import Path

import pandas as pd

from prefine import frames
from prefine.config.plan import COLUMNS, stream_name
from prefine.errors import UserError, shown
from prefine.results import DELETE


def read_plan(path: str | Path) -> pd.DataFrame:
    """Read a plan whose rows are what the names of their runs say (``config.plan.plan``).

    Raises:
        UserError: it is damaged; the first such run is named.
    """
    table = frames.read_csv(path, *COLUMNS)
    twice = table["run"][table["run"].duplicated()]
    if len(twice):
        raise UserError(f"{path}: {shown(twice.iloc[0])} is there twice{DELETE}")
    for row in table.to_dict("records"):
        if not _is_named(row):
            raise UserError(f"{path}: {shown(row['run'])} is not what its row says{DELETE}")
    return table


def _is_named(row: dict) -> bool:
    """Whether a run's name is made of its row."""
    tau = None if pd.isna(row["tau"]) else row["tau"]
    tau = int(tau) if tau is not None and float(tau).is_integer() else tau
    stream = stream_name(row["task"], tau, row["draw"], row["seed"])
    begin = f"{row['study']}/{row['arm']}/{stream}"
    if row["stream"] != stream or not row["run"].startswith(begin):
        return False
    numbers = [key for key in row if key not in COLUMNS]
    parts = row["run"].removeprefix(begin).split("/")
    return parts[0] == "" and all(
        any(_tells(part, key, row[key]) for key in numbers) for part in parts[1:]
    )


def _tells(part: str, key: str, value: float) -> bool:
    """Whether a part of a name, such as `beta0.2`, tells this number."""
    try:
        return part.startswith(key) and float(part.removeprefix(key)) == value
    except ValueError:
        return False
