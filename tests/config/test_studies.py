"""Studies: which runs they have, which job trains them, and what they take from each other."""

from copy import deepcopy

import numpy as np
import pandas as pd
import pytest
import yaml
from conftest import ROOT, counts, snakemake
from evaluation.evaluate import planned
from prefine.analysis.scores import of_study
from prefine.config import check as configuration
from prefine.config import studies
from prefine.config.plan import plan, suffix
from prefine.errors import UserError

PAPER = yaml.safe_load((ROOT / "config.yaml").read_text())


def checked(**studies_of):
    """The paper's config with these studies besides main, and no other."""
    config = deepcopy(PAPER)
    others = dict.fromkeys(set(config["studies"]) - {"main"})
    config["studies"] |= others | studies_of
    return configuration.check(config)


def trained(arms, study):
    """Job -> number of runs that it trains."""
    own = [arm for arm in arms.values() if arm.study == study and arm.policies == arm.job]
    return {arm.job: len(arm.rows) for arm in own}


def test_the_paper_s_runs():
    """Methods 8.1: 180 runs a method; 70 for Figure 5, of which 10 are the main study's; 48."""
    arms, members = studies.expand(configuration.check(PAPER))
    main = trained(arms, "main")
    assert len(main) == 12 * 11 and set(main.values()) == {15}
    read = {study: sum(len(member.rows) for member in own) for study, own in members.items()}
    assert (read["sizes"], sum(trained(arms, "sizes").values())) == (70, 60)
    assert (read["sweep"], sum(trained(arms, "sweep").values())) == (48, 45)
    assert trained(arms, "ablation") == trained(arms, "control") == {}
    assert {member.job for member in members["ablation"]} == {
        f"main/{task}Velocity/{method}"
        for task in ("Walker2d", "Hopper")
        for method in ("dpo", "prefine")
    }
    followed = {job for job, arm in arms.items() if arm.points}
    assert len(followed) == 12 + 2 + 1 and "main/AntVelocity/dpo" not in followed


def test_a_run_that_main_has_is_not_trained_again():
    own = {"methods": ["prefine"], "tasks": ["BallRun"], "thresholds": "middle"}
    own["vary"] = [{"lam": [1.0, 2.0], "beta": [0.2]}]  # the first is the config's
    arms, members = studies.expand(checked(twice=own))
    assert trained(arms, "twice") == {"twice/BallRun/prefine": 5}
    jobs = {member.variant: member.job for member in members["twice"]}
    assert jobs == {"config": "main/BallRun/prefine", "lam=2.0": "twice/BallRun/prefine"}
    (arm,) = [arm for arm in arms.values() if arm.study == "twice"]
    assert arm.variants[0]["lam"] == 2.0 and {row[0] for row in arm.rows} == {20}


def test_the_order_of_studies_is_their_names_whatever_the_overlay():
    """Snakemake puts an overlay's keys first."""
    config = configuration.check(PAPER)
    config["studies"] = dict(reversed(config["studies"].items()))
    again = studies.expand(config)[0]
    arms = studies.expand(configuration.check(PAPER))[0]
    assert set(again) == set(arms)
    assert all(sorted(again[job].rows) == sorted(arms[job].rows) for job in arms)


def test_numbers_share_a_job_and_structure_has_its_own():
    own = {"methods": ["prefine"], "tasks": ["BallRun"], "seeds": 2, "thresholds": "middle"}
    own["vary"] = [{"beta": [0.6]}, {"n_preferred": [25]}, {"likelihood_draws": [4]}]
    arms, members = studies.expand(checked(mixed=own))
    assert trained(arms, "mixed") == {
        "mixed/BallRun/prefine": 4,
        "mixed/BallRun/prefine-likelihood_draws_4": 2,
    }
    job = arms["mixed/BallRun/prefine-likelihood_draws_4"]
    assert job.settings["likelihood_draws"] == 4
    assert arms["mixed/BallRun/prefine"].sizes == [(25, 20), (100, 20)]
    assert [m.settings["likelihood_draws"] for m in members["mixed"]] == [1, 1, 1, 4]


def test_numbers_that_differ_in_the_seventh_digit_are_two_runs():
    own = {"methods": ["prefine"], "tasks": ["BallRun"], "thresholds": "middle"}
    own["vary"] = [{"lam": [0.1234567, 0.12345671, 2, 1e6, 1000001]}]
    arms, _ = studies.expand(checked(near=own))
    ends = [variant["suffix"] for variant in arms["near/BallRun/prefine"].variants]
    assert ends == [f"/lam{end}" for end in ("0.1234567", "0.12345671", "2", "1e+06", "1000001")]


def test_other_actions_of_the_same_policies_are_not_trained():
    own = {"methods": ["prefine"], "tasks": ["BallRun"], "vary": [{"action_mode": ["sampled"]}]}
    arms, _ = studies.expand(checked(acts=own))
    (arm,) = [arm for arm in arms.values() if arm.study == "acts"]
    assert arm.policies == "main/BallRun/prefine" and arm.action_mode == "sampled"
    assert trained(arms, "acts") == {}


def test_a_method_varies_along_its_own_dial():
    """A dial of a method that the study leaves out is no error: an overlay may name fewer."""
    vary = {"prefine": [{"beta": [0.6]}, {"lam": [0.1]}], "dpo": [{"beta": [0.3]}], "ppl": []}
    own = {"methods": ["prefine", "dpo", "bc"], "tasks": ["BallRun"], "thresholds": "middle"}
    arms, members = studies.expand(checked(dials=own | {"vary": vary | {"cpl": [{"alpha": [1]}]}}))
    assert trained(arms, "dials") == {"dials/BallRun/prefine": 10, "dials/BallRun/dpo": 5}
    told = {}
    for member in members["dials"]:
        told.setdefault(member.method, []).append((member.variant, member.settings))
    assert told == {
        "prefine": [
            ("config", {"beta": 0.2, "lam": 1.0}),
            ("beta=0.6", {"beta": 0.6, "lam": 1.0}),
            ("lam=0.1", {"beta": 0.2, "lam": 0.1}),
        ],
        "dpo": [("config", {"beta": 0.2}), ("beta=0.3", {"beta": 0.3})],
        "bc": [("config", {})],
    }


def test_a_stop_is_a_share_of_the_method_s_own_iterations():
    config = deepcopy(PAPER)
    config["methods"]["bc"] = {"iterations": 70}
    own = {"methods": ["bc", "prefine"], "tasks": ["BallRun"], "vary": [{"stop": [0.001, 0.1, 1]}]}
    config["studies"] = {"main": {"methods": ["bc", "prefine"]}, "early": own}
    arms, members = studies.expand(configuration.check(config))
    lengths = {job: arm.settings["iterations"] for job, arm in arms.items() if "early" in job}
    assert lengths == {
        "early/BallRun/bc-iterations_1": 1,  # one is the least
        "early/BallRun/bc-iterations_7": 7,
        "early/BallRun/prefine-iterations_500": 500,
        "early/BallRun/prefine-iterations_50000": 50_000,
    }
    told = [member.settings for member in members["early"] if member.method == "bc"]
    assert told == [{"iterations": n} for n in (70, 1, 7)]  # all of it is the config's


def test_mixed_actions_are_of_policies_that_main_trains():
    own = {"methods": ["bc"], "tasks": ["BallRun"], "vary": [{"mix": [0.0, 0.25, 1.0]}]}
    arms, members = studies.expand(checked(mixed=own))
    found = {job: arm for job, arm in arms.items() if arm.study == "mixed"}
    assert {job: (arm.mix, arm.policies) for job, arm in found.items()} == {
        "mixed/BallRun/bc-mix_0.0": (0.0, "main/BallRun/bc"),
        "mixed/BallRun/bc-mix_0.25": (0.25, "main/BallRun/bc"),
    }
    assert trained(arms, "mixed") == {}
    assert [m.settings for m in members["mixed"]] == [{"mix": w} for w in (1.0, 0.0, 0.25)]


def test_a_mix_of_other_than_deterministic_actions_is_refused():
    vary = {"bc": [{"mix": [0.5], "action_mode": ["sampled"]}]}
    with pytest.raises(UserError, match="mix is of deterministic actions"):
        studies.expand(checked(x={"methods": ["bc"], "vary": vary}))


def test_fixed_changes_are_in_every_run_and_in_no_label():
    own = {"methods": ["prefine"], "tasks": ["BallRun"], "fixed": {"iterations": 7}}
    own["vary"] = [{"delta_level": ["segment"]}]
    arms, members = studies.expand(checked(short=own))
    assert {a.settings["iterations"] for a in arms.values() if a.study == "short"} == {7}
    assert [member.variant for member in members["short"]] == ["config", "delta_level=segment"]


def test_rpo_s_spelling_does_not_overrule_a_varied_lambda():
    config = deepcopy(PAPER)
    config["methods"]["prefine"] = {"beta": 0.2, "eta": 5}
    vary = [{"lam": [3.0]}, {"eta": [10]}]
    own = {"methods": ["prefine"], "tasks": ["BallRun"], "vary": vary}
    config["studies"] = {"main": {"methods": ["prefine"]}, "spelling": own}
    arms, members = studies.expand(configuration.check(config))
    lams = [variant["lam"] for variant in arms["spelling/BallRun/prefine"].variants]
    assert lams == [3.0, 2.0]
    assert [own.variant for own in members["spelling"]] == ["config", "lam=3.0", "lam=2.0"]


def test_a_study_without_tasks_of_the_config_has_no_runs():
    config = checked(gone={"methods": ["prefine"], "tasks": ["AntVelocity"]})
    config["tasks"] = ["BallRun"]
    arms, members = studies.expand(config)
    assert members["gone"] == [] and {arm.study for arm in arms.values()} == {"main"}


@pytest.mark.parametrize(
    ("study", "message"),
    [
        ({"methods": ["prefin"]}, "did you mean 'prefine'?"),
        ({"methods": ["bc"], "curves": ["dpo"]}, "studies.x.curves.0: 'dpo'"),
        ({"methods": ["bc"], "vary": [{"lam": [1]}]}, "unknown key 'lam' in studies.x.vary"),
        ({"methods": ["prefine"], "vary": [{"lamb": [1]}]}, "did you mean 'lam'?"),
        ({"methods": ["prefine"], "vary": [{"lam": ["a"]}]}, "must be a number"),
        ({"methods": ["prefine"], "vary": [{"sampler": ["x"]}]}, "trajectory, transition"),
        ({"methods": ["prefine"], "fixed": {"iterations": 0}}, "studies.x.fixed.iterations"),
        ({"methods": ["prefine"], "vary": [{"lam": 1}]}, "studies.x.vary.0.lam"),
        ({"methods": ["bc"], "vary": {"bcc": [{"stop": [0.1]}]}}, "did you mean 'bc'?"),
        ({"methods": ["dpo"], "vary": {"dpo": [{"bet": [1]}]}}, "did you mean 'beta'?"),
        ({"methods": ["dpo"], "vary": {"dpo": [{"beta": 1}]}}, "studies.x.vary.dpo.0.beta"),
        ({"methods": ["dpo"], "vary": {"dpo": {"beta": [1]}}}, "studies.x.vary.dpo"),
        ({"methods": ["bc"], "vary": [{"stop": [0.0]}]}, "above 0 and at most 1"),
        ({"methods": ["bc"], "vary": [{"learning_rate": [0]}]}, "x.vary.learning_rate: 0 is not"),
        ({"methods": ["bc"], "fixed": {"gradient_clip": 0.0}}, "x.fixed.gradient_clip: 0.0 is not"),
        ({"methods": ["bc"], "vary": [{"log_std_min": [1]}]}, "must be below 0"),
        ({"methods": ["bc"], "vary": [{"stop": [1.5]}]}, "studies.x.vary.stop: 1.5"),
        ({"methods": ["bc"], "vary": {"bc": [{"mix": [1.5]}]}}, "must be a number from 0 to 1"),
        ({"methods": ["prefine"], "tasks": ["BallRunn"]}, "did you mean 'BallRun'?"),
        ({"methods": ["prefine"], "seeds": 0}, "studies.x.seeds"),
        ({"methods": ["prefine"], "task": ["BallRun"]}, "did you mean 'tasks'?"),
        ({"tasks": ["BallRun"]}, "studies.x: lacks methods"),
    ],
)
def test_a_wrong_study_is_refused_in_one_line(study, message):
    with pytest.raises(UserError, match=r"^config: .*") as caught:
        studies.expand(checked(x=study))
    assert message in str(caught.value) and "\n" not in str(caught.value)


def test_a_plan_names_its_runs_and_leaves_out_what_cannot_be():
    cells = [{"tau": 20, "draw": 0, "feasible": True}, {"tau": 40, "draw": 0, "feasible": False}]
    variants = [{"lam": 1.0, "suffix": ""}, {"lam": 2.0, "suffix": suffix({"lam": 2.0})}]
    rows = [(20, 0, 0, 0), (40, 0, 0, 0), (20, 0, 0, 1)]
    runs = plan("sweep", "BallRun", "prefine", "prefine", cells, rows, variants)
    stream = "BallRun/tau20/draw0/seed0"
    names = [f"sweep/prefine/{stream}", f"sweep/prefine/{stream}/lam2"]
    assert [run["run"] for run in runs] == names
    assert {run["stream"] for run in runs} == {stream}


def test_runs_of_a_study_are_found_in_the_jobs_that_have_them():
    rows = []
    for job, lam, seed in [("main", 1.0, 0), ("main", 1.0, 1), ("x", 2.0, 0), ("x", 3.0, 0)]:
        rows.append({"run": f"{job}{lam}{seed}", "study": job, "lam": lam, "seed": seed})
    of = {"task": "BallRun", "method": "prefine", "arm": "prefine", "tau": 20, "draw": 0}
    runs = pd.DataFrame(rows).assign(**of)
    reference = {"run": "r", "task": "BallRun", "method": "reference"}
    runs = pd.concat([runs, pd.DataFrame([reference | {"tau": t} for t in (20, 40)])])
    member = {"task": "BallRun", "method": "prefine", "rows": [[20, 0, 0]]}
    members = [
        member
        | {"job": f"{job}/BallRun/prefine", "numbers": {"lam": lam}}
        | {"variant": f"lam={lam}", "settings": {"lam": lam}}
        for job, lam in (("main", 1.0), ("x", 3.0))
    ]
    found = of_study(runs.reset_index(drop=True), members)
    assert found["run"].tolist() == ["r", "main1.00", "x3.00"]
    assert found["variant"].tolist()[1:] == ["lam=1.0", "lam=3.0"]
    assert found["tau"].tolist() == [20, 20, 20]


def test_policies_of_another_arm_are_found_by_what_they_are():
    own = {"stream": ["a", "a", "b"], "beta": [0.1, 0.2, 0.1], "tau": [20.0, 20.0, np.nan]}
    there = pd.DataFrame(own).assign(run=["1", "2", "3"], study="main", arm="prefine")
    asked = there.iloc[[2, 1]].assign(run=["x", "y"], study="acts", arm="prefine-sampled")
    found = planned(there, asked.reset_index(drop=True))
    assert found.index.tolist() == [2, 1] and found["run"].tolist() == ["x", "y"]
    with pytest.raises(UserError, match=r"^y: its policy is not in the file"):
        planned(there.drop(index=1), asked.reset_index(drop=True))


@pytest.mark.parametrize(
    ("target", "trains", "others"),
    [
        ("fig2", 2, {"cost_gap": 2, "fig2": 1}),
        ("fig5", 4, {"split_sizes": 2, "study_table": 1, "fig5": 1}),
        ("fig6", 4, {"curves_table": 1, "fig6": 1}),
        ("fig7", 132, {"fig7": 1}),
        ("fig9", 2, {"curves_table": 1, "fig9": 1}),
        ("fig11", 12, {"curves_table": 1, "fig11": 1}),
        ("control", 24, {"study_table": 1, "control": 1}),
        ("level", 9, {"study_table": 1, "level": 1}),
        ("likelihood", 20, {"study_table": 1, "likelihood": 1}),
    ],
)
def test_a_figure_asks_for_just_its_runs(project, target, trains, others):
    jobs = counts(snakemake(target, "-n", "--cores", "8", cwd=project))
    assert jobs.get("train", 0) + jobs.get("train_and_follow", 0) == trains
    assert {name: jobs[name] for name in others} == others


def test_a_study_that_is_off_leaves_a_figure_that_says_so(project, tmp_path):
    overlay = tmp_path / "off.yaml"
    overlay.write_text(
        "run: without\nstudies: {sizes: null, sweep: {tasks: [BallRun]}}\ntasks: [CarRun]\n"
        "figures: {fig1: {task: CarRun, tau: 20}}\n"
    )
    options = ["--cores", "1", "--configfile", overlay]
    snakemake("fig5", "fig9", "level", *options, cwd=project)
    figures = project / "results/without/figures"
    assert "is off" in (figures / "fig05_sizes.csv").read_text()
    assert "is off" in (figures / "fig09_sweep.csv").read_text()
    jobs = counts(snakemake("-n", *options, cwd=project))
    assert not {"fig5", "fig9", "level"} & set(jobs)
