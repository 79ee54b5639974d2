"""One colour a method, a set and a verdict, in every figure and on the page."""

from collections.abc import Iterable, Sequence

from prefine.analysis.pareto import MIXED

# Okabe-Ito; the other five were chosen so that no two are alike to the colour-blind.
METHOD_COLORS = {
    "reference": "#000000",
    "bc": "#E69F00",
    "bc_from_reference": "#642814",
    "dpo": "#56B4E9",
    "ppl": "#009E73",
    "safedice": "#CC79A7",
    "cpq": "#D55E00",
    "cpl": "#B4B450",
    "trac": "#8C14F0",
    "safemil": "#28148C",
    "endorse": "#882255",
    "prefine": "#0072B2",
}
# Matplotlib's names of marks: they tell methods apart where a print is grey.
METHOD_MARKERS = {
    "reference": "s",
    "bc": "^",
    "bc_from_reference": "v",
    "dpo": "D",
    "ppl": "P",
    "safedice": "<",
    "cpq": ">",
    "cpl": "p",
    "trac": "X",
    "safemil": "*",
    "endorse": "d",
    "prefine": "o",
}
# Of fronts that are no method of the package: polygons and stars (corners, kind, angle).
MIXED_COLOR, MIXED_MARKER = "#999999", "H"
OTHER_COLORS = ("#E41A1C", "#377EB8", "#4DAF4A", "#984EA3", "#FF7F00", "#A65628", "#F781BF")
OTHER_MARKERS = ("h", "8", (6, 1, 0), (4, 1, 0), (4, 1, 45), (3, 1, 180))
# Of one method's variants: the method's colour and mark, filled in another way.
VARIANT_FILLS = ("full", "open", "left", "bottom", "right", "top")
# Of tasks, where a figure has a line for each and one method alone: no method's own (Paul Tol's).
TASK_COLORS = ("#332288", "#CC6677", "#117733", "#AA4499", "#999933", "#661100", "#44AA99")
TASK_MARKERS = "osD^vP*"
# Dark against light: they differ in grey and for the colour-blind too.
SAFE_COLOR, UNSAFE_COLOR = "#00553C", "#F2704E"
SET_COLORS = {
    "all": "#BBBBBB",
    "reference": "#882E72",
    "preferred": SAFE_COLOR,
    "nonpreferred": UNSAFE_COLOR,
}
SET_MARKERS = {"reference": "s", "preferred": "o", "nonpreferred": "X"}


def method_color(method: str) -> str:
    """The colour of a method; methods of one's own share a grey."""
    return METHOD_COLORS.get(method, "#777777")


def method_marker(method: str) -> str:
    """The mark of a method; methods of one's own share one."""
    return METHOD_MARKERS.get(method, "h")


def task_looks(tasks: Sequence[str]) -> dict[str, dict]:
    """Colour and mark of each task's line, by its place among those of a panel."""
    return {
        task: {
            "color": TASK_COLORS[place % len(TASK_COLORS)],
            "marker": TASK_MARKERS[place % len(TASK_MARKERS)],
        }
        for place, task in enumerate(tasks)
    }


def front_looks(fronts: Iterable[str]) -> dict[str, dict]:
    """Colour and mark of each front; those of methods of one's own differ, by their place."""
    looks, others = {}, 0
    for front in dict.fromkeys(fronts):
        if front.startswith(MIXED):
            color, marker = MIXED_COLOR, MIXED_MARKER
        elif front in METHOD_COLORS:
            color, marker = METHOD_COLORS[front], METHOD_MARKERS[front]
        else:
            color = OTHER_COLORS[others % len(OTHER_COLORS)]
            marker, others = OTHER_MARKERS[others % len(OTHER_MARKERS)], others + 1
        looks[front] = {"color": color, "marker": marker}
    return looks
