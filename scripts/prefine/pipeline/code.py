"""What a script does, as a hash; where jobs find their Python. Light enough for the Snakefile."""

import ast
import functools
import hashlib
import os
import sys
from pathlib import Path
from typing import NamedTuple

LIBRARY = Path(__file__).parents[1]
TEMPLATES = (".html", ".css", ".js", ".md")  # named as the module that fills them


def has_gpu() -> bool:
    """Say whether an NVIDIA driver is loaded here, without importing torch."""
    return Path("/dev/nvidiactl").exists()


def help_jobs_find(scripts: Path) -> None:
    """Let jobs find the scripts and the Python that runs Snakemake.

    Wherever they are started, and also where its .venv is not activated. A conda environment of
    a rule still goes before it.
    """
    os.environ["PREFINE_SCRIPTS"] = (
        "scripts" if Path("scripts").resolve() == scripts else str(scripts)
    )
    own = str(Path(sys.executable).parent)
    os.environ["PATH"] = os.pathsep.join(filter(None, [own, os.environ.get("PATH")]))


def imported_modules(path: Path) -> set[Path]:
    """Return the files of this library that a Python file imports, itself included.

    Follows ``import prefine.x`` and ``from prefine[.x] import y`` at any depth, and what
    importing them runs on the way: the ``__init__.py`` of each folder.
    """
    seen: set[Path] = set()
    todo = [Path(path).resolve()]
    while todo:
        path = todo.pop()
        if path not in seen:
            seen.add(path)
            todo += _read(path).imports
    return seen


def code_hash(*paths: str | Path) -> str:
    """Hash what the files and the library modules they import *do*.

    It is made of their statements, in whichever file each of them stands, and of the templates
    beside them. Comments, formatting, docstrings and imports do not count: editing them, or moving
    a function, reruns nothing.
    """
    files = set().union(*(imported_modules(Path(path)) for path in paths))
    statements = {statement for file in files for statement in _read(file).statements}
    statements |= {
        hashlib.sha256(beside.read_bytes()).hexdigest()
        for file in files
        for beside in file.parent.glob(f"{file.stem}.*")
        if beside.suffix in TEMPLATES
    }
    return hashlib.sha256("".join(sorted(statements)).encode()).hexdigest()[:16]


class _File(NamedTuple):
    """What a Python file imports of this library, and a hash of each of its statements."""

    imports: tuple[Path, ...]
    statements: frozenset[str]


@functools.cache
def _read(path: Path) -> _File:
    return _parsed(path.read_text())


@functools.cache
def _parsed(text: str) -> _File:
    tree = ast.parse(text)
    imports: list[Path] = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            names = [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
        else:
            names = []
        imports += [file for name in names for file in _module_files(name)]
        for field in ("body", "orelse", "finalbody"):
            block = getattr(node, field, None)
            if isinstance(block, list) and block:
                kept = [own for own in block if not _is_import(own) and not _is_text(own)]
                setattr(node, field, kept if kept or node is tree else [ast.Pass()])
    dumped = (ast.dump(statement).encode() for statement in tree.body)
    hashes = frozenset(hashlib.sha256(statement).hexdigest() for statement in dumped)
    return _File(tuple(dict.fromkeys(imports)), hashes)


@functools.cache
def _module_files(name: str) -> tuple[Path, ...]:
    """The files that importing a name of this library runs; none for what is no module of it."""
    first, *parts = name.split(".")
    if first != "prefine":
        return ()
    base, found = LIBRARY, [LIBRARY / "__init__.py"]
    for part in parts:
        base = base / part
        found += [base.with_suffix(".py"), base / "__init__.py"]
    return tuple(file.resolve() for file in found if file.is_file())


def _is_import(node: ast.AST) -> bool:
    return isinstance(node, ast.Import | ast.ImportFrom)


def _is_text(node: ast.AST) -> bool:
    """Whether a statement is a docstring, or a text that nothing uses."""
    return (
        isinstance(node, ast.Expr)
        and isinstance(node.value, ast.Constant)
        and isinstance(node.value.value, str)
    )
