"""Segmentation and checked reading (methods 2.2-2.4, 9)."""

import contextlib
import errno
import io
import os
import signal
import subprocess
import sys
from dataclasses import replace

import h5py
import numpy as np
import pytest
from conftest import ROOT, needs_simulators
from prefine import files
from prefine.data import dataset, hdf5
from prefine.data.hdf5 import FLAGS, KEYS
from prefine.errors import UserError
from prefine.simulators import make as simulators
from prefine.tasks import TASKS

TASK = TASKS["BallRun"]


def make_file(path, n=7, ends=((2, "terminals"), (4, "timeouts")), **replaced):
    rng = np.random.default_rng(0)
    arrays = {
        "observations": rng.normal(size=(n, TASK.obs_dim)).astype(np.float32),
        "next_observations": rng.normal(size=(n, TASK.obs_dim)).astype(np.float32),
        "actions": rng.uniform(-1, 1, (n, TASK.act_dim)).astype(np.float32),
        "rewards": np.arange(n, dtype=np.float32),
        "costs": np.ones(n, dtype=np.float32),
        "terminals": np.zeros(n, dtype=bool),
        "timeouts": np.zeros(n, dtype=bool),
    }
    for step, flag in ends:
        arrays[flag][step] = True
    arrays |= replaced
    with h5py.File(path, "w") as file:
        for name, array in arrays.items():
            if array is not None:
                file[name] = array
    return path


def test_threads_write_the_bytes_that_hdf5_would(tmp_path):
    rng = np.random.default_rng(0)
    steps, shapes = 7001, {"observations": (3,), "next_observations": (3,), "actions": (2,)}
    episode = {
        key: rng.random((steps, *shapes.get(key, ()))).astype("?" if key in FLAGS else "f4")
        for key in KEYS
    }
    for threads in (1, 3):
        dataset.write(tmp_path / f"{threads}.hdf5", [episode] * 2, {}, threads)
    ours = (tmp_path / "1.hdf5").read_bytes()
    assert ours == (tmp_path / "3.hdf5").read_bytes()
    plainly = io.BytesIO()
    with h5py.File(tmp_path / "1.hdf5") as file, h5py.File(plainly, "w") as plain:
        assert file["observations"].chunks != file["observations"].shape
        for key in KEYS:
            values = file[key][:]
            np.testing.assert_array_equal(values, np.concatenate([episode[key]] * 2))
            plain.create_dataset(key, data=values, compression="gzip", compression_opts=1)
        plain.attrs.update(file.attrs)
    assert ours == plainly.getvalue()


def test_a_terminal_a_timeout_and_a_tail_give_two_trajectories(tmp_path):
    table = dataset.trajectory_table(make_file(tmp_path / "a.hdf5"), TASK)
    assert table["start"].tolist() == [0, 3]
    assert table["length"].tolist() == [3, 2]
    assert table["return"].tolist() == [0 + 1 + 2, 3 + 4]
    assert table["cost"].tolist() == [3.0, 2.0]
    assert table["ended_by"].tolist() == ["terminal", "timeout"]
    assert table.attrs["dropped_steps"] == 2


def test_column_vectors_and_other_dtypes_are_read_alike(tmp_path):
    flat = dataset.read(make_file(tmp_path / "a.hdf5"), TASK)
    column = make_file(
        tmp_path / "b.hdf5",
        rewards=np.arange(7, dtype=np.float64)[:, None],
        costs=np.ones((7, 1)),
        terminals=np.eye(7)[2][:, None],
    )
    for name, array in dataset.read(column, TASK).items():
        np.testing.assert_array_equal(array, flat[name])
        assert array.dtype == flat[name].dtype


N = 7
BAD_ARRAYS = {
    "missing": ({"costs": None}, "lacks costs"),
    "nan": ({"rewards": np.full(N, np.nan, np.float32)}, "rewards: is not finite at step 0"),
    "infinite": ({"costs": np.r_[0, 0, np.inf, np.zeros(4)]}, "costs: is not finite at step 2"),
    "too large for float32": ({"rewards": np.full(N, 1e300)}, "rewards: is not finite"),
    "width": ({"observations": np.zeros((N, 5))}, r"observations: has shape \(7, 5\)"),
    "length": ({"actions": np.zeros((6, 2))}, r"actions: has shape \(6, 2\)"),
    "two columns": ({"terminals": np.zeros((N, 2))}, "terminals: has shape"),
    "scalar": ({"rewards": np.float32(1)}, "rewards: 0 steps"),
    "empty": ({"rewards": np.zeros(0)}, "rewards: 0 steps"),
    "no flag": ({"terminals": np.full(N, 2)}, "terminals: is neither 0 nor 1 at step 0"),
    "outside of the box": ({"actions": np.full((N, 2), 1.5)}, r"actions: is outside of the box"),
    "text": ({"rewards": np.array([b"1.0"] * N)}, r"rewards: holds \|S3, not numbers"),
    "complex": ({"costs": np.zeros(N, complex)}, "costs: holds complex128, not numbers"),
}


@pytest.mark.parametrize("name", BAD_ARRAYS)
def test_a_broken_array_is_refused_with_file_and_key(tmp_path, name):
    change, finding = BAD_ARRAYS[name]
    path = make_file(tmp_path / "a.hdf5", **change)
    with pytest.raises(UserError, match=finding) as error:
        dataset.read(path, TASK)
    assert str(path) in str(error.value) and "\n" not in str(error.value)


def objects(file, _):
    del file["rewards"]
    file.create_dataset("rewards", (N,), dtype=h5py.special_dtype(vlen=str))


def external_link(file, other):
    del file["rewards"]
    file["rewards"] = h5py.ExternalLink(str(other), "/rewards")


def soft_link(file, _):
    del file["rewards"]
    file["rewards"] = h5py.SoftLink("/costs")


def external_storage(file, other):
    del file["rewards"]
    file.create_dataset("rewards", (N,), "f4", external=[(str(other), 0, 4 * N)])


def virtual(file, other):
    del file["rewards"]
    layout = h5py.VirtualLayout((N,), "f4")
    layout[:] = h5py.VirtualSource(str(other), "rewards", (N,))
    file.create_virtual_dataset("rewards", layout)


def group(file, _):
    del file["rewards"]
    file.create_group("rewards/nested")


def huge_claim(file, _):
    """68 GB of zeros that take no room."""
    n = 10_000_000
    for key in list(file):
        shape = (n, *file[key].shape[1:])
        del file[key]
        file.create_dataset(key, shape, "f8", chunks=(1000, *shape[1:]), compression="gzip")


def too_many_steps(file, _):
    del file["rewards"]
    file.create_dataset("rewards", (10**12,), "f4", chunks=(1000,))


def huge_chunk(file, _):
    del file["rewards"]
    file.create_dataset("rewards", (N,), "f4", maxshape=(None,), chunks=(2**27,))


HOSTILE = {
    objects: "rewards: holds object, not numbers",
    external_link: "rewards: is a link to elsewhere",
    soft_link: "rewards: is a link to elsewhere",
    external_storage: "rewards: its data lie in another file",
    virtual: "rewards: its data lie in another file",
    group: "rewards: is a group",
    huge_claim: "claims .* bytes of data in a file of",
    too_many_steps: "rewards: 1000000000000 steps",
    huge_chunk: "rewards: is stored in pieces",
}


@pytest.mark.parametrize("change", HOSTILE, ids=lambda change: change.__name__)
def test_a_hostile_file_is_refused_before_it_is_read(tmp_path, change):
    other, path = make_file(tmp_path / "other.hdf5"), make_file(tmp_path / "a.hdf5")
    with h5py.File(path, "r+") as file:
        change(file, other)
    with pytest.raises(UserError, match=HOSTILE[change]) as error:
        dataset.read(path, TASK)
    assert str(path) in str(error.value)


READ_ALL = """
import re, sys
from pathlib import Path
from prefine.data import dataset
from prefine.errors import UserError
from prefine.tasks import TASKS
refused = 0
for path in sorted(Path(sys.argv[1]).iterdir()):
    try:
        dataset.read(path, TASKS["BallRun"])
    except UserError as error:
        assert "\\n" not in str(error)
        refused += 1
# Not ru_maxrss: that begins with the peak of the process that started this one.
print(refused, re.search(r"VmHWM:\\s+(\\d+)", Path("/proc/self/status").read_text())[1])
"""


def test_damaged_bytes_never_crash_the_reader(tmp_path):
    """Bytes flipped all over the headers, and truncation: read or refused, in little memory."""
    whole = make_file(tmp_path / "a.hdf5").read_bytes()
    folder = tmp_path / "damaged"
    folder.mkdir()
    rng = np.random.default_rng(0)
    for k in range(300):
        damaged = bytearray(whole)
        damaged[int(rng.integers(len(whole)))] ^= 1 << int(rng.integers(8))
        (folder / f"{k}.hdf5").write_bytes(damaged)
    for k, length in enumerate(rng.integers(0, len(whole), 20)):
        (folder / f"short{k}.hdf5").write_bytes(whole[:length])
    environment = {"PYTHONPATH": str(ROOT / "scripts"), "PATH": os.environ["PATH"]}
    command = [sys.executable, "-c", READ_ALL, str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=120)
    assert done.returncode == 0, done.stderr[-2000:]
    refused, peak = map(int, done.stdout.split())
    assert refused >= 20 and peak < 1024**2  # KiB


def test_a_file_that_is_not_there_or_not_hdf5_is_refused(tmp_path):
    path = tmp_path / "a.hdf5"
    with pytest.raises(UserError, match="is not there"):
        dataset.read(path, TASK)
    path.write_text("<html>not found</html>")
    with pytest.raises(UserError, match="cannot be read as HDF5"):
        dataset.read(path, TASK)


def test_more_than_the_layout_is_left_unread(tmp_path, caplog):
    path = make_file(tmp_path / "a.hdf5", extra=np.array([b"x"]))
    assert len(dataset.read(path, TASK)["rewards"]) == N
    assert "extra: not part of the layout, left unread" in caplog.text


def test_an_episode_that_does_not_end_in_time_is_refused(tmp_path):
    path = make_file(tmp_path / "a.hdf5", n=150, ends=((140, "timeouts"),))
    with pytest.raises(UserError, match="episode 0 has 141 steps; BallRun ends after 100"):
        dataset.trajectory_table(path, TASK)


def test_reading_in_blocks_is_reading_whole(tmp_path, monkeypatch):
    path = make_file(tmp_path / "a.hdf5")
    whole = dataset.read(path, TASK)
    monkeypatch.setattr(hdf5, "BLOCK_ROWS", 3)
    for key, values in dataset.read(path, TASK).items():
        np.testing.assert_array_equal(values, whole[key])


def test_a_file_in_which_nothing_ends_is_refused(tmp_path):
    with pytest.raises(UserError, match="no trajectory ends"):
        dataset.trajectory_table(make_file(tmp_path / "a.hdf5", ends=()), TASK)


def test_actions_are_clipped_by_what_rounding_can_do(tmp_path):
    path = make_file(tmp_path / "a.hdf5", actions=np.full((7, 2), 1.0005, np.float32))
    assert (dataset.read(path, TASK)["actions"] == 1.0).all()


def test_sums_of_costs_are_whole_again():
    np.testing.assert_array_equal(
        dataset.round_cost(np.array([24.9999, 3.0004, 0.5])), [25.0, 3.0, 0.5]
    )


def test_constant_columns_keep_std_one():
    observations = np.stack([np.full(10, 3.0), np.arange(10.0)], 1).astype(np.float32)
    mean, std = dataset.observation_constants(observations)
    np.testing.assert_allclose(mean, [3.0, 4.5])
    np.testing.assert_allclose(std, [1.0, np.arange(10.0).std() + 1e-6], rtol=1e-6)


def test_loader_of_the_paper_methods_has_no_rewards_or_costs(ball_run_file):
    transitions = dataset.load_transitions(ball_run_file, TASK)
    names = set(vars(transitions))
    assert names == {"observations", "actions", "starts", "lengths", "mean", "std"}


def test_costs_that_are_not_there_are_shown_to_no_method(ball_run_file):
    for sees in ("everything", "actions"):
        with contextlib.ExitStack() as stack:
            if sees == "everything":
                stack.enter_context(pytest.raises(UserError, match="have no costs"))
            dataset.load_transitions(ball_run_file, replace(TASK, has_costs=False), sees)


@needs_simulators
def test_a_collected_file_loads_with_dsrl_itself(ball_run_file):
    theirs = simulators.make("BallRun").unwrapped.get_dataset(str(ball_run_file))
    ours = dataset.read(ball_run_file, TASK)
    for name, array in ours.items():
        np.testing.assert_array_equal(array, theirs[name])


@pytest.mark.parametrize(
    "error",
    [
        OSError(errno.ENOSPC, "No space left on device"),
        RuntimeError("flush failed (errno = 28, error message = 'No space left on device')"),
    ],
)
def test_a_full_disk_is_one_line_and_leaves_the_old_file(tmp_path, error):
    path = tmp_path / "a.csv"
    files.write_text(path, "old")
    with (
        pytest.raises(UserError, match=r"a\.csv: the disk is full; make room"),
        files.atomic(path) as temporary,
    ):
        temporary.write_text("half")
        raise error
    assert path.read_text() == "old"
    assert set(tmp_path.iterdir()) == {path, files.note_of(path)}


def test_what_a_killed_process_left_goes_with_the_next_attempt(tmp_path):
    path, other = tmp_path / "a.csv", tmp_path / ".ab.1.part.csv"
    other.touch()
    text = (
        "import os, signal, sys; from prefine import files\nwith files.atomic(sys.argv[1]) as part:"
    )
    text += "\n    part.write_text('half'); os.kill(os.getpid(), signal.SIGKILL)"
    killed = subprocess.run([sys.executable, "-c", text, path], cwd=ROOT / "scripts")
    assert killed.returncode == -signal.SIGKILL
    assert [left.name.endswith(".part.csv") for left in tmp_path.iterdir()] == [True, True]
    files.write_text(path, "whole")
    assert set(tmp_path.iterdir()) == {other, path, files.note_of(path)}
    assert path.read_text() == "whole"


def test_a_failed_write_leaves_nothing(tmp_path):
    with pytest.raises(KeyError):
        dataset.write(tmp_path / "a.hdf5", [{"observations": np.zeros((1, 7))}], {})
    assert list(tmp_path.iterdir()) == []


@needs_simulators
def test_what_dsrl_loads_loads_here(ball_run_file, tmp_path):
    theirs = simulators.make("BallRun").unwrapped.get_dataset(str(ball_run_file))
    with h5py.File(tmp_path / "theirs.hdf5", "w") as file:  # as its own scripts write
        for name, array in theirs.items():
            file.create_dataset(name, data=array, compression="gzip")
    for name, array in dataset.read(tmp_path / "theirs.hdf5", TASK).items():
        np.testing.assert_array_equal(array, theirs[name])


@pytest.mark.parametrize("block_rows", [3, 2**16])
def test_next_states_are_the_file_s_and_kept_apart_only_where_they_do_not_follow(
    block_rows, ball_run_file, tmp_path, monkeypatch
):
    monkeypatch.setattr(dataset, "BLOCK_ROWS", block_rows)
    monkeypatch.setattr(hdf5, "BLOCK_ROWS", block_rows)
    for path, n_apart in ((ball_run_file, 16), (make_file(tmp_path / "random.hdf5"), 7)):
        data = dataset.load_transitions(path, TASK, "everything")
        rows = np.random.default_rng(0).permutation(len(data.observations))
        expected = dataset.read(path, TASK)["next_observations"][rows]
        np.testing.assert_array_equal(data.next_observations(rows), expected)
        assert len(data.last_observations) == n_apart
