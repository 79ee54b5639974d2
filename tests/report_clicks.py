"""What a reader does with a report: open a section, look at an item, read its caption."""

import json

from browser import Page

ROWS = "[...document.querySelectorAll('nav tbody tr')]"
LINKS = "[...document.querySelectorAll('nav a')]"
VISIBLE = ("image/png", "text/html")  # what the report shows; the rest is to download
SHOWN = "[...document.images].find(image => !image.closest('nav'))"


def sections(page: Page) -> list[str]:
    """Open the menu and return the names of the sections, in the order in which they stand."""
    page.click("document.querySelector('nav nav a')")  # the house, in the bar of links
    page.wait(f"{LINKS}.some(link => link.textContent.trim() === 'Workflow')")
    names = page.run(f"{LINKS}.map(link => link.textContent.trim())")
    return [name for name in names if name in page.run("Object.keys(categories)")]


def open_section(page: Page, name: str) -> list[str]:
    """Click on a section in the menu or in the bar of links; return its items in their order."""
    page.click(f"{LINKS}.find(link => link.textContent.trim() === {json.dumps(name)})")
    page.wait(f"{ROWS}.length && {ROWS}[0].querySelectorAll('a').length === 2")
    return page.run(f"{ROWS}.map(row => row.cells[0].textContent.trim())")


def kind(page: Page, item: str) -> str:
    """Return the MIME type of an item."""
    return page.run(
        f"Object.values(results).find(r => r.labels.item === {json.dumps(item)}).mime_type"
    )


def show(page: Page, place: int, item: str) -> str:
    """Look at the n-th item: return a page's text, or a picture's size once it has loaded."""
    page.click(f"{ROWS}[{place}].querySelectorAll('a')[0]")
    uri = f"Object.values(results).find(r => r.labels.item === {json.dumps(item)}).data_uri"
    if kind(page, item) == "image/png":
        page.wait(f"({SHOWN} || {{}}).src === {uri} && {SHOWN}.complete")
        return page.run(f"`${{{SHOWN}.naturalWidth}} x ${{{SHOWN}.naturalHeight}}`")
    page.wait(f"(document.querySelector('iframe') || {{}}).src === {uri}")
    (frame,) = page.frames()
    while frame not in page.contexts:
        page.run("1")
    page.wait("document.readyState === 'complete' && !!document.querySelector('td')", frame)
    return page.run("document.body.innerText", frame)


def caption(page: Page, place: int) -> str:
    """Open what the report says about the n-th item."""
    page.click(f"{ROWS}[{place}].querySelectorAll('a')[1]")
    return page.wait("(document.querySelector('nav .prose') || {}).innerText")


def overflow(page: Page) -> int:
    """Pixels by which the page is wider than the window."""
    return page.run("document.documentElement.scrollWidth - window.innerWidth")
