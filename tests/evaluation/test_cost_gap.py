"""Figure 2: states put back into simulators, gaps in closed form, and what the figure says."""

import json

import forked
import numpy as np
import pandas as pd
import pytest
import torch
from conftest import ROOT
from figures.fig02_cost_gap import phases, title
from prefine.data import dataset, hdf5
from prefine.errors import UserError
from prefine.evaluation import cost_classifier
from prefine.evaluation.cost_gap import (
    COLUMNS,
    GapSettings,
    chosen_runs,
    chosen_trajectories,
    counterfactual_costs,
    gap,
    measure,
    read_records,
    replay,
    replay_agreement,
    replay_gap,
    trajectory_noise,
    window_sums,
    zeros_and_ones,
)
from prefine.policies import file as policy_file
from prefine.policies.gaussian import GaussianPolicy
from prefine.policies.networks import stack
from prefine.policies.stack import PolicyStack
from prefine.simulators import make as simulators
from prefine.simulators.costs import REPLAY_AGREEMENT, VELOCITY
from prefine.simulators.states import RESETTABLE, Step, ball_states, open_simulator, velocity_states
from prefine.tasks import TASKS

PAPER_S = {f"{robot}Velocity" for robot in ("HalfCheetah", "Walker2d", "Hopper", "Swimmer", "Ant")}


def collected(name, steps=300, hold=8):
    """A record of a task: actions held for a while, and at times a speed near the limit."""
    env, rng, rows = simulators.make(name), np.random.default_rng(5), []
    inner = env.unwrapped
    obs, _ = env.reset(seed=5)
    for step in range(steps):
        if step % hold == 0:
            action = (rng.choice([-1, 1], env.action_space.shape) * rng.uniform(0.2, 1)).astype("f")
            if name in VELOCITY and step % (2 * hold) == 0:
                speed = inner.data.qvel.copy()
                speed[0] = VELOCITY[name].limit + rng.normal(0, 0.2)
                inner.set_state(inner.data.qpos.copy(), speed)
                obs = inner._get_obs()
        after, _, terminated, truncated, info = env.step(action)
        rows.append((obs.astype("f"), action, info["cost"]))
        obs = env.reset()[0] if terminated or truncated else after
    env.close()
    columns = (np.array(column) for column in zip(*rows, strict=True))
    return dict(zip(("observations", "actions", "costs"), columns, strict=True))


@pytest.fixture(scope="module")
def ball_run():
    """BallRun's simulator and a record of one episode, which goes over the limit and back."""
    simulator = open_simulator(TASKS["BallRun"])
    yield simulator, collected("BallRun", steps=100, hold=12)
    simulator.close()


class Walk:
    """x' = x + a, a step costs if x' > 1, and an episode is over beyond 3."""

    def begin(self, observations):
        return observations.astype(float)

    def step(self, states, actions):
        after = states + actions
        return Step(
            after, after.astype("f"), (after > 1).sum(axis=1).astype(float), after[:, 0] > 3
        )


def always(action):
    """A policy of one action."""
    return lambda obs, noise: np.full(obs.shape, action, dtype=np.float32)


def repeating(actions, draws, steps):
    """A policy that repeats the data's actions from each of ``steps`` on, whatever it sees."""
    ahead = iter(range(len(actions)))

    def act(obs, noise):
        rows = np.minimum(steps + next(ahead), len(actions) - 1)
        return np.broadcast_to(np.repeat(actions[rows], draws, axis=0), (*obs.shape[:2], 2))

    return act


def test_every_task_that_the_paper_draws_can_be_reset():
    assert set(RESETTABLE) == PAPER_S | {"BallRun", "BallCircle"}


@pytest.mark.parametrize("name", RESETTABLE)
def test_the_data_s_own_actions_make_the_recorded_costs_again(name):
    record, simulator = collected(name), open_simulator(TASKS[name])
    assert 0.05 < record["costs"].mean() < 0.95  # both sides of the limit were seen
    assert replay_agreement(simulator, [record]) >= REPLAY_AGREEMENT
    # A lane's step is its own: neither the order nor its neighbours are seen in it.
    states = simulator.begin(record["observations"][:60])
    forward = simulator.step(states, record["actions"][:60])
    backward = simulator.step(states[::-1], record["actions"][:60][::-1])
    alone = simulator.step(states[7:8], record["actions"][7:8])
    simulator.close()
    for ours, theirs, one in zip(forward, backward, alone, strict=True):
        assert np.array_equal(ours, theirs[::-1]) and np.array_equal(ours[7], one[0])
    if name not in ("Walker2dVelocity", "BallCircle"):  # clipped speeds, bounces: not exact
        smooth = np.arange(60) % 8 != 7  # no speed was set there
        seen = np.abs(forward.observations[:-1] - record["observations"][1:60]).max(axis=1)
        assert np.median(seen[smooth[:-1]]) < 1e-4


def test_costs_that_are_not_the_simulator_s_are_noticed(ball_run):
    simulator, record = ball_run
    wrong = record | {"costs": 1 - record["costs"]}
    assert replay_agreement(simulator, [record, wrong]) == pytest.approx(0.5, abs=0.01)
    assert replay_gap(simulator, [record]) == 0
    assert replay_gap(simulator, [wrong]) == abs((1 - 2 * record["costs"]).sum())


def test_states_are_read_from_observations():
    cheetah = velocity_states(np.arange(17.0)[None], 9, 9)
    assert cheetah[0, :19].tolist() == [0, *range(17), 0]
    ant = velocity_states(np.arange(27.0)[None], 15, 14)
    assert ant[0, :3].tolist() == [0, 0, 0] and ant.shape == (1, 15 + 14 + 14)
    ball = ball_states(np.array([[0.1, -0.2, 0.5, 0.4, 0.1, 0.2, 0.3]]))
    expected = [1, -2, 0.5, 2.5, 2, 0, 1, 2, 3]
    assert ball[0] == pytest.approx(expected, abs=1e-4)


def test_a_policy_that_does_what_the_data_did_has_no_gap(ball_run):
    simulator, record = ball_run
    for settings in (GapSettings(every=3, action_draws=2), GapSettings(horizon=6, action_draws=2)):
        steps = np.arange(0, 100, settings.every)
        act = repeating(record["actions"], settings.action_draws, steps)
        recorded, drawn = measure(simulator, act, 2, {4: record}, "BallRun", settings, 2)
        assert drawn.shape == (2, 1, 2)
        assert np.abs(recorded - drawn[..., 0]).max() <= 0.02 * recorded[0]
        if settings.horizon == 1:
            assert recorded[0] == 100 / 34 * record["costs"][::3].sum() == drawn[0, 0, 0]


def test_signs_cancel_and_absolute_values_do_not():
    recorded = np.array([10.0, 20.0])
    drawn = np.array([[[14.0, 16.0], [15.0, 15.0]], [[10.0, 10.0], [20.0, 20.0]]])
    found = gap(recorded, drawn)
    assert found.absolute.tolist() == [5, 0]
    assert found.signed.tolist() == [0, 0]
    assert found.counterfactual.tolist() == [15, 15]


def test_noise_of_the_draws_does_not_make_a_gap():
    rng = np.random.default_rng(0)
    recorded = np.full(2000, 50.0)
    drawn = rng.normal(50, 4, (1, 2000, 400))
    assert gap(recorded, drawn).absolute[0] < 0.25
    assert gap(recorded, drawn[..., :1]).absolute[0] > 3  # one draw: E|N(0, 4)| = 3.2


def test_windows_follow_the_policy():
    starts, left = np.array([[0.5], [-1.0], [2.0]], "f"), np.array([9, 9, 2])
    noise = np.zeros((4, 3, 2, 1), "f")
    costs = counterfactual_costs(Walk(), always(1.0), starts, left, noise, 1)
    # From 0.5: 1.5, 2.5, 3.5 and over. From -1: 0, 1, 2, 3. From 2: 3, 4 (two steps are left).
    assert costs[0, :, 0].tolist() == [3, 2, 2] and (costs[..., 0] == costs[..., 1]).all()


def test_windows_of_the_data_end_with_it():
    costs = np.array([1.0, 0, 1, 1])
    assert window_sums(costs, np.array([0, 1, 3]), 1).tolist() == [1, 0, 1]
    assert window_sums(costs, np.array([0, 1, 3]), 3).tolist() == [2, 2, 1]
    # A trajectory of one cost costs its length, however its windows lie.
    for every, horizon, n in ((2, 2, 4), (1, 20, 100), (7, 1, 100), (7, 20, 1000)):
        sums = window_sums(np.ones(n), np.arange(0, n, every), horizon)
        assert GapSettings(every=every, horizon=horizon).weight(n) * sums.sum() == pytest.approx(n)
    assert GapSettings(every=5).weight(1000) == 5 and GapSettings().weight(77) == 1


def test_a_trajectory_s_numbers_do_not_depend_on_what_is_measured_beside_it(ball_run):
    simulator, record = ball_run
    settings = GapSettings(every=10, action_draws=3)
    records = {index: {k: v[: 60 + index] for k, v in record.items()} for index in (3, 8, 20)}

    def act(obs, noise):
        return np.broadcast_to(np.tanh(noise), (len(obs), *noise.shape))

    _, together = measure(simulator, act, 2, records, "BallRun", settings, 2)
    _, alone = measure(simulator, act, 2, {8: records[8]}, "BallRun", settings, 2)
    assert np.array_equal(together[:, 1], alone[:, 0])
    one, other = (trajectory_noise("BallRun", index, 5, settings, 2) for index in (3, 8))
    assert one.shape == (1, 5, 3, 2) and not np.array_equal(one, other)


def test_auc_is_the_share_of_pairs_in_order():
    scores, positive = np.array([0.1, 0.4, 0.4, 0.8]), np.array([False, True, False, True])
    pairs = [1.0, 1.0, 0.5, 1.0]  # 0.4 and 0.8 against 0.1 and 0.4
    assert cost_classifier.auc(scores, positive) == np.mean(pairs)
    assert cost_classifier.auc(-scores, positive) == 1 - np.mean(pairs)
    assert np.isnan(cost_classifier.auc(scores, np.ones(4, bool)))


def test_a_classifier_learns_what_an_action_costs():
    rng = np.random.default_rng(1)
    obs, actions = rng.normal(3, 2, (4000, 3)).astype("f"), rng.uniform(-1, 1, (4000, 2))
    actions, trajectory = actions.astype("f"), np.repeat(np.arange(40), 100)
    costs = ((obs[:, 0] - 3) / 2 + actions[:, 1] > 1).astype(float)  # about one in six
    model, area = cost_classifier.fit(obs, actions, costs, trajectory, "toy", iterations=300)
    again, same = cost_classifier.fit(obs, actions, costs, trajectory, "toy", iterations=300)
    assert area > 0.98 and same == area
    chances = model.probabilities(obs, actions)
    assert np.array_equal(chances, again.probabilities(obs, actions))
    # Trained on as many costly steps as others, and yet its chances add up to the costs.
    assert chances.sum() == pytest.approx(costs.sum(), rel=0.2)
    record = {"observations": obs[:100], "actions": actions[:100], "costs": costs[:100]}
    # To the last bit only among as many rows: other numbers of them may round otherwise.
    assert np.array_equal(replay(model, record), model.probabilities(obs[:100], actions[:100]))
    np.testing.assert_allclose(replay(model, record), chances[:100], rtol=1e-4)


def test_a_classifier_of_data_without_costs_expects_next_to_none():
    obs, actions = np.ones((200, 3), "f"), np.ones((200, 1), "f")
    trajectory = np.repeat(np.arange(10), 20)
    model, area = cost_classifier.fit(obs, actions, np.zeros(200), trajectory, "none")
    assert np.isnan(area) and model.probabilities(obs, actions).max() < 0.02


def test_a_classifier_is_made_of_costs_of_nothing_and_one_alone(ball_run_file, tmp_path):
    task, path = TASKS["BallRun"], tmp_path / "half.hdf5"
    assert zeros_and_ones(ball_run_file, task)
    arrays = hdf5.read(ball_run_file, task)
    dataset.write(path, [arrays | {"costs": arrays["costs"] / 2}], {})
    assert not zeros_and_ones(path, task)


def test_runs_and_trajectories_are_chosen():
    runs = pd.DataFrame(
        {"iteration": [0, 10, 20, 0], "tau": [20, 20, 20, 40], "draw": [0, 0, 1, 1]}
    )
    runs["seed"] = runs["draw"]
    assert chosen_runs(runs, {}).index.tolist() == [0, 1, 2, 3]
    assert chosen_runs(runs, {"until": 10, "tau": 20}).index.tolist() == [0, 1]
    labelled = runs.assign(tau=np.nan)
    assert chosen_runs(labelled, {"tau": None, "draw": 1}).index.tolist() == [2, 3]
    assert chosen_runs(runs, {"draw": [1], "seed": 1}).index.tolist() == [2, 3]
    splits = pd.DataFrame({"tau": 20, "draw": 0, "role": "preferred", "index": range(30)})
    labelled = splits.assign(tau=np.nan, index=splits["index"] + 100)
    splits = pd.concat([splits, labelled])
    few = chosen_trajectories(splits, "BallRun", 20, 0, "preferred", 5)
    assert len(few) == 5 and (np.diff(few) > 0).all()
    assert few.tolist() == chosen_trajectories(splits, "BallRun", 20, 0, "preferred", 5).tolist()
    assert chosen_trajectories(splits, "BallRun", 20, 0, "preferred", 30).tolist() == [*range(30)]
    assert chosen_trajectories(splits, "BallRun", None, 0, "preferred", 50).min() == 100
    assert not len(chosen_trajectories(splits, "BallRun", 20, 1, "preferred", 5))


def test_a_few_trajectories_are_read_alone(ball_run_file):
    task = TASKS["BallRun"]
    table = dataset.trajectory_table(ball_run_file, task)
    whole = hdf5.read(ball_run_file, task, ("actions", "costs"))
    records = read_records(ball_run_file, task, table, [9, 2])
    assert list(records) == [2, 9]
    assert np.array_equal(records[9]["actions"], whole["actions"][900:1000])
    with pytest.raises(UserError, match="has 1600 steps, none at 1609"):
        hdf5.spans(ball_run_file, task, ("costs",), [1510], [100])
    with pytest.raises(UserError, match="trajectory 2 has another cost"):
        read_records(ball_run_file, task, table.assign(cost=table["cost"] + 1), [2])


def test_phases_are_thirds_without_their_begin():
    iterations = pd.Series([0, 1, 100, 101, 200, 201, 300, 301])
    found = phases(iterations, pd.Series([300] * 8)).tolist()
    assert found[1:7] == ["early", "early", "mid", "mid", "late", "late"]
    assert pd.isna(found[0]) and pd.isna(found[7])
    assert phases(pd.Series([0]), pd.Series([0])).isna().all()


def test_a_panel_says_where_its_costs_come_from():
    row = pd.Series({"simulated": "simulator", "agreement": 0.995, "auc": np.nan})
    assert title("Task", row) == "Task"
    assert "98.0 % ONLY" in title("Task", row.replace(0.995, 0.98))
    row["simulated"], row["auc"] = "classifier", 0.876
    assert title("Task", row) == "Task: a classifier's guess, AUC 0.876"


@pytest.fixture(scope="module")
def measured(ball_run_file, tmp_path_factory):
    """A folder with the gap of two runs' snapshots on BallRun, measured by the script."""
    folder, task = tmp_path_factory.mktemp("gap"), TASKS["BallRun"]
    table = dataset.trajectory_table(ball_run_file, task)
    table.to_csv(folder / "trajectories.csv", index=False)
    rows = [
        {"tau": 20, "draw": draw, "role": role, "index": 4 * draw + place + (8 if unsafe else 0)}
        for draw in (0, 1)
        for unsafe, role in enumerate(("preferred", "nonpreferred"))
        for place in range(4)
    ]
    pd.DataFrame(rows).to_csv(folder / "splits.csv", index=False)
    policy, replicas, runs = GaussianPolicy(7, 2, (8,)), [], []
    for seed in (0, 1):
        for iteration in (0, 100, 200, 300, 400):
            source = torch.Generator().manual_seed(iteration and 1000 * seed + iteration)
            replicas.append(policy.init(source))
            run = {"run": f"r{seed}", "tau": 20, "draw": seed, "seed": seed}
            runs.append(run | {"iteration": iteration})
    about = {"task": task.to_dict(), "runs": runs}
    snapshots = PolicyStack(policy, stack(replicas), np.zeros(7, "f"), np.ones(7, "f"), about)
    policy_file.save(folder / "snapshots.safetensors", snapshots)
    settings = {"trajectories": 3, "every": 10, "action_draws": 4, "until": 300, "tau": 20}
    files = {
        "policies": folder / "snapshots.safetensors",
        "data": ball_run_file,
        "trajectories": folder / "trajectories.csv",
        "splits": folder / "splits.csv",
        "output": folder / "BallRun.csv",
    }
    options = [word for name, path in files.items() for word in (f"--{name}", path)]
    call(
        "evaluation/cost_gap",
        *options,
        "--source",
        "collect",
        "--settings",
        json.dumps(settings),
    )
    return folder


def call(script, *options):
    """Run a script and return what it told the person."""
    done = forked.run(ROOT / "scripts", f"{script}.py", *options)
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stderr


def test_the_table_has_a_row_for_each_snapshot_and_set(measured):
    table = pd.read_csv(measured / "BallRun.csv")
    assert list(table) == list(COLUMNS)
    assert len(table) == 2 * 4 * 2 and table["iteration"].max() == 300 == table["until"].max()
    assert (table["agreement"] >= REPLAY_AGREEMENT).all() and (
        table["simulated"] == "simulator"
    ).all()
    assert (table["trajectories"] == 3).all() and (table["source"] == "collect").all()
    difference = table["data_cost"] - table["counterfactual_cost"]
    assert table["signed_gap"].to_numpy() == pytest.approx(difference.to_numpy())
    assert (table["gap"] >= table["signed_gap"].abs() - 1e-9).all()
    # Iteration 0 is one policy; D_p and D_np differ between the runs, and so do the numbers.
    assert table.groupby(["run", "set"])["data_cost"].nunique().max() == 1


def test_figure_2_shows_what_is_there_and_names_what_is_not(measured):
    (measured / "Empty.csv").write_text(",".join(COLUMNS) + "\n")
    guess = pd.read_csv(measured / "BallRun.csv")
    guess = guess.assign(task="CarRun", simulated="classifier", agreement=np.nan, auc=0.9)
    guess["replay_gap"] = 2.5
    guess[guess["iteration"] <= 200].to_csv(measured / "CarRun.csv", index=False)
    names = ("BallRun", "CarRun", "Empty", "Absent")
    files = [measured / f"{name}.csv" for name in names]
    call("figures/fig02_cost_gap", "--tables", *files, "--output", measured / "fig2.png")
    numbers = pd.read_csv(measured / "fig2.csv")
    assert (measured / "fig2.pdf").read_bytes().startswith(b"%PDF")
    gone = numbers[numbers["missing"].notna()]
    assert gone["task"].tolist() == ["Empty", "Absent"]
    table, row = pd.read_csv(measured / "BallRun.csv"), numbers.iloc[1]
    assert (row["set"], row["phase"], row["runs"]) == ("preferred", "mid", 2)
    mid = table[(table["iteration"] == 200) & (table["set"] == "preferred")]
    before = table[(table["iteration"] == 0) & (table["set"] == "preferred")]
    assert row["gap"] == pytest.approx(mid["gap"].mean())
    assert row["gap_std"] == pytest.approx(mid["gap"].std())
    assert row["signed_gap"] == pytest.approx(mid["signed_gap"].mean())
    assert row["baseline_gap"] == pytest.approx(before["gap"].mean())
    late = numbers[(numbers["task"] == "CarRun") & (numbers["phase"] == "late")]
    assert late["gap"].isna().all() and (late["runs"] == 0).all()
    note = (
        (measured / "fig2.png").read_bytes().split(b"Description\0", 1)[1][:700].decode("latin-1")
    )
    assert "not DSRL's" in note and "thirds of the first 300 iterations" in note
    assert "Missing: Empty, Absent." in note and "the state decides" in note


def test_figure_2_of_nothing_is_drawn_too(tmp_path):
    call(
        "figures/fig02_cost_gap", "--tables", tmp_path / "a.csv", "--output", tmp_path / "fig2.png"
    )
    assert pd.read_csv(tmp_path / "fig2.csv")["task"].tolist() == ["a"]
