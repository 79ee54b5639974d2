"""The way of DSRL's own files, rehearsed: from a host that fails to the paper's comparison."""

import json

import dsrl_host
import pandas as pd
import pytest
import yaml
from conftest import ROOT, SMALL, counts, snakemake
from prefine.files import sha256
from prefine.tasks import TASKS

TASK = TASKS["BallRun"]


@pytest.fixture
def host(tmp_path):
    """A hub whose first answer is half of the file, and a mirror that breaks off once."""
    files = tmp_path / "host"
    files.mkdir()
    dsrl_host.write_as_dsrl(ROOT / "tests/data/BallRun.hdf5", files, TASK.name)
    server = dsrl_host.serve(files, ["truncated", "broken off"])
    yield server
    server.shutdown()
    server.server_close()


def test_from_a_host_that_fails_to_a_table_beside_the_papers(host, project, tmp_path):
    """Downloaded, locked, split, trained, played; every number is said to be of DSRL's data."""
    overlay = tmp_path / "dsrl.yaml"
    place = {"folder": str(tmp_path / "dsrl"), "lock": str(tmp_path / "data.lock.json")}
    config = {"run": "rehearsal", "source": "dsrl", "dsrl": {"sources": host.sources} | place}
    overlay.write_text(yaml.safe_dump(config))
    options = ["--cores", 2, *SMALL, overlay]
    targets = ["results/rehearsal/figures/paper_comparison.png", "likeness", "provenance"]
    assert counts(snakemake("-n", *targets, *options, cwd=project))["download"] == 1
    snakemake(*targets, *options, cwd=project)

    # The half was refused, and what the mirror broke off was asked for again.
    served, run = host.folder / TASK.file, project / "results/rehearsal"
    paths = [path for path, _ in host.requests]
    cut = [asked for path, asked in host.requests if path.startswith("/mirror/")]
    assert paths[0] == f"/{dsrl_host.HUB}/main/{TASK.file}" and paths[1] == f"/cdn/{TASK.file}"
    assert len(cut) == 2 and host.faults == []
    assert "truncated file" in (run / "logs/download/BallRun.log").read_text()
    entry = json.loads((tmp_path / "data.lock.json").read_text())[TASK.file]
    assert entry["sha256"] == sha256(served) and entry["size"] == served.stat().st_size
    assert sha256(run / "data/BallRun.hdf5") == entry["sha256"]
    assert "its name says" not in (run / "logs/download/BallRun.log").read_text()

    # The table says whose data they are, and only then stand the paper's numbers beside ours.
    table = pd.read_csv(run / "tables/table1.csv")
    assert set(table["source"]) == {"dsrl"}
    assert set(table["method"]) == {"reference", "bc", "prefine"}
    beside = pd.read_csv(run / "figures/paper_comparison.csv", comment="#")
    assert beside["paper_reward"].notna().any()
    assert set(beside.loc[beside["reward"].notna(), "task"]) == {"BallRun"}
    provenance = json.loads((run / "tables/provenance.json").read_text())
    assert entry["sha256"] in json.dumps(provenance)

    # Another run takes the locked file without a network, and a changed one is refused.
    host.requests.clear()
    overlay.write_text(yaml.safe_dump(config | {"run": "again"}))
    snakemake("results/again/data/BallRun.hdf5", *options, cwd=project)
    assert host.requests == []
    content = bytearray(served.read_bytes())
    content[-1] ^= 1
    served.write_bytes(content)
    (tmp_path / "dsrl" / TASK.file).unlink()
    overlay.write_text(yaml.safe_dump(config | {"run": "changed"}))
    text = snakemake("results/changed/data/BallRun.hdf5", *options, cwd=project, check=False)
    assert "the lock says" in text or "the host states" in text
    assert not (project / "results/changed/data/BallRun.hdf5").exists()
