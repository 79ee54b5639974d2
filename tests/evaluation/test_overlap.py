"""Figure 13: the overlap index against closed forms, and what is shown where sets are missing."""

import json
import sys

import forked
import matplotlib.image
import numpy as np
import pandas as pd
import pytest
from conftest import ROOT
from evaluation import overlap as script
from prefine.evaluation import overlap
from prefine.streams import generator
from prefine.tasks import TASKS

SETTINGS = {"tau": 20, "draw": 0, "n_states": 60, "n_neighbors": 15, "min_dist": 0.1}
SETTINGS |= {"grid": 30, "grids": [10, 100]}


def index(one, other, grid):
    """Jaccard index of two samples (n, 2) on a grid over both."""
    numbers = overlap.cells(np.concatenate([one, other]), grid)
    return overlap.jaccard(numbers[: len(one)], numbers[len(one) :])


@pytest.mark.parametrize("mean_points", [1, 2, 3, 5])
def test_two_uniform_samples_have_the_index_of_the_closed_form(mean_points):
    rng = generator("test", "uniform", mean_points)
    draws = [index(*rng.random((2, mean_points * 900, 2)), 30) for _ in range(60)]
    assert np.mean(draws) == pytest.approx(np.tanh(mean_points / 2), abs=0.01)


@pytest.mark.parametrize(
    ("shift", "expected"),
    [(0, (0.86, 0.80, 0.70, 0.67, 0.50)), (1, (0.72, 0.68, 0.62, 0.55, 0.42))],
)
def test_gaussian_clouds_have_the_numbers_of_the_specification(shift, expected):
    """Tails lower the index of one density with itself; a shift of a sigma lowers it little."""
    rng, found = generator("test", "clouds", shift), []
    for _ in range(5):
        one, other = rng.normal(size=(2, 5000, 2))
        found.append(
            [index(one, other + np.array([shift, 0]), grid) for grid in (10, 20, 30, 50, 100)]
        )
    np.testing.assert_allclose(np.mean(found, axis=0), expected, atol=0.04)


def test_the_index_is_one_for_equal_sets_and_zero_for_disjoint_ones():
    points = generator("test", "sets").random((500, 2))
    assert index(points, points, 20) == 1
    assert index(points, points + 5, 20) == 0
    corners = np.array([[0, 0], [0, 1], [1, 0], [1, 1]], np.float32)
    assert overlap.cells(corners, 3).tolist() == [0, 2, 6, 8]
    assert overlap.cells(np.zeros((4, 2), np.float32), 3).ptp() == 0  # a box of no size


def test_the_ratio_is_one_for_one_density_and_falls_with_the_distance():
    rng = generator("test", "ratio")
    cloud = rng.normal(size=(4000, 2))
    ratios = []
    for shift in (0, 1, 20):
        other = rng.normal(size=(4000, 2)) + np.array([shift, 0])
        preferred = np.repeat([True, False], 4000)
        (row,) = overlap.sweep(np.concatenate([cloud, other]), preferred, [30], rng)
        ratios.append(row["ratio"])
        assert row["jaccard_half"] <= row["jaccard"]  # fewer points fill fewer cells
    assert ratios[0] == pytest.approx(1, abs=0.03)
    assert 0.6 < ratios[1] < 0.95 and ratios[2] == 0


def test_neighbours_are_the_others_and_their_share_needs_no_grid():
    line = np.arange(6.0)[:, None]
    near = overlap.nearest(line, 2)
    assert near.indices[0].tolist() == [1, 2] and set(near.indices[3]) == {2, 4}
    preferred = np.array([True, True, True, True, False, False])
    assert overlap.neighbour_share(near, preferred, 2) == 1 / 4  # 3 alone is beside 4
    same = generator("test", "same").normal(size=(2000, 5))
    halves = np.repeat([True, False], 1000)
    assert overlap.neighbour_share(overlap.nearest(same, 10), halves) > 0.99


def test_columns_are_standardised_and_constant_ones_are_zero():
    states = np.column_stack([np.arange(50), np.full(50, 7)]).astype(np.float32)
    own = overlap.standardise(states)
    np.testing.assert_allclose(own.mean(axis=0), 0, atol=1e-6)
    np.testing.assert_allclose(own.std(axis=0), [1, 0], atol=1e-5)


def test_umap_repeats_with_its_seed_and_separates_what_is_apart():
    rng = generator("test", "umap")
    points = np.concatenate([rng.normal(size=(60, 4)), rng.normal(size=(60, 4)) + 30])
    near = overlap.nearest(points, 14)
    first, again, other = (overlap.embed(points, near, 15, 0.1, seed) for seed in (1, 1, 2))
    assert first.shape == (120, 2) and (first == again).all() and (first != other).any()
    preferred = np.repeat([True, False], 60)
    assert overlap.sweep(first, preferred, [10], rng)[0]["jaccard"] == 0


@pytest.fixture
def measured(ball_run_file, tmp_path, monkeypatch):
    """Run the script on BallRun's episodes; return its points and numbers."""
    from prefine.data.dataset import trajectory_table

    trajectories = trajectory_table(ball_run_file, TASKS["BallRun"])
    trajectories.to_csv(tmp_path / "trajectories.csv", index=False)

    def run(preferred, nonpreferred, tau=20, **cell):
        sets = {"preferred": preferred, "nonpreferred": nonpreferred}
        rows = [
            {"tau": tau, "draw": 0, "role": role, "index": i}
            for role, indices in sets.items()
            for i in indices
        ]
        columns = ["tau", "draw", "role", "index"]
        pd.DataFrame(rows, columns=columns).to_csv(tmp_path / "splits.csv", index=False)
        cell = {"tau": tau, "draw": 0, "feasible": True, "n_safe": 8, "n_unsafe": 8} | cell
        manifest = {"source": "collect", "cells": [cell]}
        (tmp_path / "manifest.json").write_text(json.dumps(manifest))
        inputs = {name: tmp_path / f"{name}.csv" for name in ("trajectories", "splits")}
        inputs |= {"data": ball_run_file, "manifest": tmp_path / "manifest.json"}
        outputs = {"points": tmp_path / "points.csv", "numbers": tmp_path / "numbers.json"}
        options = [str(part) for item in (inputs | outputs).items() for part in item]
        options[::2] = [f"--{name}" for name in options[::2]]
        settings = json.dumps(SETTINGS | {"tau": tau})
        argv = ["overlap.py", "--task", "BallRun", "--settings", settings, *options]
        monkeypatch.setattr(sys, "argv", argv)
        script.main()
        return pd.read_csv(outputs["points"]), json.loads(outputs["numbers"].read_text())

    return run


def test_states_are_drawn_evenly_from_the_sets_alone(measured, tmp_path):
    points, numbers = measured([0, 1, 2], [9, 10])
    trajectories = pd.read_csv(tmp_path / "trajectories.csv")
    owner = np.searchsorted(trajectories["start"], points["row"], side="right") - 1
    assert set(owner[points["role"] == "preferred"]) <= {0, 1, 2}
    assert set(owner[points["role"] == "nonpreferred"]) <= {9, 10}
    assert points.groupby("role").size().to_dict() == {"nonpreferred": 60, "preferred": 60}
    assert points["row"].is_unique and numbers["n_states"] == 60 and not numbers["missing"]
    assert [row["grid"] for row in numbers["sweep"]] == [10, 30, 100]
    again, _ = measured([0, 1, 2], [9, 10])
    pd.testing.assert_frame_equal(points, again)


def test_states_are_the_ones_of_the_dataset(ball_run_file):
    from prefine.data.dataset import load_transitions

    data = load_transitions(ball_run_file, TASKS["BallRun"])
    rows = np.array([1500, 3, 700])
    states = script.read_states(ball_run_file, TASKS["BallRun"], rows)
    assert (states == data.observations[rows]).all()


def test_labels_in_place_of_a_threshold(measured):
    points, numbers = measured([0], [9], tau=None)
    assert numbers["tau"] is None and len(points) == 120


@pytest.mark.parametrize(
    ("cell", "reason"),
    [
        ({"feasible": False, "n_unsafe": 0}, "infeasible: no unsafe trajectory"),
        ({"feasible": False, "n_safe": 0}, "infeasible: no safe trajectory"),
        ({"draw": 3}, "no sets with τ = 20, draw 0"),
    ],
)
def test_a_cell_that_cannot_be_says_so(measured, cell, reason):
    points, numbers = measured([0], [], **cell)
    assert numbers["missing"] == reason and points.empty and numbers["sweep"] == []


def test_the_figure_has_a_panel_for_what_is_missing(measured, tmp_path):
    paths = {"points": [], "numbers": []}
    for name, cell in (("BallRun", {}), ("CarRun", {"feasible": False, "n_unsafe": 0})):
        points, numbers = measured([0, 1], [9, 10], **cell)
        points.to_csv(tmp_path / f"{name}.csv", index=False)
        (tmp_path / f"{name}.json").write_text(json.dumps(numbers | {"task": name}))
        paths["points"].append(tmp_path / f"{name}.csv")
        paths["numbers"].append(tmp_path / f"{name}.json")
    png = tmp_path / "fig13.png"
    command = [ROOT / "scripts", "figures/fig13_umap.py", "--output", png]
    options = [part for name, own in paths.items() for part in (f"--{name}", *own)]
    done = forked.run(*command, *options)
    assert done.returncode == 0 and not done.stderr, done.stderr
    assert matplotlib.image.imread(png).shape[1] == 2100 and b"not DSRL's" in png.read_bytes()
    table = pd.read_csv(png.with_suffix(".csv")).set_index("task")
    assert table.loc["BallRun", "grid"].tolist() == [10, 30, 100]
    assert table.loc["BallRun", "primary"].tolist() == [False, True, False]
    assert table.loc["CarRun", "missing"] == "infeasible: no unsafe trajectory"
