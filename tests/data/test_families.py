"""How families of behaviour policies are made: the trainer, the choice of snapshots, the files."""

import json
import re
import shutil

import forked
import numpy as np
import pytest
import torch
import yaml
from conftest import ROOT, counts, snakemake
from prefine.config.check import behaviour_recipes
from prefine.data import selection
from prefine.data.behaviours import Weight, limit_at, train_branch
from prefine.errors import UserError
from prefine.policies import file as policy_file
from prefine.policies.fold import common_scale, folded
from prefine.policies.gaussian import behaviour_policy
from prefine.policies.stack import PolicyStack
from prefine.tasks import TASKS

BALL_RUN = TASKS["BallRun"]


def some_snapshot(seed, obs_dim=7, act_dim=2):
    """Arrays of a policy of Stable-Baselines3, as the trainer keeps them."""
    rng = np.random.default_rng(seed)
    sizes = {
        "mlp_extractor.policy_net.0": (64, obs_dim),
        "mlp_extractor.policy_net.2": (64, 64),
        "action_net": (act_dim, 64),
    }
    arrays = {"log_std": rng.normal(size=act_dim)}
    for name, (n_out, n_in) in sizes.items():
        arrays[f"{name}.weight"] = 0.3 * rng.normal(size=(n_out, n_in))
        arrays[f"{name}.bias"] = rng.normal(size=n_out)
    arrays["obs_mean"] = rng.normal(size=obs_dim)
    arrays["obs_std"] = rng.uniform(0.5, 2, size=obs_dim)
    return {name: value.astype(np.float32) for name, value in arrays.items()}


def test_folded_policies_act_as_those_they_come_from():
    snapshots = [some_snapshot(seed) for seed in range(3)]
    mean, std = common_scale(snapshots)
    params = {n: torch.from_numpy(v) for n, v in folded(snapshots, mean, std).items()}
    stack = PolicyStack(behaviour_policy(BALL_RUN), params, mean, std)
    obs = np.random.default_rng(9).normal(size=(5, 7)).astype(np.float32)
    for own, (means, log_std) in zip(snapshots, distributions(stack, obs), strict=True):
        x = (obs - own["obs_mean"]) / own["obs_std"]
        for layer in ("mlp_extractor.policy_net.0", "mlp_extractor.policy_net.2"):
            x = np.tanh(x @ own[f"{layer}.weight"].T + own[f"{layer}.bias"])
        expected = x @ own["action_net.weight"].T + own["action_net.bias"]
        np.testing.assert_allclose(means, expected, rtol=1e-3, atol=1e-4)
        np.testing.assert_array_equal(log_std[0], own["log_std"])


def distributions(stack, obs):
    scaled = torch.from_numpy((obs - stack.mean) / stack.std).expand(len(stack), *obs.shape)
    return zip(*(t.numpy() for t in stack.policy.distribution(stack.params, scaled)), strict=True)


def test_the_limit_goes_along_straight_lines():
    points = [(0, 10), (0.5, 10), (1, 110)]
    assert [limit_at(points, share) for share in (0, 0.3, 0.5, 0.75, 1, 2)] == [
        *(10, 10, 10, 60, 110, 110)
    ]


def test_the_weight_follows_the_gap():
    weight = Weight({"rate": 2.0, "proportional": 1.0, "most": 3.0}, 1.0)
    assert weight.follow(0.5) == 1 + 2 * 0.5 + 0.5
    assert weight.follow(10.0) == 3 + 10 and weight.total == 3
    assert weight.follow(-1.0) == 0 and weight.total == 1
    sought = Weight({"rate": 1.0, "least": -0.2}, 0.0)
    assert sought.follow(-5.0) == -0.2


TINY = {"environments": 4, "rate": 0.3, "limits": [[0, 3], [1, 80]], "steps": 1600}
TINY["ppo"] = {"learning_rate": [1e-3, 1e-4], "n_steps": 100, "batch_size": 100, "n_epochs": 1}


def train(folder, name, recipe):
    """Train a branch by the script."""
    command = [ROOT / "scripts", "data/behaviours.py", "--task", "BallRun"]
    command += ["--branch", name, "--recipe", json.dumps({"BallRun": {name: recipe}})]
    command += ["--output", folder / f"{name}.npz"]
    done = forked.run(*command)
    assert done.returncode == 0, done.stderr[-3000:]


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """The branches `first` and `second`, which goes on from it."""
    folder = tmp_path_factory.mktemp("behaviours")
    train(folder, "first", TINY)
    train(folder, "second", TINY | {"begin": ["first", 800], "rest": 4, "steps": 1200, "every": 2})
    return folder


def test_branches_repeat_and_go_on_from_each_other(trained):
    with np.load(trained / "first.npz") as first, np.load(trained / "second.npz") as second:
        assert first["row.steps"].tolist() == [400, 800, 1200, 1600]
        assert second["row.steps"].tolist() == [400, 1200]
        np.testing.assert_allclose(first["row.limit"], [22.25, 41.5, 60.75, 80])
        weights = "mlp_extractor.policy_net.0.weight"
        np.testing.assert_array_equal(second[weights][0], first[weights][1])
        np.testing.assert_array_equal(second[weights][1], first[weights][1])  # it rests
        assert (first[weights][0] != first[weights][1]).any()
        again = train_branch("BallRun", "first", TINY)
        np.testing.assert_array_equal(again.policies[3][weights], first[weights][3])


def test_snapshots_are_chosen_and_become_a_family(trained, tmp_path):
    branches = sorted(trained.glob("*.npz"))
    command = [ROOT / "scripts", "data/choose_behaviours.py", "--task", "BallRun"]
    command += [
        "--trained",
        *branches,
        "--thresholds",
        "[10, 40]",
        "--first",
        "2",
        "--episodes",
        "2",
    ]
    for name in ("table1", "tables23"):
        path = ROOT / f"workflow/paper/{name.replace('23', '2_3')}.csv"
        command += [f"--{name}", path]
    command += ["--rounds", "2", "--output", tmp_path / "BallRun.npz"]
    done = forked.run(*command)
    assert done.returncode == 0, done.stderr[-3000:]
    command = [ROOT / "scripts", "data/family.py", "--output", tmp_path / "shipped"]
    command += ["--arrays", tmp_path / "BallRun.npz", "--about", tmp_path / "BallRun.json"]
    command += ["--trained", *branches]
    done = forked.run(*command)
    assert done.returncode == 0, done.stderr[-3000:]
    stack = policy_file.load(tmp_path / "shipped/BallRun.safetensors")
    rows = stack.metadata["runs"]
    assert 1 <= len(rows) == len(stack) <= 6
    assert {row["branch"] for row in rows} <= {"first", "second"}
    card = (tmp_path / "shipped/BallRun.md").read_text()
    assert all(f"| {row['branch']} | {row['steps']} | {row['episodes']} |" in card for row in rows)
    recipes = yaml.safe_load((tmp_path / "shipped/recipes.yaml").read_text())
    assert recipes["BallRun"]["first"] == TINY


def test_weights_even_out_and_a_cover_takes_what_is_new_first():
    """Two snapshots in one place, one in another: the one alone gets what both get together."""
    task, one, other = BALL_RUN, np.full((10, 2), (300.0, 10.0)), np.full((10, 2), (900.0, 70.0))
    episodes = [one, one, other]
    shares = selection.histograms(episodes, task)
    np.testing.assert_allclose(shares.sum(axis=1), 1)
    assert selection.cover(shares, 3)[:2] == [0, 2]
    np.testing.assert_allclose(selection.weights(shares), [0.25, 0.25, 0.5], atol=1e-3)
    costly = selection.histograms([np.full((4, 2), (300.0, 81.0))], task)
    assert costly[0, -1] == 1


def test_what_costs_too_much_is_made_up_for():
    episodes = [np.full((10, 2), (300.0, 10.0)), np.r_[[[300.0, 10.0]], [[300.0, 99.0]]]]
    shares = selection.histograms(episodes, BALL_RUN)
    counts = selection.episodes_of(np.array([0.5, 0.5]), shares, BALL_RUN, 1.0)
    assert counts.tolist() == [round(0.5 * 940 / 0.75)] * 2
    returns, costs = selection.simulated(episodes, counts, BALL_RUN, np.random.default_rng(0))
    assert len(returns) <= 940 and costs.max() <= 80


def test_a_search_finds_what_is_asked_for():
    """Of 60 places the even ones are wanted, 20 at least."""

    def value(chosen):
        return sum(1 if place % 2 else -1 for place in chosen)

    rng = np.random.default_rng(0)
    found = selection.search(list(range(20)), 60, value, 3000, rng)
    assert len(set(found)) == len(found) and value(found) <= -26


BRANCH = "{steps: 9, environments: 1, limits: [[0, 1]], rate: 1, ppo: {learning_rate: 1.0e-3}"


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "has no settings"),
        ("BallRun: 5", "BallRun: 5 is not allowed; must be object"),
        ("BalRun: {}", "'BalRun' is no task; did you mean 'BallRun'"),
        ("BallRun: {a: {steps: 5}}", "BallRun.a: lacks environments, limits, rate, ppo"),
        (f"BallRun: {{a: {BRANCH}, evry: 2}}}}", "unknown key 'evry' in BallRun.a; did you mean"),
        (f"BallRun: {{a: {BRANCH}, begin: [b, 5]}}}}", "a goes on from b, which is no branch"),
        (f"BallRun: {{a: {BRANCH}, begin: [a, 5]}}}}", "a goes on from a, which has no beginning"),
    ],
)
def test_a_mistake_in_the_recipes_is_one_line(tmp_path, text, says):
    (tmp_path / "recipes.yaml").write_text(text)
    with pytest.raises(UserError, match=re.escape(says)) as error:
        behaviour_recipes(tmp_path / "recipes.yaml")
    assert "\n" not in str(error.value)


def test_a_damaged_branch_is_one_line(trained, tmp_path):
    shutil.copytree(trained, tmp_path / "own")
    (tmp_path / "own/first.npz").write_bytes((trained / "first.npz").read_bytes()[:-100])
    recipe = json.dumps({"BallRun": {"again": TINY | {"begin": ["first", 800]}}})
    command = [ROOT / "scripts", "data/behaviours.py", "--task", "BallRun"]
    command += ["--branch", "again", "--recipe", recipe, "--output", tmp_path / "own/again.npz"]
    done = forked.run(*command)
    assert done.returncode == 1 and "first.npz: is no archive of arrays" in done.stderr
    assert "unexpected" not in done.stderr


def test_making_families_anew_is_a_job_a_branch(project, tmp_path):
    overlay = tmp_path / "some.yaml"
    overlay.write_text("tasks: [HalfCheetahVelocity, HopperVelocity]\n")
    options = ["-n", "--cores", "2", "--configfile", overlay]
    jobs = counts(snakemake("behaviours", *options, cwd=project))
    recipes = yaml.safe_load((ROOT / "workflow/behaviours/recipes.yaml").read_text())
    branches = sum(len(recipes[task]) for task in ("HopperVelocity", "HalfCheetahVelocity"))
    assert jobs.pop("total") == branches + 5
    assert jobs == {"train_behaviours": branches, "choose_behaviours": 2, "family": 2} | {
        "behaviours": 1
    }
    overlay.write_text(
        "tasks: [BallRun, DroneCircle]\n"
        "collect: {recipes: {DroneCircle: {behaviours: [{steps: 9}]}}}\n"
    )
    text = snakemake("behaviours", *options, cwd=project, check=False)
    assert "recipes.yaml: has no branches for DroneCircle; write some" in text
