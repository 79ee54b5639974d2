"""Labels in place of costs: the table that a person fills in, and how it comes back."""

from pathlib import Path

import numpy as np
import pandas as pd

from prefine.errors import UserError, short
from prefine.preferences.content import OtherTrajectories, by_content
from prefine.preferences.sheets import LINE, read_sheet, to_index

LABELS = ("preferred", "nonpreferred")
MOST_ROWS = 100_000  # of a table; one may be of more trajectories than are here now
FEWEST = 3  # of each label; one or two trajectories do not show what is common to them


def sheet(trajectories: pd.DataFrame) -> pd.DataFrame:
    """The table to fill in, one row a trajectory; what else it says tells whose labels they are."""
    table = trajectories[["index", "return", "length"]].rename(columns={"index": "trajectory"})
    table = table.round({"return": 3}).assign(label="")
    if "fingerprint" in trajectories:
        table["fingerprint"] = trajectories["fingerprint"]
    return table


def waiting(path: Path) -> bool:
    """Whether nobody has filled in anything yet."""
    return (read_table(path)["label"].str.strip() == "").all()


def read_labels(path: Path, trajectories: pd.DataFrame) -> dict[str, np.ndarray]:
    """Read a table of trajectory numbers and labels: label -> sorted dataset indices.

    Rows without a label are left out; a sheet's returns and lengths must be those of
    ``trajectories``, the dataset's table. Where both have a column ``fingerprint``, labels are
    those of the trajectories of the same content, whatever their number.

    Raises:
        OtherTrajectories: some labels are of none of these trajectories.
        UserError: in one line what is wrong and where.
    """
    table = read_table(path, max(len(trajectories), MOST_ROWS))
    if "fingerprint" in table and "fingerprint" in trajectories:
        table = by_content(path, table, trajectories)
    numbers = table["trajectory"].map(to_index).astype(float)
    here = numbers.isin(trajectories["index"])
    last = len(trajectories) - 1
    findings = {
        "is not the number of a trajectory, such as 12 or 1200": numbers.isna(),
        f"is not a trajectory of 0 to {last}; the labels are of other trajectories": ~here,
        "is labelled twice": numbers.duplicated(),
    }
    own = trajectories.set_index("index").reindex(numbers)
    for column in (name for name in ("return", "length") if name in table):
        given = pd.to_numeric(table[column], errors="coerce").to_numpy()
        same = np.isclose(given, own[column].to_numpy(), rtol=1e-4, atol=1e-3)
        differs = pd.Series(~same & ~np.isnan(given), index=table.index)
        findings[f"has another {column} here; the labels are of other trajectories"] = differs
    labels = table["label"].str.strip()
    findings[f"has another label than {' or '.join(LABELS)}"] = ~labels.isin(LABELS) & (
        labels != ""
    )
    for finding, wrong in findings.items():
        if wrong.any():
            line = int(wrong.to_numpy().argmax())
            row = table.iloc[line]
            values = ",".join(_told(row[name]) for name in ("trajectory", "label"))
            kind = OtherTrajectories if finding.endswith("other trajectories") else UserError
            raise kind(f"{path}: line {row[LINE]}: {values}: {finding}")
    sets = {name: np.sort(numbers[labels == name].to_numpy(dtype=int)) for name in LABELS}
    _check_numbers(path, sets)
    return sets


def _told(value: object) -> str:
    """A value in a message; letters that look like others as their numbers."""
    return short(str(value).encode("ascii", "backslashreplace").decode())


def read_table(path: Path, n_trajectories: int | None = None) -> pd.DataFrame:
    """Read a table with the columns trajectory and label, which is empty where nobody judged."""
    return read_sheet(path, n_trajectories)


def _check_numbers(path: Path, sets: dict[str, np.ndarray]) -> None:
    """Both labels must be there, and often enough."""
    for name, indices in sets.items():
        if not len(indices):
            raise UserError(f"{path}: no trajectory is {name}; both labels are needed")
    for name, indices in sets.items():
        if len(indices) < FEWEST:
            raise UserError(
                f"{path}: only {len(indices)} {name}; at least {FEWEST} of each label are needed, "
                "20 are better"
            )
