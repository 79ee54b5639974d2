"""Simulators round alike whatever kernels numpy would take for the processor."""

import os

import numpy as np
import pytest
from conftest import needs_simulators
from hand_made_policies import some_policies
from prefine import kernels
from prefine.evaluation.record import record
from prefine.tasks import TASKS


def played(monkeypatch, core: str | None) -> list[dict[str, np.ndarray]]:
    monkeypatch.delenv(kernels.VARIABLE, raising=False)
    if core:
        monkeypatch.setenv(kernels.VARIABLE, core)
    stack = some_policies(TASKS["DroneRun"], 2, "gaussian")
    stack.metadata["runs"] = [{"run": "a"}, {"run": "b"}]
    return [own.steps for own in record(stack, TASKS["DroneRun"], [8, 8])]


@needs_simulators
@pytest.mark.skipif(
    os.environ.get(kernels.VARIABLE) != kernels.COMMON, reason="no AVX2, or other kernels are named"
)
def test_simulators_take_kernels_that_most_processors_have(monkeypatch):
    """DroneRun's thrust is of dot products of three numbers."""
    ours, common = played(monkeypatch, None), played(monkeypatch, kernels.COMMON)
    for one, other in zip(ours, common, strict=True):
        for name, column in one.items():
            np.testing.assert_array_equal(column, other[name])


def test_kernels_that_the_user_has_named_stay(monkeypatch):
    monkeypatch.setenv(kernels.VARIABLE, "Nehalem")
    assert kernels.common() == {}
