"""What methods and sources of data are called in print."""

from collections.abc import Iterable
from typing import TYPE_CHECKING

from prefine.methods import REFERENCE

if TYPE_CHECKING:
    import pandas as pd

METHOD_LABELS = {
    REFERENCE: "π_ref",
    "bc": "BC",
    "bc_from_reference": "BC from π_ref",
    "dpo": "DPO",
    "ppl": "PPL",
    "cpl": "CPL",
    "trac": "TraC",
    "safemil": "SafeMIL",
    "safedice": "SafeDICE",
    "cpq": "CPQ",
    "endorse": "Endorse",
    "prefine": "PREFINE",
}


SOURCE_LABELS = {
    "collect": "collected locally in the simulators; these are not DSRL's numbers.",
    "dsrl": "DSRL (Liu et al., 2024).",
    "file": "the user's own.",
    "policy": "rollouts of the user's own policy.",
}


def method_label(method: str) -> str:
    """Return the name that figures and tables print."""
    return METHOD_LABELS.get(method, method)


def method_order(methods: Iterable[str]) -> list[str]:
    """Sort as the paper does: the reference first, PREFINE last."""
    known = list(METHOD_LABELS)
    return sorted(
        set(methods), key=lambda m: (known.index(m) if m in known else len(known) - 1.5, m)
    )


def columns_of(table: "pd.DataFrame") -> dict[str, str]:
    """The methods of Table 1 in order, others' behind, with the names that are printed.

    ‡ marks those that are given rewards and costs, § the scores of others.
    """
    others = table["outside"].astype(bool)
    own, theirs = method_order(table["method"][~others]), table["method"][others].unique()
    costly = set(table["method"][table["sees_costs"].astype(bool)])
    return {
        method: (method if method in theirs else method_label(method))
        + ("‡" if method in costly else "")
        + ("§" if method in theirs else "")
        for method in [*own, *theirs]
    }


def marks_note(table: "pd.DataFrame") -> str:
    """What the marks of ``columns_of`` mean, where there are any."""
    others, text = table[table["outside"].astype(bool)], ""
    if table["sees_costs"].astype(bool).any():
        text = " ‡: is given rewards and costs; the others trajectories and labels alone."
    if len(others):
        sources = others.groupby("method", sort=False)["source"].unique()
        told = "; ".join(f"{name}: {', '.join(own)}" for name, own in sources.items())
        text += f" §: not run here, scores of others ({told})."
    return text


def source_note(sources: Iterable[str]) -> str:
    """Say in one line where the data of a table or figure come from."""
    return " ".join(f"Data: {SOURCE_LABELS.get(s, s)}" for s in sorted(set(sources)))
