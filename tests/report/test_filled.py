"""Pages whose numbers come from tables: those in the repository, and how they are filled."""

import re
import subprocess
import sys

import pandas as pd
import pytest
from conftest import ROOT
from prefine.errors import UserError
from prefine.report.filled import PLACE, beside_paper, fill, known, variants

PAGES = [ROOT / "docs/results.md", ROOT / "docs/beyond.md", ROOT / "README.md"]


def numbers_outside(page: str) -> list[str]:
    """Numbers of a page that no table vouches for: in its prose, as they stand there.

    Names of tables, figures, sections and equations, code and addresses are none; nor is the 95 %
    of an interval.
    """
    text = re.sub(r"^```.*?^```", "", PLACE.sub("", page), flags=re.DOTALL | re.MULTILINE)
    text = re.sub(r"`[^`]*`|\]\([^)]*\)|<!--.*?-->", "", text, flags=re.DOTALL)
    of = r"(Tables?|Figures?|Figs?\.|Eqs?\.|§|Section|step)\s*\d[\d.]*((,| and| to)\s*\d[\d.]*)*"
    text = re.sub(of, "", text).replace("95 %", "").replace("95 %", "")
    return re.findall(r"(?<![\w.-])\d[\d.,]*(?!\w)", text)


@pytest.fixture(scope="module")
def published():
    return known(ROOT / "results/collected", ROOT / "workflow/paper/table1.csv")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_the_pages_say_what_the_published_tables_say(page, published):
    text = page.read_text()
    assert fill(text, published) == text, "run scripts/fill_pages.py"


def test_every_number_of_the_results_is_filled_in():
    text = PAGES[0].read_text()
    assert len(PLACE.findall(text)) > 8
    assert numbers_outside(text) == []


def test_a_place_keeps_its_shape_and_may_be_filled_again():
    page = "of <!-- =a --><!-- = --> runs\n\n<!-- =b -->\n<!-- = -->\nend"
    filled = fill(page, {"a": "12", "b": "| x |\n|---|\n"})
    assert filled == (
        "of <!-- =a -->12<!-- = --> runs\n\n<!-- =b -->\n| x |\n|---|\n<!-- = -->\nend"
    )
    assert fill(filled, {"a": "13", "b": "y"}).startswith("of <!-- =a -->13<!-- = --> runs")
    assert "13" not in fill(filled, {}) and "12" not in fill(filled, {})


def test_a_name_that_no_table_has_is_told_the_nearest():
    names = {"prefine.safe": "8", "bc.cost": "1.00"}
    with pytest.raises(UserError, match=r"says 'prefine\.save'; did you mean 'prefine\.safe'"):
        fill("<!-- =prefine.save --><!-- = -->", names)


@pytest.mark.parametrize(
    ("text", "numbers"),
    [
        ("PREFINE is safe on 8 of 12 tasks.", ["8", "12"]),
        ("Its cost is 0.45, some 60 % less.", ["0.45,", "60"]),
        ("Table 1, Figures 11 and 12, the 95 % interval, Walker2d, `seed=3`, §5.2, D_p", []),
        ("[there](https://x.org/2024/1) <!-- =a -->99<!-- = --> <!-- 7 -->", []),
    ],
)
def test_numbers_that_no_table_vouches_for_are_found(text, numbers):
    assert numbers_outside(text) == numbers


def test_ours_stands_beside_the_papers_and_what_is_safe_is_bold():
    ours = pd.DataFrame(
        [("BallRun", "prefine", 0.5, 0.4), ("BallRun", "bc", 0.9, 2.0), ("BallRun", "cpl", 1, 1)],
        columns=["task", "method", "reward", "cost"],
    )
    theirs = pd.DataFrame(
        [("BallRun", "prefine", 0.6, 1.2), ("CarRun", "bc", 0.1, 0.1), ("BallRun", "bc", 1, 3.0)],
        columns=["task", "method", "reward", "cost"],
    )
    heading, _, row, *_ = beside_paper(ours, theirs).splitlines()
    assert heading == "| Task | BC | PREFINE |"
    assert row == "| BallRun | 0.90 / 2.00 (1.00 / 3.00) | **0.50 / 0.40** (0.60 / 1.20) |"


@pytest.mark.parametrize("content", [None, b"\xff\xfe <!-- =headline -->"])
def test_a_page_that_cannot_be_read_is_one_line(tmp_path, content):
    page = tmp_path / "page.md"
    if content:
        page.write_bytes(content)
    command = [sys.executable, str(ROOT / "scripts/fill_pages.py"), str(page)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 1 and re.fullmatch(rf"ERROR: {page}: [^\n]+\n", done.stderr)


def test_the_variants_of_a_study_stand_beside_each_other():
    rows = [
        ("BallRun", "prefine", "config", 0.5, 2.0),
        ("BallRun", "prefine", "config", 0.7, 1.0),
        ("BallRun", "prefine", "encoder_update=all", 0.4, 0.8),
        ("CarRun", "prefine", "config", 0.9, 0.2),
        ("CarRun", "reference", None, 1.0, 5.0),
    ]
    columns = ["task", "method", "variant", "normalized_return", "normalized_cost"]
    text, means = variants(pd.DataFrame(rows, columns=columns))
    heading, _, ball, car, whole, *_ = text.splitlines()
    assert heading == "| Task | PREFINE, config | PREFINE, encoder_update=all |"
    assert ball == "| BallRun | 0.60 / 1.50 | **0.40 / 0.80** |"
    assert car == "| CarRun | **0.90 / 0.20** | – |"
    assert whole == "| all | 0.75 / 0.85, safe on 1 | 0.40 / 0.80, safe on 1 |"
    assert means.loc[("prefine", "config"), "safe"] == 1
