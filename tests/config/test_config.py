"""A wrong config is refused in one line, before any job."""

from copy import deepcopy
from pathlib import Path

import pytest
import yaml
from conftest import ROOT
from prefine.config import check as configuration
from prefine.config import studies
from prefine.config.schema import schema
from prefine.config.settings import (
    hyperparameters,
    recipe,
    sees,
    starts_from_reference,
    thresholds,
    training_settings,
)
from prefine.errors import UserError
from prefine.methods import METHODS
from prefine.tasks import PAPER_TASKS, TASKS

SCHEMA = schema()
PAPER = yaml.safe_load((ROOT / "config.yaml").read_text())


def merge(base, overlay):
    """Merge as ``snakemake --configfile`` does."""
    for key, value in overlay.items():
        if isinstance(value, dict) and isinstance(base.get(key), dict):
            merge(base[key], value)
        else:
            base[key] = value
    return base


def changed(**overlay):
    return merge(deepcopy(PAPER), overlay)


def recipe_of_ball_run(behaviour):
    return {"collect": {"recipes": {"BallRun": {"behaviours": [behaviour]}}}}


def own_task(entry, **more):
    return {"source": "file", "tasks": ["Mine"], "file": {"Mine": entry}} | more


def test_a_task_needs_a_recipe_or_a_family():
    task = next(name for name in TASKS if name not in PAPER["collect"]["recipes"])
    own = changed(tasks=[task], figures={"fig1": {"task": task}})
    with pytest.raises(UserError, match=f"collect.recipes: lacks {task}"):
        configuration.check(own)
    own["collect"] = own["collect"] | {"families": {task: "own.safetensors"}}
    assert configuration.check(own)["tasks"] == [task]


def test_the_paper_s_protocol():
    config = configuration.check(PAPER)
    assert config["tasks"] == list(PAPER_TASKS)
    assert thresholds(config, "AntVelocity") == [30, 40, 50]
    assert thresholds(config, "BallRun") == [10, 20, 40]
    assert (config["draws"], config["seeds"], config["pairing"]) == (5, 5, "paired")
    assert (config["split"]["n_preferred"], config["split"]["n_nonpreferred"]) == (100, 20)
    assert config["training"]["iterations"] == 500_000
    assert config["evaluation"]["episodes"] == 100
    prefine = {task: hyperparameters(config, "prefine", task) for task in PAPER_TASKS}
    assert prefine["HalfCheetahVelocity"] == {"beta": 0.05, "lam": 1.6}
    assert prefine["BallCircle"] == {"beta": 0.2, "lam": 1.0}
    dpo = hyperparameters(config, "dpo", "BallCircle")
    assert dpo == {"beta": 0.2, "lam": 0.0}
    assert config["studies"]["main"]["methods"] == PAPER["studies"]["main"]["methods"]
    assert set(config["studies"]["main"]["methods"]) == set(METHODS)


def test_a_job_s_settings_are_the_method_s_over_the_config_s():
    config = configuration.check(PAPER)

    def settings(method, **overlay):
        checked = configuration.check(changed(**overlay)) if overlay else config
        return training_settings(checked, method, "BallCircle")

    assert settings("prefine")["batch_size"] == 256
    assert settings("prefine")["delta_level"] == "step" and settings("prefine")["segments"] == 32
    assert settings("cpq")["batch_size"] == 512 and settings("cpq")["iterations"] == 100_000
    assert settings("cpq")["policy"] == "tanh_gaussian_wide"
    assert settings("safedice")["actor_learning_rate"] == 1e-5
    matched = settings("safedice", training={"matched": True})
    assert matched["batch_size"] == 256 and matched["actor_learning_rate"] == 3e-4
    assert settings("cpq", training={"matched": True})["iterations"] == 500_000
    assert settings("reference")["iterations"] == 100_000
    assert settings("cpq", methods={"cpq": {"batch_size": 64}})["batch_size"] == 64
    level = settings("prefine", methods={"prefine": {"delta_level": "segment"}})["delta_level"]
    assert level == "segment"


def test_eta_is_another_spelling_of_lambda():
    overlay = {"methods": {"prefine": {"eta": {"safety_gym": 32.0, "bullet_gym": 5.0}}}}
    config = configuration.check(changed(**overlay))
    values = hyperparameters(config, "prefine", "AntVelocity")
    assert values == {"beta": 0.05, "lam": pytest.approx(1.6)}


def test_eta_of_trac_is_a_number_of_its_own():
    config = configuration.check(changed(methods={"trac": {"eta": 2.0}}))
    values = hyperparameters(config, "trac", "BallRun")
    assert values["eta"] == 2.0 and "lam" not in values


def test_a_setting_decides_what_trac_sees_and_where_it_starts():
    for labels, seen, waits in (("trajectory", "actions", True), ("segment", "everything", False)):
        config = configuration.check(changed(methods={"trac": {"labels": labels}}))
        settings = training_settings(config, "trac", "BallRun")
        assert sees("trac", settings) == seen
        assert starts_from_reference("trac", settings) == waits
    crossed = changed(pairing="crossed", methods={"trac": {"labels": "segment"}})
    arms, _ = studies.expand(configuration.check(crossed))
    rows = {method: arms[f"main/BallRun/{method}"].rows for method in ("trac", "cpl")}
    assert (
        len(rows["trac"]) == 15 and len(rows["cpl"]) == 75
    )  # no draw is needed, hence none repeats


def test_the_schema_s_defaults_are_the_paper_s_protocol():
    """A config that says only the tasks and recipes gets every other value of config.yaml."""
    short = {name: deepcopy(PAPER[name]) for name in ("tasks", "collect", "methods")}
    assert configuration.check(short) == configuration.check(PAPER)


@pytest.mark.parametrize("preset", sorted((ROOT / "workflow/presets").glob("*.yaml")), ids=str)
def test_presets_are_valid_overlays(preset):
    config = merge(deepcopy(PAPER), yaml.safe_load(preset.read_text()))
    assert config["run"] == Path(preset).stem
    if config["source"] == "policy":  # the preset waits for a policy
        with pytest.raises(UserError, match="not allowed without a policy; give policy"):
            configuration.check(config)
        config = merge(config, {"tasks": ["BallRun"], "policy": {"file": "a", "format": "sb3"}})
    configuration.check(config)


def test_every_task_of_dsrl_can_be_named():
    config = configuration.check(
        changed(source="dsrl", tasks=list(TASKS), figures={"fig1": {"task": "CarPush2"}}),
    )
    assert thresholds(config, "CarPush2") == [30, 40, 50]
    assert thresholds(config, "AntRun") == [10, 20, 40]


@pytest.mark.parametrize(
    ("changes", "task", "tau"),
    [
        ({"tasks": ["BallRun"]}, "BallRun", 20),
        ({"tasks": ["CarRun", "BallRun"]}, "CarRun", 20),
        ({"thresholds": {"safety_gym": [20, 80]}}, "HalfCheetahVelocity", 20),
        ({"tasks": ["BallRun"], "figures": {"fig1": {"task": "BallRun"}}}, "BallRun", 40),
        ({"tasks": ["BallRun"], "figures": {"fig1": {"tau": 10}}}, "BallRun", 10),
        ({"tasks": ["BallRun"], "thresholds": {"bullet_gym": [40, 10, 20]}}, "BallRun", 20),
        ({}, "HalfCheetahVelocity", 40),
    ],
)
def test_figure_1_follows_the_tasks(changes, task, tau):
    fig1 = configuration.check(changed(**changes))["figures"]["fig1"]
    assert (fig1["task"], fig1["tau"]) == (task, tau)


def test_a_task_of_the_user_s_own_has_its_thresholds_and_safety_gym_s_numbers():
    entry = {"data": "x.hdf5", "env_id": "Mine-v0", "thresholds": [7]}
    config = configuration.check(changed(**own_task(entry)))
    assert config["figures"]["fig1"]["task"] == "Mine" and config["figures"]["fig1"]["tau"] == 7
    assert thresholds(config, "Mine") == [7]
    numbers = hyperparameters(config, "prefine", "Mine")
    assert numbers == {"beta": 0.05, "lam": 1.6}


def test_every_key_of_the_schema_is_described():
    assert all("description" in part for part in SCHEMA["properties"].values())


@pytest.mark.parametrize(
    ("overlay", "parts"),
    [
        ({"trainning": {}}, ["unknown key 'trainning'", "did you mean 'training'?"]),
        (
            {"training": {"iteratons": 5}},
            ["unknown key 'iteratons' in training", "did you mean 'iterations'?"],
        ),
        ({"training": {"iterations": "many"}}, ["training.iterations: 'many'", "integer"]),
        ({"training": {"iterations": 0}}, ["training.iterations: 0", "at least 1"]),
        ({"collect": {"families": {"BallRun": "a{b}"}}}, ["families.BallRun: 'a{b}'", "a path"]),
        ({"collect": {"families": {"BallRun": "-x"}}}, ["families.BallRun: '-x'", "a path"]),
        ({"collect": {"trajectories": {"BallRun": 10**9}}}, ["BallRun: 1000000000", "200,000"]),
        ({"collect": {"settings": {"ppo": {"batch_size": 1}}}}, ["ppo.batch_size", "at least 2"]),
        ({"collect": {"settings": {"ppo": {"learning_rate": 1e10}}}}, ["at most 1"]),
        ({"training": {"batch_size": 2.5}}, ["training.batch_size: 2.5", "integer"]),
        ({"split": {"preferred_top": 1.5}}, ["split.preferred_top: 1.5", "at most 1"]),
        ({"tasks": ["BallRum"]}, ["tasks.0: 'BallRum'", "did you mean 'BallRun'?"]),
        ({"tasks": []}, ["tasks", "at least 1"]),
        ({"tasks": ["BallRun", "BallRun"]}, ["tasks", "differ"]),
        ({"tasks": ["../../x"]}, ["tasks.0: '../../x'", "letters, digits"]),
        ({"tasks": ["a; touch pwned #"]}, ["tasks.0: 'a; touch pwned #'"]),
        ({"run": "../x"}, ["run: '../x'", "letters, digits"]),
        ({"run": "a b"}, ["run: 'a b'", "letters, digits"]),
        ({"run": "$(touch pwned)"}, ["run: '$(touch pwned)'"]),
        ({"run": "x\n"}, ["run: 'x\\n'"]),
        (
            {"studies": {"main": {"methods": ["prefin"]}}},
            ["studies.main.methods.0: 'prefin'", "did you mean 'prefine'?"],
        ),
        ({"policy": "vae"}, ["policy: 'vae'", "Allowed: cvae, gaussian"]),
        ({"splits_from": "paper"}, ["splits_from: 'paper'", "this run itself"]),
        (
            {"dsrl": {"sources": ["https://host/{task}/{file}"]}},
            ["dsrl.sources.0: 'https://host/{task}/{file}'"],
        ),
        ({"source": "minari"}, ["source: 'minari'", "Allowed: collect, dsrl, file"]),
        (
            {"methods": {"prefine": {"beta": {"safety_gym": 0.1, "bullet": 0.2}}}},
            ["methods.prefine.beta", "bullet"],
        ),
        ({"methods": {"prefine": {"beta": -1}}}, ["methods.prefine.beta: -1", "at least 0"]),
        (
            {"methods": {"prefine": {"lambda": 1}}},
            ["unknown key 'lambda'", "Valid keys: beta, lam"],
        ),
        (
            {"methods": {"prefin": {}}},
            ["unknown key 'prefin' in methods", "did you mean 'prefine'?"],
        ),
        (
            {"methods": {"prefine": {"delta_level": "steps"}}},
            ["methods.prefine.delta_level: 'steps'", "did you mean 'step'? Allowed: step, segment"],
        ),
        (
            {"methods": {"cpq": {"sampled_actions": 2.5}}},
            ["methods.cpq.sampled_actions: 2.5", "integer from 1 to 1,000,000"],
        ),
        (
            {"methods": {"cpl": {"contrastive_bias": 1.5}}},
            ["methods.cpl.contrastive_bias: 1.5", "a number from 0 to 1"],
        ),
        (
            {"methods": {"trac": {"bottom": {"safety_gym": 0.5, "bullet_gym": -1}}}},
            ["methods.trac.bottom", "a number from 0 to 1"],
        ),
        (
            {"methods": {"trac": {"labels": "segments"}}},
            ["methods.trac.labels: 'segments'", "did you mean 'segment'?"],
        ),
        (
            own_task(
                {"data": "x", "env_id": "a"},
                labels={"Mine": "l.csv"},
                methods={"trac": {"labels": "segment"}},
                studies={"main": {"methods": ["trac", "prefine"]}},
            ),
            ["studies.main.methods: trac needs costs and a threshold; Mine has labels only"],
        ),
        ({"outside_scores": 3}, ["outside_scores: 3 is not allowed"]),
        (
            {"methods": {"safedice": {"reward_norm": 1}}},
            ["methods.safedice.reward_norm: 1", "true or false"],
        ),
        (
            {"methods": {"cpq": {"polyak": "slow"}}},
            ["methods.cpq.polyak: 'slow'", "a number of at least 0"],
        ),
        ({"methods": {"ppl": {"beta": True}}}, ["methods.ppl.beta: True", "a number"]),
        ({"source": "file"}, ["file: lacks AntVelocity", "its `data`"]),
        ({"source": "file", "file": {"BallRun": {}}}, ["file.BallRun: lacks data"]),
        (
            own_task({"data": "x.hdf5", "thresholds": [3]}),
            ["file.Mine: lacks env_id"],
        ),
        (own_task({"data": "x.hdf5", "env_id": "Mine-v0"}), ["file.Mine: lacks thresholds"]),
        (
            own_task({"data": "x", "env_id": "a b", "thresholds": [3]}),
            ["file.Mine.env_id: 'a b'"],
        ),
        (
            own_task({"data": "x", "env_id": "a", "thresholds": [3], "label": "<b>"}),
            ["file.Mine.label: '<b>'"],
        ),
        (
            own_task({"data": "x", "env_id": "a", "thresholds": [3], "horizont": 3}),
            ["unknown key 'horizont' in file.Mine", "did you mean 'horizon'?"],
        ),
        (
            own_task({"data": "x", "env_id": "a", "thresholds": [3, 4]}, labels={"Mine": "l.csv"}),
            ["file.Mine.thresholds: [3, 4]", "at most one"],
        ),
        (
            own_task({"data": "x", "env_id": "a"}, labels={"Mine": "l.csv"}),
            ["studies.main.methods: cpq needs costs and a threshold"],
        ),
        (
            {
                "source": "file",
                "tasks": ["BallRun"],
                "file": {"BallRun": {"data": "x", "horizon": 9}},
            },
            ["file.BallRun.horizon: 9", "DSRL's task"],
        ),
        ({"labels": {"BallRum": "l.csv"}}, ["unknown key 'BallRum' in labels"]),
        (
            {"labels": {"BallRun": "l.csv"}, "splits_from": "other"},
            ["splits_from: 'other' is not allowed with labels"],
        ),
        ({"seeds": 5.0}, ["seeds: 5.0", "must be integer"]),
        ({"hidden": [256.0]}, ["hidden.0: 256.0", "must be integer"]),
        ({"training": {"log_std_min": 50}}, ["training.log_std_min: 50", "must be below 0"]),
        ({"studies": {"007": {"methods": ["bc"]}}}, ["studies.007", "as a number"]),
        (
            {
                "source": "file",
                "tasks": ["NA"],
                "file": {"NA": {"data": "x", "env_id": "a", "thresholds": [3]}},
            },
            ["tasks.0: 'NA' is not allowed", "Take another name"],
        ),
        ({"draws": 3}, ["draws (3)", "seeds (5)", "crossed"]),
        ({"thresholds": {"bullet_gym": [20.5]}}, ["thresholds.bullet_gym.0: 20.5", "integer"]),
        ({"figures": {"fig1": {"tau": 7}}}, ["figures.fig1.tau: 7", "[30, 40, 50]"]),
        ({"figures": {"fig1": {"draw": 5}}}, ["figures.fig1.draw: 5", "0 to 4"]),
        (
            {"tasks": ["BallRun"], "figures": {"fig1": {"task": "CarRun"}}},
            ["figures.fig1.task: 'CarRun'", "BallRun"],
        ),
        (
            {"collect": {"recipes": {"BallRum": {"behaviours": [{"steps": 1}]}}}},
            ["unknown key 'BallRum' in collect.recipes", "did you mean 'BallRun'?"],
        ),
        (
            {
                "collect": {
                    "recipes": {"BallRun": {"behaviours": [{"steps": 9, "continues": True}]}}
                }
            },
            ["collect.recipes.BallRun.behaviours.0.continues", "nothing to continue"],
        ),
        ({"collect": {"train": "yes"}}, ["collect.train: 'yes'", "must be boolean"]),
        ({"collect": {"families": {"BallRum": "a"}}}, ["'BallRum'", "did you mean 'BallRun'?"]),
        ({"collect": {"familes": {"BallRun": "a"}}}, ["'familes'", "did you mean 'families'?"]),
        ({"collect": {"families": {"BallRun": ""}}}, ["collect.families.BallRun: ''"]),
        (
            {"collect": {"train": True, "families": {"BallRun": "a"}}},
            ["collect.train: True", "collect.families"],
        ),
        ({"collect": {"trajectories": {"BallRum": 600}}}, ["'BallRum'", "did you mean 'BallRun'?"]),
        ({"collect": {"trajectories": {"BallRun": 0}}}, ["collect.trajectories.BallRun: 0"]),
        (
            {"collect": {"trajectories": {"BallRun": 119}}},
            ["collect.trajectories.BallRun: 119", "D_p and D_np alone take 120"],
        ),
        (
            recipe_of_ball_run({"step": 9}),
            ["collect.recipes.BallRun.behaviours.0"],
        ),
    ],
    ids=lambda value: str(value)[:60] if isinstance(value, dict) else "",
)
def test_a_mistake_is_one_line_with_key_value_and_what_is_allowed(overlay, parts):
    with pytest.raises(UserError) as error:
        configuration.check(changed(**overlay))
    message = str(error.value)
    assert "\n" not in message and message.startswith("config: ")
    for part in parts:
        assert part in message


def test_one_number_serves_both_suites():
    config = configuration.check(changed(methods={"prefine": {"beta": 0.6}}))
    for task in TASKS:
        assert hyperparameters(config, "prefine", task)["beta"] == 0.6


def test_a_recipe_overrides_the_common_settings():
    config = configuration.check(PAPER)
    own = recipe(config, "HalfCheetahVelocity")
    assert own["normalize"] and own["ppo"]["n_steps"] == 512
    assert not recipe(config, "BallCircle")["normalize"]


def test_the_axes_of_a_label_page_may_name_limits_hazards_and_goals():
    wanted = {"observations": [1, 2], "names": ["x, m", "<y>"], "hazards": [[0, 0, 0.35]]}
    wanted |= {"goals": [[1, 0, 0.1]], "upwards": [None, 2.0]}
    own = {"sheet_axes": {"BallRun": wanted}}
    configuration.check(yaml.safe_load((ROOT / "config.yaml").read_text()) | own)
