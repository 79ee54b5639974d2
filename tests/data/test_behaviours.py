"""Behaviour policies give a dataset: recorded rollouts, thinned; the shipped families are whole."""

import json
from dataclasses import replace
from pathlib import Path

import forked
import h5py
import numpy as np
import pytest
import yaml
from conftest import ROOT
from hand_made_policies import some_policies
from prefine.data import dataset
from prefine.data.hdf5 import KEYS
from prefine.data.thinning import cells, episodes_to_play, thin
from prefine.errors import UserError
from prefine.evaluation import rollout
from prefine.evaluation.record import record
from prefine.policies import file as policy_file
from prefine.policies.stack import PolicyStack
from prefine.simulators import make as simulators
from prefine.streams import generator, stream_seed
from prefine.tasks import TASKS

BALL_RUN = TASKS["BallRun"]
FAMILIES = sorted((ROOT / "workflow/behaviours").rglob("*.safetensors"))


def named(task, n, kind="gaussian") -> PolicyStack:
    stack = some_policies(task, n, kind)
    stack.metadata["runs"] = [{"run": f"careful-{k}", "episodes": 2} for k in range(n)]
    return stack


@pytest.fixture(scope="module")
def family():
    return named(BALL_RUN, 3)


@pytest.fixture(scope="module")
def played(family):
    return record(family, BALL_RUN, [2, 2, 2])


def same(one, other):
    assert [(e.replica, e.number) for e in one] == [(e.replica, e.number) for e in other]
    for left, right in zip(one, other, strict=True):
        for name in KEYS:
            np.testing.assert_array_equal(left.steps[name], right.steps[name])


def test_a_record_is_in_dsrls_layout(played):
    assert [(own.replica, own.number) for own in played] == [
        (replica, number) for replica in range(3) for number in range(2)
    ]
    for own in played:
        steps = own.steps
        assert set(steps) == set(KEYS)
        assert steps["observations"].shape == (100, 7) and steps["actions"].shape == (100, 2)
        np.testing.assert_array_equal(steps["observations"][1:], steps["next_observations"][:-1])
        assert steps["timeouts"].tolist() == [False] * 99 + [True]
        assert not steps["terminals"].any()
        assert np.abs(steps["actions"]).max() == 1.0  # clipped as they were sent


def test_a_recorded_episode_is_the_simulators_own(family, played):
    """A plain loop with the episode's seed and noise; and the actions lead to what was seen."""
    own = played[3]  # of policy 1 the episode 1
    names = "collect", "BallRun", "careful-1", 1
    env = simulators.make("BallRun")
    obs, _ = env.reset(seed=stream_seed(*names, "start") % 2**31)
    noise = generator(*names).standard_normal((100, 2), dtype=np.float32)
    steps = own.steps
    for step in range(100):
        np.testing.assert_allclose(steps["observations"][step], obs, rtol=1e-5, atol=1e-6)
        chosen = family.replica(1).act(np.asarray(obs, np.float32)[None], "sampled", noise[[step]])
        np.testing.assert_allclose(steps["actions"][step], chosen[0, 0], rtol=1e-4, atol=1e-5)
        obs, reward, *_, info = env.step(steps["actions"][step])
        assert steps["rewards"][step] == pytest.approx(reward, rel=1e-5)
        assert steps["costs"][step] == info["cost"]


def test_other_starts_and_noise_for_each_policy(family):
    twins = PolicyStack(
        family.policy,
        {name: value[[0, 0]] for name, value in family.params.items()},
        family.mean,
        family.std,
        {"runs": [{"run": "a"}, {"run": "b"}]},
    )
    one, two = record(twins, BALL_RUN, [1, 1])
    assert not np.array_equal(one.steps["observations"][0], two.steps["observations"][0])
    assert not np.array_equal(one.steps["actions"], two.steps["actions"])


@pytest.mark.parametrize("name", ["BallRun", "HopperVelocity"])
def test_workers_and_neighbours_change_no_step(name):
    """Hopper's episodes end at different times and by themselves."""
    stack = named(TASKS[name], 3)
    one = record(stack, TASKS[name], [3, 0, 5])
    assert [own.replica for own in one] == [0] * 3 + [2] * 5
    same(one, record(stack, TASKS[name], [3, 0, 5], workers=2))
    more = record(stack, TASKS[name], [1, 2, 5], workers=3)
    same([own for own in one if own.replica == 2], [own for own in more if own.replica == 2])
    if name == "HopperVelocity":
        for own in one:
            ended = own.steps["terminals"]
            assert ended[-1] and not ended[:-1].any() and not own.steps["timeouts"].any()


def test_what_costs_too_much_is_broken_off_and_the_others_are_as_they_were(played, family):
    costs, ended = np.array([own.steps["costs"].sum() for own in played]), []
    limit = float(np.sort(costs)[2])
    assert costs.min() < limit < costs.max()
    some = record(family, BALL_RUN, [2, 2, 2], ended.append, workers=2, max_cost=limit)
    same(some, [own for own, cost in zip(played, costs, strict=True) if cost <= limit])
    assert sum(ended) == len(played)  # what the progress is told


def test_a_lost_worker_leaves_no_trace_in_a_record(monkeypatch, played, family):
    first, starts = rollout.Worker, []

    class Fragile(first):
        def send(self, block, *arguments, **options):
            super().send(block, *arguments, **options)
            starts.append(block)
            if len(starts) == 40:
                self.process.kill()

    monkeypatch.setattr(rollout, "Worker", Fragile)
    same(played, record(family, BALL_RUN, [2, 2, 2]))


def plane(n=4000, seed=0):
    """Returns and costs, dense where both are small."""
    rng = np.random.default_rng(seed)
    costs = np.round(rng.exponential(25, n))
    return 26 + 1300 * rng.beta(1, 3, n), costs


def test_thinning_takes_one_of_each_cell_after_another():
    returns, costs = plane()
    kept = thin(returns, costs, BALL_RUN, 940)
    assert len(np.unique(kept)) == 940 and (np.diff(kept) > 0).all()
    assert costs[kept].max() <= BALL_RUN.max_cost < costs.max()
    allowed = np.flatnonzero(costs <= BALL_RUN.max_cost)
    cell = cells(returns, costs, BALL_RUN)
    there = np.bincount(cell[allowed], minlength=500)
    taken = np.bincount(cell[kept], minlength=500)
    level = taken.max()
    # Whoever gives fewer than the fullest, less one that the last round did not reach, is empty.
    assert (taken == np.minimum(there, level))[taken < level - 1].all()
    assert taken[there >= level].min() >= level - 1


def test_thinning_in_closed_form():
    """Two cells, of 90 and of 10: 30 trajectories are 20 and 10, 12 are 6 and 6."""
    costs = np.r_[np.zeros(90), np.full(10, 79.0)]
    returns = np.full(100, 500.0)
    for n, expected in {30: [20, 10], 12: [6, 6], 100: [90, 10], 500: [90, 10]}.items():
        kept = thin(returns, costs, BALL_RUN, n)
        assert [(costs[kept] == cost).sum() for cost in (0, 79)] == expected
    again = thin(returns, costs, BALL_RUN, 30)
    np.testing.assert_array_equal(again, thin(returns, costs, BALL_RUN, 30))
    assert thin(returns, np.full(100, 81.0), BALL_RUN, 30).size == 0


def test_returns_outside_dsrls_have_cells_of_their_own():
    low, high = BALL_RUN.min_return, BALL_RUN.max_return
    own = cells(np.array([low - 1, low, high - 1, high + 1]), np.zeros(4), BALL_RUN)
    assert own.tolist() == [0, 1, 20, 21]
    assert cells(np.array([low]), np.array([BALL_RUN.max_cost]), BALL_RUN)[0] == 19 * 22 + 1


def test_fewer_trajectories_take_fewer_episodes_of_each():
    assert episodes_to_play([94, 10, 1], 940, BALL_RUN) == [94, 10, 1]
    assert episodes_to_play([94, 10, 1], 470, BALL_RUN) == [47, 5, 1]
    assert episodes_to_play([94, 10, 1], 1880, BALL_RUN) == [188, 20, 2]


def test_a_family_becomes_a_dataset(tmp_path, family):
    path, output = tmp_path / "BallRun.safetensors", tmp_path / "BallRun.hdf5"
    policy_file.save(path, family)
    command = [ROOT / "scripts", "data/collect.py", "--task", "BallRun"]
    command += ["--family", path, "--output", output, "--workers", "2", "--trajectories", "940"]
    done = forked.run(*command)
    assert done.returncode == 0, done.stderr
    assert "WARNING: BallRun:" in done.stderr and "940 were asked for" in done.stderr
    table = dataset.trajectory_table(output, BALL_RUN)
    with h5py.File(output) as file:
        metadata = json.loads(file.attrs["metadata"])
    assert metadata["source"] == "collect" and len(metadata["family"]["sha256"]) == 64
    assert metadata["policies"] == ["careful-0", "careful-1", "careful-2"]
    assert len(metadata["behaviours"]) == len(metadata["numbers"]) == len(table) <= 6
    assert table["cost"].max() <= BALL_RUN.max_cost
    played = {(own.replica, own.number): own for own in record(family, BALL_RUN, [2, 2, 2])}
    made = zip(metadata["behaviours"], metadata["numbers"], strict=True)
    for names, row in zip(made, table.itertuples(), strict=True):
        assert played[names].steps["costs"].sum() == row.cost


def test_a_family_that_costs_too_much_in_every_episode_gets_one_line(tmp_path):
    reckless, path = named(BALL_RUN, 2), tmp_path / "reckless.safetensors"
    reckless.params["trunk.1.bias"][..., :2] = 20.0  # always ahead, and to the left
    policy_file.save(path, reckless)
    command = [ROOT / "scripts", "data/collect.py", "--task", "BallRun"]
    command += ["--family", path, "--output", tmp_path / "out.hdf5"]
    done = forked.run(*command)
    assert done.returncode == 1 and "Traceback" not in done.stderr
    assert "each of its 4 episodes costs more than 80" in done.stderr.splitlines()[-1]
    assert not (tmp_path / "out.hdf5").exists()


def rows_named(names, episodes=2):
    return [{"run": name, "episodes": episodes} for name in names]


@pytest.mark.parametrize(
    ("task", "rows", "expected"),
    [
        ("CarRun", {"task": "BallRun"}, "a family of BallRun, not of CarRun"),
        ("BallCircle", {}, "policies of 7 observations and 2 actions; BallCircle has 8 and 2"),
        ("BallRun", {"runs": [{"run": "a"}, {"run": "b"}, {"run": "c"}]}, "no family of behaviour"),
        ("BallRun", {"runs": []}, "no family of behaviour"),
        ("BallRun", {"runs": rows_named("abc", "2")}, "no family of behaviour"),
        ("BallRun", {"runs": rows_named("ab\ud800")}, "no family of behaviour"),
        ("BallRun", {"runs": rows_named("abc", None), "task": {"name": "a"}}, "no family of"),
        ("BallRun", {"runs": rows_named("aab")}, "has 'a' twice; episodes are named"),
        ("BallRun", {"runs": rows_named("abc", 10**30)}, f"{3 * 10**30:,} episodes of BallRun"),
    ],
)
def test_a_file_that_is_no_family_of_the_task_gets_one_line(tmp_path, task, rows, expected):
    family = named(BALL_RUN, 3)
    family.metadata.pop("task", None)
    family.metadata.update(rows)
    policy_file.save(tmp_path / "own.safetensors", family)
    command = [ROOT / "scripts", "data/collect.py", "--task", task]
    command += ["--family", tmp_path / "own.safetensors", "--output", tmp_path / "data.hdf5"]
    done = forked.run(*command)
    (line,) = done.stderr.strip().splitlines()
    assert done.returncode == 1 and f"own.safetensors: {expected}" in line


def test_what_is_written_over_a_family_later_changes_no_policy(tmp_path, family):
    path = tmp_path / "own.safetensors"
    policy_file.save(path, family)
    read = policy_file.load(path)
    with path.open("r+b") as file:
        file.write(bytes(path.stat().st_size))
    for name, value in family.params.items():
        assert value.equal(read.params[name])


def test_sizes_that_a_header_says_and_the_parameters_have_not_are_refused_unmade(tmp_path, family):
    """Networks of 30 000 by 30 000 would take 3.6 GB."""
    for hidden in ([30_000, 30_000], [8] * 1000):
        policy = replace(family.policy, hidden=tuple(hidden))
        policy_file.save(tmp_path / "own.safetensors", replace(family, policy=policy))
        with pytest.raises(UserError, match="its parameters give no action of 2 numbers"):
            policy_file.load(tmp_path / "own.safetensors")


@pytest.mark.parametrize("path", FAMILIES, ids=lambda path: f"{path.parent.name}/{path.stem}")
def test_a_shipped_family_is_whole(path: Path):
    stack = policy_file.load(path)
    task, rows = TASKS[path.stem], stack.metadata["runs"]
    assert stack.metadata["task"] == task.name
    assert len(rows) == len(stack) == len(set(stack.names))
    played = sum(row["episodes"] for row in rows)
    assert task.n_trajectories < played < 2 * task.n_trajectories
    assert min(row["episodes"] for row in rows) >= 1
    log_std = stack.params["log_std"]
    assert (log_std > stack.policy.log_std_min).all() and (log_std < stack.policy.log_std_max).all()
    card = path.with_suffix(".md").read_text()
    assert all(f"| {row['branch']} | {row['steps']} | {row['episodes']} |" in card for row in rows)


def test_families_are_small_and_have_recipes():
    assert sum(path.stat().st_size for path in FAMILIES) < 12e6
    recipes = yaml.safe_load((ROOT / "workflow/behaviours/recipes.yaml").read_text())
    for path in FAMILIES:
        branches = {row["branch"] for row in policy_file.load(path).metadata["runs"]}
        own = recipes[path.stem]
        assert branches <= set(own)
        begun = {branch["begin"][0] for branch in own.values() if "begin" in branch}
        assert begun <= set(own)
