"""The page on which a person labels: by keys and clicks, kept, saved, and read by the pipeline."""

import json

import browser
import numpy as np
import pandas as pd
import pytest
from prefine.errors import UserError
from prefine.preferences.drawing import POINTS, draw, envelope
from prefine.preferences.label_page import page
from prefine.preferences.labels import read_labels, sheet
from prefine.tasks import TASKS, Task

P, N = "preferred", "nonpreferred"
STEPS = 20
OWN = Task("Mine", "m", "own", "Mine-v0", STEPS, 4, 2, 0.0, 0.0, 1.0, 8)


def trajectories(n):
    table = pd.DataFrame({"index": range(n), "length": STEPS, "return": np.arange(n) / 3})
    return table.assign(start=STEPS * table["index"], cost=np.nan)


def drawing(n, task=OWN, wanted=None):
    rng = np.random.default_rng(0)
    observations = rng.normal(size=(n, STEPS, task.obs_dim)).cumsum(axis=1) / 10
    data = {"observations": observations.reshape(-1, task.obs_dim)}
    data |= {"actions": rng.normal(size=(n * STEPS, task.act_dim)), "rewards": np.ones(n * STEPS)}
    return draw(task, data, [slice(STEPS * k, STEPS * (k + 1)) for k in range(n)], wanted)


def written(folder, table, task=OWN, wanted=None):
    path = folder / "page.html"
    path.write_text(page("Mine", table, drawing(len(table), task, wanted)))
    return path


def told(path):
    text = path.read_text().split('id="data">')[1]
    return json.loads(text[: text.index("</script>")])


def test_the_page_holds_every_trajectory_no_cost_and_nothing_from_elsewhere(tmp_path):
    path = written(tmp_path, sheet(trajectories(8)))
    data, text = told(path), path.read_text()
    assert len(data["drawn"]) == len(data["rows"]) == 8 and "cost" not in text
    assert data["axes"]["names"] == ["observation 0", "observation 1"]
    assert "http" not in text and "src=" not in text


def test_limits_lanes_and_hazards_are_those_of_the_task():
    circle = drawing(3, TASKS["BallCircle"])
    assert [own["at"] for own in circle.marks] == [-6.0, 6.0, [0.0, 0.0]]
    assert drawing(3, TASKS["BallRun"]).curves[0].limit == 2.5
    assert drawing(3, TASKS["HopperVelocity"]).curves[0].limit == 0.7402
    assert [own.name for own in drawing(3, TASKS["PointGoal1"]).curves] == ["reward of a step"]


def test_what_an_own_environment_has_is_drawn():
    wanted = {"observations": [1, 2], "names": ["x, m", "<y>"], "hazards": [[0, 0, 0.35]]}
    wanted |= {"goals": [[1, 0, 0.1]], "upwards": [None, 2.0]}
    data = drawing(3, wanted=wanted).to_dict()
    assert [own["is"] for own in data["marks"]] == ["goal", "hazard", "limit"]
    assert data["axes"]["equal"] and data["axes"]["high"][1] > 2
    with pytest.raises(UserError, match=r"\[0, 4\] is not allowed; observations are 0 to 3"):
        drawing(3, wanted=[0, 4])


def test_a_peak_of_one_step_is_drawn():
    values = np.zeros(10 * POINTS)
    values[1234], values[77] = 5, -3
    assert len(envelope(values)) <= POINTS
    assert envelope(values).max() == 5 and envelope(values).min() == -3


@browser.needed
def test_a_hundred_are_labelled_by_keys_taken_back_and_saved(tmp_path):
    table = trajectories(100)
    path = written(tmp_path, sheet(table), TASKS["BallCircle"])
    keys = ["1" if n % 3 else "2" for n in range(100)]
    with browser.opened(path) as opened:
        opened.on("dialog", lambda dialog: dialog.accept())
        for key in keys[:60]:
            opened.keyboard.press(key)
        assert opened.inner_text("#count") == "40 preferred, 20 nonpreferred of 100"
        assert opened.inner_text("#name") == "Trajectory 60"
        for _ in range(3):
            opened.keyboard.press("u")
        assert opened.inner_text("#count") == "38 preferred, 19 nonpreferred of 100"
        opened.reload()
        assert opened.inner_text("#name") == "Trajectory 57"
        opened.keyboard.press("Control+z")  # also of what was judged before the reload
        assert opened.inner_text("#name") == "Trajectory 56"
        for key in keys[56:]:
            opened.keyboard.press(key)
        assert opened.inner_text("#unsaved") == "100 not saved yet"
        opened.keyboard.press("ArrowLeft")
        opened.keyboard.press("0")
        assert opened.inner_text("#count").endswith("of 100")
        with opened.expect_download() as saved:
            opened.click("#save")
        assert opened.inner_text("#unsaved") == ""
        (tmp_path / "saved.csv").write_text(saved.value.path().read_text())
    sets = read_labels(tmp_path / "saved.csv", table)
    assert len(sets[P]) + len(sets[N]) == 99 and 98 not in [*sets[P], *sets[N]]
    assert sets[N].tolist() == [n for n in range(100) if not n % 3]


@browser.needed
def test_what_one_points_at_is_shown_large_and_moves(tmp_path):
    with browser.opened(written(tmp_path, sheet(trajectories(8)), TASKS["BallRun"])) as opened:
        place = "document.querySelector('.now').getAttribute('cx')"
        first = opened.evaluate(place)
        opened.wait_for_function(f"{place} !== '{first}'")
        opened.hover("[data-trajectory='5'] .see")
        assert opened.inner_text("#name") == "Trajectory 5"
        opened.hover("h1")
        assert opened.inner_text("#name") == "Trajectory 0"
        opened.locator("[data-trajectory='0'] .see").focus()
        opened.keyboard.press("ArrowRight")
        assert opened.evaluate("document.activeElement.parentNode.dataset.trajectory") == "1"
        opened.keyboard.press("2")
        assert opened.locator("[data-trajectory='1']").get_attribute("class") == N
        opened.select_option("#only", "nonpreferred")
        assert opened.locator("section:visible").count() == 2  # and the one that is shown
        texts = opened.locator("#picture text").all_text_contents()
        assert {"x, m", "y, m", "speed, m/s", "limit 2.5", "step"} <= set(texts)


@browser.needed
@pytest.mark.parametrize("name", ["BallCircle", "PointGoal1"])
def test_the_page_can_be_read_everywhere(name, tmp_path):
    with browser.opened(written(tmp_path, sheet(trajectories(8)), TASKS[name])) as opened:
        opened.keyboard.press("1"), opened.keyboard.press("2")
        browser.readable(opened, tmp_path / "screenshots")


@browser.needed
def test_what_is_clicked_on_the_page_is_saved_as_labels(tmp_path):
    written(tmp_path, sheet(trajectories(8)))
    with browser.opened(tmp_path / "page.html") as opened:
        for number, label in [(0, P), (1, P), (2, P), (3, N), (4, N), (5, N), (6, N), (6, N)]:
            opened.click(f"[data-trajectory='{number}'] button[value={label}]")
        count = opened.inner_text("#count")
        with opened.expect_download() as saved:
            opened.click("#save")
        assert saved.value.suggested_filename == "Mine.csv"
        table = saved.value.path().read_text()
    assert count == "3 preferred, 3 nonpreferred of 8"  # the last click took the one before back
    (tmp_path / "labels.csv").write_text(table)
    sets = read_labels(tmp_path / "labels.csv", trajectories(8))
    assert sets[P].tolist() == [0, 1, 2] and sets[N].tolist() == [3, 4, 5]


@browser.needed
def test_what_was_clicked_outlives_a_reload_and_new_trajectories(tmp_path):

    def write(names, labels):
        own = sheet(trajectories(8).assign(fingerprint=names)).assign(label=labels)
        written(tmp_path, own)

    def shown():
        return opened.evaluate(
            "[...document.querySelectorAll('section')].map(s => s.className[0] || '-').join('')"
        )

    def warns():
        """Whether leaving the page asks whether one wants to."""
        return opened.evaluate("!dispatchEvent(new Event('beforeunload', {cancelable: true}))")

    def click(number, label):
        opened.click(f"[data-trajectory='{number}'] button[value={label}]")

    names = [f"t{n}" for n in range(8)]
    write(names, [P, N] + [""] * 6)
    with browser.opened(tmp_path / "page.html") as opened:
        opened.on("dialog", lambda dialog: dialog.accept())
        assert shown() == "pn------" and not warns()
        click(2, P), click(1, P), click(3, N)
        assert shown() == "pppn----" and warns()
        opened.reload()
        assert shown() == "pppn----" and warns()
        assert opened.inner_text("#unsaved") == "3 not saved yet"
        click(3, N)  # back to what it was
        with opened.expect_download() as saved:
            opened.click("#save")
        rows = saved.value.path().read_text().splitlines()
        assert rows[0] == "trajectory,return,length,label,fingerprint"
        assert rows[2] == "1,0.333,20,preferred,t1" and rows[4] == "3,1,20,,t3"
        opened.reload()
        assert shown() == "ppp-----" and not warns()
        click(7, N)
        write(["new", *names[:-1]], [""] * 8)  # one comes first, the last one is gone
        opened.reload()
        assert shown() == "-ppp----" and not warns()
        write(["t7", *names[:-1]], [N, N] + [""] * 6)  # it is back, and somebody edited the sheet
        opened.reload()
        assert shown() == "nnpp----" and warns()


@browser.needed
def test_a_page_that_is_loaded_before_its_clicks_are_on_disk_has_them(tmp_path):
    """Chromium's localStorage may still answer with what stood there before, or with nothing."""
    written(tmp_path, sheet(trajectories(8)))
    with browser.opened(tmp_path / "page.html") as opened:
        opened.on("dialog", lambda dialog: dialog.accept())
        for number, old in enumerate(["", "{}", opened.evaluate("localStorage.getItem(place)")]):
            opened.click(f"[data-trajectory='{number}'] button[value={P}]")
            opened.evaluate("old => localStorage.setItem(place, old)", old or "")
            opened.reload()
            assert opened.locator(f"section.{P}").count() == number + 1
        # Another tab's clicks, as Chromium tells of them: at once, late, or in the wrong order.
        tell = """([later, clicked]) => dispatchEvent(new StorageEvent("storage", {key: place,
            newValue: JSON.stringify({time: Date.now() + later, clicked, saved: {}})}))"""
        for later, clicked in [(200_000, {"0": N}), (100_000, {"0": P, "1": P})]:
            opened.evaluate(tell, [later, clicked])
            for _ in range(2):
                assert opened.locator(f"section.{P}").count() == 0
                assert opened.locator(f"section.{N}").count() == 1
                opened.reload()
