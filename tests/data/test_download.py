"""Downloads against a local server that plays a host, well and badly."""

import hashlib
import json
import os
import subprocess
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import h5py
import numpy as np
import pytest
from conftest import ROOT, counts, snakemake
from prefine.data import download
from prefine.data.download import Locked, add_to_lock, obtain, read_lock
from prefine.data.dsrl import urls
from prefine.errors import UserError

NAME = "SafetyBallRun-v0-80-940.hdf5"
COMMIT = "0123456789abcdef"


class Host(BaseHTTPRequestHandler):
    """Serves ``server.content`` with ranges; the next of ``server.script`` may spoil an answer."""

    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def answer(self, status, body=b"", length=None, **headers):
        self.send_response(status)
        self.send_header("Content-Length", str(len(body) if length is None else length))
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        self.wfile.write(body)
        if length is not None and length > len(body):
            self.close_connection = True

    def do_GET(self):
        server = self.server
        server.requests.append((self.path, self.headers.get("Range")))
        spoil = server.script.pop(0) if server.script else None
        body, etag = server.content, f'"{hashlib.md5(server.content).hexdigest()}"'
        if spoil == "redirect":
            stated = server.stated or hashlib.sha256(server.content).hexdigest()
            linked = {"X_Linked_ETag": f'"{stated}"', "X_Repo_Commit": COMMIT}
            return self.answer(302, Location="/cdn/" + NAME, **linked)
        if spoil == "silent":
            time.sleep(2)
            self.close_connection = True
            return None
        if isinstance(spoil, int):
            return self.answer(spoil, b"no", Retry_After="0")
        if spoil == "html":
            return self.answer(200, b"<html>sign in</html>", Content_Type="text/html")
        if spoil == "text":
            return self.answer(200, b"moved away, sorry about that")
        if spoil == "wrong bytes":
            return self.answer(200, body[:-1] + bytes([body[-1] ^ 1]), ETag=etag)
        if spoil == "short":
            return self.answer(200, body[:-100], ETag='"other"')
        start, status, headers = 0, 200, {"ETag": etag}
        asked, condition = self.headers.get("Range"), self.headers.get("If-Range", etag)
        if asked and condition == etag:
            start, status = int(asked.removeprefix("bytes=").rstrip("-")), 206
            headers["Content_Range"] = f"bytes {start}-{len(body) - 1}/{len(body)}"
        rest = body[start:]
        if spoil == "cut":
            return self.answer(status, rest[: len(rest) // 2], length=len(rest), **headers)
        if spoil == "nothing":
            return self.answer(status, length=len(rest), **headers)
        if spoil == "stall":
            self.answer(status, rest[: len(rest) // 2], length=len(rest), **headers)
            self.wfile.flush()
            time.sleep(2)
            return None
        return self.answer(status, rest, **headers)


@pytest.fixture
def host(tmp_path, monkeypatch):
    with h5py.File(tmp_path / "made.hdf5", "w") as file:
        file["values"] = np.random.default_rng(0).normal(size=20_000)
    server = ThreadingHTTPServer(("127.0.0.1", 0), Host)
    server.daemon_threads = True
    server.content = (tmp_path / "made.hdf5").read_bytes()
    server.script, server.requests, server.stated = [], [], None
    server.url = f"http://127.0.0.1:{server.server_port}/{NAME}"
    threading.Thread(target=server.serve_forever, daemon=True).start()
    monkeypatch.setattr(download, "FIRST_WAIT", 0.01)
    monkeypatch.setattr(download, "READ_SECONDS", 0.5)
    monkeypatch.setattr(download, "BLOCK", 4096)
    yield server
    server.shutdown()
    server.server_close()


def readable(path):
    """The content check of these tests."""
    with h5py.File(path) as file:
        if "values" not in file:
            raise UserError(f"{path}: lacks values")


def get(host, tmp_path, urls=None, local=(), check=readable, **options):
    return obtain(
        tmp_path / "dsrl" / NAME,
        urls or [host.url],
        list(local),
        tmp_path / "data.lock.json",
        check,
        **options,
    )


def digest(host):
    return hashlib.sha256(host.content).hexdigest()


def left(tmp_path):
    return sorted(p.name for p in (tmp_path / "dsrl").iterdir() if not p.name.endswith(".flock"))


def resumed_at(request):
    """The first byte that a request asks for; a block that was cut is asked for again."""
    return int(request[1].removeprefix("bytes=").rstrip("-"))


@pytest.mark.parametrize(
    ("script", "n_requests"),
    [
        ([], 1),
        (["redirect"], 2),
        (["redirect", "cut", "redirect"], 4),
        (["cut", "cut", "cut"], 4),
        (["stall"], 2),
        (["silent"], 2),
        (["nothing", "cut", "nothing"], 4),
        ([429, 503, 500], 4),
    ],
    ids=str,
)
def test_the_file_arrives_whole_whatever_happens_on_the_way(host, tmp_path, script, n_requests):
    whole = host.content
    host.script = list(script)
    path = get(host, tmp_path)
    assert path.read_bytes() == whole and left(tmp_path) == [NAME]
    assert len(host.requests) == n_requests
    entry = read_lock(tmp_path / "data.lock.json")[NAME]
    assert entry.sha256 == digest(host) and entry.size == len(whole)
    assert entry.revision == (COMMIT if "redirect" in script else None)


def test_only_the_missing_bytes_are_asked_for(host, tmp_path):
    host.script = ["cut"]
    seen = []
    get(host, tmp_path, progress=lambda done, total: seen.append((done, total)))
    first, second = host.requests
    assert first[1] is None and resumed_at(second) > len(host.content) // 2 - download.BLOCK
    assert seen[-1] == (len(host.content), len(host.content))


def test_a_host_that_never_brings_a_byte_is_left(host, tmp_path):
    host.script = ["nothing"] * download.ATTEMPTS
    with pytest.raises(UserError, match="gave up after 5 attempts: the answer was cut"):
        get(host, tmp_path)
    assert len(host.requests) == download.ATTEMPTS


def test_a_later_run_goes_on_where_the_last_one_gave_up(host, tmp_path):
    host.script = ["cut"] + [503] * download.ATTEMPTS
    with pytest.raises(UserError, match="gave up after 5 attempts: HTTP 503"):
        get(host, tmp_path)
    assert NAME not in left(tmp_path)
    get(host, tmp_path)
    assert resumed_at(host.requests[-1]) > len(host.content) // 2 - download.BLOCK


def test_a_file_that_changed_between_two_parts_is_fetched_anew(host, tmp_path):
    host.script = ["cut"] + [503] * download.ATTEMPTS
    with pytest.raises(UserError):
        get(host, tmp_path)
    changed = bytearray(host.content)
    changed[-1] ^= 1
    host.content = bytes(changed)
    assert get(host, tmp_path).read_bytes() == host.content


@pytest.mark.parametrize(
    ("spoil", "reason"),
    [
        (404, "HTTP 404"),
        (403, "HTTP 403"),
        ("html", "the answer is a web page"),
        ("text", "the answer is not HDF5"),
    ],
)
def test_a_mirror_helps_when_a_source_fails(host, tmp_path, spoil, reason):
    host.script = [spoil]
    with pytest.raises(UserError, match=reason):
        get(host, tmp_path)
    assert NAME not in left(tmp_path)
    host.script = [spoil]
    mirror = host.url.replace(NAME, "mirror/" + NAME)
    assert get(host, tmp_path, [host.url, mirror]).read_bytes() == host.content
    assert read_lock(tmp_path / "data.lock.json")[NAME].url == mirror


def test_a_host_that_is_not_there_is_left_for_the_next(host, tmp_path):
    assert get(host, tmp_path, ["http://127.0.0.1:9/" + NAME, host.url]).exists()


def locked(host, tmp_path):
    entry = Locked(digest(host), len(host.content))
    download.add_to_lock(tmp_path / "data.lock.json", NAME, entry)


@pytest.mark.parametrize(
    ("spoil", "reason"),
    [
        ("wrong bytes", "sha256 is [0-9a-f]{64}, the lock says [0-9a-f]{64}"),
        ("short", r"has \d+ bytes, the lock says \d+"),
    ],
)
def test_another_file_than_the_lock_s_is_refused(host, tmp_path, spoil, reason):
    locked(host, tmp_path)
    host.script = [spoil]
    with pytest.raises(UserError, match=reason) as error:
        get(host, tmp_path)
    assert (digest(host) if spoil == "wrong bytes" else str(len(host.content))) in str(error.value)
    assert left(tmp_path) == []


def test_a_dead_mirror_does_not_cost_what_the_first_source_gave(host, tmp_path):
    host.script = ["cut"] + [503] * download.ATTEMPTS
    urls = [host.url, "http://127.0.0.1:9/" + NAME]
    with pytest.raises(UserError, match="no connection"):
        get(host, tmp_path, urls)
    assert get(host, tmp_path, urls).read_bytes() == host.content
    assert resumed_at(host.requests[-1]) > len(host.content) // 2 - download.BLOCK


def test_a_disk_that_fills_up_stops_at_once_and_keeps_what_came(host, tmp_path, monkeypatch):
    host.script = ["cut"]
    free = iter([10**9, 1000])
    usage = type("Usage", (), {"free": property(lambda self: next(free))})
    monkeypatch.setattr(download.shutil, "disk_usage", lambda path: usage())
    with pytest.raises(UserError, match="are free"):
        get(host, tmp_path, [host.url, host.url.replace(NAME, "mirror/" + NAME)])
    assert len(host.requests) == 2  # no mirror was asked
    assert f".{NAME}.part" in left(tmp_path)


def test_bytes_that_the_host_itself_states_otherwise_are_refused(host, tmp_path):
    host.script, host.stated = ["redirect"], "0" * 64
    with pytest.raises(UserError, match=f"the host states {'0' * 64}"):
        get(host, tmp_path)
    assert left(tmp_path) == [] and not read_lock(tmp_path / "data.lock.json")


def test_content_that_does_not_pass_is_refused_and_not_locked(host, tmp_path):
    def never(path):
        raise UserError(f"{path}: lacks rewards")

    with pytest.raises(UserError, match="lacks rewards"):
        get(host, tmp_path, check=never)
    assert left(tmp_path) == [] and not read_lock(tmp_path / "data.lock.json")


def test_a_full_disk_is_said_before_anything_is_written(host, tmp_path, monkeypatch):
    usage = type("Usage", (), {"free": 1000})
    monkeypatch.setattr(download.shutil, "disk_usage", lambda path: usage)
    with pytest.raises(UserError, match="bytes are needed, 1,000 are free"):
        get(host, tmp_path)
    assert left(tmp_path) == []


def test_what_is_there_is_used_and_checked(host, tmp_path):
    theirs = tmp_path / "theirs.hdf5"
    theirs.write_bytes(host.content)
    assert get(host, tmp_path, local=[tmp_path / "none", theirs]) == theirs
    assert host.requests == [] and read_lock(tmp_path / "data.lock.json")[NAME].sha256
    theirs.write_bytes(host.content[:-1])
    with pytest.raises(UserError, match="the lock says"):
        get(host, tmp_path, local=[theirs])
    assert theirs.exists()  # a user's file is not ours to remove


def test_offline_touches_no_network(host, tmp_path):
    with pytest.raises(UserError, match="offline is set"):
        get(host, tmp_path, offline=True)
    assert host.requests == []
    get(host, tmp_path)
    host.requests.clear()
    assert get(host, tmp_path, offline=True).exists() and host.requests == []


AT_ONCE = """
import sys
from pathlib import Path
from prefine.data.download import obtain
folder = Path(sys.argv[2])
obtain(folder / "dsrl" / sys.argv[3], [sys.argv[1]], [], folder / "data.lock.json", lambda p: None)
"""


def test_two_processes_fetch_once(host, tmp_path):
    environment = os.environ | {"PYTHONPATH": str(ROOT / "scripts")}
    command = [sys.executable, "-c", AT_ONCE, host.url, str(tmp_path), NAME]
    both = [subprocess.Popen(command, env=environment) for _ in range(2)]
    assert [process.wait(60) for process in both] == [0, 0]
    assert len(host.requests) == 1
    assert (tmp_path / "dsrl" / NAME).read_bytes() == host.content


@pytest.mark.parametrize("offline", [True, False])
def test_without_a_network_one_message_names_every_missing_file(
    host, project, tmp_path, offline, monkeypatch
):
    present = tmp_path / "theirs"
    present.mkdir()
    (present / "SafetyCarRun-v0-40-651.hdf5").write_bytes(host.content)
    monkeypatch.setenv("DSRL_DATASET_DIR", str(present))
    overlay = tmp_path / "overlay.yaml"
    dsrl = {"sources": ["http://127.0.0.1:9/{revision}/{file}"], "offline": offline}
    dsrl |= {"folder": str(tmp_path / "dsrl"), "lock": str(tmp_path / "data.lock.json")}
    config = {"run": f"without{offline}", "source": "dsrl", "dsrl": dsrl}
    config |= {"tasks": ["BallRun", "CarRun", "AntVelocity"]}
    config |= {"figures": {"fig1": {"task": "BallRun", "tau": 20}}}
    overlay.write_text(json.dumps(config))
    targets = [f"results/without{offline}/data/{task}.hdf5" for task in ("BallRun", "AntVelocity")]
    options = [*targets, "--cores", 2, "--configfile", overlay]
    assert counts(snakemake("-n", *options, cwd=project))["download"] == 2
    text = snakemake(*options, cwd=project, check=False)
    for name in (NAME, "SafetyAntVelocityGymnasium-v1-250-2249.hdf5"):
        assert text.count(f"http://127.0.0.1:9/main/{name}\n    -> {tmp_path}/dsrl/{name}") == 1
    assert "SafetyCarRun" not in text and "Traceback" not in text
    assert "2 of DSRL's files are not here" in text


def test_a_dataset_that_changes_does_not_mix_with_what_was_locked(tmp_path):
    sources = ["https://host/{revision}/{file}"]
    settings = {"sources": sources, "revision": None, "lock": str(tmp_path / "lock.json")}
    assert urls(settings, "x.hdf5") == ["https://host/main/x.hdf5"]
    add_to_lock(tmp_path / "lock.json", "y.hdf5", Locked("0" * 64, 1, revision="abc"))
    assert urls(settings, "x.hdf5") == ["https://host/abc/x.hdf5"]
    assert urls(settings | {"revision": "v2"}, "x.hdf5") == ["https://host/v2/x.hdf5"]
    add_to_lock(tmp_path / "lock.json", "z.hdf5", Locked("1" * 64, 1, revision="def"))
    assert urls(settings, "x.hdf5") == ["https://host/main/x.hdf5"]


def test_a_run_takes_its_data_from_the_host(host, project, ball_run_file):
    """Through Snakemake: downloaded once, hashed, its costs recomputed; then offline."""
    host.content = ball_run_file.read_bytes()
    overlay = project / "dsrl.yaml"
    text = f"""
    run: dsrl
    source: dsrl
    tasks: [BallRun]
    dsrl: {{sources: ["http://127.0.0.1:{host.server_port}/{{file}}"]}}
    figures: {{fig1: {{task: BallRun, tau: 20}}}}
    """
    overlay.write_text(text)
    target = "results/dsrl/trajectories/BallRun.csv"
    options = [target, "--cores", "1", "--configfile", overlay]
    assert counts(snakemake("-n", *options, cwd=project)) == {
        "download": 1,
        "trajectories": 1,
        "total": 2,
    }
    assert host.requests == []  # a dry run touches no network
    snakemake(*options, cwd=project)
    assert json.loads((project / target).with_suffix(".json").read_text())["agreement"] == 1
    assert json.loads((project / "data.lock.json").read_text())[NAME]["sha256"] == digest(host)
    assert (
        "16 trajectories, its name says 940"
        in (project / "results/dsrl/logs/download/BallRun.log").read_text()
    )

    # Another mirror is no other data; what is there serves the next run without a network.
    overlay.write_text(text.replace("127.0.0.1", "localhost"))
    assert counts(snakemake("-n", *options, cwd=project)) == {}
    overlay.write_text(text.replace("run: dsrl", "run: again").replace("127.0.0.1:", "127.0.0.1:1"))
    snakemake("results/again/trajectories/BallRun.csv", *options[1:], cwd=project)
    assert len(host.requests) == 1
