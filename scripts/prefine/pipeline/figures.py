"""What each script of scripts/figures says of its figures, read without running it.

A script begins with literals:

``FIGURES``
    name of the rule -> ``file`` (of figures/), ``title`` (in the report), and, where they matter,
    ``study`` (whose runs are drawn), ``task`` (the how manieth of its tasks), ``each`` (true: a
    figure for each of its tasks, whose name stands behind the rule's and the file's), ``suite``,
    ``tasks`` (a figure of the config whose tasks are meant) and ``methods`` (which the main study
    must have).
``SECTION``
    the report's.
``READS``
    option of the script -> the files that it is given, under results/{run}/. ``{task}`` means one
    for each task, ``{study}`` the figure's; a path in workflow/ is the project's.
``NEEDS``
    names of facts of the config (``fact``), each an option of the script.
"""

import ast
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from prefine.config.settings import as_json
from prefine.config.studies import SIZES

if TYPE_CHECKING:
    from prefine.pipeline.run import Run

# In the order of the report.
SECTIONS = ("Your policy", "Results", "Figures", "Data", "Ablations", "Beyond the paper", "Timing")
HEAD = ("FIGURES", "SECTION", "READS", "NEEDS")


@dataclass(frozen=True)
class Figure:
    """A figure, and what its script asks for."""

    rule: str
    script: str  # in scripts/figures/
    section: str
    file: str
    title: str
    reads: dict[str, str]
    needs: tuple[str, ...]
    study: str = "main"
    task: int | None = None
    suite: str = ""
    tasks: str = ""
    each: bool = False
    methods: tuple[str, ...] = field(default_factory=tuple)

    def caption(self, folder: Path) -> str:
        """Its text in ``folder``: one of its own, or the one that all of its script share."""
        own = (folder / f"{name}.rst" for name in (self.file, self.script))
        return next(str(path) for path in own if path.exists())


def read(folder: Path) -> list[Figure]:
    """Return the figures of all scripts in a folder, sorted by file.

    Raises:
        KeyError: a script lacks one of the four literals.
    """
    found = []
    for path in sorted(folder.glob("[a-z]*.py")):
        head = literals(path)
        for rule, own in head["FIGURES"].items():
            common = {"section": head["SECTION"], "reads": head["READS"], "needs": head["NEEDS"]}
            found.append(Figure(rule=rule, script=path.stem, **common, **own))
    return sorted(found, key=lambda figure: figure.file)


def of_run(run: "Run", known: list[Figure]) -> list[Figure]:
    """The figures with one for each task of a study in place of those that say so."""
    found = []
    for own in known:
        for number, task in enumerate(run.study_tasks(own.study) if own.each else []):
            named = {"rule": f"{own.rule}_{task}", "file": f"{own.file}_{task}", "task": number}
            found.append(replace(own, title=f"{own.title}: {task}", **named))
        found += [] if own.each else [own]
    return found


def literals(path: Path) -> dict:
    """The literals at the head of a script, by name."""
    found = {}
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
            name = node.targets[0].id
            if name in HEAD:
                found[name] = ast.literal_eval(node.value)
    missing = [name for name in HEAD if name not in found]
    if missing:
        raise KeyError(f"{path} does not assign {', '.join(missing)}")
    return found


def tasks_of(run: "Run", figure: Figure) -> list[str]:
    """The tasks of a figure, the run's unless it has its own."""
    if figure.tasks == "fig2":
        return run.cost_gap_tasks
    return [run.config["figures"][figure.tasks]["task"]] if figure.tasks else run.tasks


def task_of(run: "Run", figure: Figure) -> str:
    """The one task of a figure: the config's, or a study's first, second ...; or `none`."""
    own = tasks_of(run, figure) if figure.task is None else run.study_tasks(figure.study)
    place = figure.task or 0
    return own[place] if place < len(own) else "none"


def inputs(run: "Run", figure: Figure) -> dict[str, list[str]]:
    """Option of the script -> the files that it is given; none where the run has none."""
    return {name: _paths(run, figure, pattern) for name, pattern in figure.reads.items()}


def _paths(run: "Run", figure: Figure, pattern: str) -> list[str]:
    if pattern.startswith("workflow/"):
        return [str(run.from_root(pattern))]
    if pattern == "tables/dataset_statistics.csv" and run.own_data:
        return []
    if pattern.startswith("tables/studies/"):
        return run.study_table(figure.study)
    if pattern.startswith("tables/curves/"):
        return run.curves_table(figure.study)
    if pattern.startswith("tables/pareto"):
        return run.trade_off(Path(pattern).stem)
    if "{candidate}" in pattern:
        jobs = (job for task in run.tasks for job in run.candidates(task, followed=True))
        return [f"{run.folder}/{pattern.format(candidate=job)}" for job in jobs]
    tasks = tasks_of(run, figure) if "{task}" in pattern else [""]
    tasks = [task for task in tasks if not task or task in run.tasks]
    if pattern.startswith("episodes/main/"):  # of a job, which may be none of the run's
        job = pattern.removeprefix("episodes/").removesuffix(".parquet")
        tasks = [task for task in tasks if job.format(task=task) in run.arms]
    return [f"{run.folder}/{pattern.format(task=task)}" for task in tasks]


def facts(run: "Run", figure: Figure) -> dict[str, object]:
    """The facts that a figure needs, by the names of its script's options.

    Raises:
        KeyError: a script needs what is no fact.
    """
    config, study = run.config, figure.study
    fixed = config["studies"][study]["fixed"] if study in run.studies else {}
    own = config["figures"].get(figure.tasks, {})
    known = {
        "task": task_of(run, figure) if figure.tasks or figure.task is not None else None,
        "tau": own.get("tau"),
        "draw": own.get("draw"),
        "study": study,
        "suite": figure.suite,
        "tasks": as_json(run.tasks_of_suite(figure.suite)),
        "thresholds": run.thresholds(),
        "episodes": config["evaluation"]["curves"]["episodes"],
        "sizes": as_json({name: config["split"][name] for name in SIZES}),
        "fixed": as_json(fixed),
        "source": run.data_note(),
    }
    return {name: known[name] for name in figure.needs if known[name] is not None}


def options(run: "Run", figure: Figure) -> list[str]:
    """The options of a figure's script."""
    words = []
    for name, paths in inputs(run, figure).items():
        words += [f"--{name}", *paths]
    for name, value in facts(run, figure).items():
        words += [f"--{name}", str(value)]
    return words


def shows(run: "Run", figure: Figure) -> bool:
    """Whether the run has something to show in a figure."""
    of_own_policy = figure.section == "Your policy"
    needed = [*inputs(run, figure).values()]
    if any("{candidate}" in pattern for pattern in figure.reads.values()):
        needed += [run.candidates(task, followed=True) for task in run.tasks]
    if figure.suite:
        needed.append(run.tasks_of_suite(figure.suite))
    return (
        of_own_policy == bool(run.own_policies)
        and set(figure.methods) <= set(run.config["studies"]["main"]["methods"])
        and all(needed)
        and (run.timing_is_asked or "tables/timing.csv" not in figure.reads.values())
        and (figure.task is None or task_of(run, figure) != "none")
    )


def page_settings(run: "Run") -> str:
    """What the report needs of the config, and its figures, section by section."""
    shown = [own for own in run.figures() if shows(run, own)]
    told = [
        {
            "file": own.file,
            "title": own.title,
            "section": own.section,
            "caption": Path(own.caption(run.root / "workflow/report")).stem,
            "params": facts(run, own),
        }
        for own in sorted(shown, key=lambda own: SECTIONS.index(own.section))
    ]
    return as_json({"config": run.config, "figures": told})
