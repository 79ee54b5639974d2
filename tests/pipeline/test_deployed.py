"""The workflow as Snakemake's catalog deploys it: a module from a git host, its config beside it.

The "host" is a repository of this machine, which git takes in place of https://github.com/.
"""

import shutil
import subprocess

import pytest
import yaml
from conftest import ROOT, copy_project, counts, snakemake

# What `snakedeploy deploy-workflow https://github.com/someone/prefine . --tag v1` writes (0.17).
SNAKEFILE = """
from snakemake.utils import min_version


min_version("6.10.0")


configfile: "config/config.yaml"


# declare https://github.com/someone/prefine as a module
module prefine:
    snakefile:
        github("someone/prefine", path="workflow/Snakefile", tag="v1")
    config:
        config


# use all rules from https://github.com/someone/prefine
use rule * from prefine
"""
MINE = """
run: mine
tasks: [BallRun]
figures: {fig1: {task: BallRun, tau: 20}, fig4: {task: BallRun}}
collect: {train: true, recipes: {BallRun: {behaviours: [{steps: 2000, penalty: 0.0}]}}}
"""


@pytest.fixture(scope="module")
def host(tmp_path_factory):
    """A host with the repository someone/prefine, in which v1 is this folder's files."""
    host = tmp_path_factory.mktemp("host")
    folder = host / "someone/prefine"
    folder.mkdir(parents=True)
    copy_project(folder)
    shutil.copytree(ROOT / "config", folder / "config", symlinks=True)
    git = ["git", "-C", folder, "-c", "user.name=a", "-c", "user.email=a@b.c"]
    for command in (["init", "-q"], ["add", "-A"], ["commit", "-qm", "all"], ["tag", "v1"]):
        subprocess.run([*git, *command], check=True)
    return host


@pytest.fixture
def deployed(host, tmp_path, monkeypatch):
    """The folder that Snakedeploy makes, where github.com is that host."""
    monkeypatch.setenv("GIT_CONFIG_COUNT", "1")
    monkeypatch.setenv("GIT_CONFIG_KEY_0", f"url.{host.as_uri()}/.insteadOf")
    monkeypatch.setenv("GIT_CONFIG_VALUE_0", "https://github.com/")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.delenv("PYTHONPATH", raising=False)
    folder = tmp_path / "deployed"
    for name in ("config", "profiles"):
        shutil.copytree(host / "someone/prefine" / name, folder / name)
    (folder / "workflow").mkdir()
    (folder / "workflow/Snakefile").write_text(SNAKEFILE)
    (folder / "mine.yaml").write_text(MINE)
    return folder


def test_a_deployed_copy_runs(deployed):
    config = ["--configfile", "config/config.yaml"]
    everything = counts(snakemake("-n", "--cores", "1", *config, "config/tiny.yaml", cwd=deployed))
    assert {"all", "collect", "train", "table1", "claims"} <= set(everything)
    target = "results/mine/trajectories/BallRun.csv"
    snakemake("--cores", "1", *config, "mine.yaml", "--", target, cwd=deployed)
    assert (deployed / target).read_text().count("\n") > 10
    again = snakemake("-n", "--cores", "1", *config, "mine.yaml", "--", target, cwd=deployed)
    assert "Nothing to be done" in again
    text = snakemake(
        "-n", "--workflow-profile", "profiles/slurm", *config, "mine.yaml", cwd=deployed
    )
    assert "train " in text
    (deployed / "config/config.yaml").write_text("run: mine\ntrainning: {}\n")
    text = snakemake("-n", "--cores", "1", cwd=deployed, check=False)
    assert "did you mean 'training'?" in text and "Traceback" not in text


def test_the_catalog_finds_what_it_demands():
    """Its own rules: docs/about/adding_workflows.md of snakemake/snakemake-workflow-catalog."""
    readme = (ROOT / "README.md").read_text().lower()
    assert "snakemake" in readme and "workflow" in readme
    assert (ROOT / "workflow/Snakefile").is_file() and list((ROOT / "workflow/rules").glob("*.smk"))
    assert (ROOT / "config/README.md").is_file()
    usage = yaml.safe_load((ROOT / ".snakemake-workflow-catalog.yml").read_text())["usage"]
    assert set(usage) == {"mandatory-flags", "software-stack-deployment", "report"}
    assert set(usage["mandatory-flags"]) == {"desc", "flags"}
    assert usage["software-stack-deployment"]["conda"] is True
    for path in (ROOT / "config").glob("*.yaml"):
        assert path.exists() and isinstance(yaml.safe_load(path.read_text()), dict)
