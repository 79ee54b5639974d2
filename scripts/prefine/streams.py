"""Random streams derived from names.

A stream is a function of what it is for (task, threshold, draw, seed, role), never of
order, of the process, or of which runs share it.
"""

import hashlib

import numpy as np


def stream_seed(*names: object) -> int:
    """Return a seed in [0, 2^63) from the text of ``names``."""
    text = "\x1f".join(str(name) for name in names)
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") >> 1


def generator(*names: object) -> np.random.Generator:
    """Return the numpy generator of the stream called ``names``."""
    return np.random.Generator(np.random.PCG64(stream_seed(*names)))
