"""Frames of a film: both policies side by side, their numbers, and when it cost."""

import functools
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import matplotlib
import numpy as np
from PIL import Image, ImageDraw, ImageFont

from prefine.films.play import Played, Reading
from prefine.numbers import four_digits

INK, QUIET, FAINT, LINE, PAPER = "#1a1a1a", "#666666", "#8c8c8c", "#cccccc", "#ffffff"
COST = "#c62828"
FINE = 2  # the strip is painted so many times as large
RIM = 5  # pixels of the frame around a picture while it costs


@dataclass(frozen=True)
class Side:
    """One policy of a film: what it is called, its colour, and what it did."""

    name: str
    color: str
    played: Played


def film_steps(every: int, most: int, sides: tuple[Side, ...]) -> list[int]:
    """The step that each frame shows: every ``every``th, to where the longer episode ends."""
    last = min(most, max(len(side.played.rewards) for side in sides))
    return [*range(0, last, every), last]


def costly(steps: list[int], costs: np.ndarray) -> list[bool]:
    """Whether it cost since the frame before, for frames after ``steps`` of an episode."""
    before = [0, *steps]
    return [bool((costs[a:b] > 0).any()) for a, b in zip(before, steps, strict=False)]


@functools.cache
def font(size: int, bold: bool = False) -> ImageFont.FreeTypeFont:
    """The figures' font, which comes with matplotlib."""
    name = f"DejaVuSans{'-Bold' if bold else ''}.ttf"
    return ImageFont.truetype(str(Path(matplotlib.get_data_path(), "fonts/ttf", name)), size)


class Film:
    """The frames of two episodes.

    Args:
        sides: before and after.
        steps: that the frames show.
        foot: a line under them; ``{step}`` is the frame's.
        end: what the last frame says in its place.
    """

    def __init__(self, sides: tuple[Side, Side], steps: list[int], foot: str, end: str):
        self.sides, self.steps, self.foot, self.end = sides, steps, foot, end
        height, self.width = sides[0].played.pictures[0].shape[:2]
        unit = self.unit = max(10, round(self.width / 27))  # the size of letters
        self.gap = unit
        # Where parts of a side begin, from above.
        self.picture = 2 * unit
        self.numbers = self.picture + height + self.gap
        self.reading = self.numbers + round(1.7 * unit)
        self.strip = self.reading + round(1.7 * unit)
        self.strip_height = 5 * unit
        self.bottom = self.strip + self.strip_height + self.gap
        rows, columns = self.bottom + 2 * unit, 2 * self.width + 3 * self.gap
        self.size = columns + columns % 2, rows + rows % 2  # H.264 wants even numbers
        self.costly = [costly(steps, side.played.costs) for side in sides]
        self.strips = [self._strip(side) for side in sides]

    def __len__(self) -> int:
        return len(self.steps)

    def __iter__(self) -> Iterator[np.ndarray]:
        """The frames, each (height, width, 3) uint8."""
        return (self.frame(number) for number in range(len(self)))

    def frame(self, number: int) -> np.ndarray:
        """One frame."""
        image = Image.new("RGB", self.size, PAPER)
        draw = ImageDraw.Draw(image)
        for place, side in enumerate(self.sides):
            left = self.gap + place * (self.width + self.gap)
            self._side(image, draw, left, side, number, self.costly[place][number])
            self._paste_strip(image, draw, left, self.strips[place], side, number)
        last = number == len(self) - 1
        text = self.end if last else self.foot.format(step=self.steps[number])
        middle = self.size[0] // 2, self.bottom + 0.8 * self.unit
        fitting = self._fitting(text, self.size[0] - 2 * self.gap)
        draw.text(middle, text, INK if last else QUIET, fitting, anchor="mm")
        return np.asarray(image)

    def _fitting(self, text: str, width: float) -> ImageFont.FreeTypeFont:
        """The largest letters, to the usual size, in which a line is not too long."""
        sizes = range(self.unit, 6, -1)
        return next((own for own in map(font, sizes) if own.getlength(text) <= width), font(7))

    def _side(self, image, draw, left: int, side: Side, number: int, costs: bool) -> None:
        played, step, unit = side.played, self.steps[number], self.unit
        seen = int(np.searchsorted(played.steps, step, side="right")) - 1
        steps = played.steps[seen]
        _label(draw, (left, unit), side.name, side.color, unit + 2)
        image.paste(Image.fromarray(played.pictures[seen]), (left, self.picture))
        ended = step >= len(played.rewards)
        if ended and played.terminated:
            self._tag(draw, left, f"ended after {len(played.rewards)} steps", QUIET, first=True)
        if costs:
            box = (left, self.picture, left + self.width - 1, self.numbers - self.gap - 1)
            draw.rectangle(box, outline=COST, width=RIM)
            self._tag(draw, left, "cost", COST)
        row = self.numbers + 0.8 * unit
        summed = played.rewards[:steps].sum(), played.costs[:steps].sum()
        draw.text((left, row), f"return {_plain(summed[0])}", INK, font(unit), anchor="lm")
        cost = "cost not told" if np.isnan(summed[1]) else f"cost {four_digits(summed[1])}"
        color = COST if summed[1] > 0 else INK
        draw.text((left + self.width // 2, row), cost, color, font(unit, True), anchor="lm")
        if reading := played.readings[seen]:
            self._gauge(draw, left, reading)

    def _tag(self, draw, left: int, text: str, color: str, first: bool = False) -> None:
        """A word in the right corner of a picture, or in the left, which comes first."""
        letters = font(self.unit, True)
        width, height = letters.getlength(text) + self.unit, round(1.6 * self.unit)
        right, top = left + (width if first else self.width), self.picture
        draw.rectangle((right - width, top, right - 1, top + height), fill=color)
        draw.text((right - width / 2, top + height / 2), text, PAPER, letters, anchor="mm")

    def _gauge(self, draw, left: int, reading: Reading) -> None:
        """A bar to twice the limit, which is a mark in its middle."""
        unit, top = self.unit, self.reading
        row, beyond = top + 0.6 * unit, reading.value > reading.limit
        text = f"{reading.name} {reading.value:.2f} {reading.unit}"
        color = COST if beyond else QUIET
        draw.text((left, row), text, color, font(unit - 1), anchor="lm")
        begin, end = left + self.width // 2, left + self.width - 1
        limit = f"limit {reading.limit:.2g}"
        end -= round(font(unit - 2).getlength(limit)) + self.gap
        draw.rectangle((begin, row - 3, end, row + 3), fill="#e4e4e4")
        share = min(1.0, max(0.0, reading.value / (2 * reading.limit)))
        draw.rectangle((begin, row - 3, begin + share * (end - begin), row + 3), fill=color)
        middle = (begin + end) / 2
        draw.line((middle, row - 6, middle, row + 6), fill=INK, width=2)
        draw.text((end + self.gap, row), limit, QUIET, font(unit - 2), anchor="lm")

    @functools.cached_property
    def _range(self) -> tuple[float, float]:
        """The returns that both strips span."""
        sums = [0.0]
        for side in self.sides:
            shown = side.played.rewards[: self.steps[-1]]
            sums += [*np.cumsum(shown)]
        return min(sums), max(max(sums), min(sums) + 1e-9)

    def _across(self, step: float) -> float:
        """Where a step is on a strip, in pixels of the frame."""
        return step / max(1, self.steps[-1]) * (self.width - 1)

    def _strip(self, side: Side) -> Image.Image:
        """The running return as a line, and below it a mark where it cost."""
        size = self.width * FINE, self.strip_height * FINE
        image = Image.new("RGB", size, PAPER)
        draw = ImageDraw.Draw(image)
        (low, high), marks = self._range, round(0.28 * size[1])
        shown = side.played.rewards[: self.steps[-1]]
        sums = np.concatenate([[0.0], np.cumsum(shown)])
        top, floor = 3 * FINE, size[1] - marks - 3 * FINE
        points = [
            (FINE * self._across(step), floor - (value - low) / (high - low) * (floor - top))
            for step, value in enumerate(sums)
        ]
        if len(points) > 1:
            draw.line(points, fill=side.color, width=2 * FINE, joint="curve")
        for step in np.flatnonzero(side.played.costs[: self.steps[-1]] > 0):
            begin, end = (FINE * self._across(own) for own in (step, step + 1))
            begin = min(begin, end - FINE)  # at least a pixel
            draw.rectangle((begin, size[1] - marks, end, size[1]), fill=COST)
        return image.resize((self.width, self.strip_height), Image.Resampling.BOX)

    def _paste_strip(self, image, draw, left: int, strip, side: Side, number: int) -> None:
        """As much of a strip as has been played."""
        step = min(self.steps[number], len(side.played.rewards))
        now, top, small = round(self._across(step)), self.strip, font(self.unit - 2)
        image.paste(strip.crop((0, 0, now + 1, self.strip_height)), (left, top))
        bottom = top + self.strip_height
        draw.line((left, bottom, left + self.width - 1, bottom), fill=LINE)
        draw.line((left + now, top, left + now, bottom), fill=QUIET)
        marks = bottom - round(0.28 * self.strip_height)
        ahead = now < 0.7 * self.width  # words stand where nothing is drawn yet
        if ahead:
            right = left + self.width - 1
            draw.text((right, top + 2), "return", FAINT, small, anchor="rt")
            draw.text((right, (marks + bottom) / 2), "costs", FAINT, small, anchor="rm")


def _plain(value: float) -> str:
    """A running sum, with digits that do not flicker."""
    return f"{value:.1f}" if abs(value) >= 10 else f"{value:.2f}"


def _label(draw, place: tuple[int, int], text: str, color: str, size: int) -> None:
    """Text in which what follows ``_`` in a word is set lower, as in π_ref."""
    x, y = place
    for word in text.split(" "):
        base, _, index = word.partition("_")
        for part, letters, drop in ((base, font(size, True), 0), (index, font(size - 3), 3)):
            draw.text((x, y + drop), part, color, letters, anchor="lm")
            x += letters.getlength(part)
        x += font(size).getlength(" ")
