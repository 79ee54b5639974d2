"""Where a result comes from: code, versions, device. Light enough for the Snakefile."""

import ast
import hashlib
import importlib.metadata
import os
import platform
import sys
from pathlib import Path

LIBRARY = Path(__file__).parent
PACKAGES = (
    "torch",
    "numpy",
    "gymnasium",
    "mujoco",
    "pybullet",
    "safety-gymnasium",
    "bullet-safety-gym",
    "dsrl",
    "stable-baselines3",
)


def versions() -> dict[str, str]:
    """Return the versions of Python and of the packages that can change a number."""
    found = {"python": platform.python_version()}
    for package in PACKAGES:
        try:
            found[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


def has_gpu() -> bool:
    """Say whether an NVIDIA driver is loaded here, without importing torch."""
    return Path("/dev/nvidiactl").exists()


def own_python_first() -> None:
    """Let jobs find the Python that runs Snakemake, also when its .venv is not activated.

    A conda environment of a rule still goes before it.
    """
    folder = str(Path(sys.executable).parent)
    os.environ["PATH"] = os.pathsep.join([folder, os.environ.get("PATH", "")])


def imported_modules(path: Path) -> set[Path]:
    """Return the files of this library that a Python file imports, itself included.

    Follows ``import prefine.x`` and ``from prefine[.x] import y`` at any depth.
    """
    seen: set[Path] = set()
    todo = [Path(path).resolve()]
    while todo:
        path = todo.pop()
        if path in seen:
            continue
        seen.add(path)
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Import):
                names = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom) and node.module:
                names = [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
            else:
                continue
            todo += [file for name in names if (file := _module_file(name)) is not None]
    return seen


def _module_file(name: str) -> Path | None:
    parts = name.split(".")
    if parts[0] != "prefine" or len(parts) == 1:
        return None
    base = LIBRARY.joinpath(*parts[1:])
    candidates = (base.with_suffix(".py"), base / "__init__.py")
    return next((file.resolve() for file in candidates if file.is_file()), None)


def code_hash(*paths: str | Path) -> str:
    """Hash what the files and the library modules they import *do*.

    Comments, formatting and docstrings do not count: editing them reruns nothing.
    """
    files = set().union(*(imported_modules(Path(path)) for path in paths))
    digest = hashlib.sha256()
    for file in sorted(files):
        tree = ast.parse(file.read_text())
        for node in ast.walk(tree):
            body = getattr(node, "body", None)
            if isinstance(body, list) and body and _is_text(body[0]):
                body[0] = ast.Pass()
        digest.update(file.name.encode() + b"\0" + ast.dump(tree).encode() + b"\0")
    return digest.hexdigest()[:16]


def _is_text(node: ast.AST) -> bool:
    return (
        isinstance(node, ast.Expr)
        and isinstance(node.value, ast.Constant)
        and isinstance(node.value.value, str)
    )
