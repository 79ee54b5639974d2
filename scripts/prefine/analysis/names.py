"""What methods and sources of data are called in print."""

from collections.abc import Iterable

from prefine.methods import REFERENCE

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


def source_note(sources: Iterable[str]) -> str:
    """Say in one line where the data of a table or figure come from."""
    return " ".join(f"Data: {SOURCE_LABELS.get(s, s)}" for s in sorted(set(sources)))
