"""What the timing of methods says of whole trainings (methods 7)."""

import pandas as pd

from prefine.methods import METHODS, REFERENCE, method_constant

MATCHED = 500_000  # iterations of every method (paper A.4)
# The protocol's (config.yaml) where that is not MATCHED; SafeDICE's with the discriminator's
# 100 000. The publications' but for SafeDICE's (1 100 000) and SafeMIL's (1 000 000).
PUBLISHED = {"safedice": 600_000} | {
    method: n for method in METHODS if (n := method_constant(method, "ITERATIONS", 0))
}
HOUR = 3.6e6  # milliseconds


def totals(blocks: pd.DataFrame) -> pd.DataFrame:
    """Hours of one run of each method, from the milliseconds of its iterations.

    Args:
        blocks: one row a method, phase and block: ``ms`` an iteration, ``iterations`` that the
            phase has in the protocol, ``trains_policy``, ``from_reference``.

    Returns:
        A row a method: ``ms`` an iteration of the phase that trains the policy (median,
        ``ms_q25``, ``ms_q75``), ``hours`` at the protocol's iterations, ``hours_matched``
        with 500 000 in that phase, and ``hours_reference`` of pi_ref where it starts from it.
    """
    rows = {}
    for method, own in blocks.groupby("method"):
        phases = own.groupby("phase")
        ms, n = phases["ms"].median(), phases["iterations"].first()
        main = own.loc[own["trains_policy"], "ms"]
        matched = n.where(~phases["trains_policy"].first(), MATCHED)
        rows[method] = {
            "ms": main.median(),
            "ms_q25": main.quantile(0.25),
            "ms_q75": main.quantile(0.75),
            "iterations": int(n.sum()),
            "hours": (ms * n).sum() / HOUR,
            "hours_matched": (ms * matched).sum() / HOUR,
        }
    table = pd.DataFrame.from_dict(rows, orient="index")
    before = table["hours"].get(REFERENCE, float("nan"))
    starts = blocks.groupby("method")["from_reference"].first().astype(bool)
    table["hours_reference"] = pd.Series(before, table.index).where(starts)
    return table.rename_axis("method").reset_index()
