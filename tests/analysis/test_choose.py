"""Which policy is handed back, and what it is compared with."""

import numpy as np
import pandas as pd
import pytest
from prefine.analysis.choose import choose, counterpart


def candidates(*rows):
    columns = ["job", "run", "seed", "beta", "lam", "return", "cost"]
    found = [(f"j/{b}", f"{b}-{lam}-{s}", s, b, lam, r, c) for b, lam, s, r, c in rows]
    return pd.DataFrame(found, columns=columns).assign(tau=np.nan)


ROWS = [(0.2, 1.0, 0, 50, 5), (0.2, 1.0, 1, 60, 15), (0.6, 1.0, 0, 80, 30), (0.6, 1.0, 1, 90, 60)]
USUAL = {"beta": 0.2, "lam": 1.0}


def test_the_best_return_within_the_cost_is_chosen():
    choice = choose(candidates(*ROWS), 100.0, 0.5, USUAL)
    assert choice.numbers == {"beta": 0.6, "lam": 1.0} and choice.job == "j/0.6"
    assert choice.run == "0.6-1.0-0"  # the other seed costs too much
    assert choice.runs == ("0.6-1.0-0", "0.6-1.0-1") and "at most 50.0" in choice.why
    assert choose(candidates(*ROWS), 100.0, 0.2, USUAL).run == "0.2-1.0-1"
    cheapest = choose(candidates(*ROWS), 100.0, 0.01, USUAL)
    assert cheapest.run == "0.2-1.0-0" and "none of 2 variants" in cheapest.why


def test_runs_of_different_thresholds_are_different_variants():
    runs = candidates(*ROWS[:2]).assign(tau=[10, 40])
    choice = choose(runs, 100.0, 0.5, USUAL)
    assert choice.tau == 40.0 and choice.runs == ("0.2-1.0-1",)
    assert choose(candidates(*ROWS), 100.0, 0.5, USUAL).tau is None


def test_without_costs_the_config_s_numbers_are_kept():
    rows = [(*row[:4], np.nan) for row in ROWS]
    choice = choose(candidates(*rows), np.nan, 0.5, {"beta": 0.6, "lam": 1.0})
    assert choice.run == "0.6-1.0-0" and "tells no costs" in choice.why


@pytest.mark.parametrize("tau", [None, np.nan, 20.0])
def test_the_control_was_trained_on_the_sets_of_the_chosen_run(tau):
    pairs = [(draw, seed) for draw in range(2) for seed in range(2)]
    runs, others = (
        pd.DataFrame([{"run": f"{m}{d}{s}", "tau": tau, "draw": d, "seed": s} for d, s in pairs])
        for m in ("prefine", "bc")
    )
    assert [counterpart(run, runs, others) for run in runs["run"]] == others["run"].tolist()
