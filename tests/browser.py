"""Pages in the system's Chromium: a label page, a report and what its reader clicks on."""

import contextlib
import shutil
from collections.abc import Iterator

import pytest
from playwright.sync_api import Page, sync_playwright

NAMES = ("chromium", "chromium-browser", "google-chrome")
CHROMIUM = next((path for name in NAMES if (path := shutil.which(name))), None)
needed = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium: apt-get install chromium")
FLAGS = ["--no-sandbox", "--headless", "--disable-gpu", "--disable-background-networking"]
FLAGS += ["--disable-component-update", "--disable-sync", "--no-first-run"]
VISIBLE = ("image/png", "text/html")  # what a report shows; the rest is to download
RESULT = "Object.values(results).find(result => result.labels.item === item)"
IMAGE = "[...document.images].find(image => !image.closest('nav'))"


@contextlib.contextmanager
def opened(path) -> Iterator[Page]:
    """Open a file; nothing may be asked of a network meanwhile, and no script may fail."""
    outside, errors = [], []
    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        page = browser.new_page(viewport={"width": 1500, "height": 950}, offline=True)
        page.on("request", lambda request: outside.append(request.url))
        page.on("pageerror", lambda error: errors.append(error))
        page.goto(path.resolve().as_uri())
        yield page
        browser.close()
    outside = [url for url in outside if not url.startswith(("file:", "data:", "blob:"))]
    assert not outside and not errors


def sections(page: Page) -> list[str]:
    """Open a report's menu; return the names of the sections, in the order in which they stand."""
    page.locator("nav nav a").first.click()  # the house, in the bar of links
    page.locator("nav a").get_by_text("Workflow", exact=True).wait_for()
    categories = page.evaluate("Object.keys(categories)")
    return [
        name
        for name in map(str.strip, page.locator("nav a").all_inner_texts())
        if name in categories
    ]


def items(page: Page, section: str) -> list[str]:
    """Click on a section in the menu or in the bar of links; return its items in their order."""
    page.locator("nav a").get_by_text(section, exact=True).click()
    page.locator("nav tbody tr a").first.wait_for()
    return [text.strip() for text in page.locator("nav tbody tr td:first-child").all_inner_texts()]


def kind(page: Page, item: str) -> str:
    """The MIME type of an item."""
    return page.evaluate(f"item => {RESULT}.mime_type", item)


def show(page: Page, place: int, item: str) -> str:
    """Look at the n-th item: return a page's text, or a picture's size once it has loaded."""
    page.locator("nav tbody tr").nth(place).locator("a").first.click()
    if kind(page, item) == "text/html":
        page.wait_for_function(
            f"item => document.querySelector('iframe')?.src === {RESULT}.data_uri", arg=item
        )
        page.frame_locator("iframe").locator("td").first.wait_for()
        return page.frame_locator("iframe").locator("body").inner_text()
    page.wait_for_function(
        f"item => {IMAGE}?.src === {RESULT}.data_uri && {IMAGE}.complete", arg=item
    )
    return page.evaluate(f"`${{{IMAGE}.naturalWidth}} x ${{{IMAGE}.naturalHeight}}`")


def caption(page: Page, place: int) -> str:
    """Open what the report says about the n-th item."""
    page.locator("nav tbody tr").nth(place).locator("a").nth(1).click()
    return page.locator("nav .prose").inner_text()
