"""Methods can be told apart by the colour-blind, and in a grey print by their marks."""

import importlib.util
from itertools import combinations

import numpy as np
import pytest
from conftest import ROOT
from matplotlib.colors import to_hex
from matplotlib.markers import MarkerStyle
from prefine.report.colors import (
    METHOD_COLORS,
    METHOD_MARKERS,
    SAFE_COLOR,
    TASK_COLORS,
    UNSAFE_COLOR,
    VARIANT_FILLS,
    front_looks,
    method_marker,
    task_looks,
)

# Machado, Oliveira and Fernandes 2009, severity 1, for linear RGB.
VISIONS = {
    "usual": np.eye(3),
    "protanopia": [
        [0.152286, 1.052583, -0.204868],
        [0.114503, 0.786281, 0.099216],
        [-0.003882, -0.048116, 1.051998],
    ],
    "deuteranopia": [
        [0.367322, 0.860646, -0.227968],
        [0.280085, 0.672501, 0.047413],
        [-0.011820, 0.042940, 0.968881],
    ],
    "tritanopia": [
        [1.255528, -0.076749, -0.178779],
        [-0.078411, 0.930809, 0.147602],
        [0.004733, 0.691367, 0.303900],
    ],
}
TO_XYZ = np.array(
    [
        [0.4124564, 0.3575761, 0.1804375],
        [0.2126729, 0.7151522, 0.0721750],
        [0.0193339, 0.1191920, 0.9503041],
    ]
)
LEAST = 15.0  # CIE76; 2.3 is just noticeable side by side, thin lines and small marks need more


def seen(color, vision="usual"):
    """CIELAB of #rrggbb, white point D65."""
    rgb = np.array([int(color[place : place + 2], 16) for place in (1, 3, 5)]) / 255
    linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
    xyz = TO_XYZ @ np.clip(np.array(VISIONS[vision]) @ linear, 0, 1) / TO_XYZ.sum(axis=1)
    x, y, z = np.where(xyz > (6 / 29) ** 3, np.cbrt(xyz), xyz / (3 * (6 / 29) ** 2) + 4 / 29)
    return np.array([116 * y - 16, 500 * (x - y), 200 * (y - z)])


def test_lightness_is_that_of_cie():
    assert seen("#000000") == pytest.approx([0, 0, 0], abs=1e-6)
    assert seen("#FFFFFF") == pytest.approx([100, 0, 0], abs=1e-6)
    assert seen("#FF0000") == pytest.approx([53.24, 80.09, 67.20], abs=0.05)


@pytest.mark.parametrize("vision", VISIONS)
@pytest.mark.parametrize("colors", [METHOD_COLORS, dict(enumerate(TASK_COLORS))])
def test_no_two_lines_look_alike(colors, vision):
    pairs = combinations(colors.items(), 2)
    apart = {
        (a, b): np.linalg.norm(seen(one, vision) - seen(other, vision))
        for (a, one), (b, other) in pairs
    }
    close = {pair: round(gap, 1) for pair, gap in apart.items() if gap < LEAST}
    assert not close


@pytest.mark.parametrize("vision", VISIONS)
def test_safe_and_unsafe_differ_in_lightness(vision):
    assert abs(seen(SAFE_COLOR, vision)[0] - seen(UNSAFE_COLOR, vision)[0]) > 20


def test_every_method_can_be_seen_on_white_and_has_a_mark_of_its_own():
    assert METHOD_MARKERS.keys() == METHOD_COLORS.keys()
    assert len({*METHOD_MARKERS.values(), method_marker("mine")}) == len(METHOD_MARKERS) + 1
    for color, marker in zip(METHOD_COLORS.values(), METHOD_MARKERS.values(), strict=True):
        assert seen(color)[0] < 80 and MarkerStyle(marker).is_filled()


def test_tasks_wear_no_method_s_colour_and_differ_by_mark_too():
    looks = task_looks([f"task {n}" for n in range(7)])
    assert len({look["marker"] for look in looks.values()}) == 7
    assert not {look["color"] for look in looks.values()} & set(METHOD_COLORS.values())
    for look in looks.values():
        assert seen(look["color"])[0] < 80


def test_fronts_that_are_no_method_have_marks_of_their_own():
    mine = [f"mine{k}" for k in range(6)]
    looks = front_looks([*METHOD_MARKERS, "mixed:bc", *mine, "mixed:dpo", mine[0]])
    own = [looks[name]["marker"] for name in ("mixed:bc", *mine)]
    assert len(set(own)) == len(own) and not set(own) & set(METHOD_MARKERS.values())
    assert len({looks[name]["color"] for name in mine}) == len(mine)
    for method, marker in METHOD_MARKERS.items():
        assert looks[method] == {"color": METHOD_COLORS[method], "marker": marker}


def test_variants_have_their_method_s_colour_and_mark_and_no_two_look_alike():
    variants = script("variants")
    count = len(VARIANT_FILLS) + 2
    places = [{"method": m, "variant": n} for m in ("dpo", "prefine") for n in range(count)]
    looks = [variants.look(place, places) for place in places]
    assert len({str(look) for look in looks}) == len(looks)
    assert {look["marker"] for look in looks[:count]} == {METHOD_MARKERS["dpo"]}
    assert to_hex(looks[0]["color"]).upper() == METHOD_COLORS["dpo"]
    assert to_hex(looks[count]["color"]).upper() == METHOD_COLORS["prefine"]


def script(name):
    """A figure's script, as a module."""
    spec = importlib.util.spec_from_file_location(name, ROOT / f"scripts/figures/{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
