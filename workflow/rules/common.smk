# Shared by the rules: the checked config, paths, code hashes, targets.
import functools
import hashlib
import json
import os
import sys
from pathlib import Path

import yaml
from snakemake.exceptions import WorkflowError

sys.path.insert(0, str(Path(workflow.basedir) / "scripts"))

from prefine import config as configuration
from prefine.dsrl_files import how_to_help
from prefine.errors import UserError
from prefine.methods import REFERENCE, method_constant, method_file
from prefine.provenance import code_hash, has_gpu, own_python_first

SCHEMA = Path(workflow.basedir) / "workflow/schemas/config.schema.yaml"
try:
    config = configuration.check(config, yaml.safe_load(SCHEMA.read_text()))
except UserError as error:
    raise WorkflowError(str(error)) from None

RUN = f"results/{config['run']}"
TASKS, STUDIES = config["tasks"], list(config["studies"])
METHODS = sorted({m for study in config["studies"].values() for m in study["methods"]})

own_python_first()

# One training job at a time on a GPU, also when other limits replace the profile's.
if "gpu" not in workflow.global_resources:
    workflow.register_resource("gpu", 1)
GPU = int(has_gpu())


wildcard_constraints:
    task="|".join(TASKS),
    study="|".join(STUDIES),
    method="|".join(METHODS),


@functools.cache
def code(script, *more):
    """Hash of what a script does, with the library modules that it imports."""
    folder = Path(workflow.basedir) / "scripts"
    return code_hash(folder / f"{script}.py", *more)


def as_json(value):
    """A part of the config as a script's argument; equal parts give equal text."""
    return json.dumps(value, sort_keys=True)


def training_settings(wildcards):
    """What a training job needs of the config; the rule `pretrain` has no method."""
    method = getattr(wildcards, "method", REFERENCE)
    return as_json(configuration.training_settings(config, method, wildcards.task))


def state_folder(wildcards):
    """Where a training job keeps its checkpoints: another one for other settings or code."""
    method = getattr(wildcards, "method", REFERENCE)
    key = training_settings(wildcards) + code("train", method_file(method))
    name = "-".join([*wildcards, hashlib.sha256(key.encode()).hexdigest()[:16]])
    return f"{RUN}/state/{name}"


def task_file(wildcards):
    """A task of the user's own is described in a file, DSRL's by their names."""
    return f"{RUN}/tasks/{wildcards.task}.json" if config["source"] == "file" else []


def task_argument(wildcards, input):
    """What a script's --task is given."""
    return input.get("task") or wildcards.task


def own_module(wildcards):
    """The file that registers a task's environment, if the user named one."""
    entry = config["file"].get(wildcards.task, {}) if config["source"] == "file" else {}
    return entry.get("module", [])


def own_file(task):
    """The user's data; of a folder of Minari, the file that holds it."""
    path = Path(config["file"][task]["data"])
    return str(path / "data/main_data.hdf5" if path.is_dir() else path)


def splits_of_another_run(wildcards):
    """Files of the run whose sets are taken, if one is named."""
    other = config["splits_from"]
    return (
        [f"results/{other}/splits/{wildcards.task}.{kind}" for kind in ("csv", "json")]
        if other
        else []
    )


def reference_policy(wildcards):
    """Only methods that start from the reference policy wait for it."""
    if method_constant(wildcards.method, "STARTS_FROM") == "reference":
        return f"{RUN}/reference/{wildcards.task}.safetensors"
    return []


def study_paths(pattern, study="main"):
    """One path for each task and method of a study."""
    return expand(pattern, study=study, task=TASKS, method=config["studies"][study]["methods"])


def task_paths(pattern):
    """One path for each task."""
    return expand(pattern, task=TASKS)


def overlap_settings(wildcards):
    """Settings of Figure 13 for a task: its threshold by rank, none where labels make the sets."""
    limits = configuration.thresholds(config, wildcards.task)
    limits = sorted(tau for tau in limits if tau is not None) or [None]
    ranks = {"smallest": 0, "middle": (len(limits) - 1) // 2, "largest": -1}
    settings = dict(config["figures"]["fig13"])
    rank = ranks[settings.pop("threshold")]
    return as_json(settings | {"tau": limits[rank]})


SECTIONS = ("Results", "Figures", "Data", "Ablations", "Beyond the paper", "Timing")


def section(name):
    """A section of the report; it sorts its sections by name, hence the number."""
    return f"{1 + SECTIONS.index(name)}. {name}"


def final_targets():
    """Everything that `all` makes."""
    prefine = ["fig01_overview", "fig07_thresholds", "ceiling"]
    prefine = prefine if "prefine" in config["studies"]["main"]["methods"] else []
    others = ["fig03_reward_cost", "fig04_wall_clock", "fig08_tasks_solved", "fig13_umap"]
    others += ["paper_comparison"]
    return [
        f"{RUN}/tables/claims.csv",
        f"{RUN}/tables/table1.csv",
        f"{RUN}/tables/dataset_statistics.csv",
        f"{RUN}/tables/provenance.json",
        *(f"{RUN}/figures/{name}.png" for name in [*prefine, *others]),
    ]
