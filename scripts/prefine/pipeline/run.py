"""What the rules ask of a run: its jobs, paths, settings and targets.

Plain Python, so that all of it can be tried without Snakemake. Where a method takes ``wildcards``
they are a rule's: ``task``, or ``job`` (study/task/arm).
"""

import functools
import hashlib
import json
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

from prefine.config import studies
from prefine.config.settings import (
    OWN_SOURCES,
    hyperparameters,
    recipe,
    suite,
    thresholds,
    training_settings,
)
from prefine.config.studies import Arm, Member
from prefine.data.minari import minari_file
from prefine.methods import REFERENCE, method_constant, method_file
from prefine.pipeline import figures
from prefine.pipeline.code import code_hash
from prefine.pipeline.figures import Figure

SECTIONS = ("Your policy", "Results", "Figures", "Data", "Ablations", "Beyond the paper", "Timing")
SOURCES = {
    "collect": "collected locally in the simulators",
    "dsrl": "DSRL",
    "file": "the user's own",
    "policy": "rollouts of the user's own policy",
}
# Figure 4 times what the paper trained (A.4), and OSRL's numbers for CPQ and pi_ref.
TIMED, TIMED_OSRL = {"iterations": 500_000, "batch_size": 256}, {"iterations": 100_000}
OF_A_PUBLICATION = ("iterations", "batch_size", "segments", "discriminator_iterations")


def as_json(value: object) -> str:
    """A part of the config as a script's argument; equal parts give equal text."""
    return json.dumps(value, sort_keys=True)


def section(name: str) -> str:
    """A section of the report; it sorts its sections by name, hence the number."""
    return f"{SECTIONS.index(name)}. {name}"


class Run:
    """A checked config and all that follows from it.

    Attributes:
        folder: results/{run}, relative to the working directory.
        arms: job -> what it trains.
        members: study -> what it reads.
    """

    def __init__(self, config: Mapping, root: Path):
        self.config, self.root = config, root
        self.arms, self.members = studies.expand(config)
        self.folder = f"results/{config['run']}"
        self.tasks: list[str] = config["tasks"]
        self.studies = [name for name, own in self.members.items() if own]
        self.own_data = config["source"] in OWN_SOURCES
        self.own_policies: Mapping = config["own_policy"]

    @functools.cache  # noqa: B019  (one run a process)
    def code(self, script: str, *methods: str) -> str:
        """Hash of what a script does, with the library modules that it imports, and of methods."""
        files = [self.root / f"scripts/{script}.py", *map(method_file, methods)]
        return code_hash(*files)

    # Jobs of a task or of an arm.

    def arm(self, wildcards) -> Arm:
        """The runs that a job trains."""
        return self.arms[wildcards.job]

    def task_of(self, wildcards) -> str:
        """The task of a job, of training or of data."""
        return wildcards.task if hasattr(wildcards, "task") else self.arm(wildcards).task

    def method_of(self, wildcards) -> str:
        """The method of a job; the rule `pretrain` has none."""
        return self.arm(wildcards).method if hasattr(wildcards, "job") else REFERENCE

    def of_task(self, pattern: str) -> Callable:
        """An input: the file of a job's task."""
        return lambda wildcards: pattern.format(task=self.task_of(wildcards))

    def task_paths(self, pattern: str, tasks: Iterable[str] | None = None) -> list[str]:
        """One path for each task."""
        return [pattern.format(task=task) for task in (self.tasks if tasks is None else tasks)]

    def task_file(self, wildcards) -> str | list:
        """A task of the user's own is described in a file, DSRL's by their names."""
        return f"{self.folder}/tasks/{self.task_of(wildcards)}.json" if self.own_data else []

    def task_argument(self, wildcards, input) -> str:
        """What a script's --task is given."""
        return input.get("task") or self.task_of(wildcards)

    def family(self, wildcards) -> str | list:
        """The shipped policies that play a task; none where they are trained by recipe."""
        path = self.from_root(f"workflow/behaviours/{wildcards.task}.safetensors")
        return str(path) if path.exists() and not self.config["collect"]["train"] else []

    def how_to_collect(self, wildcards, input) -> list[str]:
        """How a task is collected, as options."""
        if not input.family:
            return ["--recipe", as_json(recipe(self.config, wildcards.task))]
        n = self.config["collect"]["trajectories"].get(wildcards.task)
        return ["--family", input.family] + ([] if n is None else ["--trajectories", str(n)])

    def job_settings(self, wildcards) -> str:
        """What a training job needs of the config."""
        if not hasattr(wildcards, "job"):
            own = training_settings(self.config, REFERENCE, wildcards.task)
            return as_json(own | {"points": 0})
        own = self.arm(wildcards)
        return as_json(own.settings | {"points": own.points})

    def state_of(self, wildcards) -> list[str]:
        """A training job's folder for checkpoints, and a key: another one for other settings."""
        code = self.code("training/train", self.method_of(wildcards))
        key = hashlib.sha256((self.job_settings(wildcards) + code).encode()).hexdigest()[:16]
        return [f"{self.folder}/state/{'-'.join(Path(*wildcards).parts)}", key]

    def plan_settings(self, wildcards) -> str:
        """The runs of a job."""
        return as_json({"rows": self.arm(wildcards).rows, "variants": self.arm(wildcards).variants})

    def reference_policy(self, wildcards) -> str | list:
        """Only methods that start from the reference policy wait for it."""
        own = self.arm(wildcards)
        if method_constant(own.method, "STARTS_FROM") != "reference":
            return []
        return f"{self.folder}/reference/{own.task}.safetensors"

    def evaluation_settings(self, wildcards, episodes: int | None = None) -> str:
        """What an evaluation job needs of the config."""
        own = self.config["evaluation"]
        mode = self.arm(wildcards).action_mode if hasattr(wildcards, "job") else own["action_mode"]
        return as_json({"episodes": episodes or own["episodes"], "action_mode": mode})

    # Sets of trajectories.

    def thresholds(self) -> str:
        """The thresholds of each task."""
        return as_json({task: thresholds(self.config, task) for task in self.tasks})

    def calibration_settings(self) -> str:
        """What the calibration needs of the config."""
        own = {name: self.config[name] for name in ("draws", "split", "source")}
        return as_json(own | {"thresholds": json.loads(self.thresholds())})

    def split_settings(self, task: str, sizes: bool = False) -> str:
        """How the sets of a task are drawn; with the sizes that studies ask for besides."""
        settings = {
            "thresholds": thresholds(self.config, task),
            "draws": self.config["draws"],
            "split": self.config["split"],
        }
        if sizes:
            own = {size for a in self.arms.values() if a.task == task for size in self._sizes(a)}
            named = [dict(zip(studies.SIZES, size, strict=True)) for size in sorted(own)]
            settings["sizes"] = named
        return as_json(settings)

    def _sizes(self, arm: Arm) -> list[tuple[int, int]]:
        """The (N_p, N_np) of an arm's runs; none if all have the config's."""
        usual = [tuple(self.config["split"][name] for name in studies.SIZES)]
        return [] if arm.sizes == usual else arm.sizes

    def sized_sets(self, wildcards) -> str | list:
        """The sets of other sizes than the config's, for a job whose runs have such."""
        own = self.arm(wildcards)
        return f"{self.folder}/splits/sizes/{own.task}.csv" if self._sizes(own) else []

    def splits_of_another_run(self, wildcards) -> list[str]:
        """Files of the run whose sets are taken, if one is named."""
        other = self.config["splits_from"]
        ends = ("csv", "json") if other else ()
        return [f"results/{other}/splits/{wildcards.task}.{end}" for end in ends]

    # Studies.

    def study_tasks(self, study: str) -> list[str]:
        """The tasks of a study; none if the run has no such study."""
        return studies.tasks_of(self.config, study) if study in self.studies else []

    def study_jobs(self, study: str) -> list[str]:
        """The jobs whose runs a study reads, its own and those of earlier studies."""
        return list(dict.fromkeys(member.job for member in self.members[study]))

    def study_paths(self, kind: str, end: str, study: str = "main") -> list[str]:
        """One path for each job whose runs a study reads."""
        return [f"{self.folder}/{kind}/{job}.{end}" for job in self.study_jobs(study)]

    def study_episodes(self, study: str) -> list[str]:
        """The episodes of a study and of its tasks' reference policies."""
        reference = f"{self.folder}/episodes/reference/{{task}}.parquet"
        of_tasks = self.task_paths(reference, studies.tasks_of(self.config, study))
        return of_tasks + self.study_paths("episodes", "parquet", study)

    def study_training(self, study: str) -> list[str]:
        """The training logs of the same."""
        reference = f"{self.folder}/training/reference/{{task}}.parquet"
        of_tasks = self.task_paths(reference, studies.tasks_of(self.config, study))
        jobs = dict.fromkeys(self.arms[job].policies for job in self.study_jobs(study))
        return of_tasks + [f"{self.folder}/training/{job}.parquet" for job in jobs]

    def members_argument(self, members: list[Member]) -> list[str]:
        """What a study reads, as an option."""
        return ["--members", as_json([vars(member) for member in members])]

    def followed(self, study: str) -> list[Member]:
        """What a study reads of learning curves."""
        own = self.config["studies"][study]["curves"]
        return [m for m in self.members[study] if m.method in own and self.arms[m.job].points]

    def followed_paths(self, kind: str, end: str, study: str) -> list[str]:
        """One path for each job of these."""
        jobs = dict.fromkeys(member.job for member in self.followed(study))
        return [f"{self.folder}/{kind}/{job}.{end}" for job in jobs]

    def study_table(self, study: str) -> list[str]:
        """The runs of a study; nothing if it has none."""
        return [f"{self.folder}/tables/studies/{study}.csv"] if study in self.studies else []

    def curves_table(self, study: str) -> list[str]:
        """The learning curves of a study; nothing if it has none."""
        wanted = study in self.studies and self.config["studies"][study]["curves"]
        return [f"{self.folder}/tables/curves/{study}.csv"] if wanted else []

    def all_episodes(self) -> list[str]:
        """The episodes of every study; of the user's own policies those that are reported."""
        if self.own_policies:
            return self.task_paths(f"{self.folder}/episodes/{{task}}/before_after.parquet")
        paths = (path for study in self.studies for path in self.study_episodes(study))
        return list(dict.fromkeys(paths))

    def all_training(self) -> list[str]:
        """The training logs of every study."""
        paths = (path for study in self.studies for path in self.study_training(study))
        return list(dict.fromkeys(paths))

    # Figures.

    def figures(self) -> list[Figure]:
        """Every figure that there is a script for."""
        return figures.read(self.root / "scripts/figures")

    def tasks_of_suite(self, name: str) -> list[str]:
        """The config's tasks of a suite."""
        return [task for task in self.tasks if suite(task) == name]

    @functools.cached_property
    def cost_gap_tasks(self) -> list[str]:
        """The tasks of Figure 2, which needs PREFINE's policies on the way."""
        wanted = self.config["figures"]["fig2"]["tasks"]
        jobs = {task: f"main/{task}/prefine" for task in wanted}
        return [t for t, job in jobs.items() if job in self.arms and self.arms[job].points]

    def cost_gap_settings(self, wildcards) -> str:
        """Settings of Figure 2 for a task."""
        own = dict(self.config["figures"]["fig2"])
        limits = thresholds(self.config, wildcards.task)
        del own["tasks"]
        tau = {"tau": studies.middle(limits)} if own.pop("threshold") == "middle" else {}
        return as_json(own | tau)

    def overlap_settings(self, wildcards) -> str:
        """Settings of Figure 13 for a task: its threshold by rank, none where labels make sets."""
        own = dict(self.config["figures"]["fig13"])
        limits = sorted(tau for tau in thresholds(self.config, wildcards.task) if tau) or [None]
        tau = {"smallest": limits[0], "middle": studies.middle(limits), "largest": limits[-1]}
        return as_json(own | {"tau": tau[own.pop("threshold")]})

    def before_they_go(self, wildcards) -> list[str]:
        """What is made of a job's policies on the way, whatever else was asked for.

        They are removed when nothing needs them, and to have them again the job would train
        again. (Not `ancient`: Snakemake overlooks what is missing behind such an input that it
        makes again.)
        """
        if not self.arm(wildcards).points or self.config["evaluation"]["curves"]["keep"]:
            return []
        paths, task = [f"{self.folder}/curves/{wildcards.job}.parquet"], self.task_of(wildcards)
        if wildcards.job == f"main/{task}/prefine" and task in self.cost_gap_tasks:
            paths.append(f"{self.folder}/cost_gap/{task}.csv")
        return paths

    # Timing.

    @property
    def timed_task(self) -> str:
        """Figure 4's task, where it is among the config's."""
        own = self.config["figures"]["fig4"]["task"]
        return own if own in self.tasks else self.tasks[0]

    @property
    def timing_is_asked(self) -> bool:
        """A task of the user's own is timed if the config names it: it takes half of the run."""
        return not self.own_data or self.config["figures"]["fig4"]["task"] in self.tasks

    def timing_table(self) -> list[str]:
        """The hours of each method, where they are measured."""
        return [f"{self.folder}/tables/timing.csv"] if self.timing_is_asked else []

    def timed_settings(self) -> dict[str, dict]:
        """Each method's settings with the sizes of its own publication, whatever a preset cut."""
        config = self.config
        own = {
            name: {key: value for key, value in of.items() if key not in OF_A_PUBLICATION}
            for name, of in config["methods"].items()
        }
        own["cpq"] = own.get("cpq", {}) | TIMED_OSRL
        whole = config | {"methods": own, "training": config["training"] | TIMED}
        whole["reference"] = config["reference"] | TIMED_OSRL
        names = [REFERENCE, *config["studies"]["main"]["methods"]]
        return {
            name: training_settings(whole, name, self.timed_task) | {"points": 0} for name in names
        }

    def timed_tau(self) -> list:
        """The middle threshold of the timed task as an option; none where labels make sets."""
        tau = studies.middle(thresholds(self.config, self.timed_task))
        return [] if tau is None else ["--tau", tau]

    def timing_blocks(self) -> str:
        """How long each method is timed."""
        own = self.config["figures"]["fig4"]
        return as_json({key: value for key, value in own.items() if key != "task"})

    # What is the user's own: data, labels, policies.

    def own_entry(self, task: str) -> dict:
        """What the config's `file` says of a task; nothing if the data are not the user's own."""
        return self.config["file"].get(task, {}) if self.own_data else {}

    def own_module(self, wildcards) -> str | list:
        """The file that registers a task's environment, if the user named one."""
        return self.own_entry(self.task_of(wildcards)).get("module", [])

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
        """The files of the user's own policy."""
        own = self.own_policies[wildcards.task]
        return [own[name] for name in ("file", "vec_normalize") if own.get(name)]

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

    def validation_settings(self) -> str:
        """What a rollout needs by which a policy is chosen."""
        own = {"episodes": self.config["choose"]["episodes"], "purpose": "validate"}
        return as_json(own | {"action_mode": self.config["evaluation"]["action_mode"]})

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

    # Everything that `all` makes: what has something to show.

    def targets(self) -> list[str]:
        """The files that a run ends in."""
        files = [f"figures/{own.file}.png" for own in self.figures() if figures.shows(self, own)]
        files += ["tables/provenance.json"]
        if self.own_policies:
            files += ["tables/before_after.csv"]
            files += [f"export/{task}/policy.safetensors" for task in self.tasks]
        else:
            files += [f"tables/{name}.csv" for name in ("claims", "table1", "dataset_statistics")]
            files += [f"tables/studies/{name}.csv" for name in self.studies if name != "main"]
            files += [] if self.own_data else ["tables/likeness.csv"]
        return [f"{self.folder}/{path}" for path in files]

    def from_root(self, path: str) -> Path:
        """A file of the project; as it is written where Snakemake works in the project itself."""
        return Path(path) if Path.cwd() == self.root else self.root / path
