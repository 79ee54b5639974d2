"""Names beside marks: no two on each other, none on a mark where there is room, none cut off."""

from itertools import combinations

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from conftest import ROOT
from prefine.report import labels, style

PUBLISHED = ROOT / "results/collected/tables/table1.csv"
FRAME = np.array([0.0, 0.0, 90.0, 110.0])  # points, as a panel of Figure 3
CROWDS = {
    "all in one place": np.full((9, 2), 50.0),
    "in a corner": np.full((7, 2), 2.0),
    "a column": np.stack([np.full(9, 45.0), np.linspace(40, 60, 9)], axis=1),
    "a cloud": np.random.default_rng(0).normal(45, 6, (12, 2)),
}


def arranged(places, size=(10.0, 8.0), frame=FRAME):
    none = np.zeros((0, 4))
    return labels.arrange(places, np.tile(size, (len(places), 1)), frame, none, none)


@pytest.mark.parametrize("crowd", CROWDS)
def test_names_of_a_crowd_do_not_meet_and_stay_in_the_frame(crowd):
    places = CROWDS[crowd]
    boxes = labels.around(arranged(places), np.array([5.0, 4.0]))
    assert not np.isnan(boxes).any()
    assert not any(labels.meet(one, other) for one, other in combinations(boxes, 2))
    assert (boxes[:, :2] >= FRAME[:2]).all() and (boxes[:, 2:] <= FRAME[2:]).all()
    np.testing.assert_array_equal(arranged(places), arranged(places))  # no chance in it


def test_a_lone_name_stands_close_to_the_right_and_covers_no_mark():
    (alone,) = arranged(np.array([[45.0, 55.0]]))
    gap = alone - 5 - labels.PADDING - 45 - labels.MARK
    assert alone[1] == 55 and 0 < gap[0] <= 2
    places = np.array([[45.0, 55.0], [58.0, 55.0]])  # the second mark is where the name would be
    boxes = labels.around(arranged(places), np.array([5.0, 4.0]))
    marks = labels.around(places, labels.MARK)
    assert not labels.meet(boxes[:, None], marks).any()


def test_a_name_without_room_is_left_out_rather_than_laid_on_another():
    middles = arranged(np.full((9, 2), 12.0), frame=np.array([0.0, 0.0, 40.0, 30.0]))
    kept = middles[~np.isnan(middles).any(axis=1)]
    boxes = labels.around(kept, np.array([5.0, 4.0]))
    assert 1 < len(kept) < 9
    assert not any(labels.meet(one, other) for one, other in combinations(boxes, 2))


def written(axis, names):
    """Boxes of the names as they are drawn, at the resolution of the files."""
    axis.figure.set_dpi(300)
    axis.figure.draw_without_rendering()  # puts the names where they belong
    renderer = axis.figure.canvas.get_renderer()
    found = [plt.Text.get_window_extent(name, renderer).extents for name in names]
    return np.array(found).reshape(-1, 4)


@pytest.fixture
def panel():
    """A panel as small as Figure 3's, with its scales."""
    style.use_style()
    figure, axis = plt.subplots(figsize=(1.2, 1.6))
    axis.set_xscale("symlog", linthresh=1.0, linscale=1.2)
    axis.set_xlim(-0.2, 25)
    axis.set_ylim(-0.05, 1.22)
    figure.draw_without_rendering()
    figure.set_layout_engine("none")
    yield axis
    plt.close(figure)


def clear(axis, names, n):
    boxes = written(axis, names)
    assert len(boxes) == n
    assert not any(labels.meet(one, other) for one, other in combinations(boxes, 2))
    low, high = axis.bbox.extents[:2], axis.bbox.extents[2:]
    assert (boxes[:, :2] >= low).all() and (boxes[:, 2:] <= high).all()


@pytest.mark.parametrize("shift", [0.0, 0.02])
def test_names_of_marks_in_one_place_do_not_meet_as_drawn(panel, shift):
    places = np.stack([4 + shift * np.arange(7), np.full(7, 0.9)], axis=1)
    names = ["a", "hc", "w", "h", "pg", "cg", "s"]
    clear(panel, labels.name_marks(panel, places, names), 7)


def test_no_two_names_meet_in_any_panel_of_the_published_result(panel):
    table = pd.read_csv(PUBLISHED, keep_default_na=False, na_values=[""])
    panels = table.dropna(subset=["reward", "cost"]).groupby(["suite", "method"])
    assert len(panels) >= 20
    panel.set_ylim(min(-0.05, table["reward"].min() - 0.05), 1.22)  # Figure 3's, the same for all
    for _, own in panels:
        names = labels.name_marks(panel, own[["cost", "reward"]], own["label"].tolist())
        clear(panel, names, len(own))
        panel.figure.set_dpi(100)  # as when the next names are arranged
        for name in names:
            name.remove()
