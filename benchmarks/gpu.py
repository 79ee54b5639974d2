"""Check and time training on this machine's GPU, in a few minutes and without anyone beside it.

It checks that every method's steps are the CPU's to float32 rounding (``gpu_checks.py``), measures
milliseconds an iteration (``gpu_rates.py``), and says how long the paper's runs take by these
rates. It needs torch (2.9 or newer), numpy, pandas, safetensors and this repository; Table 1's
hours need PyYAML too, to read config.yaml.

    python benchmarks/gpu.py --output gpu.json

Each part runs in a process of its own with a share of the time; what fails is noted, and the others
go on. Ends with a section for docs/benchmarks.md and 1 if a check failed.
"""

import argparse
import os
import platform
import subprocess
import sys
import time
from pathlib import Path

import torch

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent / "scripts"), str(HERE)]

import gpu_items
from gpu_report import report

# A part's share of what is left when it begins.
PARTS = {"checks": 0.5, "rates": 0.8, "profile": 1.0}
ENDING = 12.0  # seconds at the end that no part gets
RESTARTS = 3


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--output", type=Path, required=True, help="JSON with all numbers")
    parser.add_argument("--minutes", type=float, default=6.0, help="at most, all parts together")
    parser.add_argument("--cpu", action="store_true", help="in place of the GPU; no CUDA graphs")
    parser.add_argument("--tiny", action="store_true", help="small sizes: a rehearsal")
    parser.add_argument("--part", choices=PARTS, help=argparse.SUPPRESS)
    parser.add_argument("--seconds", type=float, default=0.0, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.part:
        run_part(args)
        return
    sys.exit(run_all(args))


def run_part(args: argparse.Namespace) -> None:
    """What a part's own process does."""
    if args.cpu == torch.cuda.is_available():
        sys.exit("torch sees no GPU" if not args.cpu else "torch sees a GPU")
    if args.tiny:
        import loops

        loops.TRAJECTORIES, loops.PREFERRED = 30, 20
    if args.part == "checks":
        import gpu_checks

        if args.tiny:
            gpu_checks.ITERATIONS, gpu_checks.SAVED_EVERY, gpu_checks.KILLED_AT = 12, 5, 8
        threads = 1 if args.tiny else min(8, os.cpu_count() or 1)
        on = torch.device("cpu" if args.cpu else "cuda")
        items = gpu_checks.items(on, args.tiny, threads)
    else:
        import gpu_rates

        rates = args.part == "rates"
        items = gpu_rates.items(args.tiny) if rates else gpu_rates.profile_items(args.tiny)
    gpu_items.run_items(items, args.output, args.seconds)


def run_all(args: argparse.Namespace) -> int:
    """Run the parts one after another, then write and print what they found."""
    end = time.monotonic() + 60 * args.minutes - ENDING
    args.output.parent.mkdir(parents=True, exist_ok=True)
    began, found = time.monotonic(), {"machine": machine(args)}
    for part, share in PARTS.items():
        print(f"=== {part}", flush=True)
        path = args.output.with_suffix(f".{part}.json")
        path.unlink(missing_ok=True)
        status = run_process(args, part, path, share * (end - time.monotonic()), end)
        found[part] = gpu_items.read(path)
        if status:
            found[part]["process"] = {"error": [f"the process ended with {status}"]}
        found["seconds"] = round(time.monotonic() - began, 1)
        gpu_items.write(args.output, found)
    text, found["projection"] = report(found, HERE.parent / "config.yaml")
    gpu_items.write(args.output, found)
    print(f"\n{text}")
    return 0 if passed(found) else 1


def run_process(args, part: str, path: Path, seconds: float, end: float) -> int | str:
    """Run a part, again behind what it died in; its last exit status, or why it was ended."""
    options = ["--output", path, "--part", part]
    options += ["--cpu"] * args.cpu + ["--tiny"] * args.tiny
    environment = os.environ | ({"CUDA_VISIBLE_DEVICES": ""} if args.cpu else {})
    stop = time.monotonic() + seconds
    status: int | str = "no time"
    for _ in range(RESTARTS):
        left = stop - time.monotonic()
        if left < 1:
            break
        known = len(gpu_items.read(path))
        command = [sys.executable, Path(__file__), *options, "--seconds", f"{left:.1f}"]
        try:
            # Behind its time a part may end the item that it is in, but not hang.
            limit = max(left, min(left + 20, end - time.monotonic()))
            status = subprocess.run(list(map(str, command)), env=environment, timeout=limit)
            status = status.returncode
        except subprocess.TimeoutExpired:
            return "its time over"
        if not status or len(gpu_items.read(path)) == known:
            break
    return status


def machine(args: argparse.Namespace) -> dict:
    """What was measured on; CUDA is not touched in this process."""
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
    failed = any("error" in item for part in PARTS for item in found[part].values())
    return bool(checks) and all(check.get("passed") for check in checks) and not failed


if __name__ == "__main__":
    main()
