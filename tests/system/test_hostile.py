"""Input that means harm is refused in one line, and nothing of it runs (docs/reliability.md).

The canary is a file that appears if code in the input ran.
"""

import gzip
import json
import os
import pickle
from copy import deepcopy

import forked
import h5py
import numpy as np
import pandas as pd
import pytest
import torch
import yaml
from conftest import ROOT, snakemake
from prefine import tasks
from prefine.config import check as configuration
from prefine.config import strict_yaml as overlays
from prefine.data import dsrl as dsrl_files
from prefine.data.dataset import read
from prefine.errors import UserError
from prefine.policies import file as policy_file
from prefine.policies.cvae import CVAEPolicy
from prefine.policies.stack import PolicyStack
from prefine.preferences.labels import read_labels
from prefine.tasks import OWN, TASKS, Task
from safetensors.torch import load_file, save_file

PAPER = yaml.safe_load((ROOT / "config.yaml").read_text())
TASK = TASKS["BallRun"]
SHELL = "a b$(touch canary)`touch canary`;touch canary #'\"{x}&"


@pytest.fixture
def canary(project):
    """A file in the project's copy that no test may find."""
    path = project / "canary"
    yield path
    appeared = path.exists()
    path.unlink(missing_ok=True)
    assert not appeared


def only_line(text):
    """The one line that tells what is wrong."""
    assert "Traceback" not in text, text
    lines = [line for line in text.splitlines() if "ERROR" in line]
    assert len(lines) == 1, text
    return lines[0]


# ---- Config files ---------------------------------------------------------------------------

LAUGHS = "a0: &a0 {}\n" + "".join(
    f"a{n}: &a{n} {{{', '.join(f'x{k}: *a{n - 1}' for k in range(10))}}}\n" for n in range(1, 10)
)
FILES = {
    "template": ("__use_yte__: true\nrun: ?open('canary', 'w').name\n", "line 1: __use_yte__"),
    "definitions": (
        "__use_yte__: true\n__definitions__: [\"open('canary', 'w')\"]\nrun: x\n",
        "holds no code",
    ),
    "apply": ("run: !!python/object/apply:os.system ['touch canary']\n", "line 1: the tag"),
    "new": ("run: !!python/object/new:os.system ['touch canary']\n", "line 1: the tag"),
    "name": ("run: !!python/name:os.system\n", "write plain values"),
    "twice": ("run: a\nseeds: 2\nrun: b\n", "line 3: run is there twice"),
    "twice inside": ("training: {threads: 1, threads: 2}\n", "line 1: threads is there twice"),
    "json twice": ('{"run": "a", "run": "b"}', "run is there twice"),
    "billion laughs": (LAUGHS, "more than 20,000 values"),
    "laughs in lists": (LAUGHS.replace("{", "[").replace("}", "]"), "more than 20,000 values"),
    "nesting": ("tasks: " + "[" * 900 + "]" * 900, "nested deeper than 30 levels"),
    "itself": ("tasks: &a [*a]\n", "*a names what contains it"),
    "large": ("# " + "x" * 300_000, "262,144 are allowed"),
    "list as key": ("? [a]\n: 1\n", "a key must be"),
    "no YAML": ("run: {", "is not YAML"),
    "bytes": ("run: \x00\x01", "a character that nobody sees"),
}


@pytest.mark.parametrize("name", FILES)
def test_a_config_file_is_plain_data(name, tmp_path):
    file = tmp_path / "hostile.yaml"
    file.write_text(FILES[name][0])
    with pytest.raises(UserError) as error:
        overlays.check(file)
    assert str(error.value).startswith(f"{file}: ") and FILES[name][1] in str(error.value)
    assert "\n" not in str(error.value)


FORMS = ["-s {}", "-s{}", "-ps{}", "--snakefile {}", "--snakefile={}", "--snakef {}"]


@pytest.mark.parametrize("form", FORMS)
def test_code_is_refused_wherever_the_snakefile_is_named(form, project, canary, tmp_path):
    (tmp_path / "hostile.yaml").write_text(FILES["definitions"][0])
    words = form.format(project / "Snakefile").split(" ")
    text = snakemake("-n", *words, "--configfile", "hostile.yaml", cwd=tmp_path, check=False)
    assert only_line(text).startswith("ERROR: hostile.yaml: ")


def test_the_project_s_own_files_are_plain_data():
    for file in [ROOT / "config.yaml", *(ROOT / "workflow/presets").glob("*.yaml")]:
        overlays.check(file)


@pytest.mark.parametrize("option", ["--configfile", "--configfiles", "="])
def test_it_is_refused_before_snakemake_reads_it(option, project, canary, tmp_path):
    """Snakemake itself would run the first and expand the second for ever."""
    for name in ("template", "billion laughs"):
        file = tmp_path / "hostile.yaml"
        file.write_text(FILES[name][0])
        form = [f"--configfile={file}"] if option == "=" else [option, file]
        text = snakemake("--cores", "1", *form, cwd=project, check=False)
        assert only_line(text).startswith(f"ERROR: {file}: ")
    assert not (project / "results").exists()


@pytest.mark.parametrize("name", ["apply", "twice"])
def test_the_snakefile_looks_again_whatever_the_profile(name, project, canary, tmp_path):
    (tmp_path / "hostile.yaml").write_text(FILES[name][0])
    options = ["-n", "--cores", "1", "--workflow-profile", "none"]
    text = snakemake(*options, "--configfile", tmp_path / "hostile.yaml", cwd=project, check=False)
    assert "Traceback" not in text
    assert ("run is there twice" if name == "twice" else "is not valid JSON or YAML") in text


def test_names_on_the_command_line(project, canary):
    text = snakemake("--cores", "1", "--config", "run=$(touch canary)", cwd=project, check=False)
    assert "config: run: '$(touch canary)' is not allowed" in text and "Traceback" not in text


def own(**entry):
    return {"source": "file", "tasks": ["Mine"], "file": {"Mine": {"data": "x"} | entry}}


@pytest.mark.parametrize(
    ("overlay", "place"),
    [
        ({"run": "../../x"}, "run: '../../x'"),
        ({"run": "/tmp/x"}, "run: '/tmp/x'"),
        ({"run": SHELL}, "run: "),
        ({"run": ["x"] * 10_000}, "run: ['x', 'x'"),
        ({"tasks": ["/etc"]}, "tasks.0: '/etc'"),
        ({"splits_from": "../other"}, "splits_from: '../other'"),
        ({"studies": {SHELL: {"methods": ["bc"]}}}, "studies: "),
        ({"file": {SHELL: {"data": "x"}}}, "file: "),
        (own(label=SHELL), "file.Mine.label: "),
        (own(env_id=SHELL), "file.Mine.env_id: "),
        (own(data="-rf"), "file.Mine.data: '-rf'"),
        (own(data="a\nb"), "file.Mine.data: 'a\\nb'"),
        (own(data="{x}"), "file.Mine.data: '{x}'"),
        (own(module="a\u2028b"), "file.Mine.module: "),
        (own(module=["x"]), "file.Mine.module: ['x']"),
        ({"labels": {"BallRun": "-x.csv"}}, "labels.BallRun: '-x.csv'"),
        ({"dsrl": {"lock": "Makefile"}}, "dsrl.lock: 'Makefile'"),
        ({"dsrl": {"folder": "a\0b"}}, "dsrl.folder: 'a\\x00b'"),
        ({"dsrl": {"revision": "../.."}}, "dsrl.revision: '../..'"),
        ({"dsrl": {"sources": ["file:///etc/{file}"]}}, "dsrl.sources.0: 'file:///etc/{file}'"),
        ({"training": {"iterations": float("nan")}}, "training.iterations: nan"),
        ({"training": {"learning_rate": float("inf")}}, "training.learning_rate: inf"),
        ({"collect": {"settings": {"ppo": {"policy_kwargs": {"net_arch": "x"}}}}}, "net_arch"),
    ],
    ids=lambda value: str(value)[:40] if isinstance(value, dict) else "",
)
def test_names_and_paths_of_a_config(overlay, place):
    with pytest.raises(UserError) as error:
        configuration.check(deepcopy(PAPER) | overlay)
    message = str(error.value)
    assert message.startswith("config: ") and place in message
    assert "\n" not in message and len(message) < 1000


def test_paths_are_names_and_no_commands(project, canary, ball_run_file):
    """Of data and labels, with everything that a shell would act on."""
    odd = SHELL.replace("{x}", "")  # braces are Snakemake's
    folder = project / odd
    folder.mkdir()
    (folder / "d.hdf5").write_bytes(ball_run_file.read_bytes())
    rows = [f"{n},{'preferred' if n < 8 else 'nonpreferred'}" for n in range(16)]
    (folder / "l.csv").write_text("\n".join(["trajectory,label", *rows]))
    content = {"run": "odd", "source": "file", "tasks": ["BallRun"]}
    content |= {"file": {"BallRun": {"data": f"{odd}/d.hdf5", "thresholds": [20]}}}
    content |= {"labels": {"BallRun": f"{odd}/l.csv"}, "studies": dict.fromkeys(OTHERS)}
    content |= {"figures": {"fig1": {"task": "BallRun", "tau": 20}, "fig4": {"task": "BallRun"}}}
    (project / "odd.yaml").write_text(yaml.safe_dump(content))
    target = "results/odd/splits/BallRun.csv"
    text = snakemake(target, "--cores", "1", "--configfile", "odd.yaml", cwd=project)
    assert (project / target).exists() and "100%" in text


OTHERS = ["ablation", "sizes", "sweep", "control", "level", "likelihood", "pareto"]

# ---- Policies -------------------------------------------------------------------------------


class Canary:
    """What a pickle runs when it is read."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.system, (f"touch {self.path}",)


ABOUT = {"policy": "cvae", "obs_dim": 7, "act_dim": 2, "hidden": [16], "runs": [{"run": "a"}]}


def write_policy(path, about=None, tensors=None, params=None):
    """A policy for BallRun, with some of its header or tensors replaced."""
    policy = CVAEPolicy(7, 2, (16,))
    own = policy.init(torch.Generator().manual_seed(0))
    stacked = {name: torch.stack([value, value]) for name, value in own.items()}
    metadata = ABOUT | {"task": TASK.to_dict()} | (about or {})
    constants = {"mean": np.zeros(7, "f"), "std": np.ones(7, "f")}
    policy_file.save(path, PolicyStack(policy, stacked | (params or {}), **constants))
    save_file(load_file(path) | (tensors or {}), path, {"prefine": json.dumps(metadata)})
    return path


def test_the_policy_itself_is_read(tmp_path):
    assert len(policy_file.load(write_policy(tmp_path / "a.safetensors")).params) == 9


WRONG = torch.zeros(2, 3, 16)
NAN = torch.full((2, 1, 2), float("nan"))
POLICIES = {
    "wrong shape": ({"params": {"decoder.0.weight": WRONG}}, "do not fit together"),
    "wrong encoder": ({"params": {"encoder.1.weight": WRONG}}, "do not fit together"),
    "another number of runs": ({"params": {"decoder_log_std": NAN[:1]}}, "of the shape"),
    "flat": ({"params": {"decoder_log_std": torch.zeros(2)}}, "of the shape"),
    "NaN": ({"params": {"decoder_log_std": NAN}}, "decoder_log_std: is not finite"),
    "infinite": ({"params": {"decoder_log_std": torch.full((2, 1, 2), 1e999)}}, "is not finite"),
    "doubles": ({"params": {"decoder_log_std": torch.zeros(2, 1, 2).double()}}, "float32"),
    "constants": ({"tensors": {"obs_mean": torch.zeros(3)}}, "obs_mean: is not 7"),
    "no constants": ({"tensors": {"obs_mean": torch.full((7,), float("nan"))}}, "obs_mean"),
    "zero deviation": ({"tensors": {"obs_std": torch.zeros(7)}}, "obs_std: is not above 0"),
    "huge claim": ({"about": {"act_dim": 10**12}}, "give no action"),
    "huge layers": ({"about": {"obs_dim": 10**12}}, "obs_mean: is not 1000000000000"),
    "other class": ({"about": {"policy": "os.system"}}, "not a policy that this version knows"),
    "other limits": ({"about": {"limits": {"evil": 1}}}, "not a policy that this version knows"),
    "words": ({"about": {"obs_dim": "7"}}, "obs_mean: is not 7"),
    "no sizes": ({"about": {"hidden": None}}, "not a policy that this version knows"),
}


@pytest.mark.parametrize("name", POLICIES)
def test_a_policy_that_is_none(name, tmp_path):
    changes, finding = POLICIES[name]
    path = write_policy(tmp_path / "a.safetensors", **changes)
    with pytest.raises(UserError, match=finding) as error:
        policy_file.load(path)
    assert "\n" not in str(error.value) and str(path) in str(error.value)


def test_files_that_are_no_safetensors(tmp_path):
    path, canary = tmp_path / "a.safetensors", tmp_path / "canary"
    header = json.dumps({"__metadata__": {"prefine": "[" * 5000}}).encode()
    torch.save(torch.zeros(2), tmp_path / "torch.pt")
    contents = {
        "pickle": pickle.dumps(Canary(canary)),
        "torch": (tmp_path / "torch.pt").read_bytes(),
        "header beyond the file": (2**40).to_bytes(8, "little") + b"{}",
        "header of 4 EiB": (2**62).to_bytes(8, "little"),
        "deep metadata": len(header).to_bytes(8, "little") + header,
        "tensor beyond the file": _header({"a": ["F32", [2**40], [0, 2**42]]}),
        "overlap": _header({"a": ["F32", [1], [0, 4]], "b": ["F32", [1], [0, 4]]}) + bytes(4),
        "nothing": b"",
    }
    for name, content in contents.items():
        path.write_bytes(content)
        with pytest.raises(UserError, match="not a policy of this project") as error:
            policy_file.load(path)
        assert "\n" not in str(error.value), name
    assert not canary.exists()
    with pytest.raises(UserError, match="is not there"):
        policy_file.load(tmp_path / "none.safetensors")


def _header(tensors):
    entries = {
        name: {"dtype": dtype, "shape": shape, "data_offsets": offsets}
        for name, (dtype, shape, offsets) in tensors.items()
    }
    header = json.dumps(entries | {"__metadata__": {"prefine": "{}"}}).encode()
    return len(header).to_bytes(8, "little") + header


def test_code_that_a_policy_names_is_not_run(tmp_path):
    """A task of the user's own has a module; only the config's is run."""
    module = tmp_path / "evil.py"
    module.write_text(f"open({str(tmp_path / 'canary')!r}, 'w')\n")
    task = TASK.to_dict() | {"name": "Mine", "suite": OWN, "module": str(module)}
    path = write_policy(tmp_path / "a.safetensors", about={"task": task})
    command = [ROOT / "scripts", "evaluation/evaluate.py", "--policies", path]
    command += ["--settings", '{"episodes": 1, "action_mode": "deterministic"}']
    for more in ([], ["--module"], ["--module", tmp_path / "other.py"]):
        options = [*more, "--output", tmp_path / "out.parquet"]
        done = forked.run(*command, *options)
        assert done.returncode == 1
        assert "is not the module of the config" in only_line(done.stderr)
    assert not (tmp_path / "canary").exists()
    assert tasks.of_policy(path, task, module) == Task(**task)
    for wrong in (TASK.to_dict() | {"env_id": "os:system"}, {"name": "x"}, None, {"name": []}):
        with pytest.raises(UserError, match=r"env_id|describes no task"):
            tasks.of_policy(path, wrong, None)


# ---- Data and labels --------------------------------------------------------------------------


def zeros(file, n):
    """Everything there, and everything nothing."""
    width = {"observations": 7, "next_observations": 7, "actions": 2}
    for key in ("observations", "next_observations", "actions", "rewards", "costs"):
        shape = (n, width[key]) if key in width else (n,)
        file.create_dataset(key, shape, "f4", compression="gzip", chunks=True, data=np.zeros(shape))
    for key in ("terminals", "timeouts"):
        file.create_dataset(key, data=np.zeros(n, bool), compression="gzip")


def loop(file, n):
    file["rewards"] = h5py.SoftLink("/rewards")


def outside(file, n):
    file["rewards"] = h5py.ExternalLink("/etc/passwd", "/")


@pytest.mark.parametrize(
    ("make", "finding"),
    [
        (zeros, "claims .* bytes of data in a file of"),
        (loop, "is a link to elsewhere"),
        (outside, "is a link to elsewhere"),
        (lambda file, n: file.create_group("rewards"), "rewards: is a group"),
    ],
    ids=["compression bomb", "a link to itself", "a link out", "a group"],
)
def test_data_that_mean_harm(make, finding, tmp_path):
    """More of it is in tests/data/test_dataset.py and tests/data/test_own_data.py."""
    path = tmp_path / "a.hdf5"
    with h5py.File(path, "w") as file:
        if make is not zeros:
            zeros(file, 100)
            del file["rewards"]
        make(file, 200_000)
    with pytest.raises(UserError, match=finding) as error:
        read(path, TASK)
    assert "\n" not in str(error.value)


def test_labels_that_mean_harm(tmp_path):
    head = b"trajectory,label\n"
    contents = {
        "many.csv": head + b"1,preferred\n" * 200_000,
        "bomb.csv.gz": gzip.compress(head + b" " * 5_000_000),
        "pickle.csv": pickle.dumps(Canary(tmp_path / "canary")),
        "formula.csv": head + b"=cmd|' /C calc'!A0,preferred\n",
        "huge.csv": head + b"1e999,preferred\n-1,preferred\n",
        "open.csv": head + b'"1,preferred\n2,preferred\n',
        "zero.csv": head + b"\x00\x00,preferred\n",
    }
    table = pd.DataFrame({"index": range(5), "return": 1.0, "length": 9})
    for name, content in contents.items():
        (tmp_path / name).write_bytes(content)
        with pytest.raises(UserError) as error:
            read_labels(tmp_path / name, table)
        assert "\n" not in str(error.value) and len(str(error.value)) < 500, name
    assert not (tmp_path / "canary").exists()


def test_a_lock_file_that_is_none(tmp_path):
    path = tmp_path / "data.lock.json"
    good = {"sha256": "0" * 64, "size": 3}
    for entry in (1, {"sha256": "x", "size": 3}, good | {"size": -1}, good | {"revision": "../x"}):
        path.write_text(json.dumps({"a.hdf5": entry}))
        with pytest.raises(UserError, match="no lock file of this project"):
            dsrl_files.read_lock(path)
    path.write_text("[" * 100_000)
    with pytest.raises(UserError, match="no lock file of this project"):
        dsrl_files.read_lock(path)


# ---- Profiles and the environment ----------------------------------------------------------


@pytest.mark.parametrize(
    "profile", [{"cores": "$(touch canary)"}, {"cores": [1, {"a": 2}]}, {"resources": {"gpu": "x"}}]
)
def test_odd_values_in_a_profile(profile, project, canary, tmp_path):
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(profile))
    before = sorted(project.glob("results/**/*"))
    text = snakemake("-n", "--cores", "1", "--workflow-profile", tmp_path, cwd=project, check=False)
    assert sorted(project.glob("results/**/*")) == before, text


def test_odd_environment_variables(project, canary, tmp_path, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", f"{SHELL}:{tmp_path}")
    monkeypatch.setenv("DSRL_DATASET_DIR", f"~nobody-here/{SHELL}")
    monkeypatch.setenv("PREFINE_DSRL", SHELL)
    overlay = {"run": "odd_dsrl", "source": "dsrl", "dsrl": {"offline": True}}
    (tmp_path / "dsrl.yaml").write_text(yaml.safe_dump(overlay))
    target = "results/odd_dsrl/data/BallRun.hdf5"
    options = ["--cores", "1", "--configfile", tmp_path / "dsrl.yaml"]
    text = snakemake(target, *options, cwd=project, check=False)
    assert "offline is set" in text and "Traceback" not in text
    command = [ROOT / "scripts", "data/download.py", "--task", "BallRun", "--output", "x"]
    monkeypatch.setenv("PYTHONPATH", str(ROOT / "scripts"))
    for value in (SHELL, "[]", "{}", ""):
        monkeypatch.setenv("PREFINE_DSRL", value)
        done = forked.run(*command, cwd=tmp_path)
        assert done.returncode == 1 and "PREFINE_DSRL: is not" in only_line(done.stderr)
