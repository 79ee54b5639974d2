"""Random streams derived from names.

A stream is a function of what it is for (task, threshold, draw, seed, role), never of
order, of the process, or of which runs share it.
"""

import hashlib

import numpy as np


def stream_seed(*names: object) -> int:
    """Return a seed in [0, 2^63) from the text of ``names``.

    numpy's PCG64 and a GPU's generator of torch take all its bits. torch's generator on a CPU
    (Mersenne Twister, ``init_with_uint32``) takes the low 32, as do UMAP and numpy's global
    generator; simulators and PPO get 31. Of n streams seeded so, n^2 / 2^33 pairs are expected to
    coincide: 58 of the 10^6 blocks of noise of 50 long runs, each of 25 iterations somewhere in
    another run or role, which joins no two runs. More bits would change every number.
    """
    text = "\x1f".join(str(name) for name in names)
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") >> 1


def generator(*names: object) -> np.random.Generator:
    """Return the numpy generator of the stream called ``names``."""
    return np.random.Generator(np.random.PCG64(stream_seed(*names)))
