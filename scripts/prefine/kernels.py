"""Products of numbers that round alike on most processors: no import of numpy may precede it.

numpy's OpenBLAS has kernels for each generation of processors, and a dot product of three numbers
already ends in other digits on one with AVX-512. Some of Bullet's robots have such products in
what drives them, and the digits grow.
"""

import os
from pathlib import Path

VARIABLE, COMMON = "OPENBLAS_CORETYPE", "Haswell"  # every processor with AVX2 has these kernels


def common() -> dict[str, str]:
    """What a process's environment must have; nothing where the user has named kernels.

    Nor where the processor has none of those, which it would end at: ARM, x86 before 2013.
    """
    if VARIABLE in os.environ:
        return {}
    try:
        text = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return {}
    flags = text.partition("flags")[2].partition("\n")[0].split()
    return {VARIABLE: COMMON} if {"avx2", "fma"} <= set(flags) else {}
