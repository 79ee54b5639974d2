"""Check and time training on this machine's GPU, in a few minutes and without anyone beside it.

It checks that every method's steps are the CPU's to float32 rounding (``gpu_checks.py``), measures
milliseconds an iteration (``gpu_rates.py``), and says how long the paper's runs take by these
rates. It needs torch (2.9 or newer), numpy, pandas, safetensors and this repository; Table 1's
hours need PyYAML too, to read config.yaml.

    python benchmarks/gpu.py --output gpu.json

What fails is noted, and the rest goes on. Ends with a section for docs/benchmarks.md, and with 1
if a check failed.
"""

import argparse
import json
import math
import os
import platform
import subprocess
import sys
import time
import traceback
from collections.abc import Callable, Iterable
from pathlib import Path

import torch

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent / "scripts"), str(HERE)]

import gpu_checks
import gpu_rates
import loops
from gpu_report import report

LINES = 6  # of a traceback
Items = Iterable[tuple[str, Callable[[], dict]]]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--output", type=Path, required=True, help="JSON with all numbers")
    parser.add_argument("--minutes", type=float, default=6.0, help="after which nothing is begun")
    parser.add_argument("--cpu", action="store_true", help="in place of the GPU; no CUDA graphs")
    parser.add_argument("--tiny", action="store_true", help="small sizes: a rehearsal")
    args = parser.parse_args()
    if args.cpu:
        os.environ["CUDA_VISIBLE_DEVICES"] = ""
    elif not torch.cuda.is_available():
        sys.exit("torch sees no GPU")
    if args.tiny:
        loops.TRAJECTORIES, loops.PREFERRED = 30, 20
        gpu_checks.ITERATIONS, gpu_checks.SAVED_EVERY, gpu_checks.KILLED_AT = 12, 5, 8
    threads = 1 if args.tiny else min(8, os.cpu_count() or 1)
    on = torch.device("cpu" if args.cpu else "cuda")
    began = time.monotonic()
    found: dict = {"machine": machine(args)}
    for part, items, share in (
        ("checks", gpu_checks.items(on, args.tiny, threads), 0.5),
        ("rates", gpu_rates.items(args.tiny), 1.0),
    ):
        print(f"=== {part}", flush=True)
        found[part] = run_items(items, began + share * 60 * args.minutes)
        found["seconds"] = round(time.monotonic() - began, 1)
        write(args.output, found)
    text, found["projection"] = report(found, HERE.parent / "config.yaml")
    write(args.output, found)
    print(f"\n{text}")
    sys.exit(0 if passed(found) else 1)


def run_items(items: Items, end: float) -> dict[str, dict]:
    """Run items one after another until the time is over, or the GPU is broken; print each."""
    found, broken = {}, False
    for name, item in items:
        if broken or time.monotonic() > end:
            why = "an error before has broken the GPU" if broken else "no time was left"
            found[name] = {"skipped": why}
            continue
        began = time.monotonic()
        try:
            result = item()
            if torch.cuda.is_available():
                torch.cuda.synchronize()
        except Exception as error:  # whatever it is, the others go on
            result = {"error": traceback.format_exc().strip().splitlines()[-LINES:]}
            broken = isinstance(error, torch.AcceleratorError) or "CUDA error" in str(error)
        found[name] = result | {"seconds": round(time.monotonic() - began, 2)}
        print(f"{name}: {shown(found[name])}", flush=True)
    return found


def shown(result: dict) -> str:
    """A result in one line, an error in several."""
    if "error" in result:
        return "\n    ".join(["FAILED", *result["error"]])
    short = {k: v for k, v in result.items() if not isinstance(v, dict | list)}
    return ", ".join(
        f"{k} {v:.3g}" if isinstance(v, float) else f"{k} {v}" for k, v in short.items()
    )


def write(path: Path, content: dict) -> None:
    """Write JSON; what is no number becomes null."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(plain(content), indent=1) + "\n")


def plain(value):
    """The same in what JSON has."""
    if isinstance(value, dict):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value


def machine(args: argparse.Namespace) -> dict:
    """What was measured on."""
    query = ["nvidia-smi", "--query-gpu=name,driver_version,memory.total,clocks.max.sm"]
    try:
        smi = subprocess.run(
            [*query, "--format=csv,noheader"], capture_output=True, text=True, timeout=20
        ).stdout.strip()
    except (OSError, subprocess.TimeoutExpired):
        smi = ""
    return {
        "gpu": "none" if args.cpu else smi or "unknown",
        "torch": torch.__version__,
        "cuda": torch.version.cuda or "none",
        "python": platform.python_version(),
        "cores": os.cpu_count(),
        "tiny": args.tiny,
    }


def passed(found: dict) -> bool:
    """Whether there were checks, none failed, and no rate either."""
    checks = [check for check in found["checks"].values() if "skipped" not in check]
    failed = any("error" in item for part in ("checks", "rates") for item in found[part].values())
    return bool(checks) and all(check.get("passed") for check in checks) and not failed


if __name__ == "__main__":
    main()
