"""Scores of others: what is read, and every row that is refused in one line that names it."""

import math

import pytest
from prefine.data.outside import read_scores
from prefine.errors import UserError

HEADER = "task,method,reward,cost,sees,source"
GOOD = "BallRun,CDT (OSRL),0.39,1.16,costs,DSRL Table 5 arXiv:2306.09303"
TAKEN, TASKS = ("cpq", "trac", "reference"), ("BallRun", "MyTask")


def read(tmp_path, *rows, header=HEADER, encoding="utf-8"):
    path = tmp_path / "scores.csv"
    path.write_bytes("\n".join([header, *rows, ""]).encode(encoding))
    return read_scores(path, TAKEN, TASKS)


def test_rows_come_as_they_are(tmp_path):
    more = "MyTask,CDT (OSRL),-0.5,0,labels,mine"
    first, second = read(tmp_path, GOOD, "", more)
    assert first["method"] == "CDT (OSRL)" and first["sees"] == "costs"
    assert (first["reward"], first["cost"]) == (0.39, 1.16) and math.isnan(first["reward_std"])
    assert (second["task"], second["reward"], second["cost"]) == ("MyTask", -0.5, 0.0)


def test_spreads_semicolons_marks_and_quotes_are_read(tmp_path):
    header = f"{HEADER},reward_std,cost_std".replace(",", ";")
    row = 'BallRun;"CDT (OSRL)";0.39;1.16;costs;OSRL;0.01;'
    (only,) = read(tmp_path, row, header=header, encoding="utf-8-sig")
    assert only["reward_std"] == 0.01 and math.isnan(only["cost_std"])


WRONG = [
    ("BallRum,CDT,1,1,costs,OSRL", "task: 'BallRum' is neither .* did you mean BallRun"),
    ("BallRun,,1,1,costs,OSRL", "method: '' is not allowed"),
    ("BallRun,<script>,1,1,costs,OSRL", "method: '<script>' is not allowed"),
    (r"BallRun,\input{x},1,1,costs,OSRL", "method: .* is not allowed"),
    ("BallRun,=HYPERLINK(1),1,1,costs,OSRL", "method: .* is not allowed"),
    ("BallRun,TraC,1,1,costs,OSRL", r"is a method that this project runs; .* 'TraC \(OSRL\)'"),
    ("BallRun,CDT,nan,1,costs,OSRL", "reward: 'nan' is not allowed"),
    ("BallRun,CDT,inf,1,costs,OSRL", "reward: 'inf' is not allowed"),
    ("BallRun,CDT,0x1,1,costs,OSRL", "reward: '0x1' is not allowed"),
    ("BallRun,CDT,1e300,1,costs,OSRL", "reward: '1e300' is not allowed"),
    ("BallRun,CDT,1,-1,costs,OSRL", "cost: '-1' is not allowed; .* from 0"),
    ("BallRun,CDT,,1,costs,OSRL", "reward: '' is not allowed"),
    ('BallRun,CDT,"0,5",1,costs,OSRL', "reward: '0,5' is not allowed; .* decimal point"),
    ("BallRun,CDT,1,1,everything,OSRL", "sees: 'everything' is not allowed; labels"),
    ("BallRun,CDT,1,1,costs,", "source: '' is not allowed"),
    ("BallRun,CDT,1,1,costs,<b>x</b>", "source: '<b>x</b>' is not allowed"),
    ("BallRun,CDT,1,1,costs,$x$", "source: .* is not allowed"),
    ("BallRun,CDT,1,1,costs", "has 5 values for 6 columns"),
    ("BallRun,CDT,1,1,costs,OSRL,7", "has 7 values for 6 columns"),
    ("BallRun,cdt (osrl),1,1,costs,OSRL", "on BallRun is in line 2 too"),
    ('BallRun,"CDT,1,1,costs,OSRL', "cannot be read as CSV"),
    ("BallRun,CDT\x1b[2J,1,1,costs,OSRL", "method: .* is not allowed"),
    ("BallRun,C\u202eDT,1,1,costs,OSRL", "method: .* is not allowed"),
]


@pytest.mark.parametrize(("row", "says"), WRONG, ids=[repr(row)[:40] for row, _ in WRONG])
def test_a_wrong_row_is_refused_in_one_line_that_names_it(row, says, tmp_path):
    with pytest.raises(UserError, match=f"scores.csv: line 3: .*{says}") as refused:
        read(tmp_path, GOOD, row)
    text = str(refused.value)
    assert "\n" not in text and text.isprintable()


@pytest.mark.parametrize(
    ("header", "says"),
    [
        ("task,method,reward,cost,source", "line 1: lacks the columns sees"),
        (f"{HEADER},reward std", "line 1: column 'reward std' is not allowed"),
        (f"{HEADER},cost", "line 1: column 'cost' is there twice"),
    ],
)
def test_a_wrong_header_is_refused(header, says, tmp_path):
    with pytest.raises(UserError, match=says):
        read(tmp_path, GOOD, header=header)


@pytest.mark.parametrize("method", ["NA", "none", "1e5", "2024", "True"])
def test_a_method_s_name_is_text_in_every_table(method, tmp_path):
    row = f"BallRun,{method},1,2,labels,me"
    (tmp_path / "s.csv").write_text("task,method,reward,cost,sees,source\n" + row)
    with pytest.raises(UserError, match=r"line 2: method: .* is not allowed"):
        read_scores(tmp_path / "s.csv", [], [])


def test_a_space_more_makes_no_other_method(tmp_path):
    rows = "BallRun,X Y,1,2,labels,me\nBallRun,X  Y,1,2,labels,me"
    (tmp_path / "s.csv").write_text("task,method,reward,cost,sees,source\n" + rows)
    with pytest.raises(UserError, match="line 3: X Y on BallRun is in line 2 too"):
        read_scores(tmp_path / "s.csv", [], [])


def test_what_is_no_table_is_refused(tmp_path):
    path = tmp_path / "scores.csv"
    for content, says in [
        (b"", "lacks the columns"),
        (f"{HEADER}\n".encode(), "has no rows"),
        (b"\xff\xfe\x00", "is not text in UTF-8"),
        (b"task\0", "has zero bytes"),
        (b"a" * (2**20 + 1), "bytes"),
        (
            (HEADER + "\n" + "\n".join(f"BallRun,M{n},1,1,costs,x" for n in range(5001))).encode(),
            "5,001",
        ),
    ]:
        path.write_bytes(content)
        with pytest.raises(UserError, match=says):
            read_scores(path, TAKEN, TASKS)
    with pytest.raises(UserError, match="is not there"):
        read_scores(tmp_path / "none.csv", TAKEN, TASKS)
    with pytest.raises(UserError, match="is a folder"):
        read_scores(tmp_path, TAKEN, TASKS)
