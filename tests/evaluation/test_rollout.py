"""Seeded rollouts: one row an episode, common random numbers, no influence of neighbours."""

import os
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from conftest import needs_simulators
from hand_made_policies import some_policies
from prefine.errors import UserError
from prefine.evaluation import rollout
from prefine.policies import file as policy_file
from prefine.policies.registry import describe
from prefine.simulators import make as simulators
from prefine.tasks import OWN, PAPER_TASKS, TASKS, Task

CPU = torch.device("cpu")


@needs_simulators
@pytest.mark.parametrize("mode", ["deterministic", "bcq", "sampled"])
def test_episodes_equal_a_plain_loop(mode):
    task = TASKS["BallRun"]
    stack = some_policies(task)
    table = rollout.evaluate(stack, task, 3, mode)
    assert table["replica"].tolist() == [0, 0, 0, 1, 1, 1]
    assert table["episode"].tolist() == [0, 1, 2] * 2
    policy, one = stack.policy, stack.replica(1).params
    env = simulators.make("BallRun")
    for episode in range(3):
        obs, _ = env.reset(seed=10_000 + episode)
        noise = rollout.generator("evaluate", "BallRun", episode).standard_normal(
            (task.horizon, policy.sample_dim), dtype=np.float32
        )
        total = cost = 0.0
        for step in range(task.horizon):
            state = torch.as_tensor(obs, dtype=torch.float32)[None, None]
            action = policy.act(one, state, mode, torch.from_numpy(noise[step])[None, None])
            obs, reward, *_, info = env.step(action[0, 0].numpy())
            total, cost = total + reward, cost + info["cost"]
        row = table[(table["replica"] == 1) & (table["episode"] == episode)].iloc[0]
        assert row["return"] == pytest.approx(total, rel=1e-3)
        assert row["cost"] == pytest.approx(cost, abs=1)
        assert row["length"] == 100


@needs_simulators
def test_rollouts_repeat_bitwise_and_equal_policies_have_equal_episodes():
    task = TASKS["BallCircle"]
    stack = some_policies(task)
    pairs = {name: torch.stack([value[0], value[0]]) for name, value in stack.params.items()}
    twins = replace(stack, params=pairs)
    one = rollout.evaluate(twins, task, 2, "deterministic")
    two = rollout.evaluate(twins, task, 2, "deterministic")
    pd.testing.assert_frame_equal(one, two)
    columns = ["episode", "return", "cost", "length", "terminated"]
    first, second = (one.loc[one["replica"] == r, columns].reset_index(drop=True) for r in (0, 1))
    pd.testing.assert_frame_equal(first, second)


@needs_simulators
@pytest.mark.parametrize(
    ("name", "kind", "mode"),
    [("HopperVelocity", "cvae", "sampled"), ("Walker2dVelocity", "gaussian", "deterministic")],
)
def test_workers_order_and_neighbours_change_no_number(name, kind, mode, monkeypatch):
    """Episodes of both tasks end at different times, so that blocks thin out."""
    task = TASKS[name]
    stack = some_policies(task, 3, kind, hidden=(256, 256))
    one = rollout.evaluate(stack, task, 11, mode)
    for workers in (2, 5):
        other = rollout.evaluate(stack, task, 11, mode, workers=workers)
        pd.testing.assert_frame_equal(one, other, check_exact=True)

    def shuffled(*arguments, blocks_of=rollout.blocks_of):
        blocks = blocks_of(*arguments)
        return [blocks[place] for place in np.random.default_rng(0).permutation(len(blocks))]

    monkeypatch.setattr(rollout, "blocks_of", shuffled)
    other = rollout.evaluate(stack, task, 11, mode, workers=2)
    pd.testing.assert_frame_equal(one, other, check_exact=True)
    last = stack.replica(2)
    alone = rollout.evaluate(last, task, 11, mode).drop(columns="replica")
    beside = one[one["replica"] == 2].drop(columns="replica").reset_index(drop=True)
    pd.testing.assert_frame_equal(alone, beside, check_exact=True)


def two_of_another_making(task):
    """π_ref, and two policies with other sizes and another scale of what they see."""
    other = some_policies(task, 2, hidden=(8,))
    scale = np.linspace(0.5, 2.0, task.obs_dim, dtype=np.float32)
    own = replace(other, mean=scale - 1, std=scale)
    return some_policies(task, 3, "gaussian").replica(2), own


@needs_simulators
def test_a_mix_of_nothing_is_pi_ref_and_of_all_the_policy_itself():
    task = TASKS["BallRun"]
    reference, own = two_of_another_making(task)
    scores = ["return", "cost", "length", "terminated"]

    def played(stack, mix=None):
        return rollout.evaluate(stack, task, 3, "deterministic", mix=mix)

    alone, whole = played(reference), played(own)
    nothing = played(own, rollout.Mix(reference, 0.0))
    for replica in (0, 1):
        rows = nothing.loc[nothing["replica"] == replica, scores].reset_index(drop=True)
        pd.testing.assert_frame_equal(rows, alone[scores], check_exact=True)
    pd.testing.assert_frame_equal(played(own, rollout.Mix(reference, 1.0)), whole, check_exact=True)
    half = played(own, rollout.Mix(reference, 0.5))["return"].to_numpy()
    assert not set(half) & {*whole["return"], *alone["return"]}


@needs_simulators
def test_policies_with_noise_of_other_sizes_can_be_mixed():
    task = TASKS["BallRun"]
    one, two = some_policies(task, 1, "gaussian"), some_policies(task, 2).replica(0)
    assert one.policy.sample_dim != two.policy.sample_dim
    for own, other in ((one, two), (two, one)):
        found = rollout.evaluate(own, task, 2, "deterministic", mix=rollout.Mix(other, 0.0))
        alone = rollout.evaluate(other, task, 2, "deterministic")
        pd.testing.assert_frame_equal(found, alone, check_exact=True)


@pytest.mark.parametrize("weight", [0.0, 0.25, 1.0])
def test_a_mixed_action_is_the_weighted_mean_of_both_each_seeing_what_it_is_used_to(weight):
    task = TASKS["BallRun"]
    reference, own = two_of_another_making(task)
    played = rollout.Rollout(own, task, "deterministic", ["a", "b"], "evaluate", False)
    played.mix = rollout.Mix(reference, weight)
    block = rollout.Block(1, np.arange(4), params=own.replica(1).params)
    block.begin(0, played.width)
    block.obs = np.random.default_rng(0).normal(size=(1, played.width, task.obs_dim))
    block.obs = block.obs.astype(np.float32)
    theirs, ours = reference.act(block.obs[0])[0], own.act(block.obs[0])[1]
    expected = (1 - weight) * theirs + weight * ours
    np.testing.assert_allclose(played.actions(block), expected[:4], rtol=0, atol=1e-6)


def test_sampled_actions_are_not_mixed():
    task = TASKS["BallRun"]
    reference, own = two_of_another_making(task)
    with pytest.raises(ValueError, match="no mix of sampled actions"):
        rollout.evaluate(own, task, 1, "sampled", mix=rollout.Mix(reference, 0.5))


def children():
    """Processes that this one has started and that still run."""
    listed = Path(f"/proc/self/task/{os.getpid()}/children").read_text().split()
    return [int(pid) for pid in listed]


@needs_simulators
def test_a_killed_worker_changes_no_number_and_leaves_no_process():
    task = TASKS["BallRun"]
    arguments = (some_policies(task), task, 10, "sampled")
    before, killed = set(children()), []
    whole = rollout.evaluate(*arguments, workers=2)

    def kill_once(n_ended):
        if n_ended and not killed:
            killed.append(next(pid for pid in children() if pid not in before))
            os.kill(killed[0], signal.SIGKILL)

    again = rollout.evaluate(*arguments, kill_once, workers=2)
    assert killed
    pd.testing.assert_frame_equal(whole, again, check_exact=True)
    assert set(children()) == before


DYING = {  # the first worker; the parent waits for its end before it says anything
    "before it is told its task": "",
    "in the midst of its first reply": """
import os, struct, sys
os.write(int(sys.argv[1]), struct.pack("!i", 100) + b"A" * 10)
""",
}


@pytest.mark.parametrize("when", DYING)
def test_a_worker_that_dies_at_its_start_changes_nothing(when, tmp_path, monkeypatch):
    task = frail_task(tmp_path, "pass", once=False)
    before, begun = set(children()), []

    class Popen(subprocess.Popen):
        def __init__(self, command, **options):
            number, first = command[-1], not begun
            begun.append(number)
            does = DYING[when] if first else rollout.START
            super().__init__([sys.executable, "-c", does, number], **options)
            if first:
                self.wait()

    monkeypatch.setattr(rollout.subprocess, "Popen", Popen)
    table = rollout.evaluate(some_policies(task), task, 5, "deterministic")
    assert len(begun) == 2 and len(table) == 10 and (table["return"] == 4).all()
    assert set(children()) == before


FRAIL = """
import os, time
from pathlib import Path
import gymnasium
import numpy as np

class Frail(gymnasium.Env):
    observation_space = gymnasium.spaces.Box(-1, 1, (2,))
    action_space = gymnasium.spaces.Box(-1, 1, (1,))

    def __init__(self):
        with Path(__file__).with_name("made").open("a") as file:
            file.write(".")

    def reset(self, *, seed=None, options=None):
        self.number, self.steps = seed - 10_000, 0
        return np.zeros(2, np.float32), {{}}

    def step(self, action):
        self.steps += 1
        marker = Path(__file__).with_name("once")
        if self.number == 3 and self.steps == 2 and not ({once} and marker.exists()):
            marker.touch()
            {trouble}
        return np.full(2, 0.1, np.float32), 1.0, False, False, {{"cost": 0.0}}

gymnasium.register("{name}-v0", entry_point="{module}:Frail", max_episode_steps=4)
"""


def frail_task(folder, trouble, once):
    name = f"Frail{abs(hash((str(folder), trouble)))}"
    module = folder / f"{name.lower()}.py"
    text = FRAIL.format(trouble=trouble, once=once, name=name, module=module.stem)
    module.write_text(text)
    scores = {"max_cost": 0.0, "min_return": 0.0, "max_return": 1.0, "n_trajectories": 1}
    return Task(name, "f", OWN, f"{name}-v0", 4, 2, 1, **scores, module=str(module))


def test_a_worker_makes_no_more_environments_than_it_plays_at_once(tmp_path):
    task = frail_task(tmp_path, "pass", once=False)
    blocks = rollout.blocks_of(task, [200, 200], 1)
    sizes = [len(block.episodes) for block in blocks]
    assert sizes[:6] == [50] * 6 and sizes == sorted(sizes, reverse=True) and sizes[-1] < 10
    assert len(rollout.evaluate(some_policies(task), task, 200, "deterministic")) == 400
    assert len((tmp_path / "made").read_text()) == rollout.LANES * 50


TROUBLES = {
    "os._exit(3)": "the simulator's process ended with 3",
    "os.kill(os.getpid(), 11)": "the simulator's process was ended by SIGSEGV",
    "time.sleep(600)": "the simulator's process did not answer",
    "raise ValueError('joint 4 is NaN')": "ValueError: joint 4 is NaN",
}


@pytest.mark.parametrize("trouble", TROUBLES)
def test_a_failure_that_does_not_come_again_is_overcome(trouble, tmp_path):
    task = frail_task(tmp_path, trouble, once=True)
    before = set(children())
    silence = 30 if "sleep" in trouble else 300
    table = rollout.evaluate(some_policies(task), task, 5, "deterministic", silence=silence)
    assert len(table) == 10 and (table["length"] == 4).all()
    assert (table["return"] == 4).all() and set(children()) == before


@pytest.mark.parametrize(("trouble", "reason"), TROUBLES.items())
def test_a_failure_that_comes_again_names_task_policy_and_episode(trouble, reason, tmp_path):
    task = frail_task(tmp_path, trouble, once=False)
    before = set(children())
    with pytest.raises(UserError) as error:
        silence = 30 if "sleep" in trouble else 300
        names = ["main/bc/seed0", "main/bc/seed1"]
        rollout.evaluate(
            some_policies(task),
            task,
            5,
            "deterministic",
            workers=2,
            names=names,
            silence=silence,
        )
    message = str(error.value)
    assert message.startswith(f"{task.name}: policy main/bc/seed") and "episodes" in message
    assert " 3" in message and reason in message and "second time" in message
    assert set(children()) == before


def test_an_environment_that_cannot_be_made_is_said_at_once(tmp_path):
    task = replace(frail_task(tmp_path, "pass", once=False), env_id="Nowhere-v0")
    with pytest.raises(UserError, match="environment Nowhere-v0: cannot be made"):
        rollout.evaluate(some_policies(task), task, 2, "deterministic")


@needs_simulators
@pytest.mark.parametrize("name", PAPER_TASKS)
def test_every_task_of_the_paper_can_be_evaluated(name):
    task = TASKS[name]
    table = rollout.evaluate(some_policies(task, 1), task, 1, "sampled")
    assert len(table) == 1 and 0 < table["length"][0] <= task.horizon
    assert np.isfinite(table[["return", "cost"]]).all(axis=None)


@needs_simulators
def test_a_fall_ends_the_episode():
    task = TASKS["HopperVelocity"]
    table = rollout.evaluate(some_policies(task, 1), task, 2, "sampled")
    assert table["terminated"].all() and (table["length"] < 1000).all()


def test_policies_survive_a_round_trip(tmp_path):
    task = TASKS["BallRun"]
    stack = some_policies(task)
    metadata = {
        "policy": "cvae",
        "obs_dim": 7,
        "act_dim": 2,
        "hidden": [16],
        "runs": [{"run": "a"}],
    }
    path = tmp_path / "policy.safetensors"
    policy_file.save(path, replace(stack, metadata=metadata))
    loaded = policy_file.load(path)
    assert loaded.policy == stack.policy and loaded.metadata == metadata | describe(stack.policy)
    assert all(torch.equal(stack.params[name], loaded.params[name]) for name in stack.params)
    assert [file.name for file in tmp_path.iterdir()] == ["policy.safetensors"]


def test_something_else_is_refused_as_a_policy(tmp_path):
    path = tmp_path / "policy.safetensors"
    path.write_bytes(b"\x80\x04not a policy")
    with pytest.raises(UserError, match="not a policy of this project"):
        policy_file.load(path)


@needs_simulators
def test_no_worker_is_waited_for_that_has_nothing_to_play():
    """Two blocks, which one worker plays in turn, and room for two workers."""
    task, before, seen = TASKS["BallRun"], set(children()), []
    rollout.evaluate(
        some_policies(task, 1),
        task,
        2,
        "deterministic",
        on_episode=lambda _: seen.append(len(set(children()) - before)),
        workers=2,
    )
    assert max(seen) == 1
