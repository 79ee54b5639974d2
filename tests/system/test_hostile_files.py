"""Families of broken policies, configs and places, each by other members than were first found."""

import os
import subprocess
import sys

import numpy as np
import pytest
import torch
import yaml
from conftest import ROOT, snakemake
from own_policies import model, network, read, refuses
from prefine.config import strict_yaml
from prefine.config.check import check
from prefine.config.studies import check_sizes
from prefine.errors import UserError
from prefine.pipeline.places import check_places
from prefine.tasks import TASKS
from safetensors.torch import load_file, save_file

TASK = TASKS["BallRun"]


def one_line(call, says):
    with pytest.raises(UserError) as error:
        call()
    assert says in str(error.value) and "\n" not in str(error.value), str(error.value)
    assert "delete it" not in str(error.value)


# ---- Policies --------------------------------------------------------------------------------


@pytest.fixture
def plain(tmp_path):
    """A file of one network, to be changed."""

    def changed(change=None, **about):
        path = tmp_path / "n.safetensors"
        network(path, "none", "fixed", **about)
        if change:
            tensors = load_file(path)
            change(tensors)
            save_file(tensors, path)
        return path

    return changed


def test_several_networks_in_one_file_are_named_and_one_can_be_chosen(plain):
    def twice(tensors):
        for name in list(tensors):
            if name.startswith("net."):
                tensors[name.replace("net.", "target.")] = -tensors[name]

    one = read(plain(), "torch")
    refuses("layers of several networks (net, target)", plain(twice), "torch")
    chosen = read(plain(twice, prefix="net"), "torch")
    obs = np.ones((4, 3), np.float32)
    np.testing.assert_array_equal(chosen.act(obs), one.act(obs))
    refuses("no network with the prefix 'actor'", plain(twice, prefix="actor"), "torch")


CHANGES = {
    "a number twice": (
        lambda t: t.update({"net.00.weight": t["net.0.weight"].clone()}),
        "two tensors",
    ),
    "width 0": (
        lambda t: t.update({"net.0.weight": torch.zeros(0, 3), "net.0.bias": torch.zeros(0)}),
        "width 0",
    ),
    "integers": (lambda t: t.update({"net.0.bias": torch.zeros(16, dtype=torch.int32)}), "int32"),
    "a scale": (lambda t: t["net.2.weight"].fill_(3e38), "not finite"),
    "a small sigma": (lambda t: t["log_std"].fill_(-90), "log sigma"),
    "a large sigma": (lambda t: t["log_std"].fill_(30), "log sigma"),
    "NaN": (lambda t: t["log_std"].fill_(float("nan")), "not finite"),
}


@pytest.mark.parametrize("name", CHANGES)
def test_networks_that_are_none_or_act_infinitely(name, plain):
    change, says = CHANGES[name]
    refuses(says, plain(change), "torch")


@pytest.mark.parametrize(
    ("about", "says"),
    [
        ({"log_std_min": True}, "log_std_min: True"),
        ({"observation_mean": [0, True, 0]}, "observation_mean: "),
        ({"observation_std": [1, 1e-320, 1]}, "observation_std"),
        ({"log_std_max": 1e300}, "log_std_max: 1e+300"),
        ({"action_low": ["\nERROR: x", 0]}, "action_low: ['\\nERROR: x', 0]"),
    ],
)
def test_numbers_of_a_description(about, says, plain):
    refuses(says, plain(**about), "torch")


def test_a_sigma_beyond_belief_in_an_archive(tmp_path):
    path = model(tmp_path / "m.zip", policy_kwargs={"log_std_init": 60.0})
    refuses("log sigma reaches from", path)


# ---- Config ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("seeds: 010", "010 would be read as an octal number"),
        ("seeds: 1:30", "1:30 would be read as a number to the base of 60"),
        ("seeds: 0b11", "a binary number"),
        ("draws: 1_000", "its _ left out"),
        ("run: 2024-01-02", "a date"),
        ("training: {tf32: Yes}", "true or false"),
        ("training: {learning_rate: 1e-4}", "text, for it has no point"),
        ("split: &a {}\ncollect: {<<: *a}", "line 2: << would be read as an order to merge"),
        ("run: =", "= would be read as the sign of a default value"),
        (f"seeds: {'9' * 5000}", "a number of absurd length"),
        (f"file: {{T: {{data: {'x' * 5000}}}}}", "has 5,000 letters"),
        ("", "has no settings"),
        ("# only a remark\n", "has no settings"),
        ("null", "has no settings"),
        ("[1, 2]", "holds a list"),
        ("word", "holds one value"),
        ("run: a\n---\nrun: b\n", "a second document"),
        ("run: a # one\x85seeds: 9\n", "line 1: has a character that nobody sees (U+0085)"),
        ("run: a\n# one\u2028seeds: 9\n", "line 2: has a character that nobody sees (U+2028)"),
        ("run: a\n# one\rseeds: 9\n", "line 2: has a character that nobody sees (U+000D)"),
        ("run: a\n\ufeff# seeds: 9\n", "line 2: has a character that nobody sees (U+FEFF)"),
        ("run: 'a\u202eb'\n", "(U+202E)"),
        ("run: a\0\n", "(U+0000)"),
        ("seeds:\n\t- 1\n", "is not YAML"),
        ("ru\tn: a\n", "is not YAML"),
    ],
)
def test_a_config_file_is_read_as_it_looks(text, says, tmp_path):
    (tmp_path / "c.yaml").write_bytes(text.encode())
    one_line(lambda: strict_yaml.check(tmp_path / "c.yaml"), says)


USUAL = ["run: '010'", "seeds: 10", "lam: 1.0e-4", "run: 0x1F", "a: 0.5"]
USUAL += ["\ufeffrun: a", "run: a\r\nseeds: 3\r\n", "run: a # π, é, 😀"]


@pytest.mark.parametrize("text", USUAL)
def test_usual_values_are_left_alone(text, tmp_path):
    (tmp_path / "c.yaml").write_text(text)
    strict_yaml.check(tmp_path / "c.yaml")


@pytest.mark.parametrize(
    "changes",
    [
        {"draws": 10**9, "seeds": 10**9},
        {"draws": 10**9, "seeds": 1, "pairing": "crossed"},
        {"draws": 5000, "seeds": 5000, "pairing": "crossed"},
        {"thresholds": {"safety_gym": list(range(1, 9999)), "bullet_gym": [20]}},
        {"studies": {"mine": {"methods": ["bc"], "vary": [{"lam": [0.1] * 99}] * 400}}},
    ],
)
def test_a_plan_beyond_anybody_is_one_line(changes):
    config = yaml.safe_load((ROOT / "config.yaml").read_text())
    for key, value in changes.items():
        config[key] = config[key] | value if isinstance(value, dict) else value
    one_line(lambda: check_sizes(check(config)), "config: ")


def command_line(folder, *arguments):
    """What the profiles run before Snakemake reads anything."""
    script = [sys.executable, ROOT / "scripts/check_config_files.py"]
    done = subprocess.run([*script, *arguments], cwd=folder, capture_output=True, text=True)
    return done.returncode, done.stderr


@pytest.mark.parametrize("safe", ["", "1"])
def test_the_command_line_is_checked_before_snakemake_reads_it(safe, tmp_path, monkeypatch):
    monkeypatch.setenv("PYTHONSAFEPATH", safe)
    monkeypatch.setenv("PYTHONOPTIMIZE", "2" if safe else "")
    (tmp_path / "mine.yaml").write_text("seeds: 3\n")
    (tmp_path / "empty.yaml").touch()
    assert command_line(tmp_path, "--configfile", "mine.yaml", "-n") == (0, "")
    for arguments, says in {
        ("--configfile", "mein.yaml"): "did you mean mine.yaml?",
        ("--configfile=empty.yaml",): "empty.yaml: has no settings",
        ("--configfile", "/dev/zero"): "is a device",
        ("--configfile", "."): "is a folder",
        ("--config", "seeds=010"): "--config seeds: line 1: 010 would be read",
    }.items():
        code, text = command_line(tmp_path, *arguments)
        assert code == 1 and says in text and text.count("\n") == 1, text
        assert text.startswith("ERROR: ")


PRESET = ("--configfile", "workflow/presets/tiny.yaml")


@pytest.mark.parametrize("kind", ["file", "link"])
def test_a_run_s_folder_that_is_none_is_one_line(kind, project):
    place = project / "results/tiny"
    place.parent.mkdir(exist_ok=True)
    place.write_text("") if kind == "file" else place.symlink_to("/nowhere/tiny")
    try:
        said = snakemake("-n", *PRESET, cwd=project, check=False)
    finally:
        place.unlink()
    wanted = "a file where a folder is needed" if kind == "file" else "a link to /nowhere/tiny"
    assert f"results/tiny: is {wanted}" in said and "Traceback" not in said


def test_another_encoding_than_utf_8_changes_no_file(project):
    """Files of the project have Greek letters; the locale of many a cluster has none."""
    ascii_only = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    environment = {**os.environ, **ascii_only, "PYTHONPATH": str(ROOT / "scripts")}
    command = [sys.executable, "-m", "snakemake", "-n", *PRESET]
    done = subprocess.run(command, cwd=project, env=environment, capture_output=True, check=False)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    code = r"from prefine import files; files.write_text('t.md', '\u03c0_ref')"
    subprocess.run([sys.executable, "-c", code], cwd=project, env=environment, check=True)
    assert (project / "t.md").read_bytes() == "π_ref".encode()


def test_folders_in_which_snakemake_fails_are_named(tmp_path):
    check_places(tmp_path)
    odd = tmp_path / "a{b}"
    odd.mkdir()
    one_line(lambda: check_places(odd), "has '{' and '}' in its path")
    (tmp_path / "results").symlink_to(tmp_path / "nowhere")
    one_line(lambda: check_places(tmp_path), "results: is a link to")
    (tmp_path / "results").unlink()
    (tmp_path / "results").touch()
    one_line(lambda: check_places(tmp_path), "results: is a file where a folder is needed")
