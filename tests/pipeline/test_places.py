"""Nothing needs a writable home, cache folder or environment."""

import getpass
import os
import shutil
import subprocess
import sys

import pytest
from conftest import ROOT, copy_project
from prefine import caches
from prefine.errors import UserError


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


def test_no_place_at_all_is_one_line(nobody, monkeypatch):
    (nobody / ".cache").touch()
    monkeypatch.setattr("tempfile.gettempdir", gone)
    with pytest.raises(UserError, match="TMPDIR=FOLDER"):
        caches.find()


def gone():
    raise FileNotFoundError("No usable temporary directory found")


def test_a_user_whom_the_system_does_not_know_gets_a_name_and_a_home(nobody, monkeypatch):
    monkeypatch.setattr("os.getuid", lambda: 54321)
    for name in ("HOME", "USER", "LOGNAME", "LNAME", "USERNAME"):
        monkeypatch.delenv(name, raising=False)
    caches.find()
    assert getpass.getuser() == "54321"
    assert os.environ["HOME"] == str(nobody / ".cache/home")


needs_users = pytest.mark.skipif(
    os.getuid() != 0 or not shutil.which("setpriv"), reason="needs root, setpriv"
)
TARGET = "results/tiny/trajectories/BallRun.csv"
NOBODY, UNKNOWN = 65534, 54321


def run_as(user, folder, *options, check=True):
    """The command as people type it, of a user without HOME who may read everything."""
    may = ["--inh-caps=+dac_read_search", "--ambient-caps=+dac_read_search"]
    words = ["setpriv", f"--reuid={user}", f"--regid={user}", "--clear-groups", *may, "env", "-i"]
    words += [f"PATH={os.path.dirname(sys.executable)}:{os.environ['PATH']}"]  # noqa: PTH120
    program = "import sys; sys.path.insert(0, 'scripts'); "
    program += "from prefine.pipeline.command import main; main()"
    words += [sys.executable, "-c", program, TARGET, "--cores", "1", *options]
    words += ["--configfile", "workflow/presets/tiny.yaml"]
    done = subprocess.run(words, cwd=folder, capture_output=True, text=True)
    text = done.stdout + done.stderr
    assert not check or done.returncode == 0, text[-4000:]
    return text


def give(user, *paths):
    for path in paths:
        for own in [path, *path.rglob("*")]:
            os.chown(own, user, user)


@needs_users
@pytest.mark.parametrize("user", [NOBODY, UNKNOWN])
def test_a_run_as_another_user_without_a_home(user, tmp_path):
    """Who may write the working folder alone."""
    folder = copy_project(tmp_path)
    give(user, folder)
    run_as(user, folder)
    assert (folder / TARGET).exists() and (folder / ".cache").is_dir()


@needs_users
@pytest.mark.parametrize(
    ("foreign", "named"),
    [
        ([""], ""),
        ([".snakemake"], ".snakemake"),
        ([".snakemake/locks"], ".snakemake/locks"),
        (["results"], "results"),
        (["results/tiny"], "results/tiny"),
        (["results/tiny/logs/trajectories"], "results/tiny/logs/trajectories"),
    ],
)
def test_a_folder_of_somebody_else_is_one_line(foreign, named, tmp_path):
    folder = copy_project(tmp_path)
    give(NOBODY, folder)
    for name in foreign:
        (folder / name).mkdir(parents=True, exist_ok=True)
        made = (folder / name, *(folder / name).parents)
        give(NOBODY, *(own for own in made if own != folder and folder in own.parents))
        os.chown(folder / name, 0, 0)
    text = run_as(NOBODY, folder, check=False)
    line = f"{(folder / named)}: may not be written by this user; ask who owns it"
    assert line in text and "Traceback" not in text and not (folder / TARGET).exists()


def test_a_folder_that_may_not_be_read_is_one_line(tmp_path):
    """As a umask of 077 makes it, and what lies in it."""
    (tmp_path / "results/mine").mkdir(parents=True)
    (tmp_path / "results").chmod(0)
    program = "import sys; from pathlib import Path; from prefine.errors import UserError; "
    program += "from prefine.pipeline.places import check_folder\n"
    program += "for path in sys.argv[1:]:\n    try:\n        check_folder(Path(path))\n"
    program += "    except UserError as error:\n        print(error)"
    drop = ["setpriv", "--bounding-set=-all", "--inh-caps=-all"] if os.getuid() == 0 else []
    paths = [tmp_path / "results", tmp_path / "results/mine"]
    done = subprocess.run(
        [*drop, sys.executable, "-c", program, *paths],
        env=os.environ | {"PYTHONPATH": str(ROOT / "scripts")},
        capture_output=True,
        text=True,
    )
    (tmp_path / "results").chmod(0o755)
    lines = done.stdout.splitlines()
    assert [line.partition(": may not be read")[0] for line in lines] == list(map(str, paths))


@pytest.mark.parametrize("gone", ["data.hdf5", "folder/policy.safetensors", "a b.csv"])
def test_an_input_that_is_removed_while_a_job_runs_is_one_line(gone, tmp_path):
    program = "import sys; from prefine import files; from prefine.pipeline import cli; "
    program += "cli.run(lambda: files.sha256(sys.argv[1]))"
    done = subprocess.run(
        [sys.executable, "-c", program, gone],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(ROOT / "scripts")},
        capture_output=True,
        text=True,
    )
    line = f"ERROR: {gone}: was removed while this job ran; run the same command again\n"
    assert done.returncode == 1 and done.stderr == line


def test_a_file_that_no_job_was_told_of_is_not_called_removed(tmp_path):
    """An environment's own, say: running again does not bring it, and its line must be seen."""
    program = "import sys; from prefine.pipeline import cli; cli.run(lambda: open('maze.txt'))"
    done = subprocess.run(
        [sys.executable, "-c", program, "data.hdf5"],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(ROOT / "scripts")},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 1 and "removed" not in done.stderr
    assert "FileNotFoundError" in done.stderr and "maze.txt" in done.stderr
