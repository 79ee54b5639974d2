"""The page of a hand-made run: what its first screen says, and what its reader can do."""

import json
import shutil

import browser
import forked
import matplotlib.pyplot as plt
import pandas as pd
import pytest
from conftest import ROOT
from hand_made import AS_CLAIMED, PAPER, SUITES, TAUS, table
from prefine.analysis import tables
from prefine.report import answer, cloud, page
from prefine.report import provenance as records

EXPECTED = {task: list(TAUS) for task in SUITES}
CONFIG = {"run": "mine", "source": "collect", "tasks": list(SUITES)}
CONFIG |= {"split": {"n_preferred": 100, "n_nonpreferred": 20}, "studies": {"main": {}}}
FRONTS = {"file": "pareto_BallRun", "title": "Fronts, BallRun", "section": "Beyond the paper"}
FRONTS |= {"params": {}, "caption": "fig01"}
FIGURE = {"file": "fig01", "title": "Figure 01: of π_ref <b>", "section": "Figures", "params": {}}


def made(folder, runs, config=CONFIG):
    """A folder of results of these runs with one figure, and its page."""
    for name in ("tables", "figures"):
        (folder / name).mkdir()
    runs = runs.assign(**{"return": 10 * runs["normalized_return"]})
    runs.to_csv(folder / "tables/runs.csv", index=False)
    tables.table1(runs, EXPECTED).to_csv(folder / "tables/table1.csv", index=False)
    claims = [ROOT / "scripts", "analysis/claims.py", "--study", "main"]
    claims += ["--runs", folder / "tables/runs.csv", "--paper", ROOT / "workflow/paper/table1.csv"]
    claims += ["--csv", folder / "tables/claims.csv", "--markdown", folder / "claims.md"]
    assert not forked.run(*claims, "--thresholds", json.dumps(EXPECTED)).returncode
    record = records.together([], [], config)
    (folder / "tables/provenance.json").write_text(json.dumps(record))
    with plt.style.context(
        "default", after_reset=True
    ):  # a figure made before may have set its own
        plt.figure(figsize=(7, 2)).savefig(folder / "figures/fig01.png", dpi=100)
        plt.figure(figsize=(7, 2)).savefig(folder / "figures/pareto_BallRun.png", dpi=100)
    front_table().to_csv(folder / "figures/pareto_BallRun.csv", index=False)
    captions = {"fig01": "Run *{{ snakemake.config['run'] }}*, D_np.", "claims": "", "table1": ""}
    run = page.Run(folder, config, [FIGURE | {"caption": "fig01"}, FRONTS], captions)
    path = folder / "index.html"
    path.write_text(page.write(run, PAPER))
    return path


def test_the_first_screen_answers():
    runs = table(bc=(0.6, 4.0))
    rows = answer.of_methods(tables.table1(runs, EXPECTED), {"prefine": 1000.0, "bc": 500_000.0})
    assert answer.headline(rows) == (
        "PREFINE is safe on 12 of 12 tasks and keeps 95 % of π_ref’s reward; "
        "π_ref itself is safe on 0 of 12."
    )
    assert "surely safe on 12, surely unsafe on 0, open on 0" in answer.certainty(rows)
    assert "1,000 to 500,000 iterations" in answer.length(rows)
    bc = next(row for row in rows if row["method"] == "bc")
    assert (bc["safe"], bc["unsafe"], bc["best"]) == (0, 12, 0)


def test_few_seeds_are_not_sure_and_no_cost_is_no_answer():
    runs = table()
    few = tables.table1(runs[~(runs["seed"] > 1)], EXPECTED)
    assert answer.certainty(answer.of_methods(few, {})).startswith("Not sure at all: 2 seeds")
    none = few.assign(cost=float("nan"))
    assert "nothing can be called safe" in answer.headline(answer.of_methods(none, {}))


def test_nothing_is_kept_of_a_reward_that_is_not_above_zero():
    for changes in ({"reference": (-0.1, 4.0)}, {"prefine": (-0.3, 0.4)}, {"reference": (1e-9, 4)}):
        rows = answer.of_methods(tables.table1(table(**changes), EXPECTED), {"prefine": 1})
        said = answer.headline(rows)
        assert "keeps" not in said and "with a normalised reward of" in said, said
        assert "for 1 iteration;" in answer.length(rows)


def test_the_headline_alone_says_that_few_seeds_show_nothing():
    runs = table()
    few = answer.of_methods(tables.table1(runs[~(runs["seed"] > 0)], EXPECTED), {})
    assert answer.headline(few).startswith("By 1 seed alone, which shows nothing for certain, PRE")


def test_costs_that_are_not_known_are_not_costs_that_are_no_less():
    rows = [
        {"task": task, "who": who, "score": score, "episodes": 50, "mean": mean}
        | {"difference_low": -3.0, "difference_high": -1.0}
        for task, cost in (("Mine", 5.0), ("Blind", float("nan")))
        for who in ("before", "after")
        for score, mean in (("return", 1.0), ("cost", cost))
    ]
    both = answer.of_own_policies(pd.DataFrame(rows))[0]
    assert both == "PREFINE made your policy cost less on 1 of 1 task whose costs are known."
    blind = answer.of_own_policies(pd.DataFrame(rows[4:]))[0]
    assert blind.startswith("No costs are known: whether PREFINE") and "0 of" not in blind


@pytest.mark.parametrize(("low", "high", "says"), [(-3, -1, "1 of 1 task."), (-3, 1, "0 of 1")])
def test_an_own_policy_costs_less_only_where_that_was_shown(low, high, says):
    rows = [
        {"task": "Mine", "who": who, "score": score, "episodes": 50, "mean": mean}
        | {"difference_low": low, "difference_high": high}
        for who, mean in (("before", 5.0), ("after", 3.0))
        for score in ("return", "cost")
    ]
    headline, told, sure = answer.of_own_policies(pd.DataFrame(rows))
    assert says in headline and "50 episodes" in sure
    assert ("no difference shown" in told[0]) == (high > 0)


def test_marks_are_left_of_the_limit_where_they_are_safe():
    runs = table().assign(**{"return": 1.0})
    drawn = cloud.of_runs(runs)
    for own, (_, group) in zip(drawn["groups"], runs.groupby("method", sort=False), strict=True):
        assert len(own["marks"]) == len(group)
    places = {own["label"]: own["marks"][0][0] for own in drawn["groups"]}
    assert places["PREFINE"] < drawn["limit"] < places["BC"] < places["π_ref"]
    assert cloud.squeezed(1.0) == 1 and cloud.squeezed(4.0) == 3
    assert cloud.of_runs(runs.assign(normalized_cost=float("nan"))) == {}


def front_table():
    """Three fronts and the controls as figures/pareto_{task}.csv has them; DPO's last is beaten."""
    scores = {
        "bc": [(0.2, 0.0), (0.4, 0.5)],
        "mixed:bc": [(0.3, 0.2)],
        "dpo": [(0.5, 0.4), (0.9, 3.0), (0.4, 0.6)],
        "controls": [(0.2, 0.0), (0.4, 0.5)],
    }
    rows = [
        {"task": "BallRun", "front": front, "variant": f"beta={k}" if k else "config", "runs": 3}
        | {"undominated": (front, k) != ("dpo", 2), "source": "collect"}
        | {"reward": reward, "reward_low": reward - 0.1, "reward_high": reward + 0.1}
        | {"cost": cost, "cost_low": float("nan"), "cost_high": float("nan")}
        for front, points in scores.items()
        for k, (reward, cost) in enumerate(points)
    ]
    return pd.DataFrame(rows)


def test_the_stairs_of_a_front_go_through_its_best_points_only():
    drawn = cloud.of_fronts(front_table())
    bc, mixed, dpo = drawn["groups"]
    first, second, beaten = [mark[:2] for mark in dpo["marks"]]
    assert dpo["stairs"] == f"M{first[0]} {first[1]}H{second[0]}V{second[1]}H708"
    assert first[0] < beaten[0] < drawn["limit"] < second[0] and second[1] < first[1] < beaten[1]
    assert dpo["marks"][2][2] == (
        "DPO, beta=2: reward 0.40 [0.30, 0.50], cost 0.60 (mean of 3 runs; another point of it "
        "is better)"
    )
    assert bc["marks"][0][2].startswith("BC, stopped early, as in the config: reward 0.20")
    assert len({own["shape"] for own in drawn["groups"]}) == 3 and "mixed" in mixed["label"]


def test_stairs_never_go_down_where_two_costs_fall_on_one_place():
    """Costs of 0 and of 8e-5 are one place of the drawing: the step goes to the better reward."""
    points = front_table().query("front == 'dpo'").head(2)
    points = points.assign(cost=[0.0, 8e-5], reward=[0.5, 0.8])
    (own,) = cloud.of_fronts(points)["groups"]
    (across, low), (also, high) = [mark[:2] for mark in own["marks"]]
    assert across == also and high < low
    assert own["stairs"] == f"M{across} {low}H{across}V{high}H708"


@pytest.mark.parametrize("source", ["collect", "dsrl"])
def test_the_paper_s_numbers_stand_beside_dsrl_s_alone(source, tmp_path):
    text = made(tmp_path, table().assign(source=source), CONFIG | {"source": source}).read_text()
    assert ("<small>paper 0.93" in text) == (source == "dsrl")
    assert ("paper’s numbers are not beside them" in text) == (source == "collect")


def test_films_that_do_not_fit_are_named(tmp_path):
    for task, size in (("A", 3000), ("B", 900_000)):
        folder = tmp_path / f"films/{task}"
        folder.mkdir(parents=True)
        (folder / "film.mp4").write_bytes(bytes(size))
        (folder / "film.json").write_text(json.dumps({"task": task}))
    config = CONFIG | {"tasks": ["B", "A", "C"]}  # of C there is none, and D is none of them
    shutil.copytree(tmp_path / "films/A", tmp_path / "films/D")
    found = page.Run(tmp_path, config, [], {}).films(room=100_000)
    assert [bool(film["src"]) for film in found] == [True, False]
    assert found[1]["place"] == "films/B/film.mp4"


def test_what_an_earlier_config_left_is_not_shown(tmp_path):
    path = made(tmp_path, table())
    shutil.copy(ROOT / "results/collected/tables/pareto.csv", tmp_path / "tables")
    shutil.copy(ROOT / "results/collected/tables/pareto_choice.csv", tmp_path / "tables")
    for study in (None, {"methods": ["bc"]}):
        config = CONFIG | {"studies": {"main": {}, "pareto": study}}
        shown = page.Run(tmp_path, config, [], {"table1": ""}).results(PAPER)
        assert ("pareto" in {own.id for own in shown}) == (study is not None)
    assert "hypervolumes" not in path.read_text()


@browser.needed
def test_the_page_can_be_read_sorted_and_enlarged(tmp_path):
    path = made(tmp_path, table())
    assert "of π_ref <b>" not in path.read_text()
    with browser.opened(path) as opened:
        browser.readable(opened, tmp_path / "screenshots")
        methods = opened.locator("#methods tbody tr td:first-child")
        opened.locator("#methods th button").get_by_text("Mean cost").click()
        assert methods.first.inner_text() == "DPO"
        opened.locator("#methods th button").get_by_text("Mean cost").click()
        assert methods.last.inner_text() == "DPO"
        shown = opened.locator("tr[data-verdict]:visible")
        before, holds = shown.count(), opened.locator("button[data-verdict=holds]")
        holds.click()
        assert shown.count() == int(holds.locator("b").inner_text()) < before
        opened.locator(".enlarge").first.click()
        opened.wait_for_function("document.querySelector('dialog img').naturalWidth === 700")
        opened.keyboard.press("Escape")
        opened.locator("#cloud button[data-group]").get_by_text("CPQ").click()
        assert opened.locator("#cloud g:visible").count() == len(AS_CLAIMED) - 1
        opened.locator("#cloud .mark").last.dispatch_event("pointerover")
        assert "PREFINE, " in opened.locator("#cloud output").inner_text()
        opened.locator("#cloud .paper").focus()
        for _ in range(40):
            opened.keyboard.press("ArrowLeft")
        first = opened.locator("#cloud output").inner_text()
        opened.keyboard.press("ArrowRight")
        assert opened.locator("#cloud output").inner_text() != first
        fronts = opened.locator("#figure_pareto_BallRun .cloud")
        fronts.locator(".mark").last.dispatch_event("pointerover")
        assert fronts.locator("output").inner_text().startswith("DPO, beta=2: reward 0.40")
        assert opened.locator("#cloud output").inner_text() != fronts.locator("output").inner_text()
        fronts.locator("button").get_by_text("DPO").click()
        assert fronts.locator("g:visible").count() == 2
        fronts.locator(".paper").focus()
        opened.keyboard.press("ArrowLeft")
        assert not fronts.locator("output").inner_text().startswith("DPO")
        opened.emulate_media(media="print")
        assert not opened.locator("nav").is_visible()


@browser.needed
def test_all_methods_of_the_published_table_1_fit_a_desk():
    """With each further method the last but one went under the last column, which stays."""
    with browser.opened(ROOT / "results/collected/index.html") as opened:
        table = opened.locator("#table1 .scroll")
        assert table.locator("th").count() > 12
        for width in (1280, 1400):
            opened.set_viewport_size({"width": width, "height": 900})
            assert table.evaluate("own => own.scrollWidth <= own.clientWidth")
