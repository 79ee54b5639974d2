"""What docs/extend.md shows is added to a copy of the library, as it stands there, and works."""

import io
import json
import os
import re
import shutil
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
from conftest import ROOT, snakemake

TINY = ["workflow/presets/tiny.yaml"]
PAGE = (ROOT / "docs/extend.md").read_text()
FILES = {
    found[1]: found[2]
    for found in re.finditer(r"```python\n# (scripts/\S+)\n(.*?)```", PAGE, re.DOTALL)
}


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    """The repository with every file of the page."""
    folder = tmp_path_factory.mktemp("project")
    for name in ("scripts", "workflow", "examples", "profiles"):
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("Snakefile", "config.yaml"):
        shutil.copy(ROOT / name, folder / name)
    assert len(FILES) == 3
    for name, text in FILES.items():
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text(text)
    caption = re.search(r"```rst\n(.*?)```", PAGE, re.DOTALL)[1]
    (folder / "workflow/report/tail.rst").write_text(caption)
    return folder


def python(project, *command) -> str:
    """Run Python in the copied project and return what it prints."""
    environment = os.environ | {"PYTHONPATH": str(project / "scripts"), "MPLBACKEND": "agg"}
    done = subprocess.run(
        [sys.executable, *command],
        cwd=project,
        env=environment,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


METHOD = """
import sys
import prefine
from prefine.tasks import TASKS

data = prefine.load_transitions(sys.argv[1], TASKS["BallRun"])
reference, _ = prefine.pretrain(data, range(8), hidden=(16,), iterations=20, log_points=1)
options = {"iterations": 200, "batch_size": 64, "log_points": 1, "learning_rate": 3e-3}
done = prefine.fine_tune(
    reference, data, range(4), range(8, 16), method="npo", beta=0.5, seeds=2, **options
)
print(done.log[["iteration", "loss_sft", "loss_npo"]].to_csv(index=False))
"""


def test_the_method_trains_and_pushes_what_is_not_preferred_away(project, ball_run_file):
    log = pd.read_csv(io.StringIO(python(project, "-c", METHOD, ball_run_file)))
    first, last = (log[log["iteration"] == n] for n in (0, 200))
    # At the start the policy is pi_ref, so that -2 / beta log sigmoid(0) is what theory says.
    np.testing.assert_allclose(first["loss_npo"], 2 / 0.5 * np.log(2), rtol=1e-5)
    assert (last["loss_npo"] < 2 / 0.5 * np.log(2)).all()
    assert len(last) == 2 and last["loss_npo"].nunique() == 2  # seeds are runs of their own


def test_the_configs_are_right(project):
    """A dry run has jobs for the method and for the figure, another collects the task's data."""
    configs = re.findall(r"```yaml\n(# mine.yaml.*?)```", PAGE, re.DOTALL)
    for text, preset, job in zip(configs, (TINY, []), ("BallRun/npo", "AntRun"), strict=True):
        (project / "mine.yaml").write_text(text)
        options = ["-n", "--cores", "1", "--configfile", *preset, "mine.yaml"]
        jobs = snakemake("all", *options, cwd=project)
        assert job in jobs and re.search(r"^tail +1$", jobs, re.MULTILINE)


def test_the_line_of_a_task_is_one_of_the_library_s():
    (line,) = re.findall(r"^    _bullet\(.*$", PAGE, re.MULTILINE)
    assert line in (ROOT / "scripts/prefine/tasks.py").read_text()


def test_the_figure_is_drawn(project):
    rows = [("main", "prefine", 20, 30.0), ("main", "prefine", 40, 20.0), ("main", "bc", 20, 10.0)]
    runs = pd.DataFrame(rows, columns=["study", "method", "tau", "cvar_0.1"])
    runs = runs.assign(source="collect", missing=np.nan)
    reference = {"method": "reference", "cvar_0.1": 99.0, "source": "collect"}  # of no study
    pd.concat([runs, pd.DataFrame([reference])]).to_csv(project / "runs.csv", index=False)
    script = project / "scripts/figures/tail.py"
    python(project, script, "--runs", "runs.csv", "--output", "tail.png")
    assert (project / "tail.pdf").stat().st_size > 1000
    numbers = pd.read_csv(project / "tail.csv").set_index("method")["cvar"]
    assert numbers.to_dict() == {"bc": 0.5, "prefine": 1.0}


FORMAT = """
from dataclasses import replace

import numpy as np
from prefine.policies.formats import read
from prefine.tasks import TASKS

arrays = np.load("layers.npz")
settings = {"file": "layers.npz", "format": "layers"}
bounds = {"action_low": [-2.0, 0.0], "action_high": [2.0, 3.0]}
task = replace(TASKS["BallRun"], obs_dim=3, act_dim=2, **bounds)
policy = read.read_policy(settings, task)
obs = np.random.default_rng(1).normal(size=(5, 3)).astype("f4")
actions = np.tanh(obs @ arrays["w0"].T + arrays["b0"]) @ arrays["w1"].T + arrays["b1"]
wanted = np.clip((actions - [0.0, 1.5]) / [2.0, 1.5], -1, 1)
np.testing.assert_allclose(policy.act(obs)[0], wanted, atol=1e-5)
assert policy.has_density
try:
    read.read_policy(settings | {"file": "config.yaml"}, task)
except read.UserError as error:
    print(error)
"""


def test_the_format_is_read_and_what_is_none_is_refused(project):
    table = project / "scripts/prefine/policies/formats/read.py"
    text = table.read_text()
    (line,) = re.findall(r"^FORMATS = .*$", PAGE, re.MULTILINE)
    text = re.sub(r"^FORMATS = .*$", line, text, flags=re.MULTILINE)
    table.write_text(text.replace("import torch_mlp\n", "import layers, torch_mlp\n"))
    numbers = np.random.default_rng(0)
    shapes = {"w0": (8, 3), "b0": (8,), "w1": (2, 8), "b1": (2,)}
    arrays = {name: numbers.normal(size=shape) for name, shape in shapes.items()}
    np.savez(project / "layers.npz", **arrays)
    assert "is no archive of w0, b0" in python(project, "-c", FORMAT)
    named = {"format": "layers", "file": "layers.npz"}
    config = {"tasks": ["BallRun"], "policy": named, "labels": {"BallRun": "labels.csv"}}
    assert "export_chosen" in dry_run_of_own(project, config)
    named["format"] = "layer"
    with pytest.raises(AssertionError, match=r"policy\.format: 'layer' is not .* mean 'layers'"):
        dry_run_of_own(project, config)


def dry_run_of_own(project, config) -> str:
    (project / "own.yaml").write_text(json.dumps(config))
    for path in config.get("labels", {}).values():  # or the run stops where somebody must label
        (project / path).write_text("trajectory,label\n0,preferred\n")
    options = ["-n", "--cores", "1", "--configfile", "workflow/presets/own_policy.yaml", "own.yaml"]
    return snakemake(*options, cwd=project)
