"""What the rules ask of a run, without Snakemake."""

import ast
import json
from copy import deepcopy
from types import SimpleNamespace

import pytest
import yaml
from conftest import ROOT
from prefine.config.check import check
from prefine.config.constraints import check_files
from prefine.errors import UserError
from prefine.pipeline import figures
from prefine.pipeline.run import Run, state_folder
from prefine.pipeline.run_own import imported

PAPER = yaml.safe_load((ROOT / "config.yaml").read_text())


def run_of(**changes):
    return Run(check(deepcopy(PAPER) | changes), ROOT)


def test_what_a_file_of_the_user_s_imports_is_watched_with_it(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for folder in ("own/inner", "own/bare"):
        (tmp_path / folder).mkdir(parents=True)
    for name, text in {
        "act": "import numpy, helper\nfrom inner import deep\nfrom bare.net import Net\n",
        "helper": "def late():\n    import last\n",
        "last": "raise SystemExit\n",
        "inner/__init__": "",
        "inner/deep": "from . import near\nfrom .. import up\nfrom .near import here\n",
        "inner/near": "",
        "bare/net": "import act\n",
        "up": "",
    }.items():
        (tmp_path / f"own/{name}.py").write_text(text)
    (tmp_path / "own/apart.py").touch()
    names = ["bare/net", "helper", "inner/__init__", "inner/deep", "inner/near", "last", "up"]
    found = [f"own/{name}.py" for name in names]
    assert imported("own/act.py") == found
    for text in ("import (", "\0", "# caf\udce9"):
        (tmp_path / "own/broken.py").write_text(text, errors="surrogateescape")
        assert imported("own/broken.py") == []
        imported.cache_clear()
    assert imported("own/none.py") == []
    (tmp_path / "link").symlink_to("own")
    for folder in ("link", str(tmp_path / "link")):
        assert imported(f"{folder}/act.py") == [own.replace("own", folder, 1) for own in found]


def test_what_says_how_a_policy_is_meant_is_watched_with_it(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    own = {"file": "actor.safetensors", "format": "torch"}
    config = {"tasks": ["BallRun"], "source": "policy", "own_policy": {"BallRun": own}}
    run = run_of(**config, studies={"main": {"methods": ["prefine"]}})
    for name in ("actor.safetensors", "actor.json"):
        (tmp_path / name).touch()
    assert run.own_policy_files(wildcards(task="BallRun")) == ["actor.safetensors", "actor.json"]


@pytest.fixture(scope="module")
def paper():
    return run_of()


def wildcards(**names):
    return SimpleNamespace(**names)


def drawn(run):
    return {own.file for own in run.figures() if figures.shows(run, own)}


def test_the_paper_ends_in_its_tables_and_figures(paper):
    targets = set(paper.targets())
    assert {f"results/paper/tables/{name}.csv" for name in ("claims", "table1")} <= targets
    pictures = {path for path in targets if path.endswith(".png")}
    assert len(pictures) == 24 and "results/paper/figures/fig10_ablation.png" in pictures
    assert not any("own" in path for path in targets)
    assert {f"results/paper/films/{task}.html" for task in PAPER["tasks"]} <= targets


def test_what_a_study_lacks_is_not_drawn():
    def without(**changed):
        return drawn(run_of(studies=PAPER["studies"] | changed))

    everything = without()
    assert everything - without(sweep=None) == {"fig09_sweep"}
    fronts = PAPER["studies"]["pareto"]
    off, one = without(pareto=None), without(pareto=fronts | {"tasks": ["CarRun"]})
    assert one - off == {"pareto_CarRun"}
    assert everything - off == {f"pareto_{task}" for task in fronts["tasks"]}
    assert run_of(studies=PAPER["studies"] | {"pareto": None}).trade_off("pareto") == []
    one_task = PAPER["studies"]["ablation"] | {"tasks": ["HopperVelocity"]}
    assert everything - without(ablation=one_task) == {"fig10_ablation"}
    others = PAPER["studies"]["main"] | {"methods": ["bc"], "curves": []}
    few = without(main=others, ablation=None, sweep=None, sizes=None, control=None)
    assert "fig03_reward_cost" in few
    assert not {"fig01_overview", "fig07_thresholds", "ceiling", "fig11_learning_safety_gym"} & few
    bullet = run_of(tasks=["BallRun"], figures={"fig1": {"task": "BallRun", "tau": 20}})
    assert "fig12_learning_bullet_gym" in drawn(bullet)
    assert not {"fig11_learning_safety_gym", "fig02_cost_gap"} & drawn(bullet)


def test_a_film_is_of_prefine_or_of_ones_own_policy(paper):
    others = run_of(studies=PAPER["studies"] | {"main": {"methods": ["bc"], "curves": []}})
    assert others.filmed == [] and not any("films" in path for path in others.targets())
    of_walker = wildcards(task="Walker2dVelocity")
    before, after = paper.film_policies(of_walker)
    assert before == "results/paper/reference/Walker2dVelocity.safetensors"
    assert after == "results/paper/policies/main/Walker2dVelocity/prefine.safetensors"
    given = SimpleNamespace(policies=[before, after], choice=[])
    options = paper.film_arguments(of_walker, given)
    assert options == ["--reference", before, "--policies", after]
    assert json.loads(paper.film_settings(of_walker))["tau"] == 40
    assert json.loads(paper.film_settings(wildcards(task="BallRun")))["tau"] == 20


def test_options_of_a_figure(paper):
    by_rule = {figure.rule: figure for figure in paper.figures()}
    assert figures.options(paper, by_rule["fig6"]) == [
        *("--curves", "results/paper/tables/curves/ablation.csv", "--task", "Walker2dVelocity"),
        *("--episodes", "5", "--fixed", "{}"),
    ]
    words = figures.options(paper, by_rule["fig1"])
    assert words[-6:] == ["--task", "HalfCheetahVelocity", "--tau", "40", "--draw", "0"]
    assert "results/paper/episodes/main/HalfCheetahVelocity/prefine.parquet" in words
    assert len(figures.inputs(paper, by_rule["fig13"])["points"]) == 12


def test_every_figure_has_a_caption_and_a_rule_of_its_own(paper):
    rules = [figure.rule for figure in paper.figures()]
    assert len(rules) == len(set(rules)) > 20
    for figure in paper.figures():
        assert figure.caption(ROOT / "workflow/report")


def test_a_script_without_a_head_is_named(tmp_path):
    (tmp_path / "mine.py").write_text("FIGURES = {}\n")
    with pytest.raises(KeyError, match="SECTION, READS, NEEDS"):
        figures.read(tmp_path)


def test_jobs_know_what_they_start_from(paper):
    def reference(method):
        return paper.reference_policy(wildcards(job=f"main/BallRun/{method}"))

    assert reference("prefine") == "results/paper/reference/BallRun.safetensors"
    assert reference("bc") == reference("cpq") == []
    job = wildcards(job="main/BallRun/bc")
    assert paper.task_of(job) == "BallRun" and paper.method_of(job) == "bc"
    assert paper.method_of(wildcards(task="BallRun")) == "reference"
    sized = [job for job in paper.arms if paper.sized_sets(wildcards(job=job))]
    assert sized == [f"sizes/{task}/prefine" for task in ("AntVelocity", "Walker2dVelocity")]


def test_policies_on_the_way_are_used_before_they_go(paper):
    walker = wildcards(job="main/Walker2dVelocity/prefine")
    assert [path.split("/")[2] for path in paper.before_they_go(walker)] == ["curves", "cost_gap"]
    assert paper.before_they_go(wildcards(job="main/BallRun/bc")) == []
    curves = PAPER["evaluation"]["curves"] | {"keep": True}
    kept = run_of(evaluation=PAPER["evaluation"] | {"curves": curves})
    assert kept.before_they_go(walker) == []


def test_timed_settings_are_the_publications():
    own = {"iterations": 60, "batch_size": 64}
    short = run_of(training=PAPER["training"] | own, reference={"iterations": 5})
    timed = short.timed_settings()
    assert set(timed) == {"reference", *PAPER["studies"]["main"]["methods"]}
    assert timed["prefine"]["iterations"] == 500_000 and timed["prefine"]["batch_size"] == 256
    assert timed["cpq"]["iterations"] == timed["reference"]["iterations"] == 100_000
    assert timed["cpq"]["batch_size"] == timed["safedice"]["batch_size"] == 512
    assert short.timed_task == "Walker2dVelocity" and short.timed_tau() == ["--tau", 40]


def test_trac_waits_for_the_reference_only_where_it_starts_from_it():
    job = wildcards(job="main/BallRun/trac")
    assert run_of().reference_policy(job) == "results/paper/reference/BallRun.safetensors"
    changed = run_of(methods=PAPER["methods"] | {"trac": {"labels": "segment"}})
    assert changed.reference_policy(job) == []
    assert json.loads(run_of().seen())["trac"] == "actions"
    seen = json.loads(changed.seen())
    assert seen["trac"] == seen["cpq"] == "everything"
    assert seen["safemil"] == seen["endorse"] == "actions"


def test_wrong_scores_of_others_are_refused_before_any_job(tmp_path):
    path = tmp_path / "scores.csv"
    path.write_text("task,method,reward,cost,sees,source\nBallRun,CPQ,1,1,costs,OSRL\n")
    config = check(deepcopy(PAPER) | {"outside_scores": str(path)})
    assert Run(config, ROOT).outside_scores() == [str(path)]
    with pytest.raises(UserError, match="line 2: method: 'CPQ' is a method that this project runs"):
        check_files(config)
    path.unlink()
    with pytest.raises(UserError, match="is not there"):
        check_files(config)
    check_files(check(deepcopy(PAPER)))


def test_a_family_is_the_repositorys_or_the_users(tmp_path, monkeypatch):
    job, own = wildcards(task="BallRun"), "workflow/behaviours/CarRun.safetensors"
    assert run_of().family(job).endswith("workflow/behaviours/BallRun.safetensors")
    assert run_of(collect=PAPER["collect"] | {"train": True}).family(job) == []
    named = run_of(collect=PAPER["collect"] | {"families": {"BallRun": own}})
    monkeypatch.chdir(tmp_path)
    check_files(named.config, ROOT)
    assert named.family(job) == str(ROOT / own)  # the repository is elsewhere
    with pytest.raises(UserError, match=f"collect.families.BallRun: {own} is not there"):
        check_files(named.config)
    (tmp_path / own).parent.mkdir(parents=True)
    (tmp_path / own).write_text("")
    assert named.family(job) == own
    assert named.family(wildcards(task="CarRun")) == str(ROOT / own)


@pytest.mark.parametrize("own", ["a" * 900, "a\0b"])
def test_a_path_that_nobody_could_have_is_one_line(own):
    named = run_of(collect=PAPER["collect"] | {"families": {"BallRun": "a"}}).config
    for key, value in (("families", {"BallRun": own}), ("labels", {"BallRun": own})):
        config = deepcopy(named)
        (config["collect"] if key == "families" else config)[key] = value
        config["collect"]["families"] = {"BallRun": own} if key == "families" else {}
        with pytest.raises(UserError, match=rf"{key}\.BallRun: a.* cannot be looked for \("):
            check_files(config, ROOT)


def test_how_a_task_is_collected_follows_from_the_config_alone():
    """Snakemake compares a parameter with the last run's unless it is a function of the input."""
    job = wildcards(task="BallRun")
    default = run_of().how_to_collect(job)
    assert default == ["--family", run_of().family(job)]
    fewer = run_of(collect=PAPER["collect"] | {"trajectories": {"BallRun": 300}})
    assert fewer.how_to_collect(job) == [*default, "--trajectories", "300"]
    for path in (ROOT / "scripts/prefine/pipeline").glob("*.py"):
        for own in ast.walk(ast.parse(path.read_text())):
            if isinstance(own, ast.FunctionDef) and "input" in [a.arg for a in own.args.args]:
                text = ast.unparse(own).replace("self.config['labels']", "")  # its file is an input
                assert "config" not in text and "as_json" not in text, own.name


def test_another_setting_or_other_code_has_other_checkpoints(paper):
    job = type("Wildcards", (list,), {"job": "main/BallRun/bc"})(["main/BallRun/bc"])
    folder, key = paper.state_of(job)
    assert folder == "results/paper/state/main%2FBallRun%2Fbc"
    names = ("main/A-B/bc", "main/A/B-bc", "main-A/B/bc", "A")
    assert len({state_folder(name) for name in names}) == len(names)
    other = run_of(training=PAPER["training"] | {"learning_rate": 0.001})
    assert other.state_of(job) == [folder, other.state_of(job)[1]] and other.state_of(job)[1] != key
    goes = {"max_runs": 1, "checkpoint_every": 7}  # about it otherwise: nothing is trained again
    other = run_of(training=PAPER["training"] | goes)
    for wanted in (job, wildcards(task="BallRun")):
        assert other.job_settings(wanted) == paper.job_settings(wanted)
        assert not set(goes) & set(json.loads(paper.job_settings(wanted)))
    assert other.state_of(job) == [folder, key] and json.loads(other.how_to_train()) == goes


def test_the_head_of_a_figure_is_literals():
    for path in (ROOT / "scripts/figures").glob("[a-z]*.py"):
        assert set(figures.literals(path)) == set(figures.HEAD)
        assert ast.get_docstring(ast.parse(path.read_text())), path


def finished(folder, *jobs):
    """Episodes of jobs, as far as their names go."""
    for job in jobs:
        path = folder / f"results/paper/episodes/{job}.parquet"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()


def test_of_an_unfinished_run_the_finished_jobs_are_shown(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match="nothing is finished in results/paper/"):
        run_of(only_finished=True)
    finished(tmp_path, "reference/BallRun", "main/BallRun/bc", "main/BallRun/prefine")
    finished(tmp_path, "main/CarRun/bc", "reference/AntVelocity")  # each lacks the other
    run = run_of(only_finished=True)
    assert set(run.arms) == {"main/BallRun/bc", "main/BallRun/prefine"}
    assert run.tasks == ["BallRun"] and run.zoo_tasks == []
    for name in ("reference", "policies/main/BallRun"):  # in a clone they are not
        folder = tmp_path / "results/paper" / name
        folder.mkdir(parents=True)
        for policy in ("BallRun", "prefine"):
            (folder / f"{policy}.safetensors").touch()
    assert run_of(only_finished=True).zoo_tasks == ["BallRun"]
    assert len(json.loads(run.thresholds())) == 12  # Table 1 says that the others are missing
    asked = json.loads(run.asked_jobs())
    assert {"study": "main", "task": "CarRun", "method": "bc", "arm": "bc", "runs": 5 * 3} in asked
    episodes = [path for path in run.targets() if path.startswith("results/paper/episodes/")]
    assert len(episodes) == 3
    # Its curves, cost gap and times are not there; Figure 1 is of another task.
    pictures = drawn(run)
    assert "fig03_reward_cost" in pictures
    assert not pictures & {"fig01_overview", "fig02_cost_gap", "fig04_wall_clock"}
    assert not pictures & {"fig11_learning_safety_gym", "fig12_learning_bullet_gym"}


def test_of_an_unfinished_run_nothing_is_asked_for_that_trains(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    finished(tmp_path, "reference/BallRun", "main/BallRun/prefine")
    run = run_of(only_finished=True)
    figures_of = [own for own in run.figures() if figures.shows(run, own)]
    read = {p for own in figures_of for paths in figures.inputs(run, own).values() for p in paths}
    jobs = {path.split("episodes/")[1] for path in read if "episodes/" in path}
    assert jobs <= {"main/BallRun/prefine.parquet", "reference/BallRun.parquet"}
    assert not any("snapshots" in path or "timing" in path for path in read)


def test_a_finished_run_ends_in_its_episodes_too(paper):
    """So that a dry run in a clone of an unfinished result says what is missing of it."""
    assert set(paper.all_episodes()) <= set(paper.targets())
    assert paper.published_config() == json.dumps(json.loads(paper.published_config()))


def test_the_config_that_is_published_is_a_config():
    run = run_of(run="collected")
    again = check(json.loads(run.published_config()))
    assert Run(again, ROOT).targets() == run.targets()
