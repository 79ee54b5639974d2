"""What is published with the repository: its hashes, its files' times, what git lets through."""

import hashlib
import os
import shutil
import subprocess
import sys

import pytest
import yaml
from conftest import ROOT, snakemake
from prefine.config.check import check
from prefine.errors import UserError
from prefine.pipeline import published
from prefine.pipeline.published import OTHERS, SUMS, settle

RESULT, ZOO = ROOT / "results/collected", ROOT / "scripts/prefine/zoo"


def digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


@pytest.fixture
def result(tmp_path):
    """A published result of four files, as git wrote them: the table after what is made of it."""
    folder = tmp_path / "results/collected"
    names = ["episodes/reference/A.parquet", "figures/a.png", "tables/a.csv", "films/A/film.json"]
    for second, name in enumerate(names):
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(name.encode())
        os.utime(path, (second, second))
    (folder / SUMS).write_text(published.write_lines(folder, names))
    (folder / OTHERS).write_text(f"{digest(b'data')}  data/A.hdf5\n")
    return folder


def times(folder):
    return {path.name: path.stat().st_mtime for path in folder.rglob("*.*") if path.is_file()}


def published_times(folder):
    return {folder.joinpath(name).stat().st_mtime for name in published.read_sums(folder / SUMS)}


def test_what_is_published_here_is_what_was_hashed():
    """Of the repository itself; nothing was published before these folders are there."""
    assert published.differing(RESULT) == []
    sums = published.read_sums(RESULT / SUMS)
    assert published.files_of(RESULT, published.PATTERNS) == sorted(sums)
    others = published.read_sums(RESULT / OTHERS)
    zoo = {name: own for name, own in others.items() if name.startswith("zoo/")}
    there = {f"zoo/{path.relative_to(ZOO).as_posix()}" for path in ZOO.rglob("*") if path.is_file()}
    assert there == set(zoo)
    for name, own in zoo.items():
        assert digest((ZOO.parent / name).read_bytes()) == own, name
    assert sum((RESULT / name).stat().st_size for name in sums) <= published.LARGEST


def test_the_published_config_is_what_its_preset_says():
    """So that the dry run of the preset asks for what was published."""
    if not (RESULT / "config.yaml").exists():
        return
    from snakemake.utils import update_config

    own = yaml.safe_load((RESULT / "config.yaml").read_text())
    whole = yaml.safe_load((ROOT / "config.yaml").read_text())
    update_config(whole, yaml.safe_load((ROOT / "workflow/presets/collected.yaml").read_text()))
    asked = check(whole)
    assert {key: asked[key] for key in own} == own


def test_files_of_a_clone_get_one_time_that_is_not_before_their_sources(result, tmp_path):
    source = tmp_path / "table1.csv"
    source.write_text("x")
    os.utime(source, (100, 100))
    settle(result, [source])
    assert published_times(result) == {100}
    assert (result / "films/A").stat().st_mtime == 100  # a folder that is an output
    settle(result, [source])
    assert published_times(result) == {100}


def test_what_was_made_anew_here_stays_newer_than_what_was_published(result):
    settle(result)
    (result / "tables/a.csv").write_text("other numbers")
    os.utime(result / "tables/a.csv", (200, 200))
    before = times(result)
    settle(result)
    assert times(result) == before
    assert published.differing(result) == ["tables/a.csv"]


def test_where_the_run_was_made_no_time_is_touched(result):
    (result / "data").mkdir()
    (result / "data/A.hdf5").write_bytes(b"data")
    before = times(result)
    settle(result)
    assert times(result) == before


def test_a_file_that_is_gone_is_named_and_hurts_nothing(result):
    (result / "figures/a.png").unlink()
    settle(result)
    assert published.differing(result) == ["figures/a.png"]


@pytest.mark.parametrize("line", ["abc  a.csv", f"{'0' * 64}  ../../x", f"{'0' * 64}  /etc/x"])
def test_a_list_of_hashes_that_is_none_is_refused_in_one_line(result, line):
    (result / SUMS).write_text(f"{line}\n")
    with pytest.raises(UserError, match="is no list of SHA-256 hashes"):
        published.read_sums(result / SUMS)


def test_git_lets_through_what_is_published_and_nothing_else(tmp_path):
    subprocess.run(["git", "init", "-q", tmp_path], check=True)
    shutil.copy(ROOT / ".gitignore", tmp_path)
    examples = [
        pattern.replace("**/*", "x/y").replace("*", "z")
        for pattern in (*published.PATTERNS, SUMS, OTHERS)
    ]
    hidden = ["data/A.hdf5", "policies/main/A/prefine.safetensors", "reference/A.safetensors"]
    hidden += ["logs/x.log", "benchmarks/x.jsonl", "state/x", "zoo/A/prefine/policy.safetensors"]
    hidden += ["tables/.a.csv.sha256", "films/A/.snakemake_timestamp", "snapshots/x.safetensors"]
    names = [f"results/collected/{name}" for name in [*examples, *hidden]]
    command = ["git", "-C", tmp_path, "check-ignore", "--no-index", *names]
    ignored = subprocess.run(command, capture_output=True, text=True).stdout.split()
    assert ignored == [f"results/collected/{name}" for name in hidden]


def run_script(*arguments):
    command = [sys.executable, ROOT / "scripts/put_result.py", *arguments]
    return subprocess.run(command, capture_output=True, text=True)


def test_a_result_is_put_into_a_checkout_and_replaces_the_one_before(result, tmp_path):
    checkout = tmp_path / "checkout"
    policy = result / "zoo/A/prefine/policy.safetensors"
    policy.parent.mkdir(parents=True)
    policy.write_bytes(b"policy")
    (result / "data").mkdir()
    (result / "data/A.hdf5").write_bytes(b"data")
    assert run_script(result, "--to", checkout).returncode == 0
    target = checkout / "results/collected"
    assert published.differing(target) == [] and not (target / "data").exists()
    assert (checkout / "scripts/prefine/zoo/A/prefine/policy.safetensors").read_bytes() == b"policy"

    (result / "figures/a.png").unlink()
    done = run_script(result, "--to", checkout)
    assert done.returncode == 1 and "snakemake publish" in done.stderr
    assert (target / "figures/a.png").exists()
    left = [name for name in published.read_sums(result / SUMS) if name != "figures/a.png"]
    (result / SUMS).write_text(published.write_lines(result, left))
    assert run_script(result, "--to", checkout).returncode == 0
    assert not (target / "figures/a.png").exists() and published.differing(target) == []


@pytest.mark.parametrize("content", [b"\xff\xfe\x00", b"zz  ../../elsewhere\n"])
def test_a_damaged_list_of_hashes_stops_the_workflow_in_one_line(project, content):
    sums = project / "results/tiny" / SUMS
    sums.parent.mkdir(parents=True, exist_ok=True)
    sums.write_bytes(content)
    text = snakemake(
        "all", "-n", "--configfile", "workflow/presets/tiny.yaml", cwd=project, check=False
    )
    assert "scripts/prefine" not in text and text.count(f"results/tiny/{SUMS}: ") == 1


def test_what_is_not_here_keeps_its_hash_as_long_as_what_was_published_of_it(result):
    there = published.read_sums(RESULT / OTHERS)
    assert any("_-5.0.safetensors" in name for name in there)  # a setting with a point
    assert all((RESULT / published.published_of(name)).is_file() for name in there)
    gone = {name: digest(name.encode()) for name in ("data/A.hdf5", "policies/main/A/x_0.5.st")}
    (result / OTHERS).write_text("".join(f"{own}  {name}\n" for name, own in gone.items()))
    assert published.unpublished(result) == ""
    (result / "training/main/A").mkdir(parents=True)
    (result / "training/main/A/x_0.5.parquet").touch()
    assert published.unpublished(result).endswith("  policies/main/A/x_0.5.st\n")
    (result / "reference").mkdir()
    (result / "reference/A.safetensors").write_bytes(b"new")
    assert f"{digest(b'new')}  reference/A.safetensors\n" in published.unpublished(result)
