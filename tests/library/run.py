"""The library by itself on every Python that is here: `make test-library`.

For each of 3.11 (with the versions of the lock), 3.12 and 3.13 (with the newest of everything): an
environment with `pip install .` and nothing else runs the program of docs/library.md; then the
library's tests run in it. Wheels only. Prints the program's numbers side by side.
"""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
PLACE = ROOT / ".cache/library"
VERSIONS = {"3.11": ["-c", ROOT / "envs/lock.txt"], "3.12": [], "3.13": []}
# Beside what `pip install .` brings; some tests compare with these.
FOR_TESTS = ("pytest", "pyarrow", "scipy", "requests", "onnxruntime", "stable_baselines3")
TESTS = ("policies", "preferences", "methods", "training", "evaluation/test_rollout.py")
TESTS += tuple(f"data/test_{name}.py" for name in ("dataset", "own_data", "hostile_data"))
TESTS += ("simulators/test_own_environment.py", "system/test_library.py")


def python_of(version: str) -> Path | None:
    """An interpreter of this version: of the path, of pyenv, or None."""
    root = Path(os.environ.get("PYENV_ROOT", "~/.pyenv")).expanduser()
    of_pyenv = sorted(root.glob(f"versions/{version}.*/bin/python"))
    command = ["-c", f"import sys, venv; sys.exit('%d.%d' % sys.version_info[:2] != '{version}')"]
    for path in filter(
        None, [shutil.which(f"python{version}"), *of_pyenv]
    ):  # pyenv's shims are there without what they stand for
        if subprocess.run([path, *command], capture_output=True).returncode == 0:
            return Path(path)
    return None


def sources() -> Path:
    """A copy of what pip builds, which leaves folders of its own there."""
    copy = PLACE / "source"
    shutil.rmtree(copy, ignore_errors=True)
    ignored = shutil.ignore_patterns("__pycache__", "*.egg-info")
    shutil.copytree(ROOT / "scripts", copy / "scripts", ignore=ignored)
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, copy / name)
    return copy


def install(python: Path, *what: str | Path) -> None:
    """Install wheels, and this project, which alone is built here."""
    command = [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    subprocess.run([*command, "--only-binary", ":all:", *what], check=True, cwd=ROOT)


def numbers_of(python: Path, folder: Path) -> dict[str, str]:
    """What the program of the page prints, by name."""
    folder.mkdir()
    command = [python, ROOT / "tests/library/program.py", ROOT]
    done = subprocess.run(command, cwd=folder, check=True, stdout=subprocess.PIPE, text=True)
    return json.loads(done.stdout.splitlines()[-1])


def tested(python: Path) -> bool:
    """Whether the library's tests pass with what pip installed, not with this folder."""
    command = [python, "-m", "pytest", "-q", "-o", "pythonpath=tests", "-p", "no:cacheprovider"]
    own = os.environ | {"INSTALLED_PREFINE": "1"}
    own.pop("PYTHONPATH", None)
    command += [f"tests/{name}" for name in TESTS]
    return subprocess.run(command, cwd=ROOT, env=own).returncode == 0


def side_by_side(columns: list[dict[str, str]]) -> str:
    """A table with a row a number."""
    width = max(map(len, columns[0]))
    lines = [[name.ljust(width), *(c[name].rjust(14) for c in columns)] for name in columns[0]]
    return "\n".join("".join(line) for line in lines)


def main(versions: list[str]) -> None:
    columns, failed = [], []
    for version in versions or VERSIONS:
        python = python_of(version)
        if python is None:
            print(f"=== Python {version} is not here: nothing was tested with it", flush=True)
            continue
        print(f"=== Python {version}", flush=True)
        folder = PLACE / version
        shutil.rmtree(folder, ignore_errors=True)
        subprocess.run([python, "-m", "venv", folder], check=True)
        own = folder / "bin/python"
        install(own, f"{sources()}[export]", *VERSIONS[version])
        columns.append(numbers_of(own, folder / "program"))
        install(own, *FOR_TESTS, *VERSIONS[version])
        if not tested(own):
            failed.append(version)
        shutil.rmtree(folder)  # with CUDA it takes 6 GB
    if columns:
        print(side_by_side(columns))
    if failed:
        sys.exit(f"ERROR: tests failed with Python {', '.join(failed)}")


if __name__ == "__main__":
    main(sys.argv[1:])
