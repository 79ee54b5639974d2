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
from prefine.errors import UserError

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


def test_without_a_compiler_it_is_one_line(monkeypatch, tmp_path):
    """Torch's own error has the compiler's whole command."""
    import torch._inductor.config as inductor

    monkeypatch.setenv("TORCHINDUCTOR_CACHE_DIR", str(tmp_path))
    monkeypatch.setattr(inductor.cpp, "cxx", ("/no/such/compiler",))
    monkeypatch.setattr(loop_module, "FUSED_ON", ("cpu",))
    case = gpu_checks.Case("prefine", "cvae", gpu_checks.TINY)
    with pytest.raises(UserError, match=r"training\.compile.*false$") as caught:
        gpu_checks.trained(case, gpu_checks.CPU, gpu_checks.Way(compiled=True))
    assert "\n" not in str(caught.value)
