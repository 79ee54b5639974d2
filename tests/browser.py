"""Pages in the system's Chromium: a label page, a report."""

from __future__ import annotations

import contextlib
import importlib.util
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from playwright.sync_api import Page

NAMES = ("chromium", "chromium-browser", "google-chrome")
CHROMIUM = next((path for name in NAMES if (path := shutil.which(name))), None)
# Where the library is tested alone there is no Playwright; a page's other tests are of it too.
needed = pytest.mark.skipif(
    CHROMIUM is None or importlib.util.find_spec("playwright") is None,
    reason="no Chromium, apt-get install chromium; or no Playwright",
)
FLAGS = ["--no-sandbox", "--headless", "--disable-gpu", "--disable-background-networking"]
FLAGS += ["--disable-component-update", "--disable-sync", "--no-first-run"]


@contextlib.contextmanager
def opened(path) -> Iterator[Page]:
    """Open a file; nothing may be asked of a network meanwhile, and no script may fail."""
    from playwright.sync_api import sync_playwright

    outside, errors = [], []
    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        page = browser.new_page(viewport={"width": 1500, "height": 950}, offline=True)
        page.set_default_timeout(120_000)  # ms; beside other tests a page may wait for its turn
        page.on("request", lambda request: outside.append(request.url))
        page.on("pageerror", lambda error: errors.append(error))
        page.on("console", lambda said: said.type == "error" and errors.append(said.text))
        page.goto(path.resolve().as_uri())
        yield page
        browser.close()
    outside = [url for url in outside if not url.startswith(("file:", "data:", "blob:"))]
    assert not outside and not errors, (outside, errors)


def readable(page: Page, folder: Path) -> None:
    """A report at the width of a desk and of a telephone, light and dark; screenshots stay.

    Nothing is wider than the window, every picture and film is there, axe has nothing to say.
    """
    from axe_playwright_python.sync_playwright import Axe

    folder.mkdir(parents=True, exist_ok=True)
    loaded = "own => own.complete ? own.naturalWidth : own.readyState"
    for width in (1400, 390):
        for scheme in ("light", "dark"):
            page.set_viewport_size({"width": width, "height": 900})
            page.emulate_media(color_scheme=scheme)
            page.screenshot(path=folder / f"{width}_{scheme}.png")
            assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
            found = Axe().run(page).response["violations"]
            assert not found, [(one["id"], one["nodes"][0]["html"][:200]) for one in found]
    for own in page.locator("img, video").all():
        page.wait_for_function(f"own => ({loaded})(own) > 1", arg=own.element_handle())
    page.set_viewport_size({"width": 1400, "height": 900})
