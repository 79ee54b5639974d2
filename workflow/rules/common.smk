# Shared by the rules: the checked config, one `Run`, where the project's own files are.
import gc
import io
import os
import re
import shlex
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

# Jobs import these two in a thread of Snakemake's: Ctrl-C in just that moment left it waiting for ever.
import psutil
import snakemake.benchmark
from snakemake.exceptions import WorkflowError
from snakemake.scheduling.job_scheduler import JobScheduler
from snakemake.sourcecache import HostingProviderFile
from snakemake.utils import update_config

# Rules, jobs and their paths stay to the end. Looking among them for garbage again and again took a
# third of a dry run.
gc.freeze()
gc.set_threshold(50_000)


def root_of(rules):
    """The repository's folder. Of a workflow that is taken from a git host, a copy is made here.

    Snakemake itself fetches the rules and environments of such a workflow, and no code that they call.
    """
    if not isinstance(rules, HostingProviderFile):
        return Path(str(rules)).resolve().parents[1]
    repository = rules.hosted_repo.repo
    commit = repository.commit(rules.ref).hexsha
    place = Path(".snakemake/prefine").resolve() / commit
    if not place.is_dir():
        place.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=place.parent) as folder:
            command = ["git", "--git-dir", repository.git_dir, "archive", commit]
            packed = subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout
            tarfile.open(fileobj=io.BytesIO(packed)).extractall(f"{folder}/all", filter="data")
            try:
                Path(folder, "all").rename(place)
            except OSError:  # another job was first
                if not place.is_dir():
                    raise
    return place


ROOT = root_of(workflow.current_basedir)
sys.path.insert(0, str(ROOT / "scripts"))

from prefine import caches
from prefine.config import strict_yaml
from prefine.config.check import behaviour_recipes, check
from prefine.config.constraints import check_files
from prefine.config.settings import as_json, thresholds
from prefine.data.dsrl import how_to_help
from prefine.errors import UserError
from prefine.methods import REFERENCE
from prefine.pipeline import figures, killed, published
from prefine.pipeline.code import has_gpu, help_jobs_find, keep_parses
from prefine.pipeline.places import check_folder, check_notes
from prefine.pipeline.run import Run

try:
    for config_file in workflow.configfiles:
        strict_yaml.check(config_file)
    # What is not given is config.yaml's, also where this workflow is a module of another one.
    whole = strict_yaml.load(ROOT / "config.yaml")
    update_config(whole, config)
    config = check(whole)
    check_files(config, ROOT)
    run = Run(config, ROOT)
    BEHAVIOUR_RECIPES = behaviour_recipes(run.from_root("workflow/behaviours/recipes.yaml"))
    check_folder(Path(run.folder))
    if workflow.is_main_process:
        check_notes(Path(".snakemake"))
        sources = (path for path in (ROOT / "workflow").rglob("*") if path.is_file())
        published.settle(Path(run.folder), sources)
except UserError as error:
    raise WorkflowError(str(error)) from None

RUN, TASKS, STUDIES, ARMS = run.folder, run.tasks, run.studies, run.arms
PAPER = run.from_root("workflow/paper")

help_jobs_find(ROOT / "scripts")
caches.find()
keep_parses(caches.own("code"))
killed.announce()
killed.note_sigterm_in_a_thread(JobScheduler)
if workflow.is_main_process:
    killed.remove_stale_lock(Path(".snakemake"))
else:
    killed.leave_lock(Path(".snakemake"))

# A job that waits for the user says how to go on.
COMMAND = os.environ.setdefault("PREFINE_COMMAND", shlex.join(["snakemake", *sys.argv[1:]]))

# One training job at a time on a GPU, also when other limits replace the profile's.
if "gpu" not in workflow.global_resources:
    workflow.register_resource("gpu", 1)
GPU = int(has_gpu())


def one_of(names):
    """A wildcard's constraint: these names and no other, none if there are none."""
    return "|".join(map(re.escape, names)) or "(?!)"


def kept_or_temp(path):
    """Policies of the way are removed when they are evaluated, unless the config keeps them."""
    return path if config["evaluation"]["curves"]["keep"] else temp(path)


wildcard_constraints:
    task=one_of(TASKS),
    study=one_of(STUDIES),
    job=one_of(ARMS),  # study/task/arm
