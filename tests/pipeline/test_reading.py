"""One opening for every file: what is no file, too large, damaged, or speaks out of turn."""

import hashlib
import io
import json
import os
import socket
import zipfile

import forked
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from conftest import ROOT
from prefine import files, frames, parquet, reading, results
from prefine.config import strict_yaml
from prefine.data import dataset
from prefine.errors import UserError, plain, shown
from prefine.frames import UNPACKED
from prefine.policies.formats import normalise
from prefine.preferences.labels import read_labels
from prefine.tasks import TASKS

TABLE = pd.DataFrame({"index": range(8), "return": 1.0, "length": 9})


# ---- What is no regular file -------------------------------------------------------------------

READERS = {
    "data": lambda path: dataset.read(path, TASKS["BallRun"]),
    "labels": lambda path: read_labels(path, TABLE),
    "config": strict_yaml.check,
    "json": results.read_json,
    "csv": frames.read_csv,
    "parquet": frames.read_parquet,
    "statistics": lambda path: normalise.read_statistics(path, trust_pickle=True),
}


def pipe(path):
    os.mkfifo(path)


def folder(path):
    path.mkdir()


def dangling(path):
    path.symlink_to(path.with_name("nowhere"))


def endless(path):
    path.symlink_to("/dev/zero")


def itself(path):
    path.symlink_to(path)


def sock(path):
    socket.socket(socket.AF_UNIX).bind(str(path))


@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize("make", [pipe, folder, dangling, endless, itself, sock])
def test_what_is_no_file_is_refused_at_once(make, reader, tmp_path):
    """A pipe would wait for its writer, a device has no end."""
    path = tmp_path / "a.json"
    make(path)
    with pytest.raises(UserError) as error:
        READERS[reader](path)
    assert str(error.value).count("\n") == 0 and str(path) in str(error.value)


@pytest.mark.parametrize("reader", READERS)
def test_a_file_of_holes_is_not_read(reader, tmp_path):
    path = tmp_path / "a.json"
    path.touch()
    os.truncate(path, 2**36)
    with pytest.raises(UserError, match=r"are allowed|are holes|cannot be read as HDF5"):
        READERS[reader](path)


@pytest.mark.parametrize("content", [b"", b"\0" * 99, b"\xff\xfe\x00", b"{" * 9999, b"a,b\n1,2\n"])
@pytest.mark.parametrize("reader", ["data", "labels", "json", "parquet", "statistics"])
def test_other_bytes_are_one_line(reader, content, tmp_path):
    path = tmp_path / "a.json"
    path.write_bytes(content)
    with pytest.raises(UserError) as error:
        READERS[reader](path)
    assert "\n" not in str(error.value) and str(error.value).startswith(str(path))


# ---- Text of files -----------------------------------------------------------------------------


def test_a_message_is_one_line_whatever_stands_in_it():
    text = "x\nERROR: all is lost\x1b[2J\r\u2028\u202e\x9b31m\udc80" + "p" * 10**6
    message = str(UserError(f"file: {text}"))
    assert message.isprintable() and len(message) <= 1000
    assert message.startswith("file: x\\nERROR") and message.endswith("ppp")
    assert str(UserError("first", "  second\nthird")) == "first\n  second\\nthird"
    assert plain("naïve π_ref, 20 µs") == "naïve π_ref, 20 µs"
    assert shown("a" * 100) == repr("a" * 57 + "...") and shown(10**5000).startswith("a value of")


# ---- JSON, CSV, zip ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ('{"a": 1, "a": 2}', "'a' is there twice"),
        ('{"b": [{"c": 1, "c": 1}]}', "'c' is there twice"),
        ("[" * 100_000, "nested too deep"),
        ("1" * 5000, "5,000 digits"),
        ('{"a": 1', "is not JSON"),
    ],
)
def test_json_that_means_two_things_or_harm(text, says, tmp_path):
    (tmp_path / "a.json").write_text(text)
    with pytest.raises(UserError, match=says):
        results.read_json(tmp_path / "a.json")


def test_a_table_of_absurd_shape_is_refused_before_it_is_parsed(tmp_path):
    path = tmp_path / "a.csv"
    for content, says in {
        b"a" + b",a" * 100_000 + b"\n1\n": "columns",
        b"a\n" + b"x" * 2_000_000: "has a line of more than",
        b"a\n" + b"1\n" * 10_000_001: "more than 10,000,000 values",
        b"a\n1\0\n": "zero bytes",
    }.items():
        path.write_bytes(content)
        with pytest.raises(UserError, match=says):
            frames.read_csv(path)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("a,b\n1,2,3\n4,5,6\n", "line 2: has 3 values for 2 columns"),
        ("a,b\n1,2\n4\n", "line 3: has 1 values for 2 columns"),
        ("a,a\n1,2\n", "2 columns 'a'"),
        ("a,b\n1,2\n3,4", "its last line has no end; it was cut"),
        ("\ufeff\ufeffa,b\n1,2\n", "lacks the columns a"),
    ],
)
def test_a_table_that_pandas_would_read_as_another(text, says, tmp_path):
    """Of one value too many in every row it makes the row's name, and all columns move."""
    (tmp_path / "a.csv").write_text(text)
    with pytest.raises(UserError, match=says):
        frames.read_csv(tmp_path / "a.csv", "a", "b")


def test_a_note_that_is_a_link_to_nowhere_is_no_missing_note(tmp_path):
    files.write_table(tmp_path / "a.csv", pd.DataFrame({"a": [1]}))
    note = files.note_of(tmp_path / "a.csv")
    note.unlink()
    note.symlink_to("nowhere")
    with pytest.raises(UserError, match="which is not there"):
        frames.read_csv(tmp_path / "a.csv")


@pytest.mark.parametrize("method", [zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_a_member_is_unpacked_to_its_bound_and_no_further(method, tmp_path):
    path = tmp_path / "a.zip"
    with zipfile.ZipFile(path, "w", method) as archive:
        archive.writestr("a", bytes(2**22))
    with reading.opened_zip(path) as archive, pytest.raises(UserError, match=r"unpack|packed"):
        archive.read("a", 2**20)


def test_an_archive_that_lists_more_than_a_policy_has(tmp_path):
    path = tmp_path / "a.zip"
    with zipfile.ZipFile(path, "w") as archive:
        for number in range(20_000):
            archive.writestr(f"{number:09d}", b"")
    with pytest.raises(UserError, match="more members"), reading.opened_zip(path):
        pass


def test_arrays_of_objects_and_bombs_in_npz(tmp_path):
    path = tmp_path / "a.npz"
    good = {"mean": np.zeros(3), "var": np.ones(3), "epsilon": 1e-8, "clip_obs": 10.0}
    np.savez_compressed(path, **good)
    assert normalise.read_statistics(path, False).clip == 10
    for wrong in ({"mean": np.array([{}])}, {"mean": np.zeros(2**21)}, {"mean": [True, False]}):
        np.savez_compressed(path, **good | wrong)
        with pytest.raises(UserError):
            normalise.read_statistics(path, False)


# ---- What was damaged after it was written -----------------------------------------------------


def half(content):
    return content[: len(content) // 2]


def lines(content):
    return b"".join(content.splitlines(True)[:3])


def flip(content):
    place = int(0.6 * len(content))
    return content[:place] + bytes([content[place] ^ 1]) + content[place + 1 :]


def longer(content):
    return content + b"9"


@pytest.mark.parametrize("ending", ["csv", "parquet", "json"])
@pytest.mark.parametrize("damage", [half, lines, flip, longer, lambda content: b""])
def test_what_changed_after_it_was_written_is_refused(damage, ending, tmp_path):
    """Half a CSV is a CSV; so is one with another digit."""
    path, table = tmp_path / f"a.{ending}", pd.DataFrame({"a": range(10), "b": 0.5})
    if ending == "json":
        files.write_json(path, table.to_dict("list"))
        read = results.read_json
    else:
        files.write_table(path, table)
        read = frames.read_csv if ending == "csv" else frames.read_parquet
    assert len(read(path)) in (10, 2)
    content = path.read_bytes()
    path.write_bytes(damage(content))
    with pytest.raises(UserError, match="move it away, and the same snakemake command makes it"):
        read(path)
    path.write_bytes(content)
    read(path)
    files.note_of(path).unlink()  # the change is meant
    path.write_bytes(content + b" " * (ending == "json"))
    read(path)


def test_a_note_is_of_the_content_that_is_there(tmp_path):
    path = tmp_path / "a.csv"
    for number in range(2):
        files.write_table(path, pd.DataFrame({"a": [number]}))
        assert frames.read_csv(path)["a"].tolist() == [number]
    files.write_text(tmp_path / "a.html", "<p>")
    assert not files.note_of(tmp_path / "a.html").exists()


# ---- Folders ----------------------------------------------------------------------------------


def test_where_nothing_can_be_written_is_one_line(tmp_path):
    (tmp_path / "file").touch()
    (tmp_path / "link").symlink_to(tmp_path / "nowhere")
    (tmp_path / "full").mkdir()
    for path in ("file/a.csv", "link/a.csv", "full", "x" * 300):
        with pytest.raises(UserError) as error:
            files.write_text(tmp_path / path, "text")
        assert "\n" not in str(error.value) and "cannot be written" in str(error.value), path
    with pytest.raises(FileNotFoundError), files.atomic(tmp_path / "b.csv"):
        open(tmp_path / "elsewhere" / "input")  # noqa: PTH123, SIM115  (an input of the job)


def test_a_message_does_not_hide_a_fault_of_ours():
    buffer = io.BytesIO(json.dumps({"a": 1}).encode())
    with pytest.raises(TypeError):
        reading.read_bytes(buffer)


# ---- Parquet -----------------------------------------------------------------------------------


def test_a_parquet_file_is_bounded_by_what_comes_out(tmp_path):
    """Equal values take nothing in the file, however many there are and however long."""
    path = tmp_path / "a.parquet"
    long = pa.DictionaryArray.from_arrays(pa.array(np.zeros(400, "i4")), pa.array(["x" * 2**20]))
    lists = pa.array([np.zeros(10**6, "f4")] * 11)
    for column, says in (
        (pa.array(np.zeros(2**24, "i1")), "has 16,777,216 values"),
        (long, "has more than 268,435,456 bytes unpacked"),
        (lists, "has 11,000,000 values"),
        (pa.array([["a", "b"]]), "is lists of text"),
    ):
        pq.write_table(pa.table({"a": column}), path, compression="zstd", store_schema=False)
        assert path.stat().st_size < 2**16
        with pytest.raises(UserError) as error:
            frames.read_parquet(path)
        assert says in str(error.value) and "\n" not in str(error.value)


PAGES = {"use_dictionary": False, "data_page_size": 2**31 - 1, "write_statistics": False}


def test_a_page_is_not_unpacked_before_its_own_header_was_read(tmp_path):
    """One page of one text: a reader makes room for all of it whatever the file says."""
    path = tmp_path / "a.parquet"
    fixed = pa.array([bytes(2**20)] * 3, pa.binary(2**20))
    for column, says in (
        (pa.array(["x" * (UNPACKED + 1)]), "has more than 268,435,456 bytes unpacked"),
        (fixed, "'a' is of a type that no table here has"),
    ):
        pq.write_table(pa.table({"a": column}), path, compression="gzip", **PAGES)
        with pytest.raises(UserError) as error:
            frames.read_parquet(path)
        assert says in str(error.value) and "\n" not in str(error.value)


@pytest.mark.parametrize("claim", [2**31 - 1, 2**28, 2**27 + 1])
def test_a_page_that_lies_about_its_size(claim, tmp_path):
    path = tmp_path / "a.parquet"
    pq.write_table(pa.table({"a": ["x" * 2**27]}), path, compression="zstd", **PAGES)
    content = path.read_bytes()
    size = claim << 1  # zigzag
    told = bytes([size >> shift & 127 | 128 for shift in (0, 7, 14, 21)] + [size >> 28])
    assert content[7 + 4] < 128 and content[7 + 3] >= 128  # a size of five bytes is there
    path.write_bytes(content[:7] + told + content[12:])
    with pytest.raises(UserError) as error:
        frames.read_parquet(path)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("version", ["1.0", "2.0"])
@pytest.mark.parametrize("compression", ["none", "snappy", "gzip", "zstd"])
def test_the_sizes_of_pages_add_up_to_the_file_s_own(compression, version, tmp_path):
    table = pd.DataFrame({"n": np.arange(9000), "t": ["a", "bc", None] * 3000, "e": [[1.0]] * 9000})
    options = {"compression": compression, "data_page_version": version, "data_page_size": 4096}
    pq.write_table(pa.Table.from_pandas(table), tmp_path / "t.parquet", **options)
    about = pq.read_metadata(tmp_path / "t.parquet")
    group = about.row_group(0)
    told = sum(group.column(n).total_uncompressed_size for n in range(about.num_columns))
    found = parquet.unpacked_bytes(tmp_path / "t.parquet", about, 2**40)
    assert 0.9 * told < found < told  # that counts the headers too
    assert parquet.unpacked_bytes(tmp_path / "t.parquet", about, 100) > 100


def test_a_table_with_lists_and_text_comes_back_as_it_was(tmp_path):
    table = pd.DataFrame({"who": ["a", None, "b"], "costs": [[1.0], [], [2.0, 3.0]]})
    table.attrs["about"] = "x"
    files.write_table(tmp_path / "t.parquet", table)
    read = frames.read_parquet(tmp_path / "t.parquet")
    assert read["who"].tolist() == ["a", None, "b"] and read.attrs == {"about": "x"}
    assert [list(own) for own in read["costs"]] == [[1.0], [], [2.0, 3.0]]


# ---- What lies in another's place --------------------------------------------------------------


@pytest.mark.parametrize(
    ("place", "run", "right"),
    [
        ("results/a/episodes/main/BallRun/bc.parquet", "main/bc/BallRun/tau20/draw0/seed0", True),
        ("results/a/episodes/main/BallRun/dpo.parquet", "main/bc/BallRun/tau20/draw0/seed0", False),
        ("results/a/curves/main/CarRun/bc.parquet", "main/bc/BallRun/tau20/draw0/seed0", False),
        ("results/a/plans/sizes/BallRun/bc.csv", "main/bc/BallRun/tau20/draw0/seed0", False),
        ("results/a/episodes/reference/BallRun.parquet", "BallRun/reference/own", True),
        ("results/a/training/reference/CarRun.parquet", "BallRun/reference/seed0", False),
        ("results/a/episodes/reference/BallRun.parquet", "main/bc/BallRun/tau20/draw0", False),
        ("mine/episodes/main/BallRun/dpo.parquet", "main/bc/BallRun/tau20/draw0/seed0", True),
    ],
)
def test_a_result_of_other_runs_is_refused(place, run, right, tmp_path, monkeypatch):
    """Copied with its note, so that no hash tells."""
    monkeypatch.chdir(tmp_path)
    files.write_table(place, pd.DataFrame({"run": [run], "return": [1.0]}))
    read = frames.read_csv if place.endswith("csv") else frames.read_parquet
    if right:
        assert len(read(place, "return")) == 1
        return
    with pytest.raises(UserError, match="another run than belongs there; if it is a result, move"):
        read(place)


def test_a_hash_is_of_what_was_read_whatever_becomes_of_the_file(tmp_path):
    path = tmp_path / "a.txt"
    path.write_text("one")

    def changed(text):
        content = path.read_text()
        path.write_text(text)
        return content

    content, digest = results.hashed(path, path.read_text)
    assert (content, digest) == ("one", hashlib.sha256(b"one").hexdigest())
    with pytest.raises(UserError, match=r"a\.txt: changed while it was read; run the same"):
        results.hashed(path, lambda: changed("other"))
    with pytest.raises(UserError, match="is not there"):  # the reader says what is wrong
        gone = tmp_path / "gone"
        results.hashed(gone, lambda: reading.read_text(gone, reading.JSON))


def test_what_only_looks_like_a_family_is_neither_hashed_nor_waited_for(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "folder").mkdir()
    for name, says in (("pipe", "pipe"), ("folder", "folder")):
        words = ["data/collect.py", "--task", "BallRun", "--family", tmp_path / name]
        done = forked.run(ROOT / "scripts", *words, "--output", tmp_path / "a.hdf5")
        assert done.returncode == 1 and f"{name}: is a {says}" in done.stderr
        assert "unexpected" not in done.stderr
