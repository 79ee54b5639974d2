"""Records of DSRL's tasks that do not hold together."""

from dataclasses import replace

import h5py
import numpy as np
import pytest
from prefine.data import dataset, hdf5
from prefine.errors import UserError
from prefine.simulators.costs import agreement
from prefine.simulators.record import Links, check_links
from prefine.tasks import OWN
from test_hostile_data import TASK, one_line


def test_of_64_flipped_bits_all_are_found_in_a_file_of_ours(ball_run_file, tmp_path):
    """Without compression, whose checksum would find them."""
    path, rng = tmp_path / "a.hdf5", np.random.default_rng(0)
    with h5py.File(ball_run_file) as old, h5py.File(path, "w") as new:
        new.attrs.update(old.attrs)
        for key in old:
            new[key] = old[key][...]
    dataset.trajectory_table(path, TASK)
    content, found = path.read_bytes(), 0
    for _ in range(64):
        place = int(rng.integers(4096, len(content)))
        bit = 1 << int(rng.integers(8))
        path.write_bytes(content[:place] + bytes([content[place] ^ bit]) + content[place + 1 :])
        try:
            dataset.trajectory_table(path, TASK)
            agreement(TASK, (block for *_, block in hdf5.blocks(path, TASK)))
            same = all(
                np.array_equal(values, dataset.read(ball_run_file, TASK)[key])
                for key, values in dataset.read(path, TASK).items()
            )
            found += same  # a byte that nobody reads
        except UserError:
            found += 1
    assert found == 64


def without_hashes(source, path, change):
    """A copy without hashes, as of another writer, with some arrays changed."""
    with h5py.File(source) as old, h5py.File(path, "w") as new:
        arrays = {key: old[key][...] for key in old}
        change(arrays)
        for key, values in arrays.items():
            new[key] = values
    return path


def set_one(key, index, value):
    return lambda arrays: arrays[key].__setitem__(index, value)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (set_one("costs", 5, 2), "costs: 2 at step 5 is no cost of BallRun"),
        (set_one("costs", 5, -1), "costs: is below zero (store violations as positive numbers"),
        (set_one("costs", 5, 1e-3), "costs: 0.001 at step 5"),
        (set_one("observations", (7, 3), 1e20), "observations: 1e+20 at step 7 is beyond"),
        (set_one("rewards", 9, -3e8), "rewards: -3e+08 at step 9 is beyond"),
        (set_one("observations", (7, 3), 0.123), "differ in number 3 alone"),
        (set_one("next_observations", (0, 0), 0.5), "at step 0 and observations at step 1"),
        (set_one("timeouts", 5, True), "1 ends lie inside an episode"),
        (set_one("timeouts", slice(None), False), "steps inside an episode are followed by"),
    ],
)
def test_a_record_that_does_not_hold_together(change, says, ball_run_file, tmp_path):
    path = without_hashes(ball_run_file, tmp_path / "a.hdf5", change)
    one_line(lambda: agreement(TASK, (block for *_, block in hdf5.blocks(path, TASK))), says)


def cut_out(*places):
    def change(arrays):
        for key in arrays:
            arrays[key] = np.delete(arrays[key], places, axis=0)

    return change


def times_ten(arrays):
    arrays["rewards"] = arrays["rewards"] * 0 + 100


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (cut_out(3, 4), "1 of 16 episodes end by a timeout after fewer than the 100 steps of Ball"),
        (cut_out(99), "of 100 steps"),
        (times_ten, "the best return is 1e+04, the best of DSRL's data 1327; are rewards scaled"),
    ],
)
def test_trajectories_that_no_simulator_gives_are_said(change, says, ball_run_file, tmp_path):
    path = without_hashes(ball_run_file, tmp_path / "a.hdf5", change)
    if says == "of 100 steps":  # an end that is lost makes an episode too long
        one_line(lambda: dataset.trajectory_table(path, TASK), "has 199 steps; BallRun ends after")
        return
    (found,) = dataset.oddities(dataset.trajectory_table(path, TASK), TASK)
    assert says in found
    own = replace(TASK, suite=OWN)
    assert dataset.oddities(dataset.trajectory_table(path, own), own) == []


def test_a_gap_that_is_tolerated_is_said(ball_run_file, tmp_path, caplog):
    path = without_hashes(ball_run_file, tmp_path / "a.hdf5", cut_out(3))
    agreement(TASK, (block for *_, block in hdf5.blocks(path, TASK)))
    assert "1 steps inside an episode are followed by another observation" in caplog.text


def test_a_step_that_differs_in_few_of_many_numbers_is_damage():
    """A bit that flips in a packed piece is copied to where its packer repeats it."""
    rng = np.random.default_rng(0)
    states = rng.normal(size=(301, 12)).astype("f4")
    record = {"observations": states[:-1].copy(), "next_observations": states[1:].copy()}
    record |= {name: np.zeros(300, bool) for name in ("terminals", "timeouts")}
    record["observations"][40, 3:6] = 0.25
    links = Links()
    links.add(record)
    one_line(lambda: check_links(TASK, links), "at step 39 and observations at step 40 differ in 3")


def test_what_others_wrote_is_not_refused(ball_run_file, tmp_path):
    path = without_hashes(ball_run_file, tmp_path / "a.hdf5", lambda arrays: None)
    found = agreement(TASK, (block for *_, block in hdf5.blocks(path, TASK)))
    assert found == {"known": 1.0, "agreement": 1.0}
