"""Policies on the way: which iterations, whose numbers, and that a killed job has them all."""

import pandas as pd
import pytest
import torch
from prefine.data import dataset
from prefine.methods import decided, method_module, method_settings
from prefine.training.loop import snapshot_iterations
from prefine.training.loop import train as train_stack
from prefine.training.stacks import join_snapshots, keep_snapshots
from test_training import SETTINGS, TASK, plan, policy_of, reference_of, sets


@pytest.fixture(scope="module")
def data(ball_run_file):
    return {sees: dataset.load_transitions(ball_run_file, TASK, sees) for sees in dataset.SEES}


def run(method, data, on_snapshot, runs=None, own=None, state=None, **changes):
    module, policy = method_module(method), policy_of("cvae", method)
    settings = method_settings(method) | SETTINGS | {"points": 4} | changes
    runs, own = (plan(2, method), sets(2)) if runs is None else (runs, own)
    params, _ = train_stack(
        module,
        policy,
        runs,
        data[decided(module.SEES, settings)],
        own,
        settings,
        reference_of(policy),
        state=state,
        on_snapshot=on_snapshot,
    )
    return params, sorted(snapshot_iterations(module, policy, settings))


@pytest.mark.parametrize("method", ["prefine", "safedice", "cpq"])
def test_the_first_is_the_start_and_the_last_the_end(method, data):
    taken = {}

    def keep(iteration, params):
        taken[iteration] = {name: value.detach().clone() for name, value in params.items()}

    params, iterations = run(method, data, keep)
    assert list(taken) == iterations == [0, 2, 4, 6, 8]
    assert all(torch.equal(taken[8][name], value) for name, value in params.items())
    assert any(not torch.equal(taken[6][name], value) for name, value in params.items())
    if method == "prefine":
        reference = reference_of(policy_of("cvae"))
        assert all(torch.equal(taken[0][n], v.expand_as(taken[0][n])) for n, v in reference.items())


def test_none_are_taken_where_none_are_asked_for(data):
    _, iterations = run("prefine", data, lambda *_: pytest.fail("taken"), points=0)
    assert iterations == []


def test_a_killed_job_has_them_all_and_the_same(data, tmp_path):
    """Killed after a checkpoint; the rows of two stacks come out run by run."""

    class Killed(Exception):
        pass

    def killed_at(folder, stop):
        write = keep_snapshots(folder, 0)

        def on_snapshot(iteration, params):
            write(iteration, params)
            if iteration == stop:
                raise Killed

        return on_snapshot

    whole, again = tmp_path / "whole", tmp_path / "again"
    _, iterations = run("prefine", data, killed_at(whole, None), checkpoint_every=3)
    state = again / "0.safetensors"
    with pytest.raises(Killed):
        run("prefine", data, killed_at(again, 6), state=state, checkpoint_every=3)
    run("prefine", data, killed_at(again, None), state=state, checkpoint_every=3)
    there = join_snapshots(whole, 1, iterations, plan(2))
    here = join_snapshots(again, 1, iterations, plan(2))
    assert all(torch.equal(here[0][name], value) for name, value in there[0].items())
    assert there[1]["iteration"].tolist() == [0, 0, 2, 2, 4, 4, 6, 6, 8, 8]


def test_stacks_are_joined_as_their_runs_stand_in_the_plan(tmp_path):
    for stack, runs in enumerate([(1.0, 2.0), (3.0,)]):
        write = keep_snapshots(tmp_path, stack)
        for iteration in (0, 5):
            write(iteration, {"w": torch.tensor(runs)[:, None] + iteration})
    runs = pd.DataFrame({"run": ["a", "b", "c"]})
    params, rows = join_snapshots(tmp_path, 2, [0, 5], runs)
    assert params["w"][:, 0].tolist() == [1, 2, 3, 6, 7, 8]
    assert list(zip(rows["run"], rows["iteration"], strict=True))[2:4] == [("c", 0), ("a", 5)]
