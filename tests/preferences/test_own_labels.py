"""What a person judged is never written over, and stays with the trajectory that was judged."""

import json
import re
import shutil

import numpy as np
import pandas as pd
import pytest
from conftest import ROOT, snakemake
from prefine.errors import UserError
from prefine.pipeline.messages import awaited, tasks_without_labels, what_went_wrong
from prefine.preferences.content import OtherTrajectories, fingerprints, n_moved
from prefine.preferences.labels import read_labels, sheet
from prefine.preferences.laid_out import (
    check_same_content,
    filled_in,
    keep_used,
    lay_out,
    sheets_of,
)

P, N = "preferred", "nonpreferred"
JUDGED = [P, P, P, N, N, N, "", ""]


def trajectories(contents):
    """A table of trajectories, each told by one number."""
    contents = np.asarray(contents, float)
    data = {name: np.repeat(contents, 4) for name in ("actions", "rewards")}
    data["observations"] = np.repeat(contents, 4)[:, None]
    table = pd.DataFrame({"index": range(len(contents)), "length": 4, "return": 4 * contents})
    table["start"] = 4 * table["index"]
    return table.assign(fingerprint=fingerprints(data, table))


def write(path, table, labels, columns=None):
    own = sheet(table).assign(label=labels)
    (own[columns] if columns else own).to_csv(path, index=False)
    return path


def test_fingerprints_are_of_the_content_alone():
    one, moved = trajectories([1, 2, 3]), trajectories([3, 9, 1])
    assert one["fingerprint"][0] == moved["fingerprint"][2]
    assert one["fingerprint"][2] == moved["fingerprint"][0]
    twice = trajectories([1, 2, 1])["fingerprint"]
    assert twice.nunique() == 3 and twice[2] == f"{twice[0]}-2"
    assert all(re.fullmatch(r"t[0-9a-f]{12}(-\d+)?", name) for name in twice)


def test_labels_follow_their_trajectories_when_others_come_before(tmp_path):
    path = write(tmp_path / "l.csv", trajectories(range(8)), JUDGED)
    sets = read_labels(path, trajectories([20, 21, *range(8)[::-1]]))
    assert sets[P].tolist() == [7, 8, 9] and sets[N].tolist() == [4, 5, 6]
    fewer = read_labels(path, trajectories(range(6)))  # the two that nobody judged are gone
    assert fewer[P].tolist() == [0, 1, 2]


def test_labels_of_others_are_refused_with_numbers(tmp_path):
    path = write(tmp_path / "l.csv", trajectories(range(8)), JUDGED)
    with pytest.raises(OtherTrajectories) as error:
        read_labels(path, trajectories([0, 1, 2, 3, 30, 31, 32]))
    assert str(error.value) == (
        f"{path}: 2 of its 6 labels are of trajectories that are not here any more; 3 of the 7 "
        "that are here are new"
    )
    bare = write(tmp_path / "b.csv", trajectories(range(8)), JUDGED, ["trajectory", "label"])
    assert read_labels(bare, trajectories(range(50, 58)))[P].tolist() == [0, 1, 2]  # by number


def test_a_sheet_that_somebody_changed_is_left_and_a_new_one_has_its_labels(tmp_path):
    path, before = tmp_path / "T.csv", trajectories(range(8))
    assert lay_out(path, sheet(before)) == path
    stamp = path.stat().st_mtime_ns
    assert lay_out(path, sheet(before)) == path and path.stat().st_mtime_ns == stamp
    other = trajectories([0, 1, 50])
    assert lay_out(path, sheet(other)) == path and len(pd.read_csv(path)) == 3  # nobody's labels
    write(path, before, JUDGED)
    text = path.read_bytes()
    after = trajectories([40, *range(5), 41])
    table = filled_in(sheet(after), sheets_of(path))
    assert table["label"].tolist() == ["", P, P, P, N, N, ""]
    new = lay_out(path, table)
    assert new.name == "T.new.csv" and path.read_bytes() == text
    assert lay_out(path, table) == new  # the same again
    later = trajectories([60, 61, 3])
    again = filled_in(sheet(later), sheets_of(path))
    assert again["label"].tolist() == ["", "", N]
    assert lay_out(path, again) == new and path.read_bytes() == text  # its labels stand there
    write(new, later, [P, N, N])
    written = new.read_bytes()
    newer = lay_out(path, sheet(trajectories([80, 81])))
    assert newer.name == "T.new2.csv"
    assert (path.read_bytes(), new.read_bytes()) == (text, written)


def test_what_a_job_filled_in_is_written_over_if_it_stands_elsewhere(tmp_path):
    path, own = tmp_path / "T.csv", tmp_path / "labels.csv"
    write(own, trajectories(range(8)), JUDGED)
    first = filled_in(sheet(trajectories(range(8))), [own])
    assert lay_out(path, first, [own]) == path
    second = filled_in(sheet(trajectories([0, 70])), [own, path])
    assert lay_out(path, second, [own]) == path and len(sheets_of(path)) == 1
    own.unlink()
    third = filled_in(sheet(trajectories([71, 72])), [path])
    assert lay_out(path, third, [own]).name == "T.new.csv"  # the label of 0 stands nowhere else


def test_labels_by_number_alone_are_held_against_what_they_were_used_for(tmp_path):
    before, used = trajectories(range(8)), tmp_path / "used.csv"
    path = write(tmp_path / "l.csv", before, JUDGED, ["trajectory", "label"])
    check_same_content(path, used, before)  # never used before
    keep_used(used, read_labels(path, before), before)
    check_same_content(path, used, before)
    check_same_content(path, used, trajectories([*range(8), 30]))
    other = trajectories([30, *range(7)])
    with pytest.raises(OtherTrajectories, match=r"6 of 6 are others .* 2 of the 8 .* not judged"):
        check_same_content(path, used, other)
    for one in (N, ""):  # one more look at a trajectory is none at those beside it
        write(path, other, [one, *JUDGED[1:]], ["trajectory", "label"])
        with pytest.raises(OtherTrajectories, match="5 of 5 are others"):
            check_same_content(path, used, other)
    write(path, other, [N, N, N, P, P, P, "", ""], ["trajectory", "label"])
    check_same_content(path, used, other)  # judged anew
    assert filled_in(sheet(other), [used])["label"].tolist() == ["", *JUDGED[:6], ""]


def test_rows_without_a_fingerprint_are_held_against_their_use_too(tmp_path):
    """Somebody added rows by hand, or emptied a column, on a sheet that has fingerprints."""
    before, used = trajectories(range(8)), tmp_path / "used.csv"
    path = tmp_path / "l.csv"
    own = sheet(before).assign(label=JUDGED)
    own.loc[2:, ["return", "length", "fingerprint"]] = None
    own.to_csv(path, index=False)
    keep_used(used, read_labels(path, before), before)
    check_same_content(path, used, before)
    other = trajectories([0, 1, 30, 31, 32, 33, 6, 7])
    with pytest.raises(OtherTrajectories, match=r"4 of 4 are others .* 6 of the 8 .* not judged"):
        check_same_content(path, used, other)


def test_labels_that_moved_are_counted():
    before, after = trajectories(range(8)), trajectories([*range(8)[::-1], 9])
    own = sheet(before).assign(label=JUDGED)
    assert n_moved(own, before) == 0 and n_moved(own, after) == 6
    sorted_alone = own.assign(trajectory=own["trajectory"].to_numpy()[::-1])
    assert n_moved(sorted_alone, before) == 6


@pytest.mark.parametrize("name", ["T.csv", "T.new.csv", "own.csv"])
def test_a_link_to_nowhere_is_not_taken_for_a_sheet_that_is_not_there(name, tmp_path):
    """The disk with the labels may come back; a sheet in their place would hide them."""
    table = sheet(trajectories(range(4)))
    path, own = tmp_path / name, tmp_path / "own.csv"
    path.symlink_to(tmp_path / "away" / "labels.csv")
    with pytest.raises(UserError, match="which is not there; bring it back"):
        lay_out(tmp_path / "T.csv", table, [own])
    assert path.is_symlink() and not (tmp_path / "T.csv").is_file()
    path.unlink()
    path.mkdir()
    with pytest.raises(UserError, match="is a folder where a sheet"):
        lay_out(tmp_path / "T.csv", table, [own])


def test_labels_are_awaited_until_there_is_one(tmp_path):
    own = tmp_path / "l.csv"
    assert awaited(own)
    for text, waits in {
        "trajectory,label\n0,\n1, \n": True,
        "\ufefftrajectory,label\n0,preferred\n": False,
        "trajectory,label\n0,good\n": False,  # the job that reads it says what is wrong
        "number\n": False,
        "": False,
        "sep=;\ntrajectory;Label\n0;\n": True,
        "trajectory\treturn\tlabel\n0\t1,5\tpreferred\n": False,
    }.items():
        own.write_text(text)
        assert awaited(own) is waits, text
    own.write_bytes(b"\xff\xfe\x00")
    assert not awaited(own) and not awaited(tmp_path)
    write(tmp_path / "T.csv", trajectories(range(8)), JUDGED)
    assert tasks_without_labels({"T": str(tmp_path / "none.csv")}, tmp_path) == []
    assert tasks_without_labels({"U": str(tmp_path / "none.csv")}, tmp_path) == ["U"]


def test_a_failure_is_said_again_at_the_end_and_safely(tmp_path):
    (tmp_path / "split.log").write_text("INFO\nERROR: first\nERROR: a\x1b[31mb\n")
    (tmp_path / "log").write_text(
        f"x\nError in rule split:\n    jobid: 3\n    log: {tmp_path}/split.log (check log file(s) "
        "for error details)\n    shell:\n        python\n"
    )
    said = what_went_wrong([str(tmp_path / "log")])
    assert "  split: a?[31mb\n" in said and "first" not in said
    assert what_went_wrong([str(tmp_path / "none")]) == ""


SMALL = """
run: own
source: policy
tasks: [SafeReach]
own_policy:
  SafeReach: {file: act.py, format: python, rollouts: {episodes: 10, noises: [0.3]}}
file:
  SafeReach: {env_id: SafeReach-v0, module: examples/own_task/safe_reach.py}
labels: {SafeReach: labels.csv}
"""
SHEETS = "results/own/labels"


@pytest.fixture(scope="module")
def run(project):
    shutil.copytree(ROOT / "examples/own_task", project / "examples/own_task")
    (project / "small.yaml").write_text(SMALL)
    (project / "act.py").write_text(
        "import numpy as np\n\n\ndef act(obs):\n    return np.ones((len(obs), 2))\n"
    )

    def go(check=True, target="results/own/splits/SafeReach.csv", **rollouts):
        overlay = {"own_policy": {"SafeReach": {"rollouts": rollouts}}}
        (project / "more.yaml").write_text(json.dumps(overlay))
        configs = ["workflow/presets/own_policy.yaml", "small.yaml", "more.yaml"]
        return snakemake(
            *(target, "--cores", 2, "--configfile", *configs), cwd=project, check=check
        )

    return project, go


def splits(project):
    table = pd.read_csv(project / "results/own/splits/SafeReach.csv")
    return set(table.loc[table["role"] == P, "index"]), set(table.loc[table["role"] == N, "index"])


def test_labels_outlive_every_change_of_the_rollouts(run):
    """As a new user would: the sheet is filled in where it lies."""
    project, go = run
    said = go(target="all")
    assert "now it is your turn" in said
    path = project / SHEETS / "SafeReach.csv"
    table = pd.read_csv(path, keep_default_na=False)
    table["label"] = [P] * 5 + [N] * 5
    table.to_csv(path, index=False)
    written = path.read_bytes()
    go()
    assert splits(project) == (set(range(5)), set(range(5, 10)))

    said = go(episodes=14)  # others are added
    assert (
        "4 of 14 trajectories are new and have no label; results/own/labels/SafeReach.new.csv"
        in said
    )
    assert path.read_bytes() == written
    assert splits(project) == (set(range(5)), set(range(5, 10)))

    said = go(seed=5, check=False)  # all are others
    assert path.read_bytes() == written
    assert (
        "10 of its 10 labels are of trajectories that are not here any more; 10 of the 10 that are "
        "here are new. results/own/labels/SafeReach.new.csv has all that are here" in said
    )
    new = pd.read_csv(project / SHEETS / "SafeReach.new.csv", keep_default_na=False)
    assert len(new) == 10 and (new["label"] == "").all()
    assert not set(new["fingerprint"]) & set(table["fingerprint"])
    assert path.read_bytes() == written and "Traceback" not in said

    table.to_csv(project / "labels.csv", index=False)  # saved as the config says
    go(episodes=12)
    said = go(seed=6, check=False)
    assert "labels.csv: 10 of its 10 labels" in said and path.read_bytes() == written


def test_numbers_alone_are_not_taken_for_other_trajectories(run):
    project, go = run
    table = pd.DataFrame({"trajectory": range(10), "label": [P] * 5 + [N] * 5})
    table.to_csv(project / "labels.csv", index=False)
    go()
    said = go(seed=7, check=False)
    assert "labels.csv: names trajectories by number, and 10 of 10 are others" in said
    with pytest.raises(UserError):
        read_labels(project / "more.yaml", pd.DataFrame({"index": range(3)}))


def test_jobs_that_lay_out_at_the_same_time_write_no_file_in_common(tmp_path):
    """One note of all sheets was written by every task's job: one removed the other's half."""
    table = sheet(trajectories([10, 20]))
    lay_out(tmp_path / "A.csv", table)
    of_a = {path: path.stat().st_mtime_ns for path in tmp_path.iterdir()}
    lay_out(tmp_path / "B.csv", table)
    assert {path: path.stat().st_mtime_ns for path in of_a} == of_a
