"""The tiny preset through Snakemake: real simulators, real training, every table and figure."""

import json
import os
import shutil
from pathlib import Path

import browser
import matplotlib.image
import numpy as np
import pandas as pd
import pytest
from conftest import counts, snakemake
from prefine.policies import file as policy_file
from prefine.tasks import TASKS
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

TINY = ["--cores", "2", "--configfile", "workflow/presets/tiny.yaml"]
METHODS = ["bc", "bc_from_reference", "cpl", "cpq", "dpo", "ppl", "prefine", "safedice"]
METHODS += ["endorse", "safemil", "trac"]
TASK_NAMES = ["BallRun", "SwimmerVelocity"]
FIGURES = {
    "fig1": "fig01_overview",
    "fig2": "fig02_cost_gap",
    "fig3": "fig03_reward_cost",
    "fig4": "fig04_wall_clock",
    "fig5": "fig05_sizes",
    "fig6": "fig06_ablation",
    "fig7": "fig07_thresholds",
    "fig8": "fig08_tasks_solved",
    "fig9": "fig09_sweep",
    "fig11": "fig11_learning_safety_gym",
    "fig12": "fig12_learning_bullet_gym",
    "fig13": "fig13_umap",
    "ceiling": "ceiling",
    "control": "control",
    "level": "level",
    "likelihood": "likelihood",
    "paper_comparison": "paper_comparison",
    "pareto_BallRun": "pareto_BallRun",
    "plane": "data_plane",
}
FIGURE_JOBS = dict.fromkeys(set(FIGURES) - {"fig13", "plane"}, 1)
FIGURE_JOBS_OF_DATA = {"fig13": 1, "plane": 1}  # those that ask for no run


@pytest.fixture(scope="module")
def done(project):
    """The project after one run of the tiny preset, and what was printed.

    TINY_RUN names a checkout where that was just done, with what it printed in .cache/tiny.txt.
    """
    if before := os.environ.get("TINY_RUN"):
        for name in ("results/tiny", ".snakemake"):
            shutil.copytree(Path(before, name), project / name)
        return project, Path(before, ".cache/tiny.txt").read_text()
    return project, snakemake("all", *TINY, "--resources", "gpu=1", cwd=project)


@pytest.fixture
def results(done):
    return done[0] / "results/tiny"


def edited(path: Path, old: str, new: str):
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))
    return lambda: path.write_text(text)


def test_progress_reaches_the_terminal_and_details_the_log(done, results):
    _, printed = done
    assert "Collect BallRun in its simulator" in printed
    assert "collect BallRun: 100%" in printed and "steps/s]" in printed
    assert "last log point" not in printed
    log = (results / "logs/train/main/BallRun/prefine.log").read_text()
    assert "last log point" in log and "train prefine BallRun: 100%" in log


def test_every_rule_left_a_log_and_a_benchmark(results):
    logs = {p.relative_to(results / "logs").with_suffix("") for p in results.glob("logs/**/*.log")}
    marks = {
        p.relative_to(results / "benchmarks").with_suffix("")
        for p in results.glob("benchmarks/**/*.jsonl")
    }
    assert logs == marks and len(logs) == 165


def test_tables_have_a_row_for_every_run_and_episode(results):
    runs = pd.read_csv(results / "tables/runs.csv", float_precision="round_trip")
    own = runs[runs["study"] == "main"]
    assert own.groupby(["task", "method"]).size().to_dict() == {
        **{("BallRun", method): 4 for method in METHODS},
        **{("SwimmerVelocity", method): 2 for method in METHODS},
    }
    assert runs[runs["method"] == "reference"].groupby("task").size().to_list() == [2, 1]
    assert (runs["source"] == "collect").all() and (runs["action_mode"] == "deterministic").all()
    prefine = own[own["method"] == "prefine"].drop_duplicates("suite").set_index("suite")
    assert prefine[["beta", "lam"]].to_dict("index") == {
        "bullet_gym": {"beta": 0.2, "lam": 1.0},
        "safety_gym": {"beta": 0.05, "lam": 1.6},
    }
    assert own.loc[own["method"] == "bc", "beta"].isna().all()
    for task in TASK_NAMES:
        episodes = pd.read_parquet(results / f"episodes/main/{task}/prefine.parquet")
        assert set(episodes.groupby("run")["episode"].nunique()) == {3}
        assert (episodes["length"] <= TASKS[task].horizon).all()
        assert episodes.attrs["provenance"]["versions"]["mujoco"] == "2.3.3"


def test_fronts_are_of_other_episodes_than_those_that_choose(results):
    fronts = pd.read_csv(results / "tables/pareto.csv")
    own = fronts[fronts["task"] == "BallRun"].set_index("front")
    points = {"bc": 2, "mixed:bc": 2, "bc_from_reference": 2, "prefine": 3, "controls": 3}
    assert own["points"].to_dict() == points
    assert (own["hypervolume"] >= 0).all() and own["hypervolume_low"].isna().all()  # two runs
    choice = pd.read_csv(results / "tables/pareto_choice.csv")
    assert choice.groupby("front")["k"].max().to_dict() == own["points"].drop("controls").to_dict()
    assert (choice["episodes"] == 3 * choice["k"]).all()
    name = "pareto/BallRun/bc-mix_0.5.parquet"
    both = [pd.read_parquet(results / kind / name) for kind in ("episodes", "validation")]
    assert set(both[0]["run"]) == set(both[1]["run"])
    assert not set(both[0]["return"]) & set(both[1]["return"])
    whole = pd.read_parquet(results / "episodes/main/BallRun/bc.parquet")
    assert not set(both[0]["return"]) & set(whole["return"])
    assert "| π_ref and BC mixed | 2 |" in (results / "tables/pareto.md").read_text()


def test_runs_agree_with_their_episodes(results):
    runs = pd.read_csv(results / "tables/runs.csv").set_index("run")
    episodes = pd.read_parquet(results / "episodes/main/BallRun/bc.parquet")
    for run, own in episodes.groupby("run"):
        row = runs.loc[run]
        assert row["normalized_cost"] == pytest.approx(own["cost"].mean() / row["tau"])
        task = TASKS["BallRun"]
        expected = (own["return"].mean() - task.min_return) / (task.max_return - task.min_return)
        assert row["normalized_return"] == pytest.approx(expected)


def test_splits_keep_to_their_thresholds(results):
    table = pd.read_csv(results / "trajectories/BallRun.csv").set_index("index")
    splits = pd.read_csv(results / "splits/BallRun.csv")
    for (tau, _, role), own in splits.dropna().groupby(["tau", "draw", "role"]):
        costs = table.loc[own["index"], "cost"]
        assert (costs < tau).all() if role == "preferred" else (costs >= tau).all()
    manifest = json.loads((results / "splits/BallRun.json").read_text())
    assert manifest["source"] == "collect" and len(manifest["cells"]) == 4


def test_policies_carry_where_they_come_from(results):
    stack = policy_file.load(results / "policies/main/BallRun/prefine.safetensors")
    params, metadata = stack.params, stack.metadata
    assert {value.shape[0] for value in params.values()} == {4} == {len(metadata["runs"])}
    assert stack.mean.shape == stack.std.shape == (TASKS["BallRun"].obs_dim,)
    assert {"versions", "device", "settings", "data_sha256"} <= set(metadata)
    reference = policy_file.load(results / "reference/BallRun.safetensors").params
    for name, value in params.items():
        assert (value == reference[name]).all() == name.startswith("encoder")


def test_figures_are_pictures_with_their_numbers_and_their_source(results):
    for name in FIGURES.values():
        picture = matplotlib.image.imread(results / f"figures/{name}.png")
        assert picture.shape[1] == 2100 and picture[..., :3].std() > 0.05
        assert (results / f"figures/{name}.pdf").read_bytes().startswith(b"%PDF")
        assert b"not DSRL's" in (results / f"figures/{name}.png").read_bytes()
        assert len(pd.read_csv(results / f"figures/{name}.csv")) > 1
    kinds = set(pd.read_csv(results / "figures/fig01_overview.csv")["kind"])
    sets = {"all", "reference", "preferred", "nonpreferred"}
    assert kinds == sets | {"rollout_before", "rollout_after"}
    tables = ["table1.md", "table1.tex", "dataset_statistics.md", "likeness.md"]
    for name in [*tables, "claims.md"]:
        assert "not DSRL's" in (results / f"tables/{name}").read_text()


def test_running_again_has_nothing_to_do(done):
    assert "Nothing to be done" in snakemake("all", *TINY, cwd=done[0])


def test_a_deleted_figure_is_one_job(done, results):
    figure = results / "figures/fig03_reward_cost.png"
    before = figure.read_bytes()
    figure.unlink()
    assert counts(snakemake("fig3", "-n", *TINY, cwd=done[0])) == {"fig3": 1, "total": 1}
    snakemake("fig3", *TINY, cwd=done[0])
    assert figure.read_bytes() == before


def test_each_deleted_figure_is_one_job(done, results):
    pictures = [results / f"figures/{name}.png" for name in FIGURES.values()]
    aside = [picture.rename(picture.with_suffix(".aside")) for picture in pictures]
    jobs = counts(snakemake("all", "-n", *TINY, cwd=done[0]))
    for picture, there in zip(pictures, aside, strict=True):
        there.rename(picture)
    assert jobs == FIGURE_JOBS | FIGURE_JOBS_OF_DATA | {
        "all": 1,
        "page": 1,
        "total": len(FIGURES) + 2,
    }


def test_an_edit_reruns_what_it_can_change(done):
    project = done[0]
    library = project / "scripts/prefine"

    def jobs(path, old, new):
        restore = edited(library / path, old, new)
        found = counts(snakemake("all", "-n", *TINY, cwd=project))
        restore()
        found.pop("total", None), found.pop("all", None)
        return found

    assert jobs(
        "report/style.py", '"font.size": 8', '"font.size": 9'
    ) == FIGURE_JOBS | FIGURE_JOBS_OF_DATA | {"page": 1}
    assert (
        jobs("methods/losses.py", "-F.logsigmoid(beta", "-2 * F.logsigmoid(beta")
        == {
            # Those that use losses.py, on two tasks; bc, SafeDICE and CPQ do not.
            "train": 20,
            "train_and_follow": 4,
            "evaluate": 25,
            "evaluate_curve": 4,
            "film": 2,
            "runs": 1,
            "study_table": 7,
            "curves_table": 3,
            "pareto": 1,
            "validate": 4,
            "validation_table": 1,
            "cost_gap": 2,
            "table1": 1,
            "claims": 1,
            "page": 1,
            "provenance": 1,
            "timing": 1,
        }
        | FIGURE_JOBS
    )
    training = jobs("training/loop.py", "[group], learning_rate", "[group], 0.5 * learning_rate")
    trained = [training[rule] for rule in ("pretrain", "train", "train_and_follow")]
    assert trained == [2, 27, 4] and "collect" not in training
    assert jobs("methods/losses.py", "The loss functions", "These are the loss functions") == {}
    assert (
        jobs("evaluation/rollout.py", "ROWS, ROWS_OF_SUITE = 64", "ROWS, ROWS_OF_SUITE = 16")[
            "evaluate"
        ]
        == 33
    )


def test_a_config_edit_reruns_what_it_can_change(done, tmp_path):
    def jobs(text):
        overlay = tmp_path / "overlay.yaml"
        overlay.write_text(text)
        found = counts(snakemake("all", "-n", *TINY, overlay, cwd=done[0]))
        found.pop("total", None), found.pop("all", None)
        return found

    assert jobs("figures: {fig1: {draw: 1}}") == {"fig1": 1, "page": 1, "provenance": 1}
    assert "train" not in jobs("evaluation: {episodes: 4}")
    beta = jobs("methods: {prefine: {beta: 0.3}}")
    assert [beta[rule] for rule in ("plan", "train", "train_and_follow")] == [10, 6, 3]
    assert "pretrain" not in beta
    steps = jobs("collect: {settings: {environments: 3}}")
    assert steps["collect"] == 2 and steps["pretrain"] == 2
    assert jobs("collect: {recipes: {BallRun: {environments: 3}}}")["collect"] == 1


def test_training_logs_can_be_had_as_tensorboard_events(done, results):
    snakemake("tensorboard", *TINY, cwd=done[0])
    log = pd.read_parquet(results / "training/main/BallRun/safedice.parquet")
    run = log["run"].iloc[-1]
    own = log[(log["run"] == run) & (log["phase"] == "train")]
    events = EventAccumulator(str(results / "tensorboard/main/BallRun/safedice" / run)).Reload()
    points = events.Scalars("train/loss")
    assert [point.step for point in points] == own["iteration"].tolist()
    np.testing.assert_allclose([point.value for point in points], own["loss"], rtol=1e-6)
    assert "discriminator/loss_discriminator" in events.Tags()["scalars"]


def test_the_choice_of_shares_can_be_compared_with_the_paper(done, results):
    snakemake("calibrate", *TINY, cwd=done[0])
    text = (results / "tables/calibration.md").read_text()
    assert text.count("smallest error") == 2 and text.count("in the config") == 2
    assert "not DSRL's numbers" in text


def test_another_run_can_take_the_sets_of_this_one(done, results, tmp_path):
    overlay = tmp_path / "again.yaml"
    overlay.write_text("run: again\nsplits_from: tiny\n")
    again = results.parent / "again"
    for folder in ("data", "trajectories"):
        shutil.copytree(results / folder, again / folder)
    options = [*TINY, overlay, "--rerun-triggers", "mtime"]
    snakemake("results/again/splits/BallRun.csv", *options, cwd=done[0])
    splits = [(folder / "splits/BallRun.csv").read_text() for folder in (results, again)]
    assert splits[0] == splits[1]


@browser.needed
@pytest.mark.parametrize("task", TASK_NAMES)
def test_a_film_plays_without_a_network(results, task):
    told = json.loads((results / f"films/{task}/film.json").read_text())
    with browser.opened(results / f"films/{task}.html") as page:
        page.wait_for_function("document.querySelector('video').currentTime > 0")
        page.locator("table").get_by_text("PREFINE").wait_for()
        own = "(v => [v.duration, v.videoWidth, v.error])(document.querySelector('video'))"
        duration, width, error = page.evaluate(own)
    assert error is None and width == told["size"][0]
    assert duration == pytest.approx(told["seconds"], abs=0.1)


@pytest.fixture(scope="module")
def report(done):
    """Snakemake's own report of the run."""
    page = done[0] / "results/tiny/report.html"
    snakemake("--report", page.relative_to(done[0]), *TINY, cwd=done[0])
    return page


def test_snakemake_s_own_report_has_the_provenance(report):
    assert "provenance.json" in report.read_text() and "not DSRL" in report.read_text()


@browser.needed
def test_the_report_can_be_read_anywhere_without_a_network(results):
    """Screenshots are left in results/tiny/screenshots of the project's copy."""
    page = results / "index.html"
    assert page.stat().st_size < 20e6
    with browser.opened(page) as opened:
        browser.readable(opened, results / "screenshots")
        assert opened.locator("#figures figure img").count() == len(FIGURES)
        assert opened.locator("tr[data-verdict]").count() > 20
        text = opened.locator("main").inner_text()
    assert "not DSRL's" in text and "yes: data, versions and devices" in text


def test_rerunning_a_job_gives_the_same_numbers(done, results):
    """The last test: what comes of the data would be made again by every later one."""
    project = done[0]
    paths = [
        "results/tiny/data/BallRun.hdf5",
        "results/tiny/policies/main/BallRun/prefine.safetensors",
        "results/tiny/episodes/main/BallRun/prefine.parquet",
    ]
    data, policies, episodes = (project / path for path in paths)
    before = policy_file.load(policies).params, pd.read_parquet(episodes), data.read_bytes()
    rules = ["collect", "train_and_follow", "evaluate"]
    snakemake(paths[2], "--forcerun", *rules, *TINY, cwd=project)
    after = policy_file.load(policies).params
    assert all((before[0][name] == after[name]).all() for name in after)
    pd.testing.assert_frame_equal(before[1], pd.read_parquet(episodes))
    assert before[2] == data.read_bytes()
