"""Frames to files: H.264 in MP4, which every browser plays, and a small WebP that moves."""

from collections.abc import Iterable
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from PIL import Image

from prefine.files import atomic

RATE = 20  # frames a second
HOLD = 1.5  # seconds that the last frame stays
SMALL_RATE, SMALL_WIDTH, SMALL_FRAMES = 10, 560, 100


def write_mp4(path: Path, frames: Iterable[np.ndarray], size: tuple[int, int]) -> int:
    """Write frames (height, width, 3) uint8 of an even ``size``; return how many there are.

    The last one stays for ``HOLD`` seconds. One thread, so that the same frames give the same
    bytes with the same encoder.
    """
    count, last = 0, None
    with atomic(path, noted=False) as temporary, _mp4(temporary) as file:
        # mbtree reads beyond frames that are no multiple of 16 wide, whatever lies there.
        steady = {"threads": "1", "x264-params": "mbtree=0"}
        options = {"crf": "23", "preset": "veryfast", **steady}
        stream = file.add_stream("libx264", RATE, options=options)
        stream.width, stream.height = size
        stream.pix_fmt, stream.time_base = "yuv420p", Fraction(1, RATE)

        def add(frame: np.ndarray) -> None:
            picture = av.VideoFrame.from_ndarray(frame, format="rgb24")
            picture.pts = count
            file.mux(stream.encode(picture))

        for last in frames:
            add(last)
            count += 1
        for _ in range(round(HOLD * RATE) if last is not None else 0):
            add(last)
            count += 1
        file.mux(stream.encode())
    return count


def _mp4(path: Path) -> av.container.OutputContainer:
    """A file whose table comes first: it begins to play before all of it is there."""
    return av.open(str(path), "w", "mp4", options={"movflags": "faststart"})


class Small:
    """Collects some of the frames, smaller, for a page that shows pictures and no films.

    Args:
        frames: how many there will be; some are left out so that they play as long as the film,
            or faster if it is long.
    """

    def __init__(self, frames: int):
        self._every = max(RATE // SMALL_RATE, -(-frames // SMALL_FRAMES))
        self._last, self._seen = frames - 1, 0
        self._kept: list[Image.Image] = []

    def add(self, frame: np.ndarray) -> np.ndarray:
        """Look at a frame and hand it on."""
        if self._seen % self._every == 0 or self._seen == self._last:
            image = Image.fromarray(frame)
            height = round(image.height * SMALL_WIDTH / image.width)
            self._kept.append(image.resize((SMALL_WIDTH, height), Image.Resampling.LANCZOS))
        self._seen += 1
        return frame

    def write(self, path: Path) -> None:
        """Write them as WebP, over and over."""
        times = [1000 // SMALL_RATE] * (len(self._kept) - 1) + [round(1000 * HOLD)]
        first, *more = self._kept
        with atomic(path, noted=False) as temporary:
            first.save(
                temporary,
                "webp",
                save_all=True,
                append_images=more,
                duration=times,
                loop=0,
                quality=60,
                method=3,
            )
