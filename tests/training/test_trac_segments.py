"""TraC with its publication's labels: pi_ref of its own, labels from rewards and costs."""

import numpy as np
import pandas as pd
import pytest
import torch
from prefine.errors import UserError
from prefine.methods import decided, method_module, method_settings
from prefine.training.fine_tune import fine_tune
from prefine.training.loop import train
from test_training import SETTINGS, Killed, data, fit, plan, policy_of, reference_of, sets

__all__ = ["data"]  # the fixture
SEGMENT = {"labels": "segment", "log_points": 3}


@pytest.mark.parametrize("kind", ["gaussian", "cvae"])
def test_the_policy_starts_as_its_own_clone_and_no_reference_is_read(kind, data):
    """At the start every score is 0: log 2 for what is desired, eta log 2 for what is not."""
    policy, runs = policy_of(kind), plan(2, "trac")
    given, _ = fit("trac", data, policy, runs, sets(2), **SEGMENT)
    other = {name: value + 1 for name, value in reference_of(policy).items()}
    same, log = fit("trac", data, policy, runs, sets(2), other, **SEGMENT)
    assert all(torch.equal(given[name], same[name]) for name in given)
    first = log[(log["phase"] == "train") & (log["iteration"] == 0)]
    desired, undesired = first["desired_share"], first["undesired_share"]
    assert (desired > 0).all() and (undesired > 0).all()
    shares = desired / (desired + undesired)
    assert (first["loss"] < np.log(2) * shares * 1.5 + 1e-6).all()  # weights are at most 1
    assert (first["loss"] > np.log(2) * shares * 0.7).all()  # ... and at least kappa
    assert set(log["phase"]) == {"reference", "train"}


@pytest.mark.parametrize("late", [4, 7 + 6])
def test_a_killed_job_goes_on_in_either_phase(late, data, tmp_path):
    policy, runs, state = policy_of("cvae"), plan(2, "trac"), tmp_path / "0.safetensors"
    changes = SEGMENT | {"iterations": 9, "checkpoint_every": 2}
    expected, log = fit("trac", data, policy, runs, sets(2), **changes)
    module, settings = method_module("trac"), method_settings("trac") | SETTINGS | changes
    seen = data[decided(module.SEES, settings)]
    arguments = module, policy, runs, seen, sets(2), settings
    count = 0

    def kill_late():
        nonlocal count
        count += 1
        if count == late:
            raise Killed

    with pytest.raises(Killed):
        train(*arguments, on_iteration=kill_late, state=state)
    resumed, again = train(*arguments, state=state)
    assert all(torch.equal(expected[name], resumed[name]) for name in expected)
    pd.testing.assert_frame_equal(log.drop(columns="seconds"), again.drop(columns="seconds"))


def test_from_python_there_are_no_rewards_and_costs(data):
    reference = type("Stack", (), {"has_density": True})()
    with pytest.raises(UserError, match="trac: with these settings it needs rewards and costs"):
        fine_tune(reference, data["actions"], [0], [1], method="trac", labels="segment")
