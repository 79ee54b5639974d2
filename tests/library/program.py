"""Run the program of docs/library.md and print its numbers as JSON; give the repository's folder.

The library is the one that is installed. What it reads and writes lies in the folder it runs in.
"""

import json
import platform
import re
import shutil
import subprocess
import sys
from importlib import metadata
from pathlib import Path

import numpy as np

ROOT = Path(sys.argv[1])


def main() -> None:
    shutil.copytree(ROOT / "examples/own_task", "examples/own_task", dirs_exist_ok=True)
    make = [sys.executable, "examples/own_task/make_data.py", "data/safe_reach"]
    subprocess.run(make, check=True, stdout=sys.stderr)
    blocks = re.findall(r"```python\n(.*?)```", (ROOT / "docs/library.md").read_text(), re.DOTALL)
    had: dict = {}
    exec("\n".join(blocks), had)
    absent = {"mujoco", "pybullet", "safety_gymnasium", "imageio", "matplotlib"} & set(sys.modules)
    assert not absent, f"imported without need: {absent}"

    last = had["safe"].log.groupby("run").tail(1)
    after = had["after"].groupby("replica")[["return", "cost"]].mean()
    numbers = {"clone: last loss": had["log"].iloc[-1]["loss"]}
    action = had["reference"].act(np.array([[-1.0, 0.0, 0.0, 0.0]]))[0]
    numbers |= {f"clone: action {k}": value for k, value in enumerate(action.ravel())}
    for name in ("loss_sft", "accuracy_p", "kl_to_reference"):
        numbers |= {f"run {k}: {name}": value for k, value in enumerate(last[name])}
    for name in ("return", "cost"):
        numbers[f"before: {name}"] = had["before"][name].mean()
        numbers |= {f"run {k}: {name}": value for k, value in after[name].items()}
    packages = ("torch", "numpy", "pandas", "gymnasium", "h5py")
    versions = {"Python": platform.python_version()}
    versions |= {name: metadata.version(name) for name in packages}
    print(json.dumps(versions | {name: f"{value:.6g}" for name, value in numbers.items()}))


main()
