"""Studies: named tables of runs, and which job trains each of them.

A study takes methods and varies them around the config. A *variant* is a set of changed
values; what it leaves out is the config's. An *arm* is what one job trains: the runs of a
study, task and method whose computation has one structure. A run that an earlier study has
is not repeated: the later one reads it there. `main` comes first, the others by name.
"""

import itertools
import json
import math
import re
from collections.abc import Mapping
from copy import deepcopy
from dataclasses import dataclass, field

from prefine.config.constraints import check_choice, check_key, check_share
from prefine.config.plan import CONFIG, SIZES, draw_seed_pairs, suffix
from prefine.config.settings import (
    hyperparameters,
    middle,
    sees,
    takes_eta,
    thresholds,
    training_settings,
)
from prefine.errors import UserError
from prefine.tasks import TASKS

PARETO = "pareto"  # the study of which fronts are made
ACTION_MODE, MIX, STOP = "action_mode", "mix", "stop"
# What a study may vary besides the methods' own keys, with a value of its type or its choices.
TRAINING = {
    "learning_rate": 0.1,
    "gradient_clip": 0.1,
    "likelihood_draws": 1,
    "sampler": ("trajectory", "transition"),
    "log_std_min": None,
}
# How the policies act: `mix` is their share of the action, the rest is pi_ref's.
EVALUATION = {ACTION_MODE: ("deterministic", "bcq", "sampled"), MIX: 1.0}
# `stop` is the share of the iterations after which training ends.
OTHERS = TRAINING | dict.fromkeys(SIZES, 1) | EVALUATION | {STOP: 1.0}
LEAST = {MIX: 0.0, STOP: 1e-9}  # of these shares; stopped at 0 is nothing trained


@dataclass
class Arm:
    """The runs of a study, task and method that one job trains and evaluates.

    ``rows`` are (tau, draw, seed, index into ``variants``); ``variants`` hold what a row has
    of its own: hyper-parameters, sizes and the end of its name. ``policies`` is the job that
    trains them: another one if only the evaluation differs. ``splits`` are sizes of sets to
    draw besides the config's.
    """

    study: str
    task: str
    method: str
    name: str
    settings: dict
    action_mode: str
    policies: str = ""
    rows: list[tuple] = field(default_factory=list)
    variants: list[dict] = field(default_factory=list)
    points: int = 0  # snapshots after iteration 0
    mix: float = 1.0  # share of their action where pi_ref's is the rest

    @property
    def job(self) -> str:
        """Its name in paths."""
        return f"{self.study}/{self.task}/{self.name}"

    @property
    def sizes(self) -> list[tuple[int, int]]:
        """The (N_p, N_np) of its runs if there are several or others than the config's."""
        return sorted({tuple(own[name] for name in SIZES) for own in self.variants})


@dataclass(frozen=True)
class Member:
    """Runs of a study: those of ``job`` with these ``numbers``, at ``rows`` (tau, draw, seed).

    ``variant`` says what the study changed, ``settings`` what they have of all that the study
    varies.
    """

    job: str
    task: str
    method: str
    variant: str
    numbers: dict
    settings: dict
    rows: tuple


def tasks_of(config: Mapping, study: str) -> list[str]:
    """The tasks of a study that the config runs; none named means all."""
    own = config["studies"][study]["tasks"]
    return [task for task in own or config["tasks"] if task in config["tasks"]]


def thresholds_of(config: Mapping, study: str, task: str) -> list[int | None]:
    """All thresholds of the task, or the middle one (the paper's 40, Bullet's 20)."""
    limits = thresholds(config, task)
    return limits if config["studies"][study]["thresholds"] == "all" else [middle(limits)]


def entries_of(study: Mapping, method: str) -> list[dict]:
    """What a study varies of a method: one list for all of them, or each method's own."""
    own = study["vary"]
    return own.get(method, []) if isinstance(own, Mapping) else own


def keys_of(study: Mapping, method: str) -> list[str]:
    """What differs between a method's variants; `stop` shows in the iterations, `eta` in λ."""
    shows = {STOP: "iterations"} | ({"eta": "lam"} if takes_eta(method) else {})
    keys = (key for entry in entries_of(study, method) for key in entry)
    return list(dict.fromkeys(shows.get(key, key) for key in keys))


def variants_of(study: Mapping, method: str) -> list[dict]:
    """What a study changes: nothing first, then the product of each entry of ``vary``."""
    found = [{}]
    for entry in entries_of(study, method):
        names = list(entry)
        found += [dict(zip(names, v, strict=True)) for v in itertools.product(*entry.values())]
    return [study["fixed"] | variant for variant in found]


def overlay(config: Mapping, method: str, changes: Mapping) -> dict:
    """The config with a variant's values put where they belong."""
    changed = dict(config)
    for part in ("methods", "training", "split", "evaluation"):
        changed[part] = deepcopy(config[part])
    of_method = changed["methods"].setdefault(method, {})
    for key, value in changes.items():
        if key in TRAINING:
            changed["training"][key] = value
        elif key in SIZES:
            changed["split"][key] = value
        elif key in EVALUATION:
            changed["evaluation"][key] = value
        elif key != STOP:
            of_method[key] = value
            if key == "lam" and takes_eta(method):  # not to be overruled by RPO's spelling
                of_method.pop("eta", None)
    return changed


def arm_name(method: str, changes: Mapping) -> str:
    """The method and what its job is told otherwise, as a file's name."""
    parts = [method, *(f"{key}_{value}" for key, value in changes.items())]
    return "-".join(re.sub(r"[^\w.-]", "_", part) for part in parts)


def expand(config: Mapping) -> tuple[dict[str, Arm], dict[str, list[Member]]]:
    """List what is to be trained and evaluated, and what each study reads.

    Raises:
        UserError: it would be more than anybody can run.

    Returns:
        job -> Arm with the runs that no earlier arm has, and study -> its members.
    """
    check_sizes(config)
    arms: dict[str, Arm] = {}
    members: dict[str, list[Member]] = {}
    seen: dict[str, str] = {}  # identity of a run -> job
    trained: dict[str, str] = {}  # the same without the evaluation
    for name in sorted(config["studies"], key=lambda name: (name != "main", name)):
        study, members[name] = config["studies"][name], []
        if study is None:
            continue
        followed = set()
        for task, method in itertools.product(tasks_of(config, name), study["methods"]):
            for changes in variants_of(study, method):
                own = _Variant(config, name, task, method, changes)
                jobs = own.place(arms, seen, trained)
                for job, rows in jobs.items():
                    of = (own.label, own.numbers, own.settings_of(study), tuple(rows))
                    member = Member(job, task, method, *of)
                    if member not in members[name]:
                        members[name].append(member)
                    if method in study["curves"]:
                        followed.add(arms[job].policies)
        for job in followed:
            arms[job].points = config["evaluation"]["curves"]["points"]
    return arms, members


class _Variant:
    """One variant of a method in a study and task: its job, numbers and runs."""

    def __init__(self, config: Mapping, study: str, task: str, method: str, changes: Mapping):
        self.study, self.task, self.method = study, task, method
        fixed = config["studies"][study]["fixed"]
        for key, value in changes.items():
            place = f"studies.{study}.{'vary' if key not in fixed else 'fixed'}"
            check_key(place, method, key, value, OTHERS)
            if key in LEAST:
                check_share(f"{place}.{key}", value, LEAST[key])
        config_of = overlay(config, method, changes)
        base = _effective(config, method, task)
        self.settings, self.numbers, self.acts = _effective(config_of, method, task)
        if STOP in changes:
            whole = self.settings["iterations"]
            self.settings["iterations"] = max(1, round(changes[STOP] * whole))
        if self.acts[MIX] < 1 and self.acts[ACTION_MODE] != "deterministic":
            raise UserError(
                f"config: studies.{study}: {MIX} is of deterministic actions, and "
                f"evaluation.{ACTION_MODE} is {self.acts[ACTION_MODE]!r}; take {MIX} out"
            )
        own_numbers = {k: v for k, v in self.numbers.items() if base[1].get(k) != v}
        structure = {k: v for k, v in self.settings.items() if base[0].get(k) != v}
        structure |= {k: v for k, v in self.acts.items() if base[2].get(k) != v}
        self.name = arm_name(method, structure)
        changed = structure | own_numbers
        varied = keys_of(config["studies"][study], method)
        told = [f"{key}={value}" for key, value in changed.items() if key in varied]
        self.label = ", ".join(told) or CONFIG
        self.suffix = suffix(own_numbers)
        pairs = draw_seed_pairs(
            config["draws"], config["seeds"], config["pairing"], sees(method, self.settings)
        )
        most = config["studies"][study]["seeds"] or max(config["draws"], config["seeds"])
        self.rows = [
            (tau, draw, seed)
            for tau in thresholds_of(config, study, task)
            for draw, seed in pairs
            if draw < most and seed < most
        ]

    def place(self, arms: dict, seen: dict, trained: dict) -> dict[str, list]:
        """Find the job of each run, adding those to this study's arm that no other has."""
        training = {row: self._key(row) for row in self.rows}
        evaluation = {row: f"{self.acts} {key}" for row, key in training.items()}
        jobs: dict[str, list] = {}
        for row in self.rows:
            if evaluation[row] in seen:
                jobs.setdefault(seen[evaluation[row]], []).append(row)
        new = [row for row in self.rows if evaluation[row] not in seen]
        if not new:
            return jobs
        owners = {trained.get(training[row]) for row in new}
        arm = Arm(self.study, self.task, self.method, self.name, self.settings, **self.acts)
        arm = arms.setdefault(arm.job, arm)
        arm.policies = owners.pop() if len(owners) == 1 and None not in owners else arm.job
        own = self.numbers | {"suffix": self.suffix}
        if own not in arm.variants:
            arm.variants.append(own)
        for row in new:
            seen[evaluation[row]] = arm.job
            trained.setdefault(training[row], arm.job)
            arm.rows.append((*row, arm.variants.index(own)))
        jobs.setdefault(arm.job, []).extend(new)
        return jobs

    def _key(self, row: tuple) -> str:
        """Everything that a trained run depends on, the data aside."""
        parts = [self.task, self.method, self.settings, self.numbers, row]
        return json.dumps(parts, sort_keys=True)

    def settings_of(self, study: Mapping) -> dict:
        """What it has of all that the study varies."""
        everything = self.settings | self.numbers | self.acts
        return {key: everything[key] for key in keys_of(study, self.method) if key in everything}


def _effective(config: Mapping, method: str, task: str) -> tuple[dict, dict, dict]:
    """What a job is told, the numbers that each run has of its own, and how it acts."""
    numbers = hyperparameters(config, method, task)
    numbers |= {name: config["split"][name] for name in SIZES}
    settings = training_settings(config, method, task)
    acts = {ACTION_MODE: config["evaluation"][ACTION_MODE]}
    return settings, numbers, acts | {MIX: config["evaluation"].get(MIX, 1.0)}


def check(config: Mapping) -> None:
    """Check the names of tasks in studies, figures and the axes of label pages.

    Raises:
        UserError: one line that names the key.
    """
    known = list(dict.fromkeys([*TASKS, *config["file"], *config["tasks"]]))
    named = {f"studies.{name}": study for name, study in config["studies"].items() if study}
    named["figures.fig2"] = config["figures"]["fig2"]
    for place, part in named.items():
        for number, task in enumerate(part["tasks"] or []):
            check_choice(f"{place}.tasks.{number}", task, known)
    for task in config["sheet_axes"]:
        check_choice("sheet_axes", task, known)


# The paper's protocol with all studies has 242 training jobs and 3,096 runs.
MOST_RUNS, MOST_JOBS, MOST_SETS = 100_000, 10_000, 100_000


def check_sizes(config: Mapping) -> None:
    """Refuse a plan that nobody can run, before it is written down run by run.

    Raises:
        UserError: one line with the numbers that make it so large.
    """
    draws, seeds, jobs, runs = config["draws"], config["seeds"], 0, 0
    for task in config["tasks"]:
        limits = len(thresholds(config, task))
        if limits * draws > MOST_SETS:
            raise UserError(
                f"config: draws: {draws:,} draws at {limits:,} thresholds of {task} are "
                f"{limits * draws:,} sets; at most {MOST_SETS:,} can be drawn. Take fewer"
            )
    for name, study in config["studies"].items():
        if study is None:
            continue
        changes = {
            method: 1 + sum(math.prod(map(len, e.values())) for e in entries_of(study, method))
            for method in study["methods"]
        }
        most = study["seeds"] or max(draws, seeds)
        pairs = min(draws, most) * (1 if config["pairing"] == "paired" else min(seeds, most))
        rows = sum(len(thresholds_of(config, name, task)) for task in tasks_of(config, name))
        own = sum(changes.values())
        jobs += own * len(tasks_of(config, name))
        runs += own * rows * pairs
        if jobs > MOST_JOBS or runs > MOST_RUNS:
            raise UserError(
                f"config: studies.{name}: {len(changes)} methods with {own:,} choices "
                f"of values, {rows:,} thresholds of all tasks and {pairs:,} draws and seeds: the "
                f"plan has more than {MOST_RUNS:,} runs or {MOST_JOBS:,} jobs. Take fewer values, "
                "draws or seeds"
            )
