"""Write the conda environments of the rules from the lock.

Each rule family names the packages that its scripts import; what those need follows from
the installed metadata, and every version from the lock. Run it in the project's .venv after
a change of the lock:  .venv/bin/python envs/write_environments.py
"""

import argparse
import re
from importlib.metadata import requires
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

HERE = Path(__file__).parent
PYTHON, PIP = "3.11.13", "25.2"
TABLES = ["numpy", "pandas", "pyarrow", "tqdm"]
SIMULATORS = ["dsrl", "safety-gymnasium", "bullet-safety-gym", "gymnasium", "mujoco", "pybullet"]
# What the simulators import without saying so, or say in a version that cannot be met.
SIMULATORS += ["xmltodict", "pyyaml", "imageio", "h5py", "matplotlib", "tqdm"]
FAMILIES = {
    "data": [*TABLES, "h5py", "scipy"],
    "download": [*TABLES, "h5py", "requests", "filelock"],
    "minari": [*TABLES, "h5py", "gymnasium", "minari", "pillow"],
    "import": [*TABLES, *SIMULATORS],
    # Also a policy of the user's own: VecNormalize's pickle names Stable-Baselines3.
    "collect": [*TABLES, *SIMULATORS, "torch", "safetensors", "stable-baselines3"],
    "train": [*TABLES, "h5py", "torch", "safetensors"],
    "evaluate": [*TABLES, *SIMULATORS, "torch", "safetensors"],
    "films": [*TABLES, *SIMULATORS, "scipy", "torch", "safetensors", "pillow", "av"],
    "export": [*TABLES, "scipy", "torch", "safetensors", "onnx", "onnxscript"],
    "overlap": [*TABLES, "h5py", "scikit-learn", "umap-learn"],
    "page": [*TABLES, "scipy", "matplotlib", "jinja2", "docutils"],
    "plot": [*TABLES, "matplotlib", "scipy", "seaborn"],
    "tensorboard": ["pandas", "pyarrow", "tqdm", "torch", "tensorboard"],
}


def read_lock(name: str) -> dict[str, str]:
    """Return canonical name -> requirement line."""
    lines = [line.split("#")[0].strip() for line in (HERE / name).read_text().splitlines()]
    return {canonicalize_name(re.split(r"==", line)[0]): line for line in lines if line}


def closure(roots: list[str], lock: dict[str, str], no_deps: dict[str, str]) -> set[str]:
    """Return all locked packages that ``roots`` need, without those that ``no_deps`` pins."""
    seen, todo = set(), [canonicalize_name(root) for root in roots]
    while todo:
        name = todo.pop()
        if name in seen:
            continue
        seen.add(name)
        if name in no_deps:
            continue
        for text in requires(name) or []:
            requirement = Requirement(text)
            needed = canonicalize_name(requirement.name)
            applies = requirement.marker is None or requirement.marker.evaluate({"extra": ""})
            if applies and needed in lock:
                todo.append(needed)
    return seen


def environment(family: str) -> dict[str, str]:
    """Return the files of one environment: name -> content."""
    lock, no_deps = read_lock("lock.txt"), read_lock("lock-no-deps.txt")
    names = sorted(closure(FAMILIES[family], lock, no_deps))
    lines = [
        "# Written by envs/write_environments.py from envs/lock.txt; do not edit.",
        "channels: [conda-forge, nodefaults]",
        "dependencies:",
        f"  - python ={PYTHON}",
        f"  - pip ={PIP}",
        "  - pip:",
        *(f"      - {lock[name]}" for name in names if name in lock),
    ]
    files = {f"{family}.yaml": "\n".join(lines) + "\n"}
    rest = [no_deps[name] for name in names if name in no_deps]
    if rest:
        files[f"{family}.post-deploy.sh"] = (
            "#!/usr/bin/env bash\n"
            "# Written by envs/write_environments.py from envs/lock-no-deps.txt; do not edit.\n"
            f"set -eu\npython -m pip install --no-deps {' '.join(rest)}\n"
        )
    return files


def main() -> None:
    argparse.ArgumentParser(description=__doc__.splitlines()[0]).parse_args()
    for family in FAMILIES:
        for name, content in environment(family).items():
            (HERE / name).write_text(content)


if __name__ == "__main__":
    main()
