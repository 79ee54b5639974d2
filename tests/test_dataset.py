"""Segmentation and checked reading (methods 2.2-2.4, 9)."""

import h5py
import numpy as np
import pytest
from prefine import dataset, simulators
from prefine.errors import UserError
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


@pytest.mark.parametrize(
    ("change", "finding"),
    [
        ({"costs": None}, "lacks costs"),
        ({"rewards": np.full(7, np.nan, np.float32)}, "rewards has values that are not finite"),
        ({"observations": np.zeros((7, 5), np.float32)}, r"observations has shape \(7, 5\)"),
        ({"actions": np.zeros((6, 2), np.float32)}, r"actions has shape \(6, 2\)"),
        ({"terminals": np.zeros((7, 2))}, "terminals has shape"),
    ],
)
def test_a_broken_file_is_refused_with_its_key(tmp_path, change, finding):
    path = make_file(tmp_path / "a.hdf5", **change)
    with pytest.raises(UserError, match=finding) as error:
        dataset.read(path, TASK)
    assert str(path) in str(error.value)


def test_a_file_that_is_not_hdf5_is_refused(tmp_path):
    path = tmp_path / "a.hdf5"
    path.write_text("<html>not found</html>")
    with pytest.raises(UserError, match="cannot be read as HDF5"):
        dataset.read(path, TASK)


def test_a_file_in_which_nothing_ends_is_refused(tmp_path):
    with pytest.raises(UserError, match="no trajectory ends"):
        dataset.trajectory_table(make_file(tmp_path / "a.hdf5", ends=()), TASK)


def test_actions_are_clipped(tmp_path):
    path = make_file(tmp_path / "a.hdf5", actions=np.full((7, 2), 1.5, np.float32))
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


def test_a_collected_file_loads_with_dsrl_itself(ball_run_file):
    theirs = simulators.make("BallRun").unwrapped.get_dataset(str(ball_run_file))
    ours = dataset.read(ball_run_file, TASK)
    for name, array in ours.items():
        np.testing.assert_array_equal(array, theirs[name])


def test_a_failed_write_leaves_nothing(tmp_path):
    with pytest.raises(KeyError):
        dataset.write(tmp_path / "a.hdf5", [{"observations": np.zeros((1, 7))}], {})
    assert list(tmp_path.iterdir()) == []
