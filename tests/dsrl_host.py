"""A local host of DSRL's files, made of other datasets, that fails as hosts do.

By hand, with data of a run in place of DSRL's:

    python tests/dsrl_host.py results/collected/data BallRun CarRun

prints the overlay of config.yaml that takes them from there, and serves until it is stopped.
"""

import argparse
import hashlib
import json
import sys
import tempfile
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import h5py
import numpy as np

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "scripts"))
from prefine.data import dataset
from prefine.tasks import TASKS

COMMIT = "0123456789abcdef0123456789abcdef01234567"
HUB, MIRROR = "datasets/YYY-45/DSRL/resolve", "mirror"  # the first as Hugging Face's
FLAGS = ("terminals", "timeouts")


def write_as_dsrl(source: Path, folder: Path, name: str) -> Path:
    """A dataset under DSRL's name, in its layout and with as many trajectories as its name says.

    The trajectories that there are follow one another again and again; no attributes, which DSRL's
    files do not have.
    """
    task = TASKS[name]
    with h5py.File(source) as file:
        arrays = {key: file[key][()] for key in file}
    bounds = np.flatnonzero(arrays["terminals"] | arrays["timeouts"]) + 1
    pieces = [slice(a, b) for a, b in zip([0, *bounds[:-1]], bounds, strict=True)]
    chosen = [pieces[k % len(pieces)] for k in range(task.n_trajectories)]
    path = folder / task.file
    with h5py.File(path, "w") as file:
        for key, array in arrays.items():
            whole = np.concatenate([array[piece] for piece in chosen])
            whole = whole.astype(bool if key in FLAGS else np.float32)
            file.create_dataset(key, data=whole, compression="gzip")
    assert len(dataset.trajectory_table(path, task)) == task.n_trajectories
    return path


class Host(BaseHTTPRequestHandler):
    """Serves a folder: redirects on the hub, ranges; the next of ``server.faults`` comes first."""

    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def do_GET(self):
        server, name = self.server, Path(self.path).name
        server.requests.append((self.path, self.headers.get("Range")))
        path = server.folder / name
        if not path.is_file():
            return self.answer(404, b"", {})
        content = path.read_bytes()
        digest = hashlib.sha256(content).hexdigest()
        if self.path.startswith(f"/{HUB}/"):
            stated = {"X-Linked-ETag": f'"{digest}"', "X-Repo-Commit": COMMIT}
            return self.answer(302, b"", stated | {"Location": f"/cdn/{name}"})
        fault = server.faults.pop(0) if server.faults else None
        if fault == "truncated":  # and says that it is whole
            return self.answer(200, content[: len(content) // 2], {"ETag": '"half"'})
        headers, start, status = {"ETag": f'"{digest}"'}, 0, 200
        asked, condition = self.headers.get("Range"), self.headers.get("If-Range", f'"{digest}"')
        if asked and condition == f'"{digest}"':
            start, status = int(asked.removeprefix("bytes=").rstrip("-")), 206
            headers["Content-Range"] = f"bytes {start}-{len(content) - 1}/{len(content)}"
        body = content[start:]
        sent = body[: len(body) // 2] if fault == "broken off" else body
        self.close_connection = len(sent) < len(body)
        return self.answer(status, sent, headers, len(body))

    def answer(self, status, body, headers, length=None):
        self.send_response(status)
        self.send_header("Content-Length", str(len(body) if length is None else length))
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)


def serve(folder: Path, faults: list[str]) -> ThreadingHTTPServer:
    """Start to serve in a thread; ``sources`` are addresses as in the config's `dsrl`."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), Host)
    server.daemon_threads = True
    server.folder, server.faults, server.requests = folder, list(faults), []
    address = f"http://127.0.0.1:{server.server_port}"
    server.sources = [f"{address}/{HUB}/{{revision}}/{{file}}", f"{address}/{MIRROR}/{{file}}"]
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", type=Path, help="a folder with {task}.hdf5")
    parser.add_argument("tasks", nargs="+", choices=TASKS)
    args = parser.parse_args()
    if gone := [path for task in args.tasks if not (path := args.data / f"{task}.hdf5").exists()]:
        parser.error(f"{gone[0]}: no such dataset; a published result has none, a run of yours has")
    with tempfile.TemporaryDirectory() as folder:
        for task in args.tasks:
            write_as_dsrl(args.data / f"{task}.hdf5", Path(folder), task)
        server = serve(Path(folder), ["truncated", "broken off"])
        place = {"folder": "data/rehearsal", "lock": "data/rehearsal.json"}
        place["sources"] = server.sources
        overlay = {"run": "rehearsal", "source": "dsrl", "tasks": args.tasks, "dsrl": place}
        print(json.dumps(overlay), flush=True)  # which is YAML too
        threading.Event().wait()


if __name__ == "__main__":
    main()
