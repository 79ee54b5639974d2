# Shared by the rules: the checked config, paths, code hashes, targets.
import functools
import hashlib
import json
import os
import re
import shlex
import sys
from pathlib import Path

import yaml
from snakemake.exceptions import WorkflowError
from snakemake.scheduling.job_scheduler import JobScheduler

sys.path.insert(0, str(Path(workflow.basedir) / "scripts"))

from prefine.config.settings import OWN_SOURCES, hyperparameters, recipe, suite, thresholds, training_settings as settings_of_training
from prefine.config import check as configuration
from prefine.config import strict_yaml, studies
from prefine.config.constraints import check_files
from prefine.pipeline import processes
from prefine.data.dsrl import how_to_help
from prefine.errors import UserError
from prefine.methods import REFERENCE, method_constant, method_file
from prefine.pipeline.code import code_hash, has_gpu, own_python_first

SCHEMA = Path(workflow.basedir) / "workflow/schemas/config.schema.yaml"
try:
    for config_file in workflow.configfiles:
        strict_yaml.check(config_file)
    config = configuration.check(config, yaml.safe_load(SCHEMA.read_text()))
    studies.check(config)
    check_files(config)
    ARMS, MEMBERS = studies.expand(config)  # job -> what it trains; study -> what it reads
except UserError as error:
    raise WorkflowError(str(error)) from None

RUN = f"results/{config['run']}"
TASKS = config["tasks"]
STUDIES = [study for study in MEMBERS if MEMBERS[study]]
OWN_DATA = config["source"] in OWN_SOURCES

own_python_first()
processes.announce()
processes.note_sigterm_in_a_thread(JobScheduler)
if workflow.is_main_process:
    processes.remove_stale_lock(Path(".snakemake"))
else:
    processes.leave_lock(Path(".snakemake"))

# A job that waits for the user says how to go on.
os.environ.setdefault("PREFINE_COMMAND", shlex.join(["snakemake", *sys.argv[1:]]))

# One training job at a time on a GPU, also when other limits replace the profile's.
if "gpu" not in workflow.global_resources:
    workflow.register_resource("gpu", 1)
GPU = int(has_gpu())


def one_of(names):
    """A wildcard's constraint: these names and no other, none if there are none."""
    return "|".join(map(re.escape, names)) or "(?!)"


wildcard_constraints:
    task=one_of(TASKS),
    study=one_of(STUDIES),
    job=one_of(ARMS),  # study/task/arm


@functools.cache
def code(script, *more):
    """Hash of what a script does, with the library modules that it imports."""
    folder = Path(workflow.basedir) / "scripts"
    return code_hash(folder / f"{script}.py", *more)


def as_json(value):
    """A part of the config as a script's argument; equal parts give equal text."""
    return json.dumps(value, sort_keys=True)


def arm(wildcards):
    """The runs that a job trains."""
    return ARMS[wildcards.job]


def task_of(wildcards):
    """The task of a job, of training or of data."""
    return wildcards.task if hasattr(wildcards, "task") else arm(wildcards).task


def method_of(wildcards):
    """The method of a job; the rule `pretrain` has none."""
    return arm(wildcards).method if hasattr(wildcards, "job") else REFERENCE


def training_settings(wildcards):
    """What a training job needs of the config."""
    if not hasattr(wildcards, "job"):
        own = settings_of_training(config, REFERENCE, wildcards.task)
        return as_json(own | {"points": 0})
    return as_json(arm(wildcards).settings | {"points": arm(wildcards).points})


def state_folder(wildcards):
    """A training job's folder for its checkpoints, and a key: another one for other settings."""
    key = training_settings(wildcards) + code("train", method_file(method_of(wildcards)))
    name = "-".join(Path(*wildcards).parts)
    return [f"{RUN}/state/{name}", hashlib.sha256(key.encode()).hexdigest()[:16]]


def split_settings(task, **more):
    """How the sets of a task are drawn; ``sizes`` are those of sets of other sizes."""
    settings = {
        "thresholds": thresholds(config, task),
        "draws": config["draws"],
        "split": config["split"],
    }
    return as_json(settings | more)


def sizes_of(task):
    """The sizes of all sets that studies ask for besides the config's."""
    own = {size for a in ARMS.values() if a.task == task for size in sizes_of_arm(a)}
    return [dict(zip(studies.SIZES, size, strict=True)) for size in sorted(own)]


def sizes_of_arm(arm):
    """The (N_p, N_np) of an arm's runs; none if all have the config's."""
    usual = [tuple(config["split"][name] for name in studies.SIZES)]
    return [] if arm.sizes == usual else arm.sizes


def sized_sets(wildcards):
    """The sets of other sizes than the config's, for a job whose runs have such."""
    own = arm(wildcards)
    return f"{RUN}/splits/sizes/{own.task}.csv" if sizes_of_arm(own) else []


def task_file(wildcards):
    """A task of the user's own is described in a file, DSRL's by their names."""
    return f"{RUN}/tasks/{task_of(wildcards)}.json" if OWN_DATA else []


def task_argument(wildcards, input):
    """What a script's --task is given."""
    return input.get("task") or task_of(wildcards)


def of_task(pattern):
    """An input: the file of a job's task."""
    return lambda wildcards: pattern.format(task=task_of(wildcards))


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
    if method_constant(arm(wildcards).method, "STARTS_FROM") == "reference":
        return f"{RUN}/reference/{arm(wildcards).task}.safetensors"
    return []


def study_jobs(study):
    """The jobs whose runs a study reads, its own and those of earlier studies."""
    return list(dict.fromkeys(member.job for member in MEMBERS[study]))


def study_paths(pattern, study="main"):
    """One path for each job whose runs a study reads."""
    return expand(pattern, job=study_jobs(study))


def trained_paths(pattern, study):
    """One path for each job that trained runs of a study."""
    jobs = [ARMS[job].policies for job in study_jobs(study)]
    return expand(pattern, job=list(dict.fromkeys(jobs)))


def study_episodes(study):
    """The episodes of a study and of its tasks' reference policies."""
    reference = expand(f"{RUN}/episodes/reference/{{task}}.parquet", task=study_tasks(study))
    return reference + study_paths(f"{RUN}/episodes/{{job}}.parquet", study)


def study_training(study):
    """The training logs of the same."""
    reference = expand(f"{RUN}/training/reference/{{task}}.parquet", task=study_tasks(study))
    return reference + trained_paths(f"{RUN}/training/{{job}}.parquet", study)


def study_table(study):
    """The runs of a study; nothing if it has none."""
    return f"{RUN}/tables/studies/{study}.csv" if study in STUDIES else []


def curves_table(study):
    """The learning curves of a study; nothing if it has none."""
    wanted = study in STUDIES and config["studies"][study]["curves"]
    return f"{RUN}/tables/curves/{study}.csv" if wanted else []


def task_number(study, number):
    """A study's first task, its second one, ... or `none`."""
    own = study_tasks(study) if study in STUDIES else []
    return own[number] if number < len(own) else "none"


# Figure 2 needs PREFINE's policies on the way.
FIG2_JOB = "main/{}/prefine"
FIG2_TASKS = [
    task
    for task in config["figures"]["fig2"]["tasks"]
    if FIG2_JOB.format(task) in ARMS and ARMS[FIG2_JOB.format(task)].points
]


def cost_gap_settings(wildcards):
    """Settings of Figure 2 for a task."""
    own = {k: v for k, v in config["figures"]["fig2"].items() if k not in ("tasks", "threshold")}
    limits = thresholds(config, wildcards.task)
    tau = (
        {"tau": studies.middle(limits)}
        if config["figures"]["fig2"]["threshold"] == "middle"
        else {}
    )
    return as_json(own | tau)


def overlap_settings(wildcards):
    """Settings of Figure 13 for a task: its threshold by rank, none where labels make the sets."""
    own = config["figures"]["fig13"]
    limits = sorted(tau for tau in thresholds(config, wildcards.task) if tau)
    limits = limits or [None]
    tau = {"smallest": limits[0], "middle": studies.middle(limits), "largest": limits[-1]}
    settings = {name: value for name, value in own.items() if name != "threshold"}
    return as_json(settings | {"tau": tau[own["threshold"]]})


def timed_settings():
    """Each method's settings with the sizes of its own publication, whatever a preset cut."""
    sizes = ("iterations", "batch_size", "segments", "discriminator_iterations")
    own = {
        name: {key: value for key, value in of.items() if key not in sizes}
        for name, of in config["methods"].items()
    }
    own["cpq"] = own.get("cpq", {}) | {"iterations": 100_000}  # OSRL's, as the reference's
    whole = config | {"methods": own, "training": config["training"] | TIMED}
    whole["reference"] = config["reference"] | {"iterations": 100_000}
    names = [REFERENCE, *config["studies"]["main"]["methods"]]
    return {
        name: settings_of_training(whole, name, FIG4_TASK) | {"points": 0}
        for name in names
    }


# Figure 4 times what the paper trained (A.4), on its task where it is among the config's.
TIMED = {"iterations": 500_000, "batch_size": 256}
FIG4_TASK = config["figures"]["fig4"]["task"]
FIG4_TASK = FIG4_TASK if FIG4_TASK in TASKS else TASKS[0]


def tau_argument(task):
    """The middle threshold of a task as an option; none where labels make the sets."""
    tau = studies.middle(thresholds(config, task))
    return [] if tau is None else ["--tau", tau]


def tasks_of_suite(name):
    """The config's tasks of a suite."""
    return [task for task in TASKS if suite(task) == name]


def fixed_in(study):
    """What all runs of a study have otherwise than the config."""
    return as_json(config["studies"][study]["fixed"] if study in STUDIES else {})


def all_episodes():
    """The episodes of every study; of the user's own policies those that are reported."""
    if config["own_policy"]:
        return [f"{RUN}/episodes/{task}/before_after.parquet" for task in TASKS]
    return list(dict.fromkeys(path for study in STUDIES for path in study_episodes(study)))


def all_training():
    """The training logs of every study."""
    return list(dict.fromkeys(path for study in STUDIES for path in study_training(study)))


def followed(study):
    """What a study reads of learning curves."""
    curves = config["studies"][study]["curves"]
    return [m for m in MEMBERS[study] if m.method in curves and ARMS[m.job].points]


def followed_jobs(study):
    """The jobs of these."""
    return list(dict.fromkeys(member.job for member in followed(study)))


def evaluation_settings(wildcards, episodes):
    """What an evaluation job needs of the config."""
    usual = config["evaluation"]["action_mode"]
    mode = arm(wildcards).action_mode if hasattr(wildcards, "job") else usual
    return as_json({"episodes": episodes, "action_mode": mode})


# Policies of a plan that several jobs train: a piece a job, removed when they are joined.
PARTS = config["training"]["parts"]
PIECE = "" if PARTS == 1 else ".{part}"


def piece(path):
    """A job's share of a file; the file itself where one job trains a whole plan."""
    path = Path(path)
    return str(path) if PARTS == 1 else temp(f"{path.parent}/{path.stem}{PIECE}{path.suffix}")


def parts_of(job):
    """Over how many jobs its runs are spread: no more than it has."""
    return min(PARTS, len(ARMS[job].rows))


def part_argument(wildcards):
    """Which share of its plan a job trains."""
    return ["--part", wildcards.part, parts_of(wildcards.job)] if PARTS > 1 else []


def pieces(kind, end):
    """An input: what the jobs that share a plan made of it."""
    return lambda w: expand(f"{RUN}/{kind}/{w.job}{PIECE}.{end}", part=range(parts_of(w.job)))


def kept_or_temp(path):
    """Policies of the way are removed when they are evaluated, unless the config keeps them."""
    return path if config["evaluation"]["curves"]["keep"] else temp(path)


def before_they_go(wildcards):
    """What is made of a job's policies on the way, whatever else was asked for: they are
    removed when nothing needs them, and to have them again the job would train again. (Not
    `ancient`: Snakemake overlooks what is missing behind such an input that it makes again.)"""
    if not arm(wildcards).points or config["evaluation"]["curves"]["keep"]:
        return []
    paths = [f"{RUN}/curves/{wildcards.job}.parquet"]
    if wildcards.job in map(FIG2_JOB.format, FIG2_TASKS):
        paths.append(f"{RUN}/cost_gap/{task_of(wildcards)}.csv")
    return paths


def study_tasks(study):
    """The tasks of a study."""
    return studies.tasks_of(config, study)


def task_paths(pattern):
    """One path for each task."""
    return expand(pattern, task=TASKS)


SECTIONS = ("Your policy", "Results", "Figures", "Data", "Ablations", "Beyond the paper", "Timing")


def section(name):
    """A section of the report; it sorts its sections by name, hence the number."""
    return f"{SECTIONS.index(name)}. {name}"


def final_targets():
    """Everything that `all` makes: what has something to show."""
    if config["own_policy"]:
        return own_policy_targets()
    figures = ["fig03_reward_cost", "fig04_wall_clock", "fig08_tasks_solved", "fig13_umap"]
    figures += ["paper_comparison"]
    if "prefine" in config["studies"]["main"]["methods"]:
        figures += ["fig01_overview", "fig07_thresholds", "ceiling"]
    figures += ["fig02_cost_gap"] if FIG2_TASKS else []
    by_study = {"sizes": "fig05_sizes", "sweep": "fig09_sweep"}
    by_study |= {name: name for name in ("control", "level", "likelihood")}
    figures += [by_study[study] for study in STUDIES if study in by_study]
    numbers = ("fig06", "fig10")[: len(study_tasks("ablation")) if "ablation" in STUDIES else 0]
    figures += [f"{number}_ablation" for number in numbers]
    suites = {"safety_gym": "fig11_learning_safety_gym", "bullet_gym": "fig12_learning_bullet_gym"}
    suites["own"] = "learning_own"
    if config["studies"]["main"]["curves"]:
        figures += [name for suite, name in suites.items() if tasks_of_suite(suite)]
    return [
        f"{RUN}/tables/claims.csv",
        f"{RUN}/tables/table1.csv",
        f"{RUN}/tables/dataset_statistics.csv",
        f"{RUN}/tables/provenance.json",
        *(f"{RUN}/tables/studies/{study}.csv" for study in STUDIES if study != "main"),
        *(f"{RUN}/figures/{name}.png" for name in figures),
    ]
