"""The loops that are timed are the project's own and really train."""

import sys

import pytest
import torch
from conftest import ROOT
from prefine.methods import METHODS, method_module

sys.path.append(str(ROOT / "benchmarks"))


@pytest.mark.parametrize("method", METHODS)
def test_every_method_can_be_timed(method):
    from loops import Loop

    size = {"preferred": 4, "batch_size": 8, "hidden": [8, 8], "vae_hidden": 8, "segments": 2}
    own = {name: size[name] for name in size if name in method_module(method).SETTINGS}
    timed = Loop(method, "gaussian", 2, 1, batch_size=8, hidden=[8, 8], **own)
    before = {n: v.detach().clone() for n, v in timed.loop.context.nets["policy"].items()}
    timed.steps(2)
    after = timed.loop.context.nets["policy"]
    assert timed.iteration == 2
    assert any(not torch.equal(before[name], after[name]) for name in before)
    assert all(torch.isfinite(value).all() for value in after.values())
