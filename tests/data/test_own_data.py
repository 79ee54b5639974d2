"""A user's own environment, data and labels, from a script of theirs to the tables."""

import json
import shutil
import subprocess
import sys
from dataclasses import replace

import forked
import gymnasium
import h5py
import numpy as np
import pandas as pd
import pytest
from conftest import ROOT, needs_workflow, snakemake
from prefine.data import dataset
from prefine.data.own import load
from prefine.errors import UserError
from prefine.preferences.labels import read_labels
from prefine.preferences.split import SplitSettings, labelled_split
from prefine.simulators import make as simulators
from prefine.tasks import OWN, TASKS, Task

EXAMPLE = ROOT / "examples/own_task"
MINARI = ROOT / "tests/data/minari_safe_reach"  # written by Minari 0.5.4 itself
SCORES = {"max_cost": 0.0, "min_return": 0.0, "max_return": 1.0, "n_trajectories": 0}
TASK = Task("Reach", "r", OWN, "SafeReach-v0", 60, 4, 2, **SCORES)
BOX = {"action_low": -2.0, "action_high": 2.0}
TASK = Task(**TASK.to_dict() | BOX | {"module": str(EXAMPLE / "safe_reach.py")})
SMALL = """
reference: {iterations: 40}
training: {iterations: 40, log_points: 2}
evaluation: {episodes: 3}
"""


@pytest.fixture(scope="module")
def example(project):
    """The project's copy with the example and the data that its script makes."""
    shutil.copytree(EXAMPLE, project / "examples/own_task")
    command = [sys.executable, "examples/own_task/make_data.py", "data/safe_reach"]
    subprocess.run(command, cwd=project, check=True)
    (project / "small.yaml").write_text(SMALL)
    return project


def run(example, *files, check=True):
    configs = ["examples/own_task/config.yaml", *files, "small.yaml"]
    return snakemake("all", "--cores", 2, "--configfile", *configs, cwd=example, check=check)


def test_the_example_goes_from_the_user_s_script_to_the_tables(example):
    run(example)
    results = example / "results/own_task"
    task = Task(**json.loads((results / "tasks/SafeReach.json").read_text()))
    assert (task.suite, task.horizon, task.obs_dim, task.act_dim) == (OWN, 60, 4, 2)
    table = pd.read_csv(results / "trajectories/SafeReach.csv")
    assert task.min_return == pytest.approx(table["return"].min())
    assert task.max_return == pytest.approx(table["return"].max()) and len(table) == 160
    with (
        h5py.File(example / "data/safe_reach.hdf5") as theirs,
        h5py.File(results / "data/SafeReach.hdf5") as ours,
    ):
        np.testing.assert_allclose(ours["actions"][:], theirs["actions"][:] / 2, atol=1e-6)
    runs = pd.read_csv(results / "tables/runs.csv")
    own = runs[runs["study"] == "main"]
    np.testing.assert_allclose(own["normalized_cost"], own["cost"] / 3)
    assert set(own["tau"]) == {3} and len(own) == 6
    text = (results / "tables/table1.md").read_text()
    assert "| SafeReach (sr) |" in text and "the user's own" in text


def test_labels_alone_are_enough(example):
    run(example, "examples/own_task/labels.yaml")
    results = example / "results/own_labels"
    labels = pd.read_csv(example / "data/safe_reach_labels.csv").set_index("trajectory")["label"]
    splits = pd.read_csv(results / "splits/SafeReach.csv")
    for role in ("preferred", "nonpreferred"):
        own = splits[splits["role"] == role]
        assert (labels[own["index"]] == role).all()
        assert (own.groupby("draw").size() == {"preferred": 30, "nonpreferred": 20}[role]).all()
    assert not json.loads((results / "tasks/SafeReach.json").read_text())["has_costs"]
    runs = pd.read_csv(results / "tables/runs.csv")
    assert runs[["tau", "normalized_cost", "violation_rate"]].isna().all(axis=None)
    assert runs["cost"].notna().all()  # the environment still says what it costs
    assert "/ (" in (results / "tables/table1.md").read_text()
    trajectories = pd.read_csv(results / "trajectories/SafeReach.csv")
    assert trajectories["cost"].isna().all() and trajectories["return"].notna().all()


def test_an_edited_environment_is_rolled_out_again(example):
    run(example)
    file = example / "examples/own_task/safe_reach.py"
    file.write_text(file.read_text().replace("friction = 0.1, 1.0", "friction = 0.1, 1.1"))
    text = snakemake(
        "all",
        "-n",
        "--cores",
        2,
        "--configfile",
        "examples/own_task/config.yaml",
        "small.yaml",
        cwd=example,
    )
    assert "evaluate" in text and "import_data" in text


def test_minari_and_flat_files_hold_the_same(tmp_path):
    arrays = load(MINARI, TASK)
    assert arrays["observations"].shape == (36, 4) and arrays["actions"].dtype == np.float32
    ends = np.flatnonzero(arrays["timeouts"])
    assert ends.tolist() == [11, 23, 35] and not arrays["terminals"].any()
    inside = np.delete(np.arange(35), ends[:2])
    np.testing.assert_array_equal(
        arrays["next_observations"][inside], arrays["observations"][inside + 1]
    )
    simulators.make(TASK)  # registers it
    env = gymnasium.make("SafeReach-v0", max_episode_steps=12)  # what Minari logged repeats
    observation, _ = env.reset(seed=0)
    np.testing.assert_allclose(observation, arrays["observations"][0])
    for step in range(12):
        observation, reward, _, _, info = env.step(2 * arrays["actions"][step])
        np.testing.assert_allclose(observation, arrays["next_observations"][step], atol=1e-5)
        assert reward == pytest.approx(arrays["rewards"][step], abs=1e-5)
        assert info["cost"] == arrays["costs"][step]
    with h5py.File(tmp_path / "flat.hdf5", "w") as file:
        for key, values in arrays.items():
            file["cost" if key == "costs" else key] = 2 * values if key == "actions" else values
    again = load(tmp_path / "flat.hdf5", TASK)
    for key, values in arrays.items():
        np.testing.assert_allclose(again[key], values, atol=1e-6)


def test_an_unfinished_episode_is_no_part_of_what_comes_after_it(tmp_path):
    """The user's log is followed by rollouts; its tail would be the first one's begin."""
    whole = load(MINARI, TASK)
    with h5py.File(tmp_path / "log.hdf5", "w") as file:
        for key, values in whole.items():
            values = np.concatenate([values, values[:5]])
            file[key] = 2 * values if key == "actions" else values
    for key, values in load(tmp_path / "log.hdf5", TASK).items():
        np.testing.assert_allclose(values, whole[key], atol=1e-6)


def test_a_dataset_of_this_project_is_not_scaled_twice(tmp_path):
    whole, path = load(MINARI, TASK), tmp_path / "ours.hdf5"
    dataset.write(path, [whole], {"source": "file", "task": TASK.to_dict()})
    np.testing.assert_array_equal(load(path, TASK)["actions"], whole["actions"])
    dataset.load_transitions(path, TASK)
    wider = replace(TASK, action_high=(2.0, 8.0))
    with pytest.raises(UserError, match=r"scaled for bounds of .* and .*, Reach has"):
        load(path, wider)
    for text in ("[]", "{", '{"task": 3}', '{"task": {"action_low": "x"}}'):
        with h5py.File(path, "r+") as file:
            file.attrs["metadata"] = text
        np.testing.assert_allclose(load(path, TASK)["actions"], whole["actions"] / 2, atol=1e-6)
        with pytest.raises(UserError, match=r"actions are not said to be in \[-1, 1\]"):
            dataset.load_transitions(path, TASK)


def edited_minari(folder, edit):
    shutil.copytree(MINARI, folder)
    with h5py.File(folder / "data/main_data.hdf5", "r+") as file:
        edit(file)
    return folder


def replaced(group, key, values):
    del group[key]
    group[key] = values


@pytest.mark.parametrize(
    ("edit", "finding"),
    [
        (lambda f: f["episode_1"].__delitem__("infos"), "episode_1: has no costs"),
        (lambda f: f["episode_1"].__delitem__("rewards"), "episode_1: lacks rewards"),
        (
            lambda f: replaced(f["episode_1"], "observations", np.zeros((12, 4))),
            r"has shape \(12, 4\), Reach needs \(13, 4\)",
        ),
        (
            lambda f: replaced(f["episode_2"], "actions", np.full((12, 2), 3.0)),
            r"episode_2: actions: is outside of the box \[-2, 2\]",
        ),
        (
            lambda f: replaced(f["episode_0"], "rewards", np.full(12, np.nan)),
            "episode_0: rewards: is not finite",
        ),
        (
            lambda f: replaced(f, "episode_0", h5py.ExternalLink("other.hdf5", "/")),
            "episode_0: is a link to elsewhere",
        ),
        (
            lambda f: replaced(f["episode_0"], "observations", f.create_group("dictionary")),
            "observations: is a group",
        ),
        (lambda f: [f.__delitem__(name) for name in list(f)], "not a Minari dataset"),
    ],
)
def test_minari_is_not_trusted_either(edit, finding, tmp_path):
    with pytest.raises(UserError, match=finding):
        load(edited_minari(tmp_path / "set", edit), TASK)


def test_minari_costs_in_some_episodes_only_are_said(tmp_path):
    """Also where none are needed: they would be dropped."""
    for gone, says in (
        (0, "episode_1: has costs, which the episodes before it lack"),
        (2, "episode_2: lacks costs, which the episodes before it have"),
    ):
        path = edited_minari(tmp_path / f"{gone}", lambda f, n=gone: f[f"episode_{n}"].pop("infos"))
        with pytest.raises(UserError, match=says):
            load(path, replace(TASK, has_costs=False))


def test_minari_in_another_storage_is_named(tmp_path):
    (tmp_path / "a/data/3").mkdir(parents=True)
    (file := tmp_path / "a/data/3/data-00000-of-00001.arrow").write_bytes(b"ARROW1")
    for path in (tmp_path / "a", tmp_path / "a/data", file.parent, file):
        with pytest.raises(UserError, match="stored as Arrow, which is not read"):
            load(path, TASK)
    (tmp_path / "b/data").mkdir(parents=True)
    (tmp_path / "b/data/metadata.json").write_text('{"data_format": "zarr"}')
    with pytest.raises(UserError, match="stored as 'zarr', which is not read"):
        load(tmp_path / "b", TASK)


def test_labels_come_in_whole_or_not_at_all(tmp_path):
    trajectories = pd.DataFrame({"index": range(6), "return": 0.0, "length": 9})

    def read(text):
        (tmp_path / "labels.csv").write_text(text)
        return read_labels(tmp_path / "labels.csv", trajectories)

    sets = read(
        "trajectory,label\n3,preferred\n0,nonpreferred\n1, preferred\n2,preferred\n"
        "4,nonpreferred\n5,nonpreferred\n"
    )
    assert {name: own.tolist() for name, own in sets.items()} == {
        "preferred": [1, 2, 3],
        "nonpreferred": [0, 4, 5],
    }
    for text, finding in {
        "trajectory,label\n6,preferred\n": "line 2: 6,preferred: is not a trajectory of 0 to 5",
        "trajectory,label\n1.5,preferred\n": "is not a trajectory",
        "trajectory,label\n1,preferred\n1,nonpreferred\n": "line 3: 1,nonpreferred: is labelled",
        "trajectory,label\n1,good\n": "has another label than preferred or nonpreferred",
        "trajectory,label\n1,preferred\n": "no trajectory is nonpreferred",
        "number,label\n1,preferred\n": "it needs trajectory,label",
        "": "has columns none; it needs trajectory,label",
    }.items():
        with pytest.raises(UserError, match=finding):
            read(text)
    with pytest.raises(UserError, match=r"none\.csv: is not there"):
        read_labels(tmp_path / "none.csv", trajectories)


def test_more_labels_than_asked_are_drawn_from():
    labels = {"preferred": np.arange(0, 60), "nonpreferred": np.arange(60, 65)}
    settings = SplitSettings(n_preferred=10, n_nonpreferred=20)
    one, same, other = (labelled_split(labels, "Reach", draw, settings) for draw in (0, 0, 1))
    assert len(one.preferred) == 10 and set(one.preferred) <= set(range(60))
    assert one.nonpreferred.tolist() == list(range(60, 65)) and one.short == ["nonpreferred"]
    np.testing.assert_array_equal(one.preferred, same.preferred)
    assert one.preferred.tolist() != other.preferred.tolist()


def test_actions_of_the_unit_box_move_the_user_s_environment_by_its_own():
    ours, stock = simulators.make(TASK), gymnasium.make("SafeReach-v0")
    ours.reset(seed=1), stock.reset(seed=1)
    for action in (np.array([1.0, -0.5]), np.array([0.0, 1.0])):
        one, other = ours.step(action), stock.step((2 * action).astype(np.float32))
        np.testing.assert_allclose(one[0], other[0], atol=1e-6)
        assert one[1] == pytest.approx(other[1], abs=1e-6)
    assert ours.spec.max_episode_steps == 60


@pytest.mark.parametrize(
    ("changes", "finding"),
    [
        ({"env_id": "NoSuchTask-v0"}, "environment NoSuchTask-v0: cannot be made"),
        ({"env_id": "CartPole-v1"}, r"actions are Discrete\(2\); a vector \(Box\) is needed"),
        ({"module": "nowhere.py"}, "nowhere.py: is not there"),
    ],
)
def test_environments_that_cannot_be_used_are_named(changes, finding):
    with pytest.raises(UserError, match=finding):
        simulators.make(Task(**TASK.to_dict() | changes))


def import_data(folder, name, settings, *more):
    """Run the script as the rule does; return what it says."""
    command = [ROOT / "scripts", "data/import_data.py", "--name", name]
    command += ["--data", settings["data"], "--settings", json.dumps(settings), *more]
    command += ["--output", folder / "o.hdf5", "--task", folder / "task.json"]
    return forked.run(*command)


@pytest.mark.parametrize(
    ("changes", "finding"),
    [
        ({"data": "none.hdf5"}, "config: file.Reach.data: none.hdf5 is not there"),
        ({"data": "{}/safe_reach_no_costs.hdf5"}, "lacks costs"),
        ({"min_return": 5.0, "max_return": 5.0}, "min_return 5 must be below max_return 5"),
        ({"env_id": "Pendulum-v1"}, 'a step gives no info["cost"]; add it, or give labels'),
        ({"env_id": "HalfCheetahVelocity-v9"}, "environment HalfCheetahVelocity-v9: cannot be"),
    ],
)
def test_mistakes_in_the_entry_end_in_one_line(changes, finding, example, tmp_path):
    entry = {"data": "{}/safe_reach.hdf5", "env_id": "SafeReach-v0", "module": TASK.module}
    entry |= changes
    entry["data"] = entry["data"].format(example / "data")
    done = import_data(tmp_path, "Reach", entry)
    assert done.returncode == 1 and finding in done.stderr and "Traceback" not in done.stderr
    assert not list(tmp_path.iterdir())


def test_a_horizon_that_the_data_do_not_keep_to_is_named(example):
    overlay = {"run": "wrong", "file": {"SafeReach": {"horizon": 20}}}
    (example / "horizon.yaml").write_text(json.dumps(overlay))
    text = run(example, "horizon.yaml", check=False)
    assert "episode 0 has 60 steps; SafeReach ends after 20" in text and "Traceback" not in text


@needs_workflow
def test_a_file_of_a_task_of_dsrl_keeps_its_numbers(ball_run_file, tmp_path):
    done = import_data(tmp_path, "BallRun", {"data": str(ball_run_file)})
    assert done.returncode == 0, done.stderr
    task = Task(**json.loads((tmp_path / "task.json").read_text()))
    registered = TASKS["BallRun"]
    assert (task.min_return, task.max_return) == (registered.min_return, registered.max_return)
    assert task.n_trajectories == 16
    one, other = load(tmp_path / "o.hdf5", task), load(ball_run_file, task)
    for key, values in one.items():
        np.testing.assert_array_equal(values, other[key])
