"""``compile: true``: each method's step is one graph of torch's, or says that it is none."""

import functools
import sys

import pytest
import torch
from conftest import ROOT
from prefine.methods import METHODS, REFERENCE
from prefine.training import loop as loop_module

sys.path.insert(0, str(ROOT / "benchmarks"))

import gpu_checks

CASES = [*((name, {}) for name in (*METHODS, REFERENCE)), *gpu_checks.OTHER_SETTINGS]
NOT_COMPILED = ("safedice", "safemil")  # a gradient penalty; two losses of one graph


@pytest.mark.parametrize(("method", "changes"), CASES, ids=str)
def test_a_compiled_step_is_the_same_step(method, changes, monkeypatch):
    """A graph break is an error, so that no part is left slow in silence."""
    case = gpu_checks.Case(method, "cvae", gpu_checks.TINY | changes)
    plain, compiled = gpu_checks.Way(), gpu_checks.Way(compiled=True)
    monkeypatch.setattr(gpu_checks, "ITERATIONS", 20)
    as_it_is = gpu_checks.trained(case, gpu_checks.CPU, plain)
    calls = []

    def traced(function, enabled):
        if not enabled:
            return function
        graph = torch.compile(function, fullgraph=True, dynamic=False, backend="aot_eager")

        @functools.wraps(function)
        def called(*args):
            calls.append(function)
            return graph(*args)

        return called

    monkeypatch.setattr(loop_module, "fused", traced)
    monkeypatch.setattr(loop_module, "FUSED_ON", ("cpu",))
    found = gpu_checks.compare(gpu_checks.trained(case, gpu_checks.CPU, compiled), as_it_is)
    assert found["passed"] and found["drift"] < 1e-4
    assert bool(calls) == (method not in NOT_COMPILED)
