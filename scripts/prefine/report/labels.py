"""Names beside the marks of a panel, none on another one, whatever lies where."""

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.patheffects import withStroke
from matplotlib.text import Text

MARK = 4.0  # points from the middle of a mark to its edge
FAR = 4.0  # points between a mark and its name from which on a line leads to it
PADDING = 0.8  # points around a name: text is a little wider in a PDF than in a PNG
GAPS = (1.5, 3, 5, 8, 11, 15, 20, 26, 33, 41, 50, 60)  # points between a mark and its name
ANGLES = np.arange(16) * np.pi / 8  # the right side first: of two places as good it is taken
SWEEPS = 3
# What a name does in a place, in points of distance that would be as bad.
ON_MARK, ON_LINE, CROSSES, BY_ANOTHER = 60.0, 5.0, 12.0, 4.0


def meet(box: np.ndarray, boxes: np.ndarray) -> np.ndarray:
    """Whether boxes (..., 4) of left, bottom, right, top share more than an edge, broadcast."""
    return (
        (box[..., 0] < boxes[..., 2])
        & (boxes[..., 0] < box[..., 2])
        & (box[..., 1] < boxes[..., 3])
        & (boxes[..., 1] < box[..., 3])
    )


def around(places: np.ndarray, half: np.ndarray | float) -> np.ndarray:
    """Boxes (n, 4) around places (n, 2), ``half`` as wide and high to each side."""
    return np.concatenate([places - half, places + half], axis=-1)


def _candidates(
    place: np.ndarray, half: np.ndarray, frame: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Middles (k, 2) that a name may have, around its mark, then anywhere; how far off (k)."""
    way = np.stack([np.cos(ANGLES), np.sin(ANGLES)], axis=1)
    way, gaps = np.tile(way, (len(GAPS), 1)), MARK + np.repeat(GAPS, len(ANGLES))
    near = place + way * gaps[:, None] + half * np.clip(np.sqrt(2) * way, -1, 1)
    bounds = _bounds(frame, half)
    grid = [np.arange(low, high, 2 * own) for low, high, own in zip(*bounds, half, strict=True)]
    anywhere = np.stack(np.meshgrid(*grid), axis=-1).reshape(-1, 2)
    off = np.linalg.norm(np.maximum(np.abs(anywhere - place) - half, 0), axis=1)
    both, off = np.concatenate([near, anywhere]), np.concatenate([gaps, off])
    inside = ((both >= bounds[0]) & (both <= bounds[1])).all(axis=1)
    return both[inside], off[inside]


def _bounds(frame: np.ndarray, half: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The least and the most that the middle of a name can be, so that it stays in a frame."""
    return frame[:2] + half, frame[2:] - half + 1e-9


def _through(start: np.ndarray, ends: np.ndarray, boxes: np.ndarray) -> np.ndarray:
    """How many boxes a line from ``start`` meets on its way to each of ``ends`` (k, 2)."""
    shares = np.linspace(0.1, 0.9, 9)[:, None, None]
    points = start + shares * (ends - start)
    inside = (points[..., None, :] > boxes[:, :2]) & (points[..., None, :] < boxes[:, 2:])
    return inside.all(axis=-1).any(axis=0).sum(axis=-1)


def arrange(
    places: np.ndarray, sizes: np.ndarray, frame: np.ndarray, lines: np.ndarray, taken: np.ndarray
) -> np.ndarray:
    """Choose where names stand: near their marks, on no other name and hardly on anything else.

    Args:
        places: (n, 2) middles of the marks, in points.
        sizes: (n, 2) widths and heights of the names.
        frame: (4,) left, bottom, right, top; no name leaves it.
        lines: (m, 4) boxes that a name had better not cover, such as error bars.
        taken: (k, 4) boxes that a name may not cover.

    Returns:
        (n, 2) middles of the names; NaN where no room is left for one.
    """
    n, halves = len(places), np.asarray(sizes) / 2 + PADDING
    marks, middles = around(places, MARK), np.full((n, 2), np.nan)
    for _ in range(SWEEPS):
        for own in range(n):
            found, cost = _candidates(places[own], halves[own], frame)
            boxes = around(found, halves[own])[:, None]
            others = np.arange(n) != own
            named = around(middles[others], halves[others])  # NaN, of no name, meets nothing
            free = ~meet(boxes, np.concatenate([named, taken])).any(axis=1)
            found, boxes, cost = found[free], boxes[free], cost[free]
            if not len(found):
                continue
            cost += ON_MARK * meet(boxes, marks).sum(axis=1)
            cost += ON_LINE * meet(boxes, lines).sum(axis=1)
            cost += BY_ANOTHER * meet(boxes, around(places[others], 2 * MARK)).sum(axis=1)
            crossed = np.concatenate([named, marks[others]])
            cost += CROSSES * _through(places[own], found, crossed)
            middles[own] = found[np.argmin(cost.round(6))]
    return middles


def name_marks(
    axis: plt.Axes,
    places: np.ndarray,
    names: list[str],
    bars: np.ndarray | None = None,
    size: float = 7,
) -> list[Text]:
    """Write a name beside each mark, with a thin line to it where it stands aside.

    The layout has to stand: ``style.save`` calls what it is given as ``finish`` then.

    Args:
        places: (n, 2) of the marks, in the axis' own numbers.
        names: n, one a mark.
        bars: (m, 2, 2) the ends of error bars, which names avoid.
        size: of the letters, in points.

    Returns:
        The texts that found room.
    """
    points = 72 / axis.figure.dpi
    renderer = axis.figure.canvas.get_renderer()
    taken = [text.get_window_extent(renderer).extents for text in axis.texts]
    texts = [axis.text(0, 0, name, fontsize=size, ha="center", va="center") for name in names]
    extents = [text.get_window_extent(renderer) for text in texts]
    sizes = np.array([[box.width, box.height] for box in extents]).reshape(-1, 2)
    places = np.asarray(places, dtype=float).reshape(-1, 2)
    spots = axis.transData.transform(places) * points
    ends = np.zeros((0, 2, 2)) if bars is None else np.asarray(bars).reshape(-1, 2, 2)
    ends = axis.transData.transform(ends.reshape(-1, 2)).reshape(-1, 2, 2) * points
    lines = np.concatenate([ends.min(axis=1) - 0.5, ends.max(axis=1) + 0.5], axis=-1)
    frame = axis.bbox.extents * points + np.array([1, 1, -1, -1])
    middles = arrange(spots, sizes * points, frame, lines, np.array(taken).reshape(-1, 4) * points)
    written = []
    found = zip(texts, places, spots, sizes * points, middles, strict=True)
    for text, place, spot, size_of, middle in found:
        text.remove()
        if np.isnan(middle).any():
            continue
        aside = np.abs(middle - spot) - size_of / 2 - MARK
        lead = {"arrowstyle": "-", "lw": 0.4, "color": "0.4", "shrinkA": 0, "shrinkB": MARK}
        written.append(
            axis.annotate(
                text.get_text(),
                place,
                middle - spot,
                textcoords="offset points",
                ha="center",
                va="center",
                fontsize=size,
                arrowprops=lead if np.linalg.norm(np.maximum(aside, 0)) > FAR else None,
                path_effects=[withStroke(linewidth=1.2, foreground="white")],
            )
        )
    return written
