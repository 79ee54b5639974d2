"""One style for all figures: colours fixed by method, colour-blind safe, two-column sizes."""

import logging
import textwrap
from pathlib import Path

import matplotlib

matplotlib.use("agg")

import matplotlib.pyplot as plt
import pandas as pd
import seaborn as sns

from prefine.files import atomic, write_table

COLUMN_WIDTH, TEXT_WIDTH = 3.35, 7.0  # inches, two-column paper

# Okabe-Ito, ordered so that neighbours also differ in lightness.
METHOD_COLORS = {
    "reference": "#000000",
    "bc": "#E69F00",
    "bc_from_reference": "#8C5E00",
    "dpo": "#56B4E9",
    "ppl": "#009E73",
    "safedice": "#CC79A7",
    "cpq": "#D55E00",
    "prefine": "#0072B2",
}
SET_COLORS = {
    "all": "#BBBBBB",
    "reference": "#882E72",
    "preferred": "#1B9E50",
    "nonpreferred": "#D7301F",
}
SAFE_COLOR, UNSAFE_COLOR = "#1B9E50", "#D7301F"


def method_color(method: str) -> str:
    """The colour of a method in every figure; methods of one's own share a grey."""
    return METHOD_COLORS.get(method, "#777777")


def in_math(label: str) -> str:
    """Set π_ref in a label as mathematics."""
    return label.replace("π_ref", r"$\pi_\mathrm{ref}$")


def use_style() -> None:
    """Set fonts, sizes and lines for the whole process."""
    logging.getLogger("fontTools").setLevel(logging.WARNING)  # each glyph of a PDF is a line
    sns.set_theme(style="ticks", context="paper")
    plt.rcParams.update(
        {
            "font.size": 8,
            "axes.titlesize": 8,
            "axes.labelsize": 8,
            "xtick.labelsize": 7,
            "ytick.labelsize": 7,
            "legend.fontsize": 7,
            "axes.linewidth": 0.6,
            "axes.grid": True,
            "grid.linewidth": 0.3,
            "grid.alpha": 0.6,
            "figure.constrained_layout.use": True,
            "pdf.fonttype": 42,
            "savefig.dpi": 300,
        }
    )


def save(figure: plt.Figure, png: Path, numbers: pd.DataFrame, note: str) -> None:
    """Write PNG, PDF and the plotted numbers as CSV beside each other, with a source line."""
    lines = textwrap.fill(note, int(22 * figure.get_figwidth()))
    figure.supxlabel(lines, fontsize=6, color="0.35", x=0.01, ha="left")
    for path in (png, png.with_suffix(".pdf")):
        dated = {"CreationDate": None} if path.suffix == ".pdf" else {"Description": note}
        with atomic(path) as temporary:
            figure.savefig(temporary, metadata=dated)
    plt.close(figure)
    write_table(png.with_suffix(".csv"), numbers)
