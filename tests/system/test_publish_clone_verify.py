"""A result that is published is cloned, checked and made again, as a reader of it would do."""

import shutil
import subprocess
import sys

import pytest
from conftest import ROOT, SMALL, counts, needs_simulators, snakemake
from prefine.pipeline.published import OTHERS, SUMS, read_sums

pytestmark = needs_simulators
RESULT = "results/collected"  # the one that .gitignore lets through


def command(*arguments, cwd):
    """Run a command that must succeed and return what it printed."""
    done = subprocess.run(list(map(str, arguments)), cwd=cwd, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def clone(project, tmp_path_factory):
    """A clone of a repository into which a small run was published."""
    shutil.copy(ROOT / ".gitignore", project)
    snakemake("publish", "--cores", "2", *SMALL, "--config", "run=collected", cwd=project)
    command(sys.executable, "scripts/put_result.py", RESULT, cwd=project)
    git = ("git", "-c", "user.name=a", "-c", "user.email=a@example.org")
    command("git", "init", "-q", cwd=project)
    command("git", "add", "--all", cwd=project)
    command(*git, "commit", "-q", "-m", "Published", cwd=project)
    folder = tmp_path_factory.mktemp("reader") / "clone"
    command("git", "clone", "-q", project, folder, cwd=project)
    return folder


def test_all_that_is_hashed_came_along_and_nothing_else(clone):
    result = clone / RESULT
    command("sha256sum", "--check", "--strict", "--quiet", SUMS, cwd=result)
    there = {path.relative_to(result).as_posix() for path in result.rglob("*") if path.is_file()}
    assert there == {*read_sums(result / SUMS), SUMS, OTHERS}
    assert any(name.startswith("policies/") for name in read_sums(result / OTHERS))


def test_a_table_is_published_anew_without_data_and_policies(clone, tmp_path):
    """In a copy of the clone: nothing is trained, and what is not there keeps hash and policy."""
    copy = shutil.copytree(clone, tmp_path / "copy")
    zoo = {path: path.read_bytes() for path in (copy / "scripts/prefine/zoo").rglob("*.*")}
    before = read_sums(copy / RESULT / OTHERS)
    (copy / RESULT / "tables/claims.md").unlink()
    options = ("--configfile", f"{RESULT}/config.yaml", "--config", "only_finished=True")
    jobs = counts(snakemake("publish", "-n", "--cores", "2", *options, cwd=copy))
    assert not {"collect", "pretrain", "train", "evaluate", "zoo"} & set(jobs)
    snakemake("publish", "--cores", "2", *options, cwd=copy)
    assert read_sums(copy / RESULT / OTHERS) == before
    command("sha256sum", "--check", "--strict", "--quiet", SUMS, cwd=copy / RESULT)
    command(sys.executable, "scripts/put_result.py", RESULT, cwd=copy)
    assert zoo and all(path.read_bytes() == content for path, content in zoo.items())


def test_a_dry_run_says_what_would_be_made_again(clone):
    dry = ("-n", "--configfile", f"{RESULT}/config.yaml")
    assert counts(snakemake("all", *dry, cwd=clone)) == {}
    again = f"{RESULT}/policies/main/BallRun/prefine.safetensors"
    asked = counts(snakemake(again, *dry, cwd=clone))
    assert asked["collect"] == asked["pretrain"] == 1 and "evaluate" not in asked


def test_files_are_made_again_with_what_they_are_made_of(clone):
    """The episodes of π_ref from its data on, which are not published but whose hashes are."""
    wanted = f"{RESULT}/episodes/reference/BallRun.parquet"
    text = command(sys.executable, "scripts/verify.py", wanted, "--cores", "2", cwd=clone)
    lines = (line.split() for line in text.splitlines())
    verdicts = {path.rstrip(":"): word for word, path, *_ in lines}
    assert set(verdicts.values()) == {"identical"}
    made = [wanted, f"{RESULT}/data/BallRun.hdf5", f"{RESULT}/reference/BallRun.safetensors"]
    assert set(made) <= set(verdicts), text


def test_a_policy_of_the_clone_s_zoo_acts(clone):
    code = (
        "import numpy as np, prefine; policy = prefine.load_policy('zoo/BallRun/prefine'); "
        "print(prefine.__file__, policy.act(np.zeros(policy.actor.policy.obs_dim)).shape)"
    )
    assert command(sys.executable, "-c", code, cwd=clone / "scripts").endswith(" (2,)\n")
