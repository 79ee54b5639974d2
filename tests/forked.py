"""Processes of Python that start at once: forked from one that has imported the large packages.

Our own modules are imported by each anew, from wherever it finds them. It has a folder,
environment, streams and exit status of its own, as with ``subprocess.run``. So have the jobs of a
Snakemake that is run like this: the ``python`` they find is `launch.py`. Tests of signals,
of what outlives a process, or of how Python itself is started use ``subprocess``.
"""

import atexit
import contextlib
import functools
import gc
import importlib
import json
import os
import runpy
import select
import shlex
import signal
import socket
import subprocess
import sys
import tempfile
import threading
from pathlib import Path

import launch

# What takes seconds to import, by the first word of a command; none of it is ours.
PACKAGES = {
    "snakemake": ("snakemake.cli", "snakemake.api", "snakemake.workflow", "pandas", "yaml"),
    "script": ("numpy", "pandas", "torch", "pyarrow.parquet", "seaborn", "gymnasium", "h5py"),
}


def run(*command, cwd=None) -> subprocess.CompletedProcess:
    """Run ``python -m snakemake ...``, or ``python FILE ...``, and read what it printed.

    Args:
        command: words as behind ``python``.
    """
    words = [str(word) for word in command]
    address = _server()
    place = str(Path(cwd or Path.cwd()).resolve())
    with contextlib.ExitStack() as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory())
        paths = [Path(folder, name) for name in ("out", "err")]
        files = [stack.enter_context(path.open("ab")) for path in paths]
        files.insert(0, stack.enter_context(Path(os.devnull).open()))
        connection = stack.enter_context(socket.socket(socket.AF_UNIX))
        connection.connect(address)
        status = launch.ask(
            connection, words, place, dict(os.environ), [file.fileno() for file in files]
        )
        texts = [path.read_text() for path in paths]
    return subprocess.CompletedProcess([sys.executable, *words], status, *texts)


@functools.cache
def _server() -> str:
    """Start the process that forks, one for these tests; return its socket.

    It lies beside the ``python`` that asks it, and ends when its input does.
    """
    folder = tempfile.TemporaryDirectory(prefix="forks")
    address = f"{folder.name}/socket"
    python = Path(folder.name, "python")
    ours = shlex.join([sys.executable, "-IS", launch.__file__, address])
    python.write_text(f'#!/bin/sh\nexec {ours} "$@"\n')
    python.chmod(0o755)
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    pipe = subprocess.PIPE
    command = [sys.executable, __file__, address]
    server = subprocess.Popen(command, stdin=pipe, stdout=pipe, env=environment)
    server.stdout.readline()  # it listens
    atexit.register(lambda: (server.stdin.close(), server.wait(), folder.cleanup()))
    return address


def _serve(address: str) -> dict | None:
    """Fork for each request; return it in the child, with its streams in place."""
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(address)
        listener.listen(64)
        print("ready", flush=True)
        os.dup2(2, 1)  # what an import prints is no answer
        while sys.stdin not in select.select([sys.stdin, listener], [], [])[0]:
            with listener.accept()[0] as connection:
                request, streams = _received(connection)
                if not os.fork():
                    if child := os.fork():
                        _answer(connection, child)
                    for number, stream in enumerate(streams):
                        os.dup2(stream, number)
                        os.close(stream)
                    return request
            for stream in streams:
                os.close(stream)
            with contextlib.suppress(ChildProcessError):
                while os.waitpid(-1, os.WNOHANG)[0]:
                    pass
    return None


def _received(connection: socket.socket) -> tuple[dict, list[int]]:
    """Read a request and its streams, and import what it takes."""
    head, streams, *_ = socket.recv_fds(connection, launch.HEAD, 3)
    with connection.makefile("rb") as stream:
        request = json.loads(stream.read(int.from_bytes(head, "big")))
    kind = "snakemake" if request["words"][:2] == ["-m", "snakemake"] else "script"
    for package in PACKAGES[kind]:
        with contextlib.suppress(ImportError):
            importlib.import_module(package)
    gc.freeze()  # or each child would copy what its collector looks at
    return request, streams


def _answer(connection: socket.socket, child: int) -> None:
    """Wait for a child and say how it ended; it ends with the process that asked for it."""
    ended = os.pidfd_open(child)
    if ended not in select.select([ended, connection], [], [])[0]:
        os.kill(child, signal.SIGKILL)
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    with contextlib.suppress(OSError):
        connection.sendall(str(status).encode())
    os._exit(0)


def _become(words: list[str], cwd: str, env: dict[str, str]) -> None:
    """Run a command in this process as Python does."""
    os.chdir(cwd)
    os.environ.clear()
    os.environ.update(env)
    sys.path[1:1] = filter(None, env.get("PYTHONPATH", "").split(os.pathsep))
    if words[0] == "-m":
        sys.executable = str(Path(sys.argv[1]).with_name("python"))  # where its jobs look for one
        sys.path[0], sys.argv = cwd, words[1:]
        runpy.run_module(words[1], run_name="__main__", alter_sys=True)
    elif Path(words[0]).is_dir():
        del sys.path[0]
        sys.argv = words
        runpy.run_path(words[0], run_name="__main__")
    else:
        sys.path[0], sys.argv = str(Path(words[0]).resolve().parent), words
        runpy.run_path(words[0], run_name="__main__")


def _end(error: BaseException | None) -> None:
    """End this process as Python does, but without taking apart what it shares with its parent."""
    status = getattr(error, "code", 1) if error else 0
    if error and not isinstance(error, SystemExit):
        sys.excepthook(type(error), error, error.__traceback__)
    elif not isinstance(status, int | None):
        print(status, file=sys.stderr)
        status = 1
    threading._shutdown()
    atexit._run_exitfuncs()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit((status or 0) & 0xFF)


if __name__ == "__main__":
    if request := _serve(sys.argv[1]):
        try:
            _become(**request)
        except BaseException as error:
            _end(error)
        _end(None)
