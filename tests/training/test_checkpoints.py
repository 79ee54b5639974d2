"""What a checkpoint is of, and how train.py is told to make them."""

import contextlib
from dataclasses import replace

import forked
import numpy as np
import pytest
import torch
from conftest import ROOT, needs_workflow
from prefine.methods import decided, method_module, method_settings
from prefine.training.loop import train
from test_training import SETTINGS, Killed, data, plan, policy_of, reference_of, sets

__all__ = ["data"]  # a fixture


def test_a_checkpoint_of_something_else_is_not_gone_on_from(data, tmp_path, caplog):
    """Neither one on the way nor one of the end."""
    policy, module = policy_of("cvae"), method_module("prefine")
    settings = method_settings("prefine") | SETTINGS | {"iterations": 5, "checkpoint_every": 2}
    seen = data[decided(module.SEES, settings)]
    usual = {"runs": plan(2), "data": seen, "sets": sets(2), "settings": settings}
    usual["reference"] = reference_of(policy)
    other_actions = replace(seen, actions=seen.actions * np.float32(0.5))
    changes = {
        "nothing": {},
        "beta": {"runs": plan(2).assign(beta=3.0)},
        "fewer runs": {"runs": plan(1), "sets": sets(1)},
        "sets": {"sets": {role: own[::-1] for role, own in sets(2).items()}},
        "data": {"data": other_actions},
        "rate": {"settings": settings | {"learning_rate": 0.01}},
        "pi_ref": {"reference": {n: v + 0.01 for n, v in usual["reference"].items()}},
    }

    def trained(state=None, **given):
        given = usual | given
        return train(module, policy, **given, state=state)[0]

    for end in (False, True):
        for name, changed in changes.items():
            state = tmp_path / f"{name}-{end}/0.safetensors"
            with contextlib.suppress(Killed):
                trained(state, on_iteration=lambda: None) if end else killed_late(trained, state)
            assert state.exists()
            caplog.clear()
            found, expected = trained(state, **changed), trained(**changed)
            assert ("training starts anew" in caplog.text) == (name != "nothing")
            assert all(torch.equal(found[key], expected[key]) for key in expected)


def killed_late(trained, state):
    count = iter(range(4))

    def die():
        if next(count, None) is None:
            raise Killed

    trained(state, on_iteration=die)


@needs_workflow
@pytest.mark.parametrize("value", ["$(touch x)", "[]", "{}", "", None])
def test_what_the_workflow_hands_over_is_checked(value, tmp_path, monkeypatch):
    monkeypatch.delenv("PREFINE_TRAINING", raising=False)
    if value is not None:
        monkeypatch.setenv("PREFINE_TRAINING", value)
    paths = [f"--{name}" for name in ("data", "trajectories", "splits", "output", "log")]
    command = [word for name in paths for word in (name, "none")]
    command += ["--task", "BallRun", "--method", "bc", "--settings", "{}", "--state", "s", "k"]
    done = forked.run(ROOT / "scripts", "training/train.py", *command, cwd=tmp_path)
    assert done.returncode == 1 and not list(tmp_path.iterdir())
    assert (
        done.stderr.startswith("ERROR: PREFINE_TRAINING: is not") and done.stderr.count("\n") == 1
    )
