"""What of a run is the user's own: data, labels, policies."""

import ast
import functools
from collections.abc import Mapping
from pathlib import Path

from prefine.config.settings import as_json, hyperparameters, training_settings
from prefine.config.studies import Arm
from prefine.data.minari import minari_file
from prefine.methods import REFERENCE

SOURCES = {
    "collect": "collected locally in the simulators",
    "dsrl": "DSRL",
    "file": "the user's own",
    "policy": "rollouts of the user's own policy",
}


@functools.cache
def imported(path: str) -> list[str]:
    """The files beside a Python file that it imports, at any depth, as far as they can be read."""
    found, todo = set(), [Path(path)]
    while todo:
        file = todo.pop()
        if file in found:
            continue
        found.add(file)
        try:
            tree = ast.parse(file.read_bytes())
        except (OSError, SyntaxError, ValueError, MemoryError, RecursionError):
            continue  # the job that runs it says what is wrong
        for node in ast.walk(tree):
            todo += _files_of(node, file, Path(path).parent)
    return sorted(map(str, found - {Path(path)}))


def _files_of(node: ast.AST, file: Path, folder: Path) -> list[Path]:
    """The files in ``folder`` that an import in ``file`` runs; packages may lack __init__.py."""
    if isinstance(node, ast.Import):
        names = [alias.name for alias in node.names]
    elif isinstance(node, ast.ImportFrom):
        names = [f"{node.module or ''}.{alias.name}" for alias in node.names]
        folder = [folder, *file.parents][min(node.level, len(file.parents))]
    else:
        return []
    found = []
    for name in names:
        place = folder
        for part in filter(None, name.split(".")):
            place = place / part
            found += [place.with_suffix(".py"), place / "__init__.py"]
    return [own for own in found if own.is_file()]


class OwnRun:
    """The part of `Run` that concerns what the user brings."""

    config: Mapping
    folder: str
    arms: dict[str, Arm]
    tasks: list[str]
    own_data: bool
    own_policies: Mapping

    def own_entry(self, task: str) -> dict:
        """What the config's `file` says of a task; nothing if the data are not the user's own."""
        return self.config["file"].get(task, {}) if self.own_data else {}

    def own_module(self, wildcards) -> list[str]:
        """The file that registers a task's environment, if the user named one; what it imports."""
        module = self.own_entry(self.task_of(wildcards)).get("module")
        return [module, *imported(module)] if module else []

    def own_file(self, task: str) -> str | list:
        """The user's data, if there are any; of a folder of Minari, the file that holds it."""
        if "data" not in self.own_entry(task):
            return []
        path = Path(self.own_entry(task)["data"])
        return str(minari_file(path))

    def is_labelled(self, wildcards) -> list[str]:
        """An option of scripts that need to know."""
        return ["--labelled"] if wildcards.task in self.config["labels"] else []

    def labels_file(self, wildcards) -> list[str]:
        """The labels of a task: the user's file, or the sheet that may be filled in instead."""
        if wildcards.task not in self.config["labels"]:
            return []
        own = self.config["labels"][wildcards.task], f"{self.folder}/labels/{wildcards.task}.csv"
        return [path for path in own if Path(path).exists()][:1]

    def fingerprints(self, wildcards) -> list[str]:
        """What tells trajectories apart, made with the sheets; the task's own comes first.

        Of all tasks that are labelled, so that each sheet is there when the first job says what
        is wrong.
        """
        labels = self.config["labels"]
        if wildcards.task not in labels:
            return []
        tasks = dict.fromkeys([wildcards.task, *labels])
        return self.task_paths(f"{self.folder}/trajectories/{{task}}_fingerprints.csv", tasks)

    def own_labels(self, wildcards) -> list[str]:
        """Where the user's labels are, or are to be, as an option."""
        labels = self.config["labels"]
        return ["--labels", labels[wildcards.task]] if wildcards.task in labels else []

    def labels_arguments(self, wildcards, input) -> list[str]:
        """The labels of a task, the sheet, and what tells its trajectories apart."""
        if wildcards.task not in self.config["labels"]:
            return []
        sheet = ["--sheet", f"{self.folder}/labels/{wildcards.task}.csv"]
        more = ["--fingerprints", f"{self.folder}/trajectories/{wildcards.task}_fingerprints.csv"]
        return [*self.own_labels(wildcards), *sheet, *more]

    def own_policy_files(self, wildcards) -> list[str]:
        """The files of the user's own policy, with what says how they are meant."""
        own = self.own_policies[wildcards.task]
        files = [own[name] for name in ("file", "vec_normalize") if own.get(name)]
        about = Path(own["file"]).with_suffix(".json")
        if own["format"] == "torch" and about.exists():
            files.append(str(about))
        return files + (imported(own["file"]) if own["format"] == "python" else [])

    def distil_settings(self, wildcards) -> str:
        """How a policy without a density is cloned: as pi_ref is, in the states of all data."""
        own = training_settings(self.config, REFERENCE, wildcards.task)
        distil = self.own_policies[wildcards.task]["distil"]
        changed = {"iterations": distil["iterations"], "policy": distil["into"], "points": 0}
        return as_json(own | changed)

    def candidates(self, task: str, followed: bool = False) -> list[str]:
        """The jobs whose policies are those to choose from."""
        own = {job: a for job, a in self.arms.items() if (a.task, a.method) == (task, "prefine")}
        return [job for job, a in own.items() if a.policies == job and (a.points or not followed)]

    def candidate_paths(self, wildcards, kind: str, end: str) -> list[str]:
        """One path for each of these jobs."""
        return [f"{self.folder}/{kind}/{job}.{end}" for job in self.candidates(wildcards.task)]

    def control_policies(self, wildcards) -> str | list:
        """BC from pi_ref on the preferred alone, if the main study has it."""
        job = f"main/{wildcards.task}/bc_from_reference"
        return f"{self.folder}/policies/{job}.safetensors" if job in self.arms else []

    def choice_settings(self, wildcards) -> str:
        """By what a policy is chosen."""
        usual = hyperparameters(self.config, "prefine", wildcards.task)
        return as_json(self.config["choose"] | {"usual": usual})

    def data_note(self) -> str:
        """Where the trajectories come from, for the foot of a figure."""
        source = self.config["source"]
        brought = [task for task in self.tasks if source == "policy" and self.own_file(task)]
        more = f"; of {', '.join(brought)} also a log of the user's own" if brought else ""
        return f"Trajectories: {SOURCES[source]}{more}."
