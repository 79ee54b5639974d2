"""What jobs wrote about themselves, brought together: nothing that differs is hidden."""

import pandas as pd
import pytest
from prefine.errors import UserError
from prefine.report import provenance as records

MANIFEST = {
    "task": {"name": "BallRun"},
    "source": "collect",
    "data_sha256": "aa",
    "n_trajectories": 16,
    "cells": [{"feasible": True}, {"feasible": False}],
}
CONFIG = {"run": "mine", "source": "collect", "note": "<script>"}


def training(name, **changes):
    record = {
        "method": "bc",
        "device": "cpu",
        "versions": {"python": "3.11", "torch": "2.13"},
        "settings": {"iterations": 60},
        "runs": [{}, {}],
        "data_sha256": "aa",
    }
    return records.job(f"training/{name}", records.TRAINING, record | changes, "BallRun")


def test_jobs_that_agree_are_counted_once():
    record = records.together([training("b"), training("a", method="ppl")], [MANIFEST], CONFIG)
    assert record["disagreements"] == [] and record["data"]["BallRun"]["sets"] == 1
    assert [job["file"] for job in record["jobs"]] == ["training/a", "training/b"]
    page = str(records.page_lines(record))
    assert "python 3.11, torch 2.13 (2 jobs)" in page and "yes: data, versions" in page
    assert "2 runs in 1 jobs, 60 iterations" in page
    assert "<script>" not in page and "&lt;script&gt;" in page


def test_other_data_versions_and_devices_are_named():
    jobs = [
        training("a"),
        training("b", data_sha256="bb"),
        training("c", device="cuda", versions={"python": "3.12"}),
    ]
    record = records.together(jobs, [MANIFEST], CONFIG)
    assert record["disagreements"] == [
        "training/b is of other data than BallRun's splits",
        "training jobs have 2 different versions",
        "training jobs have 2 different devices",
    ]
    page = str(records.page_lines(record))
    assert "other data than" in page and "yes: data" not in page


def test_a_record_is_read_without_the_table_or_missed(tmp_path):
    table = pd.DataFrame({"x": [1]})
    table.to_parquet(tmp_path / "without.parquet")
    with pytest.raises(UserError, match="does not say where it comes from"):
        records.read_record(tmp_path / "without.parquet")
    table.attrs = {"provenance": {"device": "cpu"}}
    table.to_parquet(tmp_path / "with.parquet")
    assert records.read_record(tmp_path / "with.parquet") == {"device": "cpu"}
