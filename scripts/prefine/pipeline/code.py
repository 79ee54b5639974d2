"""What a script does, as a hash; where jobs find their Python. Light enough for the Snakefile.

A file is parsed once, not once a process: on a cluster each job starts Snakemake anew.
"""

import ast
import atexit
import functools
import hashlib
import json
import os
import sys
from pathlib import Path
from typing import NamedTuple

from prefine import files
from prefine.errors import UserError

LIBRARY = Path(__file__).resolve().parents[1]
MOST_KEPT = 1000  # files, old versions too
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


@functools.cache
def imported_modules(path: Path) -> frozenset[Path]:
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
    return frozenset(seen)


def code_hash(*paths: str | Path) -> str:
    """Hash what the files and the library modules they import *do*.

    It is made of their statements, in whichever file each of them stands, and of the templates
    beside them. Comments, formatting, docstrings and imports do not count: editing them, or moving
    a function, reruns nothing.
    """
    modules = set().union(*(imported_modules(Path(path)) for path in paths))
    statements = {statement for file in modules for statement in _read(file).statements}
    return hashlib.sha256("".join(sorted(statements)).encode()).hexdigest()[:16]


class _File(NamedTuple):
    """What a Python file imports, as modules' names, and a hash of each of its statements."""

    names: tuple[str, ...]
    statements: frozenset[str]

    @property
    def imports(self) -> list[Path]:
        """The files of this library that it imports."""
        return [file for name in self.names for file in _module_files(name)]


class Parses:
    """What was read out of files, by their content; in a file, for processes that come later.

    Args:
        path: the file. What it has of another Python or another version of this module, or in
            another form, is made anew.
    """

    def __init__(self, path: Path):
        self.path, self.known, self.new = path, {}, False
        parser = [sys.version, Path(__file__).read_text(encoding="utf-8")]
        self.made_by = hashlib.sha256("".join(parser).encode()).hexdigest()
        try:
            content = json.loads(path.read_bytes())
            if content["made_by"] == self.made_by and len(content["files"]) <= MOST_KEPT:
                self.known = {
                    key: _File(tuple(map(str, names)), frozenset(map(str, statements)))
                    for key, (names, statements) in content["files"].items()
                }
        except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
            self.known = {}

    def read(self, text: str) -> _File:
        """What a file with this text imports and states."""
        key = hashlib.sha256(text.encode()).hexdigest()
        if key not in self.known:
            self.known[key], self.new = _parsed(text), True
        return self.known[key]

    def save(self) -> None:
        """Leave it for later processes; where nothing can be written they parse again."""
        if not self.new:
            return
        kept = {key: [own.names, sorted(own.statements)] for key, own in self.known.items()}
        try:
            with files.atomic(self.path, noted=False) as temporary:
                temporary.write_text(json.dumps({"made_by": self.made_by, "files": kept}))
        except (OSError, UserError):
            return


_parses: Parses | None = None


def keep_parses(folder: Path) -> None:
    """Take what earlier processes have parsed from ``folder``, and leave there what is new."""
    global _parses
    _parses = Parses(folder / "parses.json")
    atexit.register(_parses.save)


@functools.cache
def _read(path: Path) -> _File:
    text = path.read_text(encoding="utf-8")
    own = _parsed(text) if _parses is None else _parses.read(text)
    beside = (p for p in path.parent.glob(f"{path.stem}.*") if p.suffix in TEMPLATES)
    templates = {hashlib.sha256(template.read_bytes()).hexdigest() for template in beside}
    return own._replace(statements=own.statements | templates)


def _parsed(text: str) -> _File:
    tree = ast.parse(text)
    names: list[str] = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            names += [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
        for field in ("body", "orelse", "finalbody"):
            block = getattr(node, field, None)
            if isinstance(block, list) and block:
                kept = [own for own in block if not _is_import(own) and not _is_text(own)]
                setattr(node, field, kept if kept or node is tree else [ast.Pass()])
    dumped = (ast.dump(statement).encode() for statement in tree.body)
    hashes = frozenset(hashlib.sha256(statement).hexdigest() for statement in dumped)
    return _File(tuple(dict.fromkeys(n for n in names if n.split(".")[0] == "prefine")), hashes)


@functools.cache
def _module_files(name: str) -> tuple[Path, ...]:
    """The files that importing a module of this library, or a name of one, runs."""
    base, found = LIBRARY, [LIBRARY / "__init__.py"]
    for part in name.split(".")[1:]:
        base = base / part
        found += [base.with_suffix(".py"), base / "__init__.py"]
    return tuple(file for file in found if file.is_file())


def _is_import(node: ast.AST) -> bool:
    return isinstance(node, ast.Import | ast.ImportFrom)


def _is_text(node: ast.AST) -> bool:
    """Whether a statement is a docstring, or a text that nothing uses."""
    return (
        isinstance(node, ast.Expr)
        and isinstance(node.value, ast.Constant)
        and isinstance(node.value.value, str)
    )
