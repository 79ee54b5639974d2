"""Items of a part of ``gpu.py``: each is tried, timed, kept and printed as it ends.

What is kept lies in one JSON file a part. A part that died goes on behind the item that it died in.
"""

import json
import math
import sys
import time
import traceback
from collections.abc import Callable, Iterable
from pathlib import Path

import torch

BROKEN_DEVICE = 3  # exit status: after such an error nothing more runs in this process
LINES = 6  # of a traceback


def read(path: Path) -> dict[str, dict]:
    """What a part has kept so far."""
    return json.loads(path.read_text()) if path.exists() else {}


def write(path: Path, content) -> None:
    """Write JSON whole; what is no number becomes null."""
    temporary = path.with_suffix(".part")
    temporary.write_text(json.dumps(plain(content), indent=1) + "\n")
    temporary.replace(path)


def plain(value):
    """The same in what JSON has."""
    if isinstance(value, dict):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value


def run_items(items: Iterable[tuple[str, Callable[[], dict]]], path: Path, seconds: float) -> None:
    """Run items one after another until the time is over; those that are kept are not run again."""
    end, done = time.monotonic() + seconds, read(path)
    for name, item in items:
        if name in done and "skipped" not in done[name]:
            continue
        if time.monotonic() > end:
            done[name] = {"skipped": "no time was left"}
            continue
        done[name] = {"error": ["the process died, or its time was over"]}
        write(path, done)
        began, broken = time.monotonic(), False
        try:
            result = item()
            if torch.cuda.is_available():
                torch.cuda.synchronize()
        except Exception as error:  # whatever it is, the others go on
            result = {"error": traceback.format_exc().strip().splitlines()[-LINES:]}
            broken = isinstance(error, torch.AcceleratorError) or "CUDA error" in str(error)
        done[name] = result | {"seconds": round(time.monotonic() - began, 2)}
        write(path, done)
        print(f"{name}: {shown(done[name])}", flush=True)
        if broken:
            sys.exit(BROKEN_DEVICE)
    write(path, done)


def shown(result: dict) -> str:
    """A result in one line, an error in several."""
    if "error" in result:
        return "\n    ".join(["FAILED", *result["error"]])
    short = {k: v for k, v in result.items() if not isinstance(v, dict | list)}
    return ", ".join(
        f"{k} {v:.3g}" if isinstance(v, float) else f"{k} {v}" for k, v in short.items()
    )
