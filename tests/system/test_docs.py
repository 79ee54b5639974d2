"""The documentation: links lead somewhere, its examples are right, and the site works offline."""

import re
import shutil
import subprocess
import sys

import pytest
import yaml
from conftest import ROOT, snakemake

PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "CHANGELOG.md"]
PAGES += [ROOT / "results/README.md", *sorted((ROOT / "docs").glob("*.md"))]
OWN = "workflow/presets/own_policy.yaml"
FOLDERS = ("scripts", "workflow", "docs", "examples", "envs", "profiles", "benchmarks")
NOT_YET = re.compile("path/to|mine|_build|npo|tail|layers")  # examples, and what is made
CHROMIUM = shutil.which("chromium") or shutil.which("google-chrome")


def prose(page) -> str:
    """A page without its blocks of code."""
    return re.sub(r"^```.*?^```", "", page.read_text(), flags=re.DOTALL | re.MULTILINE)


def anchors(page) -> set[str]:
    """What a link to one of a page's headings may say, by GitHub's rule."""
    titles = re.findall(r"^#+ (.*)", prose(page), re.MULTILINE)
    plain = [re.sub(r"[^\w\- ]", "", title.lower()) for title in titles]
    return {title.replace(" ", "-") for title in plain}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_to_files_and_headings_that_are_there(page):
    links = re.findall(r"\]\(([^)\s]+)\)", prose(page))
    for link in links:
        if link.startswith("https://"):
            continue
        path, _, anchor = link.partition("#")
        target = (page.parent / path) if path else page
        assert target.exists(), f"{page.name}: {link}"
        assert not anchor or anchor in anchors(target), f"{page.name}: {link}"


def alternatives(path: str) -> list[str]:
    """`a/{b,c}.py` as a/b.py and a/c.py; braces of names (`{task}`) as a star."""
    found = re.search(r"\{([^{}]*)\}", path)
    if not found:
        return [path]
    words = found[1].split(",") if "," in found[1] else ["*"]
    return [p for w in words for p in alternatives(path[: found.start()] + w + path[found.end() :])]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_paths_of_the_repository_are_there(page):
    for span in re.findall(r"`([^`\s]+/[^`\s]*)`", prose(page)):
        if span.split("/")[0] in FOLDERS and not NOT_YET.search(span):
            for path in alternatives(span):
                assert any(ROOT.glob(path.rstrip("/"))), f"{page.name}: {span}"


def test_the_readme_is_short_and_begins_with_what_to_type():
    lines = (ROOT / "README.md").read_text().splitlines()
    assert len(lines) <= 150
    assert any("make quickstart" in line for line in lines[:20])
    assert any(OWN in line for line in lines[:40])


def blocks(page: str) -> dict[str, str]:
    """The YAML blocks of a page by their headings' first lines."""
    found = re.findall(r"```yaml\n(.*?)```", (ROOT / page).read_text(), re.DOTALL)
    return {f"{number} {text.splitlines()[0]}": text for number, text in enumerate(found)}


def dry_run(tmp_path, *texts: str, labelled: bool = True) -> str:
    """The jobs that configs on top of the preset ask for, with files that are there."""
    names = []
    for number, text in enumerate(texts):
        text = text.replace(" model.zip", " examples/own_policy/HalfCheetahVelocity.zip")
        text = text.replace("statistics.json", "examples/own_policy/HalfCheetahVelocity.json")
        text = text.replace("careful.hdf5", "LICENSE")  # a dry run opens no log
        for own in yaml.safe_load(text).get("labels", {}).values() if labelled else []:
            text = text.replace(f" {own}", f" {tmp_path / own}")
            (tmp_path / own).write_text("trajectory,label\n0,preferred\n")
        assert yaml.safe_load(text)
        names.append(tmp_path / f"{number}.yaml")
        names[-1].write_text(text)
    return snakemake("-n", "--cores", "1", "--configfile", OWN, *names, cwd=ROOT)


def of_own_policy() -> list[str]:
    found = blocks("docs/own_policy.md")
    return [text for name, text in found.items() if name.endswith(("# mine.yaml", "try.yaml"))]


@pytest.mark.parametrize("files", [[0], [1], [0, 2]], ids=["rollouts", "environment", "first try"])
def test_the_first_configs_for_an_own_policy_are_right(tmp_path, files):
    texts = of_own_policy()
    assert len(texts) == 3
    own = [texts[number] for number in files]
    assert re.search(r"export_chosen +1\n", dry_run(tmp_path, *own))
    first = dry_run(tmp_path, *own, labelled=False)
    assert re.search(r"label_sheet +1\n", first) and "export_chosen" not in first


def test_the_readmes_config_is_right(tmp_path):
    (text,) = blocks("README.md").values()
    assert "export_chosen" in dry_run(tmp_path, text)


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """The built site; a link that leads nowhere would be a warning, which is an error."""
    folder = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "sphinx", "-W", "--keep-going", "-q", "-b", "html"]
    done = subprocess.run(
        [*command, "-d", folder / "doctrees", ROOT / "docs", folder / "html"],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    return folder / "html"


def test_every_page_is_in_the_navigation(site):
    index = (site / "index.html").read_text()
    for page in (ROOT / "docs").glob("*.md"):
        assert page.stem == "index" or f'href="{page.stem}.html"' in index, page.name


@pytest.fixture(scope="module")
def browser():
    """Chromium without a window; no name is found, so nothing can be fetched."""
    api = pytest.importorskip("playwright.sync_api", reason="no Playwright")
    if not CHROMIUM:
        pytest.skip("no Chromium; apt-get install chromium")
    flags = ["--no-sandbox", "--disable-gpu", "--host-resolver-rules=MAP * ~NOTFOUND"]
    with api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=flags)
        yield browser
        browser.close()


@pytest.fixture
def page(browser):
    """A page, and on ``page.wrong`` what it fetched from elsewhere or what its scripts threw."""
    page, wrong = browser.new_page(), []
    page.on("console", lambda said: wrong.append(said.text) if said.type == "error" else None)
    page.on("pageerror", lambda error: wrong.append(str(error)))
    page.on(
        "request", lambda r: None if r.url.startswith(("file:", "data:")) else wrong.append(r.url)
    )
    page.on("requestfailed", lambda request: wrong.append(request.url))
    page.wrong = wrong
    yield page
    page.close()


def test_every_page_opens_from_the_navigation_without_a_network(site, page):
    page.goto((site / "index.html").as_uri())
    places = page.locator(".sidebar-tree a.reference").evaluate_all("all => all.map(a => a.href)")
    assert len(places) == len(list((ROOT / "docs").glob("*.md"))) - 1
    for place in places:
        page.goto(place)
        assert page.locator("article h1").inner_text()
        broken = "all => all.filter(i => !i.complete || !i.naturalWidth).map(i => i.src)"
        assert page.locator("img").evaluate_all(broken) == []
    assert page.wrong == []


def test_the_search_finds_a_word(site, page):
    page.goto((site / "index.html").as_uri())
    page.locator("input.sidebar-search").fill("PREFINE")
    page.locator("input.sidebar-search").press("Enter")
    page.locator("#search-results li a").first.wait_for()
    found = page.locator("#search-results li a").all_inner_texts()
    assert "A policy of your own" in found
    assert page.wrong == []


@pytest.mark.parametrize("width", [390, 1024, 1280, 1920])
def test_no_page_is_wider_than_the_window(site, page, width):
    page.set_viewport_size({"width": width, "height": 844})
    for file in sorted(site.glob("*.html")):
        page.goto(file.as_uri())
        assert page.evaluate("document.documentElement.scrollWidth") <= width, file.name
        cut = page.locator("article").evaluate("a => a.getBoundingClientRect().right")
        assert cut <= width, file.name
