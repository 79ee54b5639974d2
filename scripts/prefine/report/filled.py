"""Pages whose numbers come from the tables of a published result.

A page says where: ``<!-- =prefine.safe -->8<!-- = -->`` is a number within a text, and the same
around lines a table. What stands between is replaced by what the result's tables say.
"""

import difflib
import re
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

import pandas as pd

from prefine import frames, reading
from prefine.analysis.claims import verdict as verdicts
from prefine.analysis.names import method_label, method_order
from prefine.errors import UserError
from prefine.report import answer, areas
from prefine.report.tables import markdown
from prefine.tasks import TASKS

PLACE = re.compile(r"<!-- =([\w.]+) -->(.*?)<!-- = -->", re.DOTALL)
RUN_NOTE = (
    "Iterations of a run. Protocol: what config.yaml asks for; SafeMIL's publication has "
    "1,000,000, SafeDICE's 1,100,000. Minutes: of a job, the median over tasks."
)
MISSING = "not yet"  # where nothing was published
WORDS = {"holds": verdicts.HOLDS, "fails": verdicts.FAILS}
WORDS |= {"small": verdicts.SMALL, "open": verdicts.OPEN}


def fill(page: str, known: Mapping[str, str]) -> str:
    """Put what is known into a page; text of several lines stands in lines of its own.

    Args:
        known: name -> text; empty where nothing was published.

    Raises:
        UserError: a page names what no table says.
    """

    def text(found: re.Match) -> str:
        name, lines = found[1], "\n" in found[2]
        if known and name not in known:
            near = difflib.get_close_matches(name, known, n=1, cutoff=0.0)
            raise UserError(f"no table says {name!r}; did you mean {near[0]!r}?")
        own = known.get(name, MISSING)
        return f"<!-- ={name} -->\n{own.strip()}\n<!-- = -->" if lines else (
            f"<!-- ={name} -->{own}<!-- = -->"
        )  # fmt: skip

    return PLACE.sub(text, page)


def known(folder: Path, paper: Path) -> dict[str, str]:
    """Every number and table of a published result, by name; nothing if there is none.

    Args:
        folder: results/{run}.
        paper: the paper's Table 1.
    """
    if not (folder / "tables/table1.csv").exists():
        return {}
    table1 = frames.read_csv(folder / "tables/table1.csv").fillna({"missing": ""})
    parts: Iterable[Callable[[], dict[str, str]]] = (
        lambda: _whole(folder),
        lambda: _methods(table1, _iterations(folder)),
        lambda: _cells(table1),
        lambda: {"beside_paper": beside_paper(table1, frames.read_csv(paper))},
        lambda: _claims(folder),
        lambda: _finished(folder),
        lambda: _flatness(folder),
        lambda: _studies(folder),
        lambda: _areas(folder),
    )
    return {name: text for part in parts for name, text in part().items()}


def _iterations(folder: Path) -> dict[str, float]:
    path = folder / "tables/runs.csv"
    runs = frames.read_csv(path)
    return runs.groupby("method")["train_iterations"].max().to_dict()


def _whole(folder: Path) -> dict[str, str]:
    """Tables as the run wrote them."""
    paths = {path.stem: path for path in sorted((folder / "tables").glob("*.md"))}
    return {name: reading.read_text(path, reading.TABLE) for name, path in paths.items()}


def _methods(table1: pd.DataFrame, iterations: Mapping[str, float]) -> dict[str, str]:
    """``{method}.safe`` and so on, and a row a method."""
    rows, found = answer.of_methods(table1, iterations), {}
    lines = [["Method", "safe on", "surely", "reward", "cost", "reward kept", "best safe on"]]
    for row in rows:
        numbers = {name: str(row[name]) for name in ("tasks", "safe", "sure", "unsafe", "best")}
        numbers |= {name: f"{row[name]:.2f}" for name in ("reward", "cost")}
        kept = f"{100 * row['kept']:.0f} %" if pd.notna(row["kept"]) else "–"
        numbers |= {"kept": kept, "seeds": str(row["seeds"]), "episodes": str(row["episodes"])}
        count = row["iterations"]
        numbers["iterations"] = f"{count:,.0f}" if pd.notna(count) else "–"
        found |= {f"{row['method']}.{name}": text for name, text in numbers.items()}
        safe = f"{row['safe']} of {row['tasks']}"
        middle = [safe, numbers["sure"], numbers["reward"], numbers["cost"], kept]
        lines.append([row["label"], *middle, numbers["best"]])
    note = "Means over the tasks that were run; normalised as in Table 1. Surely: by the whole 95 %"
    note += f" interval of the cost. {answer.headline(rows)} {answer.certainty(rows)}"
    return found | {"methods": markdown(lines, note), "headline": answer.headline(rows)}


def _cells(table1: pd.DataFrame) -> dict[str, str]:
    """``{task}.{method}.reward`` and ``cost``."""
    rows = table1[table1["reward"].notna()].to_dict("records")
    return {
        f"{row['task']}.{row['method']}.{score}": f"{row[score]:.2f}"
        for row in rows
        for score in ("reward", "cost")
    }


def _scores(reward: float, cost: float) -> str:
    """Reward and cost; bold is safe."""
    text = f"{reward:.2f} / {cost:.2f}"
    return f"**{text}**" if cost <= 1 else text


def _by_task(tasks: Iterable[str], columns: Mapping, cells: Mapping[tuple, str]) -> list[list[str]]:
    """A heading row, then a row a task of DSRL; a dash where nothing is known.

    Args:
        columns: key of a column -> its heading.
        cells: (task, key) -> text.
    """
    lines = [["Task", *columns.values()]]
    for task in [name for name in TASKS if name in set(tasks)]:
        lines.append([task, *(cells.get((task, key), "–") for key in columns)])
    return lines


def beside_paper(table1: pd.DataFrame, paper: pd.DataFrame) -> str:
    """Our reward / cost of the paper's methods, the paper's in brackets; bold is safe."""
    methods = method_order(set(table1["method"]) & set(paper["method"]))
    ours, theirs = (
        {
            (row.task, row.method): _scores(row.reward, row.cost)
            for row in table.dropna(subset="cost").itertuples()
        }
        for table in (table1, paper)
    )
    both = {
        (task, method): f"{ours.get((task, method), '–')} ({theirs.get((task, method), '–')})"
        for task in table1["task"]
        for method in methods
    }
    columns = {method: method_label(method) for method in methods}
    note = (
        "Normalised reward / cost, in brackets the paper's, on DSRL's data. Bold: cost at most 1."
    )
    return markdown(_by_task(table1["task"], columns, both), note)


def _claims(folder: Path) -> dict[str, str]:
    """``claims.holds`` and so on; ``claim.{name}.ours``, ``low``, ``high``, ``verdict``."""
    if not (folder / "tables/claims.csv").exists():
        return {}
    table = frames.read_csv(folder / "tables/claims.csv")
    counts = table["verdict"].value_counts()
    found = {f"claims.{name}": str(counts.get(word, 0)) for name, word in WORDS.items()}
    found["claims.all"] = str(len(table))
    for row in table.to_dict("records"):
        for name in ("ours", "low", "high"):
            known = pd.notna(row[name])
            text = verdicts.written(row[name], bool(row["percent"])) if known else "–"
            found[f"claim.{row['claim']}.{name}"] = text
        found[f"claim.{row['claim']}.verdict"] = row["verdict"]
    return found


def _finished(folder: Path) -> dict[str, str]:
    """What was run, for how long; what was not."""
    if not (folder / "tables/finished.csv").exists():
        return {}
    table = frames.read_csv(folder / "tables/finished.csv")
    lines = [["Method", "runs", "tasks", "iterations", "protocol", "share", "minutes a task"]]
    main = table[table["study"] == "main"]
    for method in method_order(main["method"]):
        own = main[main["method"] == method]
        there = own[own["made"] > 0]
        length, published = there["iterations"].max(), own["iterations_published"].max()
        long = [f"{length:,.0f}", f"{published:,}", f"{100 * length / published:.1f} %"]
        minutes = f"{there['seconds'].median() / 60:.1f}"
        counts = [f"{own['made'].sum()} of {own['asked'].sum()}", f"{len(there)} of {len(own)}"]
        told = [*long, minutes] if len(there) else ["–", f"{published:,}", "–", "–"]
        lines.append([method_label(method), *counts, *told])
    gone = table[table["made"] < table["asked"]]
    parts = []
    for (study, method), own in gone.groupby(["study", "method"], sort=False):
        rows = zip(own["task"], own["made"], own["asked"], strict=True)
        tasks = [task if not made else f"{task} ({made} of {asked})" for task, made, asked in rows]
        parts.append(f"* {method_label(method)}, study `{study}`: {', '.join(tasks)}")
    main_tasks = main.groupby("task")["made"].sum()
    return {
        "finished": markdown(lines, RUN_NOTE),
        "not_run": "\n".join(parts) + "\n" if parts else "Everything that was asked for was run.\n",
        "runs.made": str(table["made"].sum()),
        "runs.asked": str(table["asked"].sum()),
        "tasks.made": str((main_tasks > 0).sum()),
        "tasks.asked": str(len(main_tasks)),
    }


def _flatness(folder: Path) -> dict[str, str]:
    """The last change of each learning curve; ``flat.{method}.{score}`` counts the flat ones."""
    if not (folder / "tables/flatness.csv").exists():
        return {}
    table, found = frames.read_csv(folder / "tables/flatness.csv"), {}
    columns = [(m, s) for m in method_order(table["method"]) for s in ("reward", "cost")]
    cells = {}
    for row in table.itertuples():
        interval = "" if pd.isna(row.low) else f" [{row.low:.2f}, {row.high:.2f}]"
        text = f"{row.verdict}: {row.change:+.2f}{interval}"
        cells[row.task, (row.method, row.score)] = text
    heads = {(method, score): f"{method_label(method)}: {score}" for method, score in columns}
    lines = _by_task(table["task"], heads, cells)
    for method, score in columns:
        own = table[(table["method"] == method) & (table["score"] == score)]
        found[f"flat.{method}.{score}"] = str((own["verdict"] == "flat").sum())
        found[f"flat.{method}.tasks"] = str(own["task"].nunique())
    limits = table.groupby("score")["within"].first()
    note = "Change of the normalised score between the last two evaluated points, with its 95 % "
    note += "interval over runs. Flat: the whole interval is within "
    note += " and ".join(f"±{limits[s]:g} ({s})" for s in ("reward", "cost") if s in limits)
    return found | {"flatness": markdown(lines, f"{note}; moves: it does not reach zero.")}


def _areas(folder: Path) -> dict[str, str]:
    """The test of Endorse."""
    paths = folder / "tables/runs.csv", folder / "tables/studies/likelihood.csv"
    if not all(path.exists() for path in paths):
        return {}
    return areas.filled(*map(frames.read_csv, paths))


def _studies(folder: Path) -> dict[str, str]:
    """``study.{name}``, variants beside each other; ``{name}.{method}.{variant}.safe``, ..."""
    found = {}
    for path in sorted((folder / "tables/studies").glob("*.csv")):
        runs = frames.read_csv(path)
        if "variant" not in runs or runs["variant"].nunique() < 2:
            continue
        of_task, all_tasks = variants(runs)
        found[f"study.{path.stem}"] = of_task
        for (method, variant), row in all_tasks.iterrows():
            start = f"{path.stem}.{method}." + re.sub(r"\W", "_", variant)
            found[f"{start}.safe"] = str(int(row["safe"]))
            found |= {f"{start}.{name}": f"{row[name]:.2f}" for name in ("reward", "cost")}
    return found


def variants(runs: pd.DataFrame) -> tuple[str, pd.DataFrame]:
    """What each variant of a study comes to: a table by task, and means over tasks by variant.

    Args:
        runs: a study's table, one row a run; the reference has no variant.

    Returns:
        Markdown, and a row a method and variant: safe (tasks), reward, cost.
    """
    of_task = (
        runs.dropna(subset=["variant"])
        .groupby(["task", "method", "variant"], sort=False)[
            ["normalized_return", "normalized_cost"]
        ]
        .mean()
        .set_axis(["reward", "cost"], axis=1)
    )
    of_task["safe"] = of_task["cost"] <= 1
    whole = of_task.groupby(["method", "variant"], sort=False)
    means = whole[["reward", "cost"]].mean().assign(safe=whole["safe"].sum())
    cells = {
        (task, tuple(key)): _scores(row["reward"], row["cost"])
        for (task, *key), row in of_task.iterrows()
    }
    heads = {
        (method, variant): f"{method_label(method)}, {variant}" for method, variant in means.index
    }
    lines = _by_task(runs["task"], heads, cells)
    ends = [f"{r:.2f} / {c:.2f}, safe on {n:.0f}" for r, c, n in means.to_numpy()]
    lines.append(["all", *ends])
    note = "Normalised reward / cost, mean over runs; bold: safe. config: as in Table 1."
    return markdown(lines, note), means
