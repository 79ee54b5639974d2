"""A headless Chromium, driven over its DevTools protocol through a pair of pipes.

The pipes (``--remote-debugging-pipe``) need no port and no websocket: a message is JSON and a
zero byte. Only what the tests of the report need is here.
"""

import base64
import contextlib
import fcntl
import json
import os
import select
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

FLAGS = [
    "--headless=new",
    "--no-sandbox",  # it cannot start as root with it, and sees nothing but our own page
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-background-networking",
    "--no-first-run",
    "--host-resolver-rules=MAP * ~NOTFOUND",  # no name is found: nothing can be fetched
    "--remote-debugging-pipe",
    "about:blank",
]
TIMEOUT = 60.0  # seconds for any answer


def find() -> str | None:
    """Return the path of Chromium or Chrome, if there is one."""
    names = ("chromium", "chromium-browser", "google-chrome")
    return next((path for name in names if (path := shutil.which(name))), None)


class Page:
    """One page. ``requests`` are the URLs that it asked for, ``errors`` what its scripts threw."""

    def __init__(self, to_browser: int, from_browser: int):
        self._write, self._read = to_browser, from_browser
        self._buffer, self._number, self._session = b"", 0, None
        self.requests: list[str] = []
        self.errors: list[str] = []
        self.contexts: dict[str, int] = {}  # frame -> where its scripts run
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        attached = self.call("Target.attachToTarget", targetId=target, flatten=True)
        self._session = attached["sessionId"]
        for domain in ("Page", "Network", "Runtime"):
            self.call(f"{domain}.enable")

    def call(self, method: str, **params) -> dict:
        """Send a command and return its result; events on the way are kept."""
        self._number += 1
        message = {"id": self._number, "method": method, "params": params}
        if self._session:
            message["sessionId"] = self._session
        os.write(self._write, json.dumps(message).encode() + b"\0")
        while True:
            answer = self._receive()
            if answer.get("id") == self._number:
                assert "error" not in answer, answer["error"]
                return answer["result"]

    def _receive(self) -> dict:
        """Wait for one message, and note what events say."""
        deadline = time.monotonic() + TIMEOUT
        while b"\0" not in self._buffer:
            left = deadline - time.monotonic()
            ready, _, _ = select.select([self._read], [], [], max(left, 0))
            assert ready, "Chromium does not answer"
            block = os.read(self._read, 1 << 20)
            assert block, "Chromium is gone"
            self._buffer += block
        text, self._buffer = self._buffer.split(b"\0", 1)
        message = json.loads(text)
        params = message.get("params", {})
        if message.get("method") == "Network.requestWillBeSent":
            self.requests.append(params["request"]["url"])
        elif message.get("method") == "Runtime.exceptionThrown":
            self.errors.append(json.dumps(params["exceptionDetails"])[:500])
        elif message.get("method") == "Runtime.executionContextCreated":
            context = params["context"]
            self.contexts[context.get("auxData", {}).get("frameId")] = context["id"]
        return message

    def run(self, script: str, frame: str | None = None):
        """Evaluate JavaScript, in the page or in one of its frames; return its value."""
        own = {"contextId": self.contexts[frame]} if frame else {}
        answer = self.call("Runtime.evaluate", expression=script, returnByValue=True, **own)
        assert "exceptionDetails" not in answer, answer["exceptionDetails"]
        return answer["result"].get("value")

    def wait(self, script: str, frame: str | None = None):
        """Wait until JavaScript gives something true, and return it."""
        deadline = time.monotonic() + TIMEOUT
        while not (value := self.run(script, frame)):
            assert time.monotonic() < deadline, f"never true: {script}"
            time.sleep(0.05)
        return value

    def open(self, path: Path) -> None:
        """Go to a file."""
        self.call("Page.navigate", url=path.resolve().as_uri())
        self.wait("document.readyState === 'complete'")

    def click(self, element: str) -> None:
        """Press the mouse in the middle of an element that JavaScript gives."""
        self.wait(f"!!({element})")
        box = self.run(
            f"(() => {{ const e = {element}; e.scrollIntoView({{block: 'nearest'}});"
            "const b = e.getBoundingClientRect();"
            "const x = b.x + b.width / 2, y = b.y + b.height / 2;"
            "const top = document.elementFromPoint(x, y);"
            "return {x, y, hit: !!top && (e.contains(top) || top.contains(e))}; })()"
        )
        assert box["hit"], f"something lies over {element}"
        for kind in ("mousePressed", "mouseReleased"):
            self.call(
                "Input.dispatchMouseEvent",
                type=kind,
                x=box["x"],
                y=box["y"],
                button="left",
                clickCount=1,
            )

    def frames(self) -> list[str]:
        """Return the ids of the frames within the page."""
        tree = self.call("Page.getFrameTree")["frameTree"]
        return [child["frame"]["id"] for child in tree.get("childFrames", [])]

    def screenshot(self, path: Path) -> None:
        """Write what is seen as PNG."""
        path.parent.mkdir(parents=True, exist_ok=True)
        picture = self.call("Page.captureScreenshot", format="png")["data"]
        path.write_bytes(base64.b64decode(picture))


@contextlib.contextmanager
def opened(program: str, folder: Path, width: int = 1500, height: int = 950) -> Iterator[Page]:
    """Start Chromium with a profile in ``folder`` and give its page; end it afterwards."""
    theirs, ours = [], []
    for inward in (True, False):
        read, write = os.pipe()
        own, other = (write, read) if inward else (read, write)
        # Out of the way of 3 and 4, where Chromium wants them.
        theirs.append(fcntl.fcntl(other, fcntl.F_DUPFD, 10))
        ours.append(own)
        os.close(other)
    flags = [f"--user-data-dir={folder}", f"--window-size={width},{height}", *FLAGS]
    shell = f'exec "$0" "$@" 3<&{theirs[0]} 4>&{theirs[1]}'
    process = subprocess.Popen(
        ["bash", "-c", shell, program, *flags],
        pass_fds=theirs,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    for end in theirs:
        os.close(end)
    try:
        yield Page(*ours)
    finally:
        process.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(10)
        process.kill()
        process.wait()
        for end in ours:
            os.close(end)
