"""Shapes in a plane, in metres, painted without any GL."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from PIL import Image, ImageDraw

Point = tuple[float, float]
Color = tuple[int, int, int]

FINE = 2  # painted so many times as large, then made smaller, for smooth edges
GROUND, GRID = (244, 244, 240), (222, 222, 216)


@dataclass(frozen=True)
class Disc:
    """A disc, or a ring of ``line`` metres."""

    centre: Point
    radius: float
    color: Color
    line: float = 0.0


@dataclass(frozen=True)
class Line:
    """Points joined by a line ``width`` metres wide with round ends, or one pixel at least."""

    points: Sequence[Point]
    width: float
    color: Color


@dataclass(frozen=True)
class Polygon:
    """A filled polygon."""

    points: Sequence[Point]
    color: Color


Shape = Disc | Line | Polygon


@dataclass
class Scene:
    """What is seen: shapes, the last on top, and a window around ``centre``, ``height`` metres."""

    centre: Point
    height: float
    shapes: list[Shape] = field(default_factory=list)


def paint(scene: Scene, size: tuple[int, int]) -> np.ndarray:
    """Paint a scene as (height, width, 3) uint8; ``size`` is (width, height) in pixels."""
    width, height = (FINE * n for n in size)
    image = Image.new("RGB", (width, height), GROUND)
    draw = ImageDraw.Draw(image)
    scale = height / scene.height

    def place(point: Point) -> Point:
        x, y = (scale * (own - centre) for own, centre in zip(point, scene.centre, strict=True))
        return width / 2 + x, height / 2 - y

    def disc(point: Point, radius: float, **how) -> None:
        x, y = place(point)
        draw.ellipse((x - radius, y - radius, x + radius, y + radius), **how)

    for shape in [*_grid(scene, width / height), *scene.shapes]:
        match shape:
            case Disc(centre, radius, color, 0.0):
                disc(centre, scale * radius, fill=color)
            case Disc(centre, radius, color, line):
                disc(centre, scale * radius, outline=color, width=max(FINE, round(scale * line)))
            case Polygon(points, color):
                draw.polygon([place(point) for point in points], fill=color)
            case Line(points, thick, color):
                pixels = max(FINE, round(scale * thick))
                draw.line([place(p) for p in points], fill=color, width=pixels, joint="curve")
                if pixels > 2 * FINE:
                    for end in (points[0], points[-1]):
                        disc(end, pixels / 2, fill=color)
    return np.asarray(image.resize(size, Image.Resampling.BOX))


def _grid(scene: Scene, aspect: float) -> list[Line]:
    """Lines one metre apart, or more where they would be dense: so that one sees what moves."""
    apart = next(m for m in (1, 2, 5, 10, 100) if scene.height / m <= 12 or m == 100)
    (x, y), half = scene.centre, scene.height / 2
    left, right = x - aspect * half, x + aspect * half
    columns = np.arange(np.ceil(left / apart), np.floor(right / apart) + 1) * apart
    rows = np.arange(np.ceil((y - half) / apart), np.floor((y + half) / apart) + 1) * apart
    upright = [Line([(own, y - half), (own, y + half)], 0.0, GRID) for own in columns]
    return upright + [Line([(left, own), (right, own)], 0.0, GRID) for own in rows]
