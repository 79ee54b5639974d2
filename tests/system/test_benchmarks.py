"""The loops that are timed are the project's own and really train."""

import json
import subprocess
import sys
import time

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


def test_the_check_of_a_gpu_rehearses_on_the_cpu(tmp_path):
    """All its parts, at tiny sizes: a check that could not fail would not find other draws."""
    output = tmp_path / "gpu.json"
    command = [sys.executable, ROOT / "benchmarks" / "gpu.py", "--cpu", "--tiny"]
    command += ["--output", output, "--minutes", "120"]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "## On a GPU" in done.stdout
    found = json.loads(output.read_text())
    items = [item for part in ("checks", "rates") for item in found[part].values()]
    assert len(items) > 50
    assert not any("skipped" in item or "error" in item for item in items)
    assert found["checks"]["control: other draws are found"]["drift"] > 0.1
    assert all(check["ways"] for check in found["checks"].values() if "same_bits" in check)
    projection = found["projection"]
    assert set(projection["table_1_hours"]) == {*METHODS, "reference"}
    assert projection["table_1_total_hours"] > 0
    assert projection["times_one_by_one"] > 0


def test_the_steps_of_a_gpu_are_compared_closely():
    """The last bit of the observations passes; what TF32 does to them does not."""
    import gpu_checks
    import gpu_steps

    case = gpu_checks.Case("prefine", "gaussian", gpu_checks.TINY)
    rounded = gpu_steps.step_by_step(case, gpu_checks.CPU, 2**-23)
    coarse = gpu_steps.step_by_step(case, gpu_checks.CPU, 2**-11)
    assert rounded["passed"] and rounded["gradient"] > 0
    assert not coarse["passed"]


def test_what_fails_is_noted_and_nothing_runs_on_a_gpu_that_is_broken():
    import gpu

    ran = []

    def item(name, error=None):
        def run():
            ran.append(name)
            if error:
                raise error
            return {"passed": True, "value": float("nan")}

        return name, run

    items = [
        item("first"),
        item("wrong", ValueError("a")),
        item("broken", RuntimeError("CUDA error: b")),
        item("last"),
    ]
    found = gpu.run_items(items, time.monotonic() + 60)
    assert ran == ["first", "wrong", "broken"]
    assert gpu.plain(found["first"]["value"]) is None and found["first"]["passed"]
    assert found["wrong"]["error"][-1] == "ValueError: a"
    assert found["broken"]["error"][-1] == "RuntimeError: CUDA error: b"
    assert "broken" in found["last"]["skipped"]
    assert "no time" in gpu.run_items(items, time.monotonic() - 1)["first"]["skipped"]


def test_losses_that_a_captured_step_writes_stay_where_they_are():
    """A graph writes to the memory of its capture; a step of the log must not move the losses."""
    from loops import Loop

    loop = Loop("prefine", "gaussian", 2, 1, batch_size=8, hidden=[8, 8]).loop
    loop.iterate(0)
    place = loop.watch.now["policy"]
    before = place.clone()
    loop.logged = {1}
    loop.iterate(1)
    assert loop.watch.now["policy"] is place
    assert not torch.equal(before, place)


def test_training_needs_no_simulator_and_no_reader_of_files():
    """What a machine with a GPU need not have; None in sys.modules makes an import fail."""
    absent = ("gymnasium", "mujoco", "h5py", "yaml", "pyarrow", "scipy", "tqdm", "snakemake")
    code = f"""
import sys
sys.modules |= dict.fromkeys({absent})
sys.path[:0] = [{str(ROOT / "scripts")!r}, {str(ROOT / "benchmarks")!r}]
import gpu, gpu_steps
"""
    subprocess.run([sys.executable, "-c", code], check=True)
