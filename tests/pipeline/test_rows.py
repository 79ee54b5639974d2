"""Tables whose note is gone: what their rows tell, and what is said where nothing tells it."""

import hashlib
import json
import logging
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from prefine import files, frames, results
from prefine.analysis.tables import add_hyperparameters
from prefine.config.plan import COLUMNS, plan
from prefine.data.dataset import read_trajectories, trajectory_table
from prefine.errors import UserError
from prefine.preferences.plans import read_plan
from prefine.rows import read_manifest
from prefine.tasks import TASKS

CELLS = [(tau, draw) for tau in (20, 40) for draw in (0, 1)]


def episodes():
    rows = [
        {"run": f"main/bc/T/{run}", "iteration": 10, "episode": e, "length": 100, "cost": 3.0 + e}
        for run in range(5)
        for e in range(4)
    ]
    table = pd.DataFrame(rows).assign(**{"return": -1.0})
    table.attrs = {"provenance": {"settings": {"episodes": 4}}}
    return table


def log():
    rows = [
        {"run": f"main/bc/T/{run}", "phase": "train", "iteration": i, "seconds": i / 7}
        for run in range(3)
        for i in range(0, 50, 10)
    ]
    table = pd.DataFrame(rows)
    table.attrs = {"provenance": {"runs": [{"run": run} for run in table["run"].unique()]}}
    return table


def trajectories():
    lengths = np.array([5, 7, 9, 3, 8, 2, 6, 4, 1, 10])
    return pd.DataFrame(
        {
            "index": np.arange(10),
            "start": np.cumsum(lengths) - lengths,
            "length": lengths,
            "return": np.linspace(-5, 5, 10),
            "cost": np.arange(10.0),
            "ended_by": "timeout",
        }
    )


def sets():
    rows = [{"tau": np.nan, "draw": np.nan, "role": "reference", "index": i} for i in range(4)]
    for tau, draw in CELLS:
        for role, indices in chosen(tau, draw).items():
            rows += [{"tau": tau, "draw": draw, "role": role, "index": i} for i in indices]
    return pd.DataFrame(rows)


def chosen(tau, draw):
    return {"preferred": [draw, 2 + draw, tau], "nonpreferred": [50 + draw, 60]}


def manifest():
    cells = []
    for tau, draw in CELLS:
        own = chosen(tau, draw)
        text = f"{own['preferred']}|{own['nonpreferred']}"
        cell = {"tau": tau, "draw": draw, "feasible": True, "n_safe": 70, "n_unsafe": 30}
        cell["checksum"] = hashlib.sha256(text.encode()).hexdigest()
        cells.append(cell | {role: {"n": len(of)} for role, of in own.items()})
    settings = {"thresholds": [20, 40], "draws": 2}
    return {"cells": cells, "reference": {"n": 4}, "n_trajectories": 100, "settings": settings}


def runs():
    rows = [(tau, draw, draw, variant) for tau, draw in CELLS for variant in (0, 1)]
    variants = [{"beta": beta, "lam": 1.0, "suffix": f"/beta{beta:g}"} for beta in (0.2, 0.95)]
    cells = [{"tau": tau, "draw": draw, "feasible": True} for tau, draw in CELLS]
    return pd.DataFrame(plan("sweep", "T", "prefine", "prefine", cells, rows, variants))


def cut(table):
    return table.iloc[: int(0.7 * len(table))]


def emptied(table):
    return table.iloc[:0]


def exchanged(one, other):
    return lambda table: table.rename(columns={one: other, other: one})


def flipped(column, row=1):
    def change(table):
        table = table.copy()
        table[column] = table[column].where(np.arange(len(table)) != row, -table[column])
        return table

    return change


def twice(table):
    return pd.concat([table, table.tail(1)])


TABLES = {
    "episodes.parquet": (
        episodes,
        [cut, twice, emptied, exchanged("episode", "length"), flipped("cost")],
    ),
    "log.parquet": (log, [cut, exchanged("iteration", "seconds"), flipped("seconds")]),
    "trajectories.csv": (
        trajectories,
        [cut, twice, exchanged("start", "length"), exchanged("return", "cost"), flipped("cost")],
    ),
    "sets.csv": (sets, [cut, twice, exchanged("tau", "draw"), flipped("index", -2 % 24)]),
    "plan.csv": (
        runs,
        [twice, exchanged("draw", "tau"), exchanged("beta", "lam"), flipped("beta")],
    ),
}
DAMAGES = [(name, damage) for name, (_, own) in TABLES.items() for damage in own]


def write(path, table):
    """As a job does, with what lies beside it; then the note is lost."""
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = {"trajectories.csv": {"trajectories": 10}, "sets.csv": manifest()}
    if path.name in beside:
        files.write_json(path.with_suffix(".json"), beside[path.name])
    files.write_table(path, table)
    files.note_of(path).unlink()


def read(path):
    if path.name == "plan.csv":
        return read_plan(path)
    return (frames.read_csv if path.suffix == ".csv" else frames.read_parquet)(path)


@pytest.mark.parametrize(("name", "damage"), DAMAGES)
def test_a_damaged_table_without_its_note_is_one_line(name, damage, tmp_path):
    whole = TABLES[name][0]()
    write(tmp_path / name, whole)
    read(tmp_path / name)
    changed = damage(whole)
    changed.attrs = whole.attrs
    write(tmp_path / name, changed)
    with pytest.raises(UserError, match=name) as error:
        read(tmp_path / name)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("lost", ["plan", "episodes"])
def test_whole_runs_that_are_gone_are_named(lost):
    planned = runs()
    played = planned[["run", "study", "task", "method", "arm", "tau", "draw", "seed"]]
    assert len(add_hyperparameters(played, [planned])) == len(played)
    planned, played = (planned[:-2], played) if lost == "plan" else (planned, played[:-2])
    with pytest.raises(UserError, match="is in no plan" if lost == "plan" else "has no episodes"):
        add_hyperparameters(played, [planned])


@pytest.mark.parametrize(
    "damage",
    [cut, flipped("return"), flipped("cost", 3), exchanged("return", "cost")],
)
def test_trajectories_are_those_of_the_data(damage, ball_run_file, tmp_path):
    task, path = TASKS["BallRun"], tmp_path / "a.csv"
    whole = trajectory_table(ball_run_file, task)
    write(path, whole)
    pd.testing.assert_frame_equal(read_trajectories(path, ball_run_file, task), whole)
    changed = damage(whole)
    write(path, changed)
    if not changed.equals(whole):
        with pytest.raises(UserError, match=r"a\.csv"):
            read_trajectories(path, ball_run_file, task)


def less(content):
    content["cells"].pop()


def infeasible(content):
    content["cells"][1]["feasible"] = False


def other_count(content):
    content["n_trajectories"] = 99


def other_threshold(content):
    content["cells"][0]["tau"] = -20


@pytest.mark.parametrize("damage", [less, infeasible, other_count, other_threshold])
def test_a_manifest_lists_what_was_asked(damage, tmp_path):
    content = manifest()
    (tmp_path / "a.json").write_text(json.dumps(content))
    assert read_manifest(tmp_path / "a.json") == content
    damage(content)
    (tmp_path / "a.json").write_text(json.dumps(content))
    with pytest.raises(UserError, match="does not list the sets"):
        read_manifest(tmp_path / "a.json")


@pytest.mark.parametrize(
    "name", ["tables/a.csv", "plans/a.csv", "curves/a.parquet", "splits/a.json"]
)
def test_what_lost_its_note_is_not_read_in_silence(name, tmp_path, monkeypatch, caplog):
    monkeypatch.chdir(tmp_path)
    path = Path("results", tmp_path.name, name)
    if path.suffix == ".json":
        files.write_json(path, {"a": 1})
    else:
        files.write_table(path, pd.DataFrame({"a": [1.0, 2.0]}))
    call = results.read_json if path.suffix == ".json" else read
    with caplog.at_level(logging.WARNING):
        call(path)
        assert not caplog.text
        files.note_of(path).unlink()
        call(path)
        call(path)
    assert caplog.text.count(f"{path}: has no note of its hash") == 1

    # The list of a published result stands for notes.
    caplog.clear()
    sums = Path(*path.parts[:2], results.SUMS)
    sums.write_text(f"{files.sha256(path)}  {name}\n")
    call(path)
    assert not caplog.text
    sums.write_text(f"{'0' * 64}  {name}\n")
    results._sums.cache_clear()
    with pytest.raises(UserError, match=f"changed or damaged.*{results.SUMS}"):
        call(path)


def test_a_plan_is_made_of_what_its_columns_say(tmp_path):
    write(tmp_path / "plan.csv", runs())
    table = read_plan(tmp_path / "plan.csv")
    assert len(table) == 8 and set(COLUMNS) < set(table)
