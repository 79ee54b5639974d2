"""The split by a threshold (methods 2.6, 9)."""

import json
from dataclasses import asdict, replace

import forked
import numpy as np
import pandas as pd
import pytest
from conftest import ROOT, needs_workflow
from prefine import files, frames
from prefine.data.dataset import trajectory_table
from prefine.errors import UserError
from prefine.preferences.sets import check_belongs, reuse_sets, run_sets
from prefine.preferences.split import (
    SplitSettings,
    nonpreferred_set,
    reference_set,
    split,
    stratified_draw,
)
from prefine.tasks import TASKS

PAPER = SplitSettings()
FROZEN_CHECKSUM = "bd541d1b71ed9f975db4b7ac60ad5faf3240965edc99a02e297ee271ebe77d97"


def dataset(n=1000, seed=0):
    rng = np.random.default_rng(seed)
    return rng.normal(100, 30, n), rng.integers(0, 81, n).astype(float)


def test_a_cost_equal_to_the_threshold_is_unsafe():
    returns, costs = np.arange(4.0), np.array([19.0, 20.0, 21.0, 0.0])
    settings = SplitSettings(n_preferred=4, n_nonpreferred=4)
    drawn = split(returns, costs, "BallRun", 20, 0, settings)
    assert drawn.preferred.tolist() == [0, 3]
    assert drawn.nonpreferred.tolist() == [1, 2]
    assert (drawn.n_safe, drawn.n_unsafe) == (2, 2)
    assert drawn.short == ["preferred", "nonpreferred"]


def test_equal_names_draw_equal_sets_and_other_draws_others():
    data = dataset()
    one, same, other = (split(*data, "BallRun", 20, k, PAPER) for k in (0, 0, 1))
    assert one.checksum() == same.checksum()
    assert one.checksum() != other.checksum()
    assert split(*data, "CarRun", 20, 0, PAPER).checksum() != one.checksum()


def test_ties_of_return_in_the_pool_go_by_index():
    """All return the same: the groups are consecutive indices, whatever they cost."""
    costs = np.random.default_rng(0).permutation(np.arange(20.0, 120.0))
    settings = SplitSettings(n_nonpreferred=10, nonpreferred_pool=100)
    for order in ("highest_cost", "lowest_cost"):
        own = replace(settings, nonpreferred_order=order)
        drawn = nonpreferred_set(np.zeros(100), costs, 20, own, np.random.default_rng(1))
        assert (drawn // 10).tolist() == list(range(10))


def test_sets_never_change():
    """The stream is part of the numbers: these indices must stay what they are."""
    drawn = split(*dataset(), "BallRun", 20, 0, PAPER)
    assert drawn.checksum() == FROZEN_CHECKSUM


def test_preferred_are_among_the_best_safe_and_spread_over_their_quantiles():
    returns, costs = dataset(4000)
    drawn = split(returns, costs, "BallRun", 40, 0, PAPER)
    safe = np.flatnonzero(costs < 40)
    ranked = safe[np.argsort(-returns[safe], kind="stable")]
    top = ranked[: int(np.ceil(0.25 * len(safe)))]
    assert len(drawn.preferred) == 100
    assert set(drawn.preferred) <= set(top)
    per_stratum = [len(set(part) & set(drawn.preferred)) for part in np.array_split(top, 5)]
    assert per_stratum == [20] * 5


def test_nonpreferred_are_the_costliest_one_from_each_return_group():
    returns, costs = dataset(4000)
    drawn = split(returns, costs, "BallRun", 40, 0, PAPER)
    unsafe = np.flatnonzero(costs >= 40)
    pool = unsafe[np.argsort(-costs[unsafe], kind="stable")][:100]
    pool = pool[np.argsort(returns[pool], kind="stable")]
    assert len(drawn.nonpreferred) == 20
    per_group = [len(set(part) & set(drawn.nonpreferred)) for part in np.array_split(pool, 20)]
    assert per_group == [1] * 20


def test_nonpreferred_can_come_from_the_cheapest():
    returns, costs = dataset(4000)
    settings = replace(PAPER, nonpreferred_order="lowest_cost")
    cheap = nonpreferred_set(returns, costs, 40, settings, np.random.default_rng(0))
    costly = nonpreferred_set(returns, costs, 40, PAPER, np.random.default_rng(0))
    assert costs[cheap].max() < costs[costly].min()


def test_ties_go_to_the_lower_index():
    returns, costs = np.zeros(500), np.concatenate([np.zeros(300), np.full(200, 50.0)])
    settings = replace(PAPER, preferred_top=0.01, n_preferred=5, nonpreferred_pool=20)
    drawn = split(returns, costs, "BallRun", 20, 0, settings)
    assert drawn.preferred.tolist() == [0, 1, 2, 3, 4]
    assert drawn.nonpreferred.tolist() == list(range(300, 320))
    assert reference_set(returns, PAPER).tolist() == list(range(50))


def test_reference_is_the_top_share_by_return_whatever_it_costs():
    returns, _ = dataset(1000)
    chosen = reference_set(returns, PAPER)
    assert len(chosen) == 100
    assert returns[chosen].min() >= np.sort(returns)[-100]
    assert len(reference_set(returns[:200], PAPER)) == PAPER.reference_min


def test_sets_are_disjoint():
    drawn = split(*dataset(), "BallRun", 20, 3, PAPER)
    assert not set(drawn.preferred) & set(drawn.nonpreferred)


@pytest.mark.parametrize("costs", [np.zeros(50), np.full(50, 30.0)])
def test_a_side_without_trajectories_is_infeasible(costs):
    assert not split(np.arange(50.0), costs, "BallRun", 20, 0, PAPER).feasible


@pytest.mark.parametrize(("size", "n", "strata"), [(103, 102, 5), (7, 6, 5), (12, 7, 5), (9, 4, 6)])
def test_short_groups_pass_their_deficit_on(size, n, strata):
    drawn = stratified_draw(np.arange(size), n, strata, np.random.default_rng(0))
    assert len(drawn) == n == len(set(drawn))


def run_split(file, table, folder, *more, thresholds=(20, 40), draws=2):
    """Run the script on a table of trajectories; return what it printed."""
    folder.mkdir(exist_ok=True)
    table.to_csv(folder / "trajectories.csv", index=False)
    sizes = {"n_preferred": 4, "n_nonpreferred": 2, "reference_min": 5}
    settings = {"thresholds": thresholds, "draws": draws, "split": asdict(replace(PAPER, **sizes))}
    command = [
        ROOT / "scripts",
        "preferences/split.py",
        "--task",
        "BallRun",
        "--data",
        file,
    ]
    command += ["--source", "collect", "--trajectories", folder / "trajectories.csv"]
    command += ["--settings", json.dumps(settings), *more]
    command += ["--output", folder / "splits.csv", "--manifest", folder / "splits.json"]
    return forked.run(*command)


@needs_workflow
def test_the_sets_of_another_run_are_taken_or_the_trajectory_that_differs_is_named(
    ball_run_file, tmp_path
):
    table = trajectory_table(ball_run_file, TASKS["BallRun"])
    one, two = tmp_path / "one", tmp_path / "two"
    assert run_split(ball_run_file, table, one).returncode == 0
    reuse = ["--reuse", one / "splits.csv", one / "splits.json"]
    done = run_split(ball_run_file, table, two, *reuse, thresholds=[40], draws=1)
    assert done.returncode == 0, done.stderr
    first, second = (pd.read_csv(folder / "splits.csv") for folder in (one, two))
    wanted = (first["role"] == "reference") | ((first["tau"] == 40) & (first["draw"] == 0))
    pd.testing.assert_frame_equal(first[wanted].reset_index(drop=True), second)
    manifests = [json.loads((folder / "splits.json").read_text()) for folder in (one, two)]
    kept = [c for c in manifests[0]["cells"] if (c["tau"], c["draw"]) == (40, 0)]
    assert manifests[1]["cells"] == kept
    assert manifests[1]["reused"] == str(one / "splits.csv")

    changed, index = table.copy(), int(first["index"].iloc[-1])
    changed.loc[index, "return"] += 1.0
    wanted = {"thresholds": [40], "draws": 1}
    with pytest.raises(UserError, match=rf"trajectory {index} \(.*the sets belong to other data"):
        reuse_sets(changed, *reuse[1:], wanted)
    with pytest.raises(UserError, match="is not here"):
        reuse_sets(table.head(3), *reuse[1:], wanted)
    for other in (changed, table.head(3)):  # a table that is not of the data
        done = run_split(ball_run_file, other, two, *reuse)
        assert done.returncode == 1 and "Traceback" not in done.stderr
        assert f"{two / 'trajectories.csv'}: " in done.stderr
    done = run_split(ball_run_file, table, two, *reuse, thresholds=[30], draws=1)
    assert done.returncode == 1 and "has no sets of tau 30 draw 0" in done.stderr


def test_numbers_of_a_table_survive_being_written_and_read(tmp_path):
    """Returns of another machine differed in their last digit after pandas' default reader."""
    table = pd.DataFrame({"return": np.random.default_rng(0).normal(100, 50, 10_000)})
    files.write_table(tmp_path / "table.csv", table)
    pd.testing.assert_frame_equal(frames.read_csv(tmp_path / "table.csv"), table, check_exact=True)


def test_a_threshold_need_not_be_whole():
    returns, costs = np.arange(40.0), np.tile([0.0, 0.25, 0.5, 0.75], 10)
    settings = SplitSettings(n_preferred=8, n_nonpreferred=8)
    drawn = [
        split(returns, costs, "T", tau, 0, settings) for tau in (0.5, 0.6, 1, 1.0, np.int64(1))
    ]
    assert (costs[drawn[0].preferred] < 0.5).all() and (costs[drawn[0].nonpreferred] >= 0.5).all()
    assert drawn[1].preferred.tolist() != drawn[0].preferred.tolist()
    assert len({one.checksum() for one in drawn[2:]}) == 1


@needs_workflow
def test_half_a_table_of_sets_without_its_note_is_one_line(ball_run_file, tmp_path):
    """Cut within a row, or between rows: what a run needs of it is missing, and is named."""
    table = trajectory_table(ball_run_file, TASKS["BallRun"])
    assert run_split(ball_run_file, table, tmp_path).returncode == 0
    path = tmp_path / "splits.csv"
    whole = path.read_text()
    last = pd.read_csv(path).query("role != 'reference'").iloc[-1]
    run = {"tau": float(last["tau"]), "draw": int(last["draw"])}
    text = whole[: len(whole) // 3]
    (tmp_path / ".splits.csv.sha256").unlink()
    path.write_text(text)
    with pytest.raises(UserError, match="values for 7 columns"):
        frames.read_csv(path)
    path.write_text(text[: text.rindex("\n") + 1])
    with pytest.raises(UserError, match="are not those of its manifest"):
        frames.read_csv(path)
    path.with_suffix(".json").unlink()
    found = frames.read_csv(path)
    check_belongs(found, path, table, ball_run_file)
    with pytest.raises(UserError, match=rf"no sets of τ {run['tau']:g}, draw {run['draw']}"):
        run_sets(found, table, pd.DataFrame([run]))
