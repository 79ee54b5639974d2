"""One style for all figures: colours fixed by method, colour-blind safe, two-column sizes."""

import logging
import textwrap
from collections.abc import Callable, Sequence
from pathlib import Path

from prefine import caches

caches.find()  # before matplotlib looks for one

import matplotlib

matplotlib.use("agg")

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.patheffects import withStroke

from prefine.files import atomic, write_table
from prefine.report.colors import METHOD_COLORS as METHOD_COLORS
from prefine.report.colors import SAFE_COLOR as SAFE_COLOR
from prefine.report.colors import SET_COLORS as SET_COLORS
from prefine.report.colors import SET_MARKERS as SET_MARKERS
from prefine.report.colors import UNSAFE_COLOR as UNSAFE_COLOR
from prefine.report.colors import VARIANT_FILLS as VARIANT_FILLS
from prefine.report.colors import method_color as method_color
from prefine.report.colors import method_marker as method_marker
from prefine.report.colors import task_looks as task_looks

NO_RUNS = "The study has no runs: it is off, or none of its tasks is among the config's."
TEXT_WIDTH = 7.0  # inches, two-column paper


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


def shades(values: Sequence) -> dict:
    """Colours from dark to light, in grey too, for the steps of a setting in their order."""
    places = np.linspace(0, 0.75, max(len(values), 2))  # the lightest are not seen on white
    return dict(zip(values, plt.get_cmap("viridis")(places), strict=False))


def from_zero(axis: plt.Axes) -> None:
    """Upwards from zero, with room for a line or mark that lies there."""
    top = axis.get_ylim()[1]
    axis.set_ylim(-0.04 * top, top)


def outlined(width: float = 1.0) -> list[withStroke]:
    """A white edge for lines that cross what is dark."""
    return [withStroke(linewidth=width + 1.2, foreground="white")]


def cost_axis(axis: plt.Axes) -> None:
    """Normalised cost upwards: linear to the limit, logarithmic above, with the limit dotted."""
    axis.axhline(1.0, color="0.2", lw=0.8, ls=":")
    axis.set_yscale("symlog", linthresh=1.0)
    top = axis.get_ylim()[1]
    ticks = [tick for tick in (0, 0.5, 1, 2, 3, 5, 10, 20, 30) if tick <= max(1.0, top)]
    axis.set_yticks(ticks, [f"{tick:g}" for tick in ticks])
    axis.minorticks_off()
    axis.set_ylim(bottom=-0.05, top=1.25 * max(1.0, top))


def count(numbers: pd.Series, noun: str) -> str:
    """``3 runs``, or ``2 to 4 runs`` where they differ."""
    low, high = int(numbers.min()), int(numbers.max())
    text = f"{low} to {high}" if low < high else str(low)
    return f"{text} {noun}{'' if high == 1 else 's'}"


def having(fixed: dict) -> str:
    """What all runs of a study have otherwise than the config, as the end of a clause."""
    told = ", ".join(f"{key} {value}" for key, value in fixed.items())
    return f", all with {told}" if told else ""


def say_missing(axis: plt.Axes, text: str) -> None:
    """A panel with nothing but the reason."""
    axis.set_axis_off()
    text = textwrap.fill(text, 40)
    axis.text(0.5, 0.5, text, transform=axis.transAxes, ha="center", va="center", color="0.3")


def mark_missing(axis: plt.Axes, place: float, left: bool = False) -> None:
    """Say at one side of a row that it has no number."""
    axis.text(
        0.03 if left else 0.97,
        place,
        "missing",
        transform=axis.get_yaxis_transform(),
        ha="left" if left else "right",
        va="center",
        fontsize=6,
        color="0.4",
    )


def save_missing(png: Path, reason: str = NO_RUNS) -> None:
    """A figure of which there is nothing to draw says why."""
    use_style()
    figure, axis = plt.subplots(figsize=(TEXT_WIDTH, 1.5))
    say_missing(axis, reason)
    save(figure, png, pd.DataFrame({"missing": [reason]}), "Nothing to draw.")


def save(
    figure: plt.Figure,
    png: Path,
    numbers: pd.DataFrame,
    note: str,
    finish: Callable[[], object] | None = None,
) -> None:
    """Write PNG, PDF and the plotted numbers as CSV beside each other, with a source line.

    ``finish`` draws what needs a layout that stands, such as names that avoid each other.
    """
    lines = textwrap.fill(note, int(22 * figure.get_figwidth()))
    figure.supxlabel(lines, fontsize=6, color="0.35", x=0.01, ha="left")
    if finish:
        figure.draw_without_rendering()
        figure.set_layout_engine("none")
        finish()
    for path in (png, png.with_suffix(".pdf")):
        dated = {"CreationDate": None} if path.suffix == ".pdf" else {"Description": note}
        with atomic(path) as temporary:
            figure.savefig(temporary, metadata=dated)
    plt.close(figure)
    write_table(png.with_suffix(".csv"), numbers)
