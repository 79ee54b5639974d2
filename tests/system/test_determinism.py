"""The same numbers to the last bit, and how to see it: `make verify`, `make test-faults`."""

import shutil
import subprocess
import sys
from pathlib import Path

import faults
import h5py
import numpy as np
import pandas as pd
import pytest
from conftest import snakemake
from prefine.pipeline import same as compare
from safetensors.numpy import save_file

METHOD = "prefine"
OTHERWISE = "training: {max_runs: null, checkpoint_every: 1000}\nevaluation: {workers: 3}\n"


@pytest.mark.faults
def test_cores_chunks_workers_and_order_change_no_bit(undisturbed, tmp_path):
    """Two cores, one run at a time, two workers; and one core, all runs at once, three workers."""
    other = faults.project(tmp_path / "project")
    (other / "otherwise.yaml").write_text(OTHERWISE)
    targets = reversed(faults.TARGETS)
    snakemake(*targets, "--cores", "1", *faults.CONFIG, "otherwise.yaml", cwd=other)
    results = [folder / faults.RESULTS for folder in (undisturbed, other)]
    names, others = map(faults.files_of, results)
    assert sorted(names) == sorted(others)
    # What differs is what the files say of the settings that they were made with.
    names = [name for name in names if not name.startswith(("logs/", "benchmarks/", "tables/prov"))]
    assert len(names) > 40
    for name in (name for name in names if not compare.depends_on_the_clock(Path(name))):
        left, right = (folder / name for folder in results)
        assert compare.first_difference(left, right, provenance=False) is None, name


def verify(project, *files):
    """`make verify` in a project; its exit status and its lines."""
    command = [sys.executable, "scripts/verify.py", *files, *faults.CONFIG]
    done = subprocess.run(command, cwd=project, capture_output=True, text=True)
    return done.returncode, done.stdout.splitlines(), done.stderr


@pytest.mark.faults
def test_verify_makes_files_again_and_finds_what_was_changed(undisturbed, tmp_path):
    project = tmp_path / "project"
    shutil.copytree(undisturbed, project)
    results = project / faults.RESULTS
    before = {path: (project / path).stat().st_mtime_ns for path in results.rglob("*")}
    code, lines, errors = verify(project)
    assert code == 0, errors
    identical = {line.split()[1] for line in lines if line.startswith("identical ")}
    usual = ["trajectories/BallRun.csv", "splits/BallRun.csv", "tables/runs.csv"]
    usual += [f"policies/main/BallRun/{METHOD}.safetensors", "tables/table1.csv"]
    usual += [f"episodes/main/BallRun/{METHOD}.parquet", f"plans/main/BallRun/{METHOD}.csv"]
    assert identical >= {f"{faults.RESULTS}/{name}" for name in usual}
    assert {line.split()[0] for line in lines} <= {"identical", "gone"}
    assert before == {path: (project / path).stat().st_mtime_ns for path in results.rglob("*")}

    policies = results / "policies/sizes/BallRun/prefine.safetensors"
    content = bytearray(policies.read_bytes())
    content[-5] ^= 1  # a bit of one number
    policies.write_bytes(content)
    code, lines, _ = verify(project, policies.relative_to(project))
    assert code == 1
    assert lines[0].startswith(f"DIFFERS   {policies.relative_to(project)}: params.")
    assert "1 of" in lines[0] and "max abs difference" in lines[0]
    code, _, errors = verify(project, "results/faults/nothing.csv")
    assert code == 1 and "make it first" in errors and "Traceback" not in errors


def test_a_difference_is_named_with_its_place_and_its_size(tmp_path):
    left, right = tmp_path / "a", tmp_path / "b"
    tensors = {"w": np.array([[1.0, np.nan], [2.0, 3.0]], np.float32), "z": np.zeros(2)}
    save_file(tensors, left.with_suffix(".safetensors"))
    tensors["w"][1, 0] = 2.5
    save_file(tensors, right.with_suffix(".safetensors"))
    files = [each.with_suffix(".safetensors") for each in (left, right)]
    text = "w: 1 of 4 differ, first at [1, 0]: 2.0 and 2.5; max abs difference 0.5"
    assert compare.first_difference(*files) == text
    assert compare.first_difference(files[0], files[0]) is None
    save_file(tensors | {"z": np.array([0.0, -0.0])}, files[0])
    assert compare.first_difference(*files).startswith("z: 1 of 2 differ")


def test_seconds_are_not_compared_and_columns_are(tmp_path):
    table = pd.DataFrame({"run": ["a", "b"], "loss": [0.1, np.nan], "seconds": [1.0, 2.0]})
    left, right = tmp_path / "a.parquet", tmp_path / "b.parquet"
    table.to_parquet(left)
    table.assign(seconds=0.0).to_parquet(right)
    assert compare.first_difference(left, right) is None
    table.assign(loss=[0.1, 0.2]).to_parquet(right)
    assert compare.first_difference(left, right).startswith("loss: 1 of 2 differ, first at [1]")
    table.assign(more=1).to_parquet(right)
    assert compare.first_difference(left, right) == "more is in one of them only"
    table.head(1).to_parquet(right)
    assert compare.first_difference(left, right) == "run: object (2,) and object (1,)"


def test_datasets_are_compared_by_content(tmp_path):
    files = [tmp_path / "a.hdf5", tmp_path / "b.hdf5"]
    for path, last in zip(files, (1.0, 1.5), strict=True):
        with h5py.File(path, "w") as file:
            file["costs"] = [0.0, last]
    assert "costs: 1 of 2 differ" in compare.first_difference(*files)
