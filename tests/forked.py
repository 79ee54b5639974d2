"""Processes of Python that start at once: forked from one that has imported the large packages.

Our own modules are imported by each anew, from wherever it finds them. It has a folder,
environment, streams and exit status of its own, as with ``subprocess.run``. Tests of signals, of
what outlives a process, or of how Python itself is started use ``subprocess``.
"""

import atexit
import contextlib
import functools
import gc
import importlib
import json
import os
import runpy
import subprocess
import sys
import tempfile
from pathlib import Path

# What takes seconds to import, by the first word of a command; none of it is ours.
PACKAGES = {
    "snakemake": ("snakemake.cli", "snakemake.api", "snakemake.workflow", "pandas", "yaml"),
    "script": ("numpy", "pandas", "torch", "pyarrow.parquet", "matplotlib.pyplot", "scipy.special"),
}


def run(*command, cwd=None) -> subprocess.CompletedProcess:
    """Run ``python -m snakemake ...``, or ``python FILE ...``, and read what it printed.

    Args:
        command: words as behind ``python``.
    """
    words = [str(word) for word in command]
    with tempfile.TemporaryDirectory() as folder:
        streams = [str(Path(folder, name)) for name in ("out", "err")]
        place = str(Path(cwd or Path.cwd()).resolve())
        request = {"words": words, "cwd": place, "env": dict(os.environ), "streams": streams}
        server = _server()
        server.stdin.write(json.dumps(request) + "\n")
        server.stdin.flush()
        status = int(server.stdout.readline())
        texts = [Path(stream).read_text() for stream in streams]
    return subprocess.CompletedProcess([sys.executable, *words], status, *texts)


@functools.cache
def _server() -> subprocess.Popen:
    """The process that forks, one for these tests; it ends when nobody can ask it any more."""
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    pipe = subprocess.PIPE
    server = subprocess.Popen(
        [sys.executable, __file__], stdin=pipe, stdout=pipe, text=True, env=environment
    )
    atexit.register(lambda: (server.stdin.close(), server.wait()))
    return server


def _serve() -> dict | None:
    """Fork for each request and answer with the exit status; return the request in the child."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what an import prints is no answer
    while line := sys.stdin.readline():
        request = json.loads(line)
        kind = "snakemake" if request["words"][:2] == ["-m", "snakemake"] else "script"
        for package in PACKAGES[kind]:
            with contextlib.suppress(ImportError):
                importlib.import_module(package)
        gc.freeze()  # or each child would copy what its collector looks at
        if not (child := os.fork()):
            answers.close()
            return request
        status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        answers.write(f"{status}\n")
        answers.flush()
    return None


def _become(words: list[str], cwd: str, env: dict[str, str], streams: list[str]) -> None:
    """Run a command in this process as Python does when it starts."""
    for number, name in enumerate([os.devnull, *streams]):
        file = os.open(name, os.O_RDWR | os.O_CREAT | os.O_APPEND)
        os.dup2(file, number)
        os.close(file)
    os.chdir(cwd)
    os.environ.clear()
    os.environ.update(env)
    sys.path[1:1] = filter(None, env.get("PYTHONPATH", "").split(os.pathsep))
    if words[0] == "-m":
        sys.path[0], sys.argv = cwd, words[1:]
        runpy.run_module(words[1], run_name="__main__", alter_sys=True)
    elif Path(words[0]).is_dir():
        del sys.path[0]
        sys.argv = words
        runpy.run_path(words[0], run_name="__main__")
    else:
        sys.path[0], sys.argv = str(Path(words[0]).resolve().parent), words
        runpy.run_path(words[0], run_name="__main__")


if __name__ == "__main__":
    if request := _serve():
        _become(**request)
