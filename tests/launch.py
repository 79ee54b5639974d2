"""``python FILE ...`` as a fork of a process that has imported the large packages: see forked.py.

``python -IS launch.py SOCKET FILE ...`` is that command, or Python itself where nobody listens.
It ends with this process, not with the Snakemake that is none of its ancestors.
"""

import json
import os
import socket
import sys

HEAD = 8  # bytes before a request that say how long it is


def ask(connection, words, cwd, env, streams):
    """Have a command forked and wait for its end.

    Args:
        connection: to `forked.py`.
        words: as behind ``python``.
        cwd: its folder.
        env: its environment.
        streams: its input, output and errors, as numbers of open files.

    Returns:
        Its exit status, negative for a signal.
    """
    request = json.dumps({"words": words, "cwd": cwd, "env": env}).encode()
    socket.send_fds(connection, [len(request).to_bytes(HEAD, "big")], streams)
    connection.sendall(request)
    return int(connection.recv(HEAD))


if __name__ == "__main__":
    address, *words = sys.argv[1:]
    with socket.socket(socket.AF_UNIX) as connection:
        if not words or words[0].startswith("-") or connection.connect_ex(address):
            os.execv(sys.executable, [sys.executable, *words])
        env = {name: value for name, value in os.environ.items() if name != "PREFINE_SNAKEMAKE"}
        status = ask(connection, words, os.path.realpath("."), env, (0, 1, 2))
    sys.exit(status if status >= 0 else 128 - status)
