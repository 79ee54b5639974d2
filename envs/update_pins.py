"""Take the newest versions that requirements.in allows into the lock; `make pins` calls it.

pip itself resolves them, for this Python, without installing anything.
"""

import argparse
import json
import subprocess
import sys
from pathlib import Path

from packaging.utils import canonicalize_name

HERE = Path(__file__).parent
BROUGHT_BY_TORCH = ("nvidia-", "cuda-", "triton")  # torch pins them, where it has CUDA at all


def resolve(file: Path, *options: str) -> dict[str, str]:
    """Return name -> version of all that a requirements file would install."""
    command = [sys.executable, "-m", "pip", "install", "--dry-run", "--ignore-installed"]
    command += ["--quiet", "--disable-pip-version-check", "--report", "-", *options, "-r", file]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    found = [entry["metadata"] for entry in json.loads(done.stdout)["install"]]
    return {
        entry["name"]: entry["version"].split("+")[0]
        for entry in found
        if not canonicalize_name(entry["name"]).startswith(BROUGHT_BY_TORCH)
    }


def locked(versions: dict[str, str], before: str) -> str:
    """Return the lock's text: head and spelling of names as before, one pin a line."""
    lines = before.splitlines()
    head = [line for line in lines if line.startswith("#")]
    names = [line.split("==")[0] for line in lines if "==" in line and line not in head]
    spelled = {canonicalize_name(name): name for name in names}
    pins = [f"{spelled.get(canonicalize_name(n), n)}=={own}" for n, own in versions.items()]
    return "\n".join([*head, *sorted(pins, key=lambda pin: pin.lower().replace("_", "-"))]) + "\n"


def main() -> None:
    argparse.ArgumentParser(description=__doc__.splitlines()[0]).parse_args()
    for name, options in {"": [], "-no-deps": ["--no-deps"]}.items():
        path = HERE / f"lock{name}.txt"
        before = path.read_text()
        after = locked(resolve(HERE / f"requirements{name}.in", *options), before)
        path.write_text(after)
        old, new = (set(text.splitlines()) for text in (before, after))
        for line in sorted(old ^ new, key=str.lower):
            print(f"{path.name}: {'-' if line in old else '+'} {line}")


if __name__ == "__main__":
    main()
