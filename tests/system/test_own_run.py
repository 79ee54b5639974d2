"""A user's own policy from its file to the report: labels, choice, before and after."""

import json
import re
import shutil
import subprocess
import sys

import browser
import numpy as np
import pandas as pd
import pytest
import torch
import yaml
from conftest import ROOT, snakemake
from prefine.analysis.paired import compare, difference, share
from prefine.config import check as configuration
from prefine.data import rollouts as own_rollouts
from prefine.errors import UserError
from prefine.evaluation.rollout import evaluate
from prefine.policies import file as policy_file
from prefine.policies.formats.read import read_policy
from prefine.policies.gaussian import GaussianPolicy
from prefine.policies.stack import PolicyStack
from prefine.preferences.labels import read_labels, sheet, waiting
from prefine.tasks import TASKS, Task

PAPER = yaml.safe_load((ROOT / "config.yaml").read_text())
TRAJECTORIES = pd.DataFrame(
    {"index": range(8), "start": 0, "length": 10, "return": np.arange(8.0) / 3, "cost": np.nan}
)


def labels_of(folder, text):
    path = folder / "labels.csv"
    path.write_text(text)
    return read_labels(path, TRAJECTORIES)


def filled(labels, **changes):
    """A sheet with labels in their order."""
    table = sheet(TRAJECTORIES).assign(label=labels)
    return table.assign(**changes).to_csv(index=False)


P, N = "preferred", "nonpreferred"


def test_a_sheet_comes_back_with_what_was_judged(tmp_path):
    bare = tmp_path / "bare.csv"
    bare.write_text(filled([""] * 8))
    assert waiting(bare)
    sets = labels_of(tmp_path, filled([P, "", N, P, N, f" {P} ", N, ""]))
    assert sets[P].tolist() == [0, 3, 5] and sets[N].tolist() == [2, 4, 6]
    assert not waiting(tmp_path / "labels.csv")


@pytest.mark.parametrize(
    ("text", "finding"),
    [
        (filled([P, P, P, N, N, "", "", ""]), "only 2 nonpreferred; at least 3 of each label"),
        (filled([P] * 8), "no trajectory is nonpreferred; both labels are needed"),
        (filled([P, P, P, N, N, N, "good", ""]), "line 8: 6,good: has another label than"),
        (
            filled([P] * 4 + [N] * 4, trajectory=[*range(1, 8), 0]),
            "line 2: 1,preferred: has another ret",
        ),
        (filled([P] * 4 + [N] * 4, length=11), "has another length here; the labels are of other"),
        (
            "trajectory,label\n" + "".join(f"{n},{P if n % 2 else N}\n" for n in range(9)),
            "line 10: 8,nonpreferred: is not a trajectory of 0 to 7; the labels are of other",
        ),
    ],
)
def test_labels_that_cannot_be_meant_end_in_one_line(text, finding, tmp_path):
    with pytest.raises(UserError, match=re.escape(finding)) as error:
        labels_of(tmp_path, text)
    assert "\n" not in str(error.value)


def test_episodes_take_every_gain_and_noise_in_turn():
    pairs = [own_rollouts.variation(n, (1.0, 0.5), (0.0, 0.2)) for n in range(5)]
    assert pairs == [(1.0, 0.0), (0.5, 0.0), (1.0, 0.2), (0.5, 0.2), (1.0, 0.0)]


def test_rollouts_repeat_whatever_their_number():
    task, settings = TASKS["BallRun"], {"seed": 3, "gains": [1.0, 0.5], "noises": [0.0]}

    settings |= {"actions": "sampled"}
    policy = GaussianPolicy(7, 2, (), squash_mean=False, fixed_std=True)
    params = {"trunk.0.weight": torch.zeros(1, 7, 2), "trunk.0.bias": torch.tensor([[[0.8, 0.0]]])}
    params["log_std"] = torch.full((1, 1, 2), np.log(0.1), dtype=torch.float32)
    own = PolicyStack(policy, params, np.zeros(7, np.float32), np.ones(7, np.float32))
    few, many = (own_rollouts.play(task, own, settings | {"episodes": n}) for n in (2, 10))
    assert [len(episode["actions"]) for episode in many] == [100] * 10
    for one, other in zip(few, many[:2], strict=True):
        for key, values in one.items():
            np.testing.assert_array_equal(values, other[key])
    assert np.abs(many[1]["actions"]).mean() < 0.6 * np.abs(many[0]["actions"]).mean()
    assert many[0]["timeouts"][-1] and not many[0]["terminals"].any()
    starts = {tuple(episode["observations"][0]) for episode in many}
    assert len(starts) == 10


def test_pairs_tell_more_than_two_samples():
    """Episodes differ much more from each other than before and after do."""
    rng = np.random.default_rng(0)
    before = rng.normal(100, 30, 40)
    after = before - 5 + rng.normal(0, 1, 40)
    same = difference(before, after)
    assert same.value == pytest.approx((after - before).mean())
    assert -6 < same.low < same.value < same.high < -4
    mixed = difference(before, rng.permutation(after))
    assert mixed.high - mixed.low > 10 * (same.high - same.low)
    kept = share(before, after)
    assert kept.value == pytest.approx(after.mean() / before.mean())
    assert 0.93 < kept.low < kept.value < kept.high < 0.97
    assert np.isnan(share(np.array([-1.0, -3.0]), np.array([1.0, 1.0])).value)


def test_everybody_is_compared_with_what_was_brought():
    rows = [
        {"who": who, "episode": n, "return": 10.0 + n, "cost": cost + n}
        for who, cost in (("before", 10.0), ("after", 1.0))
        for n in range(6)
    ]
    table = compare(pd.DataFrame(rows), "before")
    table = table.set_index(["who", "score"])
    assert table.loc[("after", "cost"), "difference"] == -9.0
    assert table.loc[("after", "cost"), "difference_low"] == -9.0  # the same in each pair
    assert table.loc[("after", "return"), "share"] == 1.0
    assert np.isnan(table.loc[("before", "cost"), "share"])


def own(policy, **more):
    return {"source": "policy", "tasks": ["BallRun"], "policy": policy, **more}


ENTRY = {"file": "a.zip", "format": "sb3"}


@pytest.mark.parametrize(
    ("overlay", "parts"),
    [
        (own({"file": "a.zip"}), ["policy", "lacks format"]),
        (own({"fil": "a.zip", "format": "sb3"}), ["unknown key 'fil' in policy", "mean 'file'"]),
        (own(ENTRY | {"format": "sb"}), ["policy.format", "did you mean 'sb3'"]),
        (own(ENTRY | {"rollouts": {"gain": [1]}}), ["'gain' in policy.rollouts", "'gains'"]),
        (own("cvea"), ["policy: 'cvea' is not allowed; did you mean 'cvae'"]),
        (own(ENTRY, tasks=["BallRun", "CarRun"]), ["policy: a file is allowed where there is one"]),
        (own("cvae"), ["source: 'policy' is not allowed without a policy"]),
        (own("gaussian", own_policy={"CarRun": ENTRY}), ["own_policy.CarRun: it is none of tasks"]),
        (
            own("cvae", tasks=["BallRun", "CarRun"], own_policy={"CarRun": ENTRY}),
            ["own_policy: lacks BallRun"],
        ),
        (own(ENTRY, choose={"cost_share": 2}), ["choose.cost_share: 2 is not allowed"]),
        (own(ENTRY, tasks=["Mine"]), ["'Mine' is not allowed", "`policy`, and its env_id"]),
    ],
)
def test_mistakes_in_the_config_end_in_one_line(overlay, parts):
    with pytest.raises(UserError) as error:
        configuration.check(PAPER | overlay)
    message = str(error.value)
    assert "\n" not in message and message.startswith("config: ")
    for part in parts:
        assert part in message


def test_a_file_under_policy_is_an_entry_of_own_policy():
    config = configuration.check(PAPER | own(ENTRY))
    entry = config["own_policy"]["BallRun"]
    assert config["policy"] == "gaussian" and entry["file"] == "a.zip"
    assert entry["rollouts"]["gains"] == [1.0] and entry["distil"]["into"] == "gaussian"


SMALL = """
run: own
source: policy
tasks: [SafeReach, BallRun]
own_policy:
  SafeReach: {file: ppo.zip, format: sb3, rollouts: {episodes: 12, noises: [0.0, 0.5]}}
  BallRun:
    file: act.py
    format: python
    rollouts: {episodes: 12, gains: [1.0, 0.2]}
    distil: {iterations: 60}
file:
  SafeReach: {env_id: SafeReach-v0, module: examples/own_task/safe_reach.py}
labels: {SafeReach: reach.csv, BallRun: ball.csv}
training: {iterations: 30, batch_size: 32, log_points: 2}
evaluation: {episodes: 4, workers: 1, curves: {points: 2, episodes: 2}}
studies:
  trade_off: {vary: [{beta: [0.6], lam: [0.1]}]}
choose: {episodes: 3}
"""
PRESET = "workflow/presets/own_policy.yaml"
SCRIPT = """
import sys
sys.path.insert(0, "scripts")
from prefine.simulators import make as simulators
from prefine.tasks import TASKS
import gymnasium
from stable_baselines3 import PPO, TD3
sys.path.insert(0, "examples/own_task")
import safe_reach
PPO("MlpPolicy", gymnasium.make("SafeReach-v0"), n_steps=120, seed=0).learn(480).save("ppo.zip")
env = simulators.make("BallRun")
TD3("MlpPolicy", env, learning_starts=60, seed=0, policy_kwargs={"net_arch": [16]}).learn(
    80).save("td3.zip")
"""
ACT = """
from stable_baselines3 import TD3

model = TD3.load("td3.zip", device="cpu")


def act(observations):
    return model.predict(observations, deterministic=True)[0]
"""


def run(project, target="all", *more, check=True):
    configs = [PRESET, "small.yaml", *more]
    return snakemake(target, "--cores", 2, "--configfile", *configs, cwd=project, check=check)


@pytest.fixture(scope="module")
def unlabelled(project):
    """The project with two policies and sheets that nobody has filled in; what was said."""
    shutil.copytree(ROOT / "examples/own_task", project / "examples/own_task")
    subprocess.run([sys.executable, "-c", SCRIPT], cwd=project, check=True)
    (project / "small.yaml").write_text(SMALL)
    (project / "act.py").write_text(ACT)
    return project, run(project)


@pytest.fixture(scope="module")
def done(unlabelled):
    """The same after half of the trajectories, by return, were said to be preferred."""
    project, _ = unlabelled
    for task, name in (("SafeReach", "reach"), ("BallRun", "ball")):
        table = pd.read_csv(project / f"results/own/labels/{task}.csv")
        better = table["return"].rank(method="first") > len(table) / 2
        table["label"] = np.where(better, P, N)
        table.to_csv(project / f"{name}.csv", index=False)
    run(project)
    return project


def test_without_labels_a_planned_stop_says_what_to_do(unlabelled):
    project, text = unlabelled
    for said in (text, run(project)):  # also when nothing is left to be made
        assert "Stopped, as planned: now it is your turn." in said
        for task, name in (("SafeReach", "reach"), ("BallRun", "ball")):
            sheet = f"results/own/labels/{task}"
            assert (
                f"{task} has no labels yet: look at {sheet}.html, fill in the column label of "
                f"{sheet}.csv (preferred or nonpreferred), save it as {name}.csv, then: "
            ) in said
            assert (project / f"{sheet}.html").exists() and (project / f"{sheet}.csv").exists()
        assert "Error" not in said and "Traceback" not in said and "Results:" not in said
    assert not list((project / "results/own").glob("policies/**/*.safetensors"))
    said = run(project, "results/own/splits/BallRun.csv", check=False)  # the job itself
    assert "ERROR: BallRun has no labels yet: look at results/own/labels/BallRun.html" in said
    assert "Not finished, because of:\n  split: BallRun has no labels yet" in said


def test_from_two_policies_to_the_table(done):
    results = done / "results/own"
    task = Task(**json.loads((results / "tasks/SafeReach.json").read_text()))
    assert task.n_trajectories == 12 and task.obs_dim == 4
    table = pd.read_csv(results / "tables/before_after.csv")
    who = table.groupby("task")["who"].unique()
    assert set(who["SafeReach"]) == {"before", "after", "other seed 1", "control"}
    assert set(who["BallRun"]) == set(who["SafeReach"]) | {"original"}  # what was distilled
    text = (results / "tables/before_after.md").read_text()
    assert "your policy, distilled" in text and "chosen on 3 other episodes" in text
    for name in ("before_after", "cost_per_step", "own_learning"):
        assert (results / f"figures/{name}.png").stat().st_size > 10_000


def test_pi_ref_is_the_policy_that_was_brought(done):
    from stable_baselines3 import PPO

    stack = policy_file.load(done / "results/own/reference/SafeReach.safetensors")
    weight = PPO.load(done / "ppo.zip", device="cpu").policy.mlp_extractor.policy_net[0].weight
    np.testing.assert_array_equal(stack.params["trunk.0.weight"][0].T, weight.detach())
    assert stack.policy.name == "gaussian" and not stack.metadata["own_policy"]["distilled"]
    distilled = policy_file.load(done / "results/own/reference/BallRun.safetensors").metadata
    assert distilled["own_policy"]["distilled"]
    assert distilled["own_policy"]["algorithm"] == "a Python function"


def test_before_and_after_play_the_same_episodes_and_choice_is_made_on_others(done):
    episodes = pd.read_parquet(done / "results/own/episodes/SafeReach/before_after.parquet")
    assert episodes.groupby("who")["episode"].apply(list).map(lambda own: own == [0, 1, 2, 3]).all()
    assert [len(own) for own in episodes["step_costs"]] == episodes["length"].tolist()
    sums = episodes["step_costs"].map(sum)
    np.testing.assert_allclose(sums, episodes["cost"])
    validation = pd.read_parquet(done / "results/own/validation/own_policy/SafeReach.parquet")
    before = episodes[episodes["who"] == "before"]
    assert not set(validation["return"]) & set(before["return"])
    choice = json.loads((done / "results/own/choice/SafeReach.json").read_text())
    runs = episodes.groupby("who")["run"].first()
    assert set(runs["control"].split("/")[-2:]) <= set(runs["after"].split("/"))  # draw and seed
    assert choice["numbers"] in ({"beta": 0.2, "lam": 1.0}, {"beta": 0.6, "lam": 0.1})
    assert len(choice["runs"]) == 2 and choice["run"] in choice["runs"]


def test_what_a_safer_policy_may_cost_is_a_share_of_the_brought_one_s_cost(done, monkeypatch):
    """Not of the clone's that stands for it in training."""
    monkeypatch.chdir(done)
    choice = json.loads((done / "results/own/choice/BallRun.json").read_text())
    own = read_policy({"file": "act.py", "format": "python"}, TASKS["BallRun"])
    mode = PAPER["evaluation"]["action_mode"]
    played = evaluate(own, TASKS["BallRun"], 3, mode, purpose="validate")
    for name, mean in choice["validation"]["before"].items():
        assert played[name].mean() == mean


def test_films_show_the_policy_before_and_after(done):
    results, played = done / "results/own", {}
    for task, before in {"SafeReach": "your policy", "BallRun": "your policy's clone"}.items():
        told = json.loads((results / f"films/{task}/film.json").read_text())
        own = pd.read_parquet(results / f"episodes/{task}/before_after.parquet")
        own = own[own["episode"] == told["episode"]].set_index("who")
        assert set(told["policies"]) == {before, "after PREFINE"}
        for name, who in {before: "before", "after PREFINE": "after"}.items():
            assert told["policies"][name]["return"] == own.loc[who, "return"]
        assert told["run"] == own.loc["after", "run"]
        assert "data:video/mp4" in (results / f"films/{task}.html").read_text()
        played[task] = told["view"]
        folder = results / f"export/{task}"
        assert "(film.webp)" in (folder / "README.md").read_text()
        film = results / f"films/{task}/film.webp"
        assert (folder / "film.webp").read_bytes() == film.read_bytes()
    assert played["SafeReach"] == "by the environment itself"


def test_the_exported_policy_acts_in_the_user_s_units(done):
    import prefine

    folder = done / "results/own/export/SafeReach"
    policy = prefine.load_policy(folder)
    action = policy.act(np.array([-1.0, 0.0, 0.0, 0.0], np.float32))
    assert action.shape == (2,) and (np.abs(action) <= 2).all()
    card = (folder / "README.md").read_text()
    assert "Chosen on 3 episodes" in card and "| before |" in card


def test_nothing_is_left_to_do(done):
    assert "Nothing to be done" in run(done)


@browser.needed
def test_the_report_says_what_became_of_the_policies(done):
    results = done / "results/own"
    with browser.opened(results / "index.html") as opened:
        browser.readable(opened, results / "screenshots")
        assert "Too few episodes" in opened.locator("h1").inner_text()
        assert "your policy, distilled" in opened.locator("#before_after").inner_text()
        assert opened.locator("#figures img").count() == 3
        assert not opened.locator("#claims").count()


@pytest.mark.parametrize(
    ("overlay", "finding"),
    [
        ({"own_policy": {"SafeReach": {"file": "none.zip"}}}, "file: none.zip is not there"),
        (
            {"own_policy": {"SafeReach": {"file": "td3.zip"}}, "run": "other"},
            "was trained with actions whose low is [-1. -1.], the environment's is [-2.0, -2.0]",
        ),
    ],
)
def test_a_wrong_policy_ends_in_one_line(overlay, finding, done):
    (done / "wrong.yaml").write_text(json.dumps(overlay))
    text = run(done, "label_sheets", "wrong.yaml", check=False)
    assert finding in text and "Traceback" not in text


def test_actions_out_of_the_box_are_named(done):
    import h5py

    with (
        h5py.File(done / "results/own/data/SafeReach.hdf5") as ours,
        h5py.File(done / "log.hdf5", "w") as file,
    ):
        for key in ours:
            file[key] = ours[key][:]
        del file["actions"]
        file["actions"] = 3 * np.ones_like(ours["actions"])
    overlay = {"file": {"SafeReach": {"data": "log.hdf5"}}, "run": "bounds"}
    (done / "wrong.yaml").write_text(json.dumps(overlay))
    text = run(done, "label_sheets", "wrong.yaml", check=False)
    assert "is outside of the box [-2, 2]" in text and "Traceback" not in text
