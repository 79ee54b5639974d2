"""Nothing needs a writable home, cache folder or environment."""

import os
import shutil
import subprocess
import sys

import pytest
from conftest import copy_project
from prefine import caches


@pytest.fixture
def nobody(monkeypatch, tmp_path):
    """A working folder, and a home that cannot be made."""
    (tmp_path / "file").touch()
    monkeypatch.setenv("HOME", str(tmp_path / "file/home"))
    for name in ("XDG_CACHE_HOME", "MPLCONFIGDIR", "NUMBA_CACHE_DIR"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_places_are_in_the_working_folder(nobody):
    caches.find()
    for name in ("XDG_CACHE_HOME", "MPLCONFIGDIR", "NUMBA_CACHE_DIR"):
        assert os.environ[name].startswith(str(nobody / ".cache")) and os.access(
            os.environ[name], os.W_OK
        )


def test_or_in_a_temporary_one(nobody, monkeypatch):
    (nobody / ".cache").touch()  # no folder can be made there
    monkeypatch.setattr("tempfile.tempdir", str(nobody / "tmp"))
    (nobody / "tmp").mkdir()
    caches.find()
    assert os.environ["NUMBA_CACHE_DIR"].startswith(str(nobody / "tmp"))


def test_what_the_user_named_is_kept_if_it_works(nobody, monkeypatch):
    monkeypatch.setenv("MPLCONFIGDIR", str(nobody / "mine"))
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(nobody / "file/none"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(nobody / "home"))
    caches.find()
    assert os.environ["MPLCONFIGDIR"] == str(nobody / "mine")
    assert os.environ["XDG_CACHE_HOME"] == str(nobody / "home")
    assert os.environ["NUMBA_CACHE_DIR"] == str(nobody / ".cache/numba")


def test_no_folder_is_called_like_a_home_that_nobody_knows(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    assert not caches.usable(caches.Path("~/.cache")) and not list(tmp_path.iterdir())


@pytest.mark.skipif(os.getuid() != 0 or not shutil.which("setpriv"), reason="needs root, setpriv")
def test_a_run_as_another_user_without_a_home(tmp_path):
    """Who may read everything and write the working folder alone."""
    folder = copy_project(tmp_path)
    for path in [folder, *folder.rglob("*")]:
        os.chown(path, 65534, 65534)
    may = ["--inh-caps=+dac_read_search", "--ambient-caps=+dac_read_search"]
    user = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", *may, "env", "-i"]
    variables = [f"PATH={os.path.dirname(sys.executable)}:{os.environ['PATH']}"]  # noqa: PTH120
    command = [sys.executable, "-m", "snakemake", "results/tiny/trajectories/BallRun.csv"]
    command += ["--cores", "1", "--configfile", "workflow/presets/tiny.yaml"]
    done = subprocess.run([*user, *variables, *command], cwd=folder, capture_output=True, text=True)
    assert done.returncode == 0, (done.stdout + done.stderr)[-4000:]
    assert (folder / "results/tiny/trajectories/BallRun.csv").exists()
    assert (folder / ".cache").is_dir()
