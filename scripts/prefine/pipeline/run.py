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
    as_json,
    middle,
    recipe,
    sees,
    starts_from_reference,
    suite,
    thresholds,
    training_settings,
)
from prefine.config.studies import Arm, Member
from prefine.errors import UserError
from prefine.methods import HOW, REFERENCE, method_file
from prefine.pipeline import figures
from prefine.pipeline.code import code_hash
from prefine.pipeline.figures import Figure
from prefine.pipeline.published import PublishedRun
from prefine.pipeline.run_rollouts import Rollouts
from prefine.pipeline.run_timed import TimedRun


def state_folder(job: str) -> str:
    """Where a training job keeps its checkpoints, from the run's folder; no two share one."""
    return f"state/{job.replace('%', '%25').replace('/', '%2F')}"


class Run(PublishedRun, TimedRun, Rollouts):
    """A checked config and all that follows from it.

    Attributes:
        asked: that config; ``config`` is the same, with `only_finished` without unfinished tasks.
        folder: results/{run}, relative to the working directory.
        arms: job -> what it trains.
        members: study -> what it reads.
    """

    def __init__(self, config: Mapping, root: Path):
        self.asked, self.root = config, root
        self.folder = f"results/{config['run']}"
        self.arms, self.members = studies.expand(config)
        self.asked_arms = self.arms
        if config["only_finished"]:
            config = self.leave_out_unfinished()
        self.config = config
        self.tasks: list[str] = config["tasks"]
        self.studies = [name for name, own in self.members.items() if own]
        self.own_data = config["source"] in OWN_SOURCES
        self.own_policies: Mapping = config["own_policy"]

    def leave_out_unfinished(self) -> dict:
        """Drop the jobs whose episodes are not there; return the config of the tasks that are left.

        Raises:
            UserError: nothing is finished.
        """

        def finished(job: str) -> bool:
            return Path(f"{self.folder}/episodes/{job}.parquet").exists()

        jobs = {job: own for job, own in self.arms.items() if finished(job)}
        jobs = {job: own for job, own in jobs.items() if finished(f"reference/{own.task}")}
        if not jobs:
            raise UserError(
                f"config: only_finished: nothing is finished in {self.folder}/; start the run "
                "without it"
            )
        self.arms = jobs
        for study, members in self.members.items():
            self.members[study] = [own for own in members if own.job in jobs]
        left = {own.task for own in jobs.values()}
        return {**self.asked, "tasks": [task for task in self.asked["tasks"] if task in left]}

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
        """The policies that play a task; none where they are trained by recipe."""
        own = self.config["collect"]["families"].get(wildcards.task)
        if own:  # the user's, or one of the repository, which may lie elsewhere
            return own if Path(own).is_file() else str(self.from_root(own))
        path = self.from_root(f"workflow/behaviours/{wildcards.task}.safetensors")
        return str(path) if path.exists() and not self.config["collect"]["train"] else []

    def how_to_collect(self, wildcards) -> list[str]:
        """How a task is collected, as options.

        No function of the input: Snakemake compares none that is with the last run's.
        """
        family = self.family(wildcards)
        if not family:
            return ["--recipe", as_json(recipe(self.config, wildcards.task))]
        n = self.config["collect"]["trajectories"].get(wildcards.task)
        return ["--family", family] + ([] if n is None else ["--trajectories", str(n)])

    def job_settings(self, wildcards) -> str:
        """What a training job needs of the config, but for `how_to_train`."""
        settings, points = training_settings(self.config, REFERENCE, self.task_of(wildcards)), 0
        if hasattr(wildcards, "job"):
            settings, points = self.arm(wildcards).settings, self.arm(wildcards).points
        usual = self.config["training"]
        own = {k: v for k, v in settings.items() if k not in HOW or v != usual[k]}
        return as_json(own | {"points": points})

    def how_to_train(self) -> str:
        """What changes no result, and so is no parameter: nothing is trained again for it."""
        return as_json({name: self.config["training"][name] for name in HOW})

    def state_of(self, wildcards) -> list[str]:
        """A training job's folder for checkpoints, and a key: another one for other settings.

        What the job reads is not in it; a checkpoint says that itself.
        """
        code = self.code("training/train", self.method_of(wildcards))
        key = hashlib.sha256((self.job_settings(wildcards) + code).encode()).hexdigest()[:16]
        return [f"{self.folder}/{state_folder(*wildcards)}", key]

    def plan_settings(self, wildcards) -> str:
        """The runs of a job."""
        return as_json({"rows": self.arm(wildcards).rows, "variants": self.arm(wildcards).variants})

    def reference_policy(self, wildcards) -> str | list:
        """Only methods that start from the reference policy wait for it."""
        own = self.arm(wildcards)
        if not starts_from_reference(own.method, own.settings):
            return []
        return f"{self.folder}/reference/{own.task}.safetensors"

    def seen(self) -> str:
        """What each method of the main study is given of the data."""
        methods = self.config["studies"]["main"]["methods"]
        given = {m: sees(m, training_settings(self.config, m, self.tasks[0])) for m in methods}
        return as_json(given)

    def outside_scores(self) -> list[str]:
        """The table of others' scores, where there is one."""
        path = self.config["outside_scores"]
        return [path] if path else []

    # Sets of trajectories.

    def thresholds(self) -> str:
        """The thresholds of each task, also of those that are not finished."""
        return as_json({task: thresholds(self.asked, task) for task in self.asked["tasks"]})

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

    def study_episodes(self, study: str, kind: str = "episodes") -> list[str]:
        """The episodes of a study and of its tasks' reference policies; or ``validation``."""
        reference = f"{self.folder}/{kind}/reference/{{task}}.parquet"
        of_tasks = self.task_paths(reference, studies.tasks_of(self.config, study))
        return of_tasks + self.study_paths(kind, "parquet", study)

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
        found = [m for m in self.members[study] if m.method in own and self.arms[m.job].points]
        return [m for m in found if self.is_there(f"curves/{m.job}.parquet")]

    def followed_paths(self, kind: str, end: str, study: str) -> list[str]:
        """One path for each job of these."""
        jobs = dict.fromkeys(member.job for member in self.followed(study))
        return [f"{self.folder}/{kind}/{job}.{end}" for job in jobs]

    def study_table(self, study: str) -> list[str]:
        """The runs of a study; nothing if it has none."""
        return [f"{self.folder}/tables/studies/{study}.csv"] if study in self.studies else []

    def trade_off(self, *names: str) -> list[str]:
        """Tables of the study `pareto`; nothing if the run has no such study."""
        there = studies.PARETO in self.studies
        rolled = self.study_episodes(studies.PARETO, "validation") if there else []
        there &= all(self.is_there(own.removeprefix(f"{self.folder}/")) for own in rolled)
        return [f"{self.folder}/tables/{name}.csv" for name in names] if there else []

    def curves_table(self, study: str) -> list[str]:
        """The learning curves of a study; nothing if it has none."""
        wanted = study in self.studies and self.followed(study)
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

    @functools.cache  # noqa: B019  (one run a process)
    def figures(self) -> list[Figure]:
        """Every figure that there is a script for."""
        return figures.of_run(self, figures.read(self.root / "scripts/figures"))

    def tasks_of_suite(self, name: str) -> list[str]:
        """The config's tasks of a suite."""
        return [task for task in self.tasks if suite(task) == name]

    @functools.cached_property
    def cost_gap_tasks(self) -> list[str]:
        """The tasks of Figure 2, which needs PREFINE's policies on the way."""
        wanted = self.config["figures"]["fig2"]["tasks"]
        jobs = {task: f"main/{task}/prefine" for task in wanted}
        found = [t for t, job in jobs.items() if job in self.arms and self.arms[job].points]
        return [t for t in found if self.is_there(f"cost_gap/{t}.csv")]

    def is_there(self, path: str) -> bool:
        """Whether a file may be asked for: any, or with `only_finished` what is there."""
        return not self.asked["only_finished"] or Path(f"{self.folder}/{path}").exists()

    def cost_gap_settings(self, wildcards) -> str:
        """Settings of Figure 2 for a task."""
        own = dict(self.config["figures"]["fig2"])
        limits = thresholds(self.config, wildcards.task)
        del own["tasks"]
        tau = {"tau": middle(limits)} if own.pop("threshold") == "middle" else {}
        return as_json(own | tau)

    def overlap_settings(self, wildcards) -> str:
        """Settings of Figure 13 for a task: its threshold by rank, none where labels make sets."""
        own = dict(self.config["figures"]["fig13"])
        limits = sorted(tau for tau in thresholds(self.config, wildcards.task) if tau) or [None]
        tau = {"smallest": limits[0], "middle": middle(limits), "largest": limits[-1]}
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

    # Everything that `all` makes: what has something to show.

    def targets(self) -> list[str]:
        """The files that a run ends in: the report, what it shows, the episodes that it is of.

        The episodes are there already where tables of all of them are; of a result that was
        published unfinished they name what is not.
        """
        return [*self.shown(), f"{self.folder}/index.html", *self.all_episodes()]

    def shown(self) -> list[str]:
        """What there is to show."""
        files = [f"figures/{own.file}.png" for own in self.figures() if figures.shows(self, own)]
        files += ["tables/provenance.json"]
        files += [f"films/{task}.html" for task in self.filmed]
        if self.own_policies:
            files += ["tables/before_after.csv"]
            files += [f"choice/{task}.json" for task in self.tasks]
            files += [f"export/{task}/policy.safetensors" for task in self.tasks]
        else:
            names = ("claims", "runs", "table1", "dataset_statistics")
            files += [f"tables/{name}.csv" for name in names]
            files += [f"tables/studies/{name}.csv" for name in self.studies if name != "main"]
            files += ["tables/pareto.csv"] if self.trade_off("pareto") else []
            files += [] if self.own_data else ["tables/likeness.csv"]
        return [f"{self.folder}/{path}" for path in files]

    def captions(self) -> list[str]:
        """The texts under tables and figures."""
        folder = self.root / "workflow/report"
        names = sorted(path.name for path in folder.glob("*.rst"))
        return [str(self.from_root(f"workflow/report/{name}")) for name in names]

    def from_root(self, path: str) -> Path:
        """A file of the project; as it is written where Snakemake works in the project itself."""
        return Path(path) if Path.cwd() == self.root else self.root / path
