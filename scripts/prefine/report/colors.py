"""One colour a method, a set and a verdict, in every figure and on the page."""

# Okabe-Ito, ordered so that neighbours also differ in lightness.
METHOD_COLORS = {
    "reference": "#000000",
    "bc": "#E69F00",
    "bc_from_reference": "#8C5E00",
    "dpo": "#56B4E9",
    "ppl": "#009E73",
    "safedice": "#CC79A7",
    "cpq": "#D55E00",
    "cpl": "#66A61E",
    "trac": "#A6761D",
    "safemil": "#7570B3",
    "endorse": "#882255",
    "prefine": "#0072B2",
}
# Dark against light: they differ in grey and for the colour-blind too.
SAFE_COLOR, UNSAFE_COLOR = "#00664A", "#F2704E"
SET_COLORS = {
    "all": "#BBBBBB",
    "reference": "#882E72",
    "preferred": SAFE_COLOR,
    "nonpreferred": UNSAFE_COLOR,
}


def method_color(method: str) -> str:
    """The colour of a method; methods of one's own share a grey."""
    return METHOD_COLORS.get(method, "#777777")
