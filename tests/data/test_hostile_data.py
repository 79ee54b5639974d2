"""Families of broken data and labels, each by other members than were first found."""

import subprocess
import sys
import zlib
from dataclasses import replace

import h5py
import numpy as np
import pandas as pd
import pytest
from prefine.data import dataset, own
from prefine.errors import UserError
from prefine.preferences.labels import read_labels
from prefine.tasks import OWN, TASKS, Task
from test_dataset import make_file

TASK = TASKS["BallRun"]


def one_line(call, says):
    with pytest.raises(UserError) as error:
        call()
    assert says in str(error.value) and "\n" not in str(error.value), str(error.value)
    assert "delete it" not in str(error.value)


# ---- HDF5: how it is packed --------------------------------------------------------------------


def packed(path, filters, rows=7, content=None):
    """A file whose rewards are packed by these filters, with a piece of our own in it."""
    make_file(path)
    with h5py.File(path, "r+") as file:
        del file["rewards"]
        plan = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
        plan.set_chunk((rows,))
        for name in filters:
            getattr(plan, f"set_{name}")(*([4] if name == "deflate" else []))
        space = h5py.h5s.create_simple((7,))
        values = h5py.h5d.create(file.id, b"rewards", h5py.h5t.IEEE_F32LE, space, plan)
        if content is not None:
            values.write_direct_chunk((0,), content)
        else:
            values.write(h5py.h5s.ALL, h5py.h5s.ALL, np.arange(7, dtype="f4"))
    return path


USUAL = (["deflate"], ["shuffle", "deflate"], ["shuffle", "deflate", "fletcher32"], ["fletcher32"])


@pytest.mark.parametrize("filters", [*USUAL, ["fletcher32", "deflate"]])
def test_what_hdf5_usually_packs_is_read(filters, tmp_path):
    path = packed(tmp_path / "a.hdf5", filters)
    assert dataset.read(path, TASK)["rewards"].tolist() == list(range(7))


@pytest.mark.parametrize("compression", ["lzf", "gzip"])
def test_h5py_s_own_packing_is_read(compression, tmp_path):
    path = make_file(tmp_path / "a.hdf5", n=700, ends=[(699, "timeouts")])
    with h5py.File(path, "r+") as file:
        for key in list(file):
            values = file[key][...]
            del file[key]
            more = {"chunks": (64, *values.shape[1:]), "shuffle": True, "fletcher32": True}
            file.create_dataset(key, data=values, compression=compression, **more)
    assert len(dataset.read(path, TASK)["rewards"]) == 700


@pytest.mark.parametrize("size", [2**28, 7 * 4 + 1, 7 * 4 - 1, 0])
@pytest.mark.parametrize("filters", [["deflate"], ["shuffle", "deflate"]])
def test_a_piece_must_unpack_to_its_size(filters, size, tmp_path):
    path = packed(tmp_path / "a.hdf5", filters, content=zlib.compress(bytes(size), 9)[: 2**16])
    one_line(lambda: dataset.read(path, TASK), "rewards: the piece at step 0")


def test_unusual_packing_says_how_to_write_the_file_again(tmp_path):
    for filters in (["deflate", "deflate"], ["deflate", "shuffle"], ["scaleoffset", "nbit"]):
        if "nbit" in filters:
            path = make_file(tmp_path / "b.hdf5")
            with h5py.File(path, "r+") as file:
                del file["rewards"]
                file.create_dataset("rewards", data=np.arange(7), chunks=(7,), scaleoffset=0)
        else:
            path = packed(tmp_path / "a.hdf5", filters)
        one_line(lambda path=path: dataset.read(path, TASK), "h5repack -f GZIP=4")
        path.unlink()


def test_a_filter_that_is_not_there_is_named(tmp_path):
    path = make_file(tmp_path / "a.hdf5")
    with h5py.File(path, "r+") as file:
        del file["costs"]
        plan = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
        plan.set_chunk((7,))
        plan.set_filter(32015, h5py.h5z.FLAG_OPTIONAL, (3,))
        space = h5py.h5s.create_simple((7,))
        h5py.h5d.create(file.id, b"costs", h5py.h5t.IEEE_F32LE, space, plan)
    one_line(
        lambda: dataset.read(path, TASK), "costs: is packed with Zstandard (HDF5 filter 32015)"
    )


def test_a_file_that_is_open_or_forbidden_is_said_to_be(tmp_path):
    path = make_file(tmp_path / "a.hdf5")
    text = f"import h5py; f = h5py.File({str(path)!r}, 'a'); print(1, flush=True); input()"
    pipe = subprocess.PIPE
    with subprocess.Popen([sys.executable, "-c", text], stdin=pipe, stdout=pipe) as writer:
        writer.stdout.readline()
        one_line(lambda: dataset.read(path, TASK), "another program has it open for writing")
        writer.communicate()
    assert len(dataset.read(path, TASK)["costs"]) == 7


# ---- Data of one's own -----------------------------------------------------------------------

MINE = Task("Mine", "m", OWN, "Mine-v0", 100, 7, 2, float("nan"), 0.0, 1.0, 0)


def minari(folder, costs, file="data/main_data.hdf5"):
    """Two episodes of five steps."""
    path = folder / file
    path.parent.mkdir(parents=True)
    with h5py.File(path, "w") as data:
        for number in range(2):
            group = data.create_group(f"episode_{number}")
            group["observations"] = np.random.default_rng(number).normal(size=(6, 7))
            group["actions"] = np.zeros((5, 2))
            group["rewards"] = np.ones(5)
            for name in ("terminations", "truncations"):
                group[name] = np.arange(5) == 4
            group["infos/cost"] = costs
    return path


@pytest.mark.parametrize("shape", [(5,), (6,), (5, 1), (6, 1)])
def test_minari_s_costs_of_any_shape_and_its_file_in_place_of_its_folder(shape, tmp_path):
    costs = np.arange(shape[0]).reshape(shape) - (shape[0] - 5)
    path = minari(tmp_path / "set", costs)
    for given in (tmp_path / "set", path.parent, path):
        found = own.load(given, MINE)
        assert found["costs"].tolist() == [0, 1, 2, 3, 4] * 2


def test_minari_s_episodes_that_are_gone_or_twice_are_said(tmp_path, caplog):
    path = minari(tmp_path / "set", np.zeros(6))
    with h5py.File(path, "a") as file:
        file.move("episode_1", "episode_2")
        file.attrs["total_episodes"] = 3
        file["notes"] = [1]
    assert len(own.load(path, MINE)["rewards"]) == 10
    assert "has 2 episodes, and numbers up to 2: some are gone" in caplog.text
    assert "says that it has 3 episodes, and has 2" in caplog.text
    assert "'notes': no episode, left unread" in caplog.text
    with h5py.File(path, "a") as file:
        file.copy("episode_2", "episode_02")
    one_line(lambda: own.load(path, MINE), "two episodes of number 2")
    with h5py.File(path, "a") as file:
        del file["episode_02"]
        file["episode_0/costs"] = np.ones(5)
    one_line(lambda: own.load(path, MINE), "episode_0: has costs in costs and infos/cost; keep one")


def test_minari_as_arrow_and_other_folders_say_what_they_are(tmp_path):
    (tmp_path / "a/data/0").mkdir(parents=True)
    (tmp_path / "a/data/0/part.arrow").touch()
    one_line(lambda: own.load(tmp_path / "a", MINE), "stored as Arrow")
    (tmp_path / "b/data").mkdir(parents=True)
    (tmp_path / "b/data/metadata.json").write_text('{"data_format": "arrow"}')
    one_line(lambda: own.load(tmp_path / "b", MINE), "stored as Arrow")
    (tmp_path / "c").mkdir()
    one_line(lambda: own.load(tmp_path / "c", MINE), "no Minari dataset")


def test_ends_that_lack_or_lie_inside_are_said_with_counts(tmp_path, caplog):
    rng = np.random.default_rng(0)
    states = rng.normal(size=(13, 7))
    arrays = {"observations": states[:-1], "next_observations": states[1:]}
    ends = np.isin(np.arange(12), (3, 8))
    path = make_file(tmp_path / "a.hdf5", n=12, ends=(), timeouts=ends, **arrays)
    own.load(path, MINE)
    assert "the last episode has no end: its 3 steps are left out" in caplog.text
    assert "2 ends lie inside an episode" in caplog.text


# ---- Labels ----------------------------------------------------------------------------------

SHEET = pd.DataFrame({"index": range(8), "return": np.arange(8) + 0.5, "length": 9})
WORDS = ["preferred"] * 4 + ["nonpreferred"] * 4


def sheet(separator=",", decimal=".", end="\n", quote="", head="", extra=""):
    names = separator.join(f"{quote}{n}{quote}" for n in ("trajectory", "return", "label"))
    rows = [
        separator.join((f"{n}", f"{quote}{n}{decimal}5{quote}", f"{quote}{word}{quote}"))
        for n, word in enumerate(WORDS)
    ]
    return head + end.join([names, *rows]) + end + extra


@pytest.mark.parametrize(
    "text",
    [
        sheet(),
        sheet(";", ","),
        sheet("\t", ","),
        sheet(";", ",", end="\r\n", quote='"'),
        sheet(",", ",", quote='"'),
        sheet(head="\ufeff"),
        sheet(";", head="sep=;\n"),
        sheet(";", extra=";;\n;;\n\n"),
        sheet(quote='"', end="\r\n"),
        sheet().replace("preferred", "Preferred").replace("nonP", "NonP"),
        sheet().replace("\n", ",\n"),
        sheet(head="\n \n"),
        sheet().replace("\n3,", "\n3.0,"),
        sheet(end="\r"),
    ],
)
@pytest.mark.parametrize("code", ["utf-8", "utf-16"])
def test_a_sheet_that_came_back_from_a_spreadsheet_is_read(text, code, tmp_path):
    (tmp_path / "l.csv").write_bytes(text.encode(code))
    found = read_labels(tmp_path / "l.csv", SHEET)
    assert {name: own.tolist() for name, own in found.items()} == {
        "preferred": [0, 1, 2, 3],
        "nonpreferred": [4, 5, 6, 7],
    }


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (sheet().replace("0,0.5,preferred", "0,0.5,n/a"), "line 2: 0,n/a: has another label"),
        (sheet().replace("3,3.5,preferred", "3,3.5,NaN"), "line 5: 3,nan: has another label"),
        (sheet().replace("return", "label"), "has 2 columns label"),
        (sheet().replace("return", "trajectory"), "has 2 columns trajectory"),
        (sheet().replace("\n1,", "\n,1,"), "line 3: has 4 values for 3 columns"),
        (sheet().replace("1.5", "1,5"), "line 3: has 4 values for 3 columns"),
        (sheet().replace("1.5", "#REF!"), "return: '#REF!' is not a number"),
        (sheet().replace("2.5", "99,5".replace(",", ".")), "has another return here"),
        (sheet().replace("\n2,", "\n1,"), "line 4: 1,preferred: "),
        (sheet().replace("\n2,", "\n2.5,"), "is not a trajectory of 0 to 7"),
        (sheet().replace("\n1,", '\n"1,000",'), "line 3: 1,000,preferred: is not the number of"),
        (sheet().replace("\n1,", "\n1.000,"), "line 3: 1.000,preferred: is not the number of"),
        (sheet() + "total,,8\n", "line 10: total,8: is not the number of a trajectory"),
        (sheet().replace("0.5,pref", "0.5,pr\u0435f"), r"0,pr\\u0435ferred: has another label"),
        (sheet("|"), "it needs trajectory,label"),
        (sheet() + '"open', "cannot be read as CSV"),
        ("", "has columns none"),
    ],
)
def test_a_sheet_that_could_mean_two_things_is_not(text, says, tmp_path):
    (tmp_path / "l.csv").write_text(text)
    one_line(lambda: read_labels(tmp_path / "l.csv", SHEET), says)


def test_no_label_is_left_unread_however_long_the_sheet(tmp_path):
    """Rows of trajectories that are gone count too: the labels may stand behind them."""
    own = SHEET.assign(fingerprint=[f"t{n:012x}" for n in range(8)])
    labels = "".join(f"{n},{word},t{n:012x}\n" for n, word in enumerate(WORDS))
    gone = "".join(f"{n},,gone{n}\n" for n in range(100_001))
    (tmp_path / "l.csv").write_text("trajectory,label,fingerprint\n" + gone + labels)
    one_line(lambda: read_labels(tmp_path / "l.csv", own), "one row more than the 100,000 allowed")


def test_costs_below_zero_are_refused_wherever_they_stand(tmp_path):
    """Else minus the cost would turn safe around, and one step pay another back."""
    says = "is below zero (store violations as positive numbers, 0 where nothing is wrong) at step"
    for costs in (-np.ones(7), np.array([1, 1, 1, 0, -1e-6, 0, 0])):
        path = make_file(tmp_path / "a.hdf5", costs=costs)
        one_line(lambda path=path: dataset.trajectory_table(path, TASK), says)
        one_line(lambda path=path: own.load(path, MINE), says)
        one_line(lambda path=path: own.load(path, replace(MINE, has_costs=False)), says)
    path = minari(tmp_path / "set", -np.arange(5.0))
    one_line(lambda: own.load(path, MINE), "episode_0: costs: is below zero")


def test_costs_twice_and_a_writer_that_crashed_are_said(tmp_path):
    path = make_file(tmp_path / "a.hdf5", cost=np.zeros(7))
    one_line(lambda: dataset.read(path, TASK), "has costs in costs and cost; keep one")
    crashed = tmp_path / "b.hdf5"
    with h5py.File(tmp_path / "c.hdf5", "w", libver="latest") as file:
        file["rewards"] = np.zeros(7)
        file.swmr_mode = True
        crashed.write_bytes((tmp_path / "c.hdf5").read_bytes())
    one_line(lambda: dataset.read(crashed, TASK), "its writer has not closed it")


def test_a_folder_of_data_is_not_searched_through_and_a_name_may_be_too_long(tmp_path):
    deep = tmp_path / "a/b/c/d/e"
    deep.mkdir(parents=True)
    (deep / "x.arrow").touch()
    one_line(lambda: own.load(tmp_path, MINE), "no Minari dataset with data/main_data.hdf5")
    one_line(lambda: own.load("a" * 300, MINE), "File name too long")
