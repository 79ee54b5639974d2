"""Tables as lines of cells, Markdown and LaTeX."""

from collections.abc import Iterable

import numpy as np
import pandas as pd

from prefine.analysis.likeness import COST, FACTOR, REWARD, SHARE
from prefine.analysis.names import (
    columns_of,
    marks_note,
    method_label,
    method_order,
    source_note,
)
from prefine.tasks import SUITES, TASKS

OWN_NAMES = {
    "original": "your policy",
    "before": "your policy",
    "distilled": "your policy, distilled",
    "after": "after PREFINE",
    "control": "BC from it on the preferred alone",
}
OVER = ("over_controls", "over_cloning")
OWN_HEADING = ["Task", "Policy", "Return", "Cost", "Return kept", "Cost left", "Episodes"]


def table1_lines(table: pd.DataFrame, render) -> list[list[str]]:
    """Lay Table 1 out: a heading row, then suites and tasks; a cell without runs is missing."""
    methods = columns_of(table)
    others = set(table.loc[table["outside"].astype(bool), "method"])
    lines = [["Task", *methods.values()]]
    for suite in (s for s in SUITES if s in set(table["suite"])):
        lines.append([SUITES[suite], *("" for _ in methods)])
        own = table[table["suite"] == suite]
        names = [*TASKS, *own["task"]]
        for task in (t for t in dict.fromkeys(names) if t in set(own["task"])):
            label = own.loc[own["task"] == task, "label"].iloc[0]
            there = (own["runs"] > 0) | own["outside"].astype(bool)
            cells = own[(own["task"] == task) & there].set_index("method")
            texts = [
                render(cells.loc[m]) if m in cells.index else "–" if m in others else "missing"
                for m in methods
            ]
            lines.append([f"{task} ({label})", *texts])
    return lines


def _number(value: float, std: float, plus_minus: str) -> str:
    if np.isnan(value):
        return "–"
    return f"{value:.2f}" if np.isnan(std) else f"{value:.2f}{plus_minus}{std:.2f}"


def _scores(cell: pd.Series, plus_minus: str) -> list[str]:
    """Reward and cost; without a cost limit the cost as it is, in brackets."""
    if np.isnan(cell["cost"]) and not np.isnan(cell["raw_cost"]):
        return [
            _number(cell["reward"], cell["reward_std"], plus_minus),
            f"({cell['raw_cost']:.1f})",
        ]
    names = ("reward", "cost")
    return [_number(cell[name], cell[f"{name}_std"], plus_minus) for name in names]


def score_text(cell: pd.Series, opening: str, closing: str) -> str:
    """Reward and cost of a cell: marked if safe, a star if the best safe one."""
    text = " / ".join(_scores(cell, " ± "))
    text = f"{opening}{text}{closing}" if cell["safe"] else text
    return text + (" ★" if cell["best_safe"] else "") + ("†" if cell["missing"] else "")


def table1_markdown(table: pd.DataFrame) -> str:
    """Render Table 1: bold is safe, a star marks the best safe reward of the task."""
    return markdown(table1_lines(table, lambda cell: score_text(cell, "**", "**")), caption(table))


def caption(table: pd.DataFrame) -> str:
    """Say what the numbers of Table 1 are."""
    marks, table = marks_note(table), table[~table["outside"].astype(bool)]
    text = (
        "Normalised reward / normalised cost (kappa = tau), mean ± standard deviation over seeds "
        f"({table['seeds'].max():.0f} seeds, {table['episodes'].min():.0f} episodes a run, "
        f"{table['action_mode'].iloc[0]} actions). Bold: safe (cost ≤ 1). "
        f"★: best safe reward. {source_note(table['source'])}"
    )
    text += marks
    if (table["cost"].isna() & (table["runs"] > 0)).any():
        text += " In brackets: the cost itself where there is no limit; –: no costs."
    gaps = table.loc[table["missing"] != "", ["task", "missing", "method"]]
    if len(gaps):
        text += f" † or missing: {gaps_text(gaps, table['method'])}."
    return text


def gaps_text(gaps: pd.DataFrame, everyone: Iterable[str]) -> str:
    """Say what is missing: a line a (task, reason), with the methods that lack it.

    Args:
        gaps: columns task, missing (the reason), method.
        everyone: all methods of the table or figure.
    """
    places = []
    for (task, reason), own in gaps.groupby(["task", "missing"], sort=False)["method"]:
        named = ", ".join(method_label(method) for method in method_order(own))
        names = "all methods" if set(own) == set(everyone) else named
        places.append(f"{task} ({names}): {reason}")
    return "; ".join(places)


def table1_latex(table: pd.DataFrame) -> str:
    """Render Table 1 for LaTeX: bold is safe, blue the best safe reward (paper's Table 1)."""

    def render(cell: pd.Series) -> str:
        text = " / ".join(_scores(cell, r"{\scriptsize$\pm$}"))
        text = rf"\textbf{{{text}}}" if cell["safe"] else text
        text = rf"\textcolor{{blue}}{{{text}}}" if cell["best_safe"] else text
        return text + (r"$^\dagger$" if cell["missing"] else "")

    lines = table1_lines(table, render)
    marks = {"π_ref": r"$\pi_\mathrm{ref}$", "‡": r"$^\ddagger$", "§": r"$^\S$"}
    rows = [" & ".join(line) + r" \\" for line in lines]
    for sign, mark in marks.items():
        rows = [row.replace(sign, mark) for row in rows]
    note = caption(table).translate({ord("±"): r"$\pm$", ord("≤"): r"$\le$"})
    note = note.replace("‡", r"$\ddagger$").replace("§", r"\S{}")
    note = note.replace("★: best safe reward", "Blue: best safe reward").replace("†", r"$\dagger$")
    columns = "l" + "c" * (len(lines[0]) - 1)
    return "\n".join(
        [
            r"% \usepackage{booktabs,xcolor}",
            rf"\begin{{tabular}}{{{columns}}}",
            r"\toprule",
            rows[0],
            r"\midrule",
            *rows[1:],
            r"\bottomrule",
            r"\end{tabular}",
            rf"% {note}",
            "",
        ]
    )


def statistics_lines(table: pd.DataFrame) -> list[list[str]]:
    """Lay Tables 2 and 3 out: a heading row, then tasks; the paper's numbers in brackets."""
    columns = {
        "task": "Task",
        "trajectories": "trajectories",
        "max_cost": "max. cost",
        "n_preferred": "#D_p",
        "n_nonpreferred": "#D_np",
        "mean_cost_preferred": "cost D_p",
        "mean_cost_nonpreferred": "cost D_np",
        "mean_return_preferred": "return D_p",
        "mean_return_nonpreferred": "return D_np",
        "mean_return_reference": "return D_ref",
        "mean_cost_reference": "cost D_ref",
    }
    lines = _beside_paper(table, columns)
    shares = [f"{100 * x:.2f} %" if pd.notna(x) else "–" for x in table["cost_agreement"]]
    return [[*line, end] for line, end in zip(lines, ["costs agree", *shares], strict=True)]


def _beside_paper(table: pd.DataFrame, columns: dict[str, str], digits: int = 1) -> list[list[str]]:
    """A heading row and one row a task; behind a number the paper's (``paper_{column}``)."""
    lines = [[*columns.values()]]
    for row in table.to_dict("records"):
        line = []
        for name in columns:
            value = row[name]
            text = f"{value:.{digits}f}" if isinstance(value, float) else str(value)
            text = "–" if pd.isna(value) else text
            own = row.get(f"paper_{name}", np.nan)
            line.append(text if pd.isna(own) else f"{text} ({own:.{digits}f})")
        lines.append(line)
    return lines


def markdown(lines: list[list[str]], note: str) -> str:
    body = ["| " + " | ".join(line) + " |" for line in lines]
    body.insert(1, "|" + "---|" * len(lines[0]))
    return "\n".join([*body, "", note, ""])


def statistics_note(table: pd.DataFrame) -> str:
    """Say what the numbers of Tables 2 and 3 are."""
    return f"In brackets the paper's numbers, on DSRL's data. {source_note(table['source'])}"


def likeness_lines(table: pd.DataFrame) -> list[list[str]]:
    """Lay the datasets out beside DSRL's; sizes are whole, shares have two digits."""
    sizes = {
        "task": "Task",
        "trajectories": "trajectories",
        "max_cost": "max. cost",
        "min_return": "least return",
        "max_return": "largest return",
    }
    sets = {
        "mean_return_preferred": "return D_p",
        "mean_cost_preferred": "cost D_p",
        "mean_return_nonpreferred": "return D_np",
        "mean_cost_nonpreferred": "cost D_np",
    }
    shares = {
        "reference_reward": "reward π_ref",
        "reference_cost": "cost π_ref / τ",
    }
    parts = [
        _beside_paper(table, columns, digits)
        for columns, digits in ((sizes, 0), (sets, 1), (shares, 2))
    ]
    named = sets | shares
    ends = [["out of bounds", "fewest safe / unsafe"]]
    for row in table.to_dict("records"):
        wrong = row["out_of_bounds"] if pd.notna(row["out_of_bounds"]) else ""
        told = ", ".join(named[name] for name in wrong.split(", ") if name) or "–"
        known = told if pd.notna(row["paper_reference_cost"]) else "not in the paper"
        ends.append([known, f"{row['n_safe']} / {row['n_unsafe']}"])
    return [
        [task, wrong, *a, *b, *c, fewest]
        for (task, *a), b, c, (wrong, fewest) in zip(*parts, ends, strict=True)
    ]


def likeness_note(table: pd.DataFrame) -> str:
    """Say what the numbers beside DSRL's are."""
    return (
        "In brackets DSRL's numbers and, of D_p, D_np and π_ref, the paper's. Sets are drawn as in "
        "the paper, means over its three thresholds; π_ref acts without noise. Fewest: at one of "
        f"the three. Out of bounds: beyond {SHARE:.0%} of D_p's return or D_np's cost, {COST} of "
        f"D_p's cost, {REWARD} of π_ref's reward, or a factor of {FACTOR} of its cost. "
        f"{source_note(table['source'])}"
    )


def _named(who: str, everybody: set[str]) -> str:
    """What the table calls a policy; where it had to be distilled, pi_ref is not yours."""
    if who == "before" and "original" in everybody:
        who = "distilled"
    return OWN_NAMES.get(who, f"after PREFINE, {who}")


def _with_interval(row: pd.Series, name: str, style: str) -> str:
    """A number with its interval."""
    value, low, high = (row.get(key, np.nan) for key in (name, f"{name}_low", f"{name}_high"))
    if np.isnan(value):
        return "–"
    interval = "" if np.isnan(low) else f" [{low:{style}}, {high:{style}}]"
    return f"{value:{style}}{interval}"


def before_after_lines(table: pd.DataFrame) -> list[list[str]]:
    """A heading row, then one row a task and policy."""
    found = [OWN_HEADING]
    for (task, who), own in table.groupby(["task", "who"], sort=False):
        everybody = set(table.loc[table["task"] == task, "who"])
        row = {score: of.iloc[0] for score, of in own.groupby("score")}
        found.append(
            [
                task,
                _named(who, everybody),
                *(_with_interval(row[score], "mean", ".1f") for score in ("return", "cost")),
                *(_with_interval(row[score], "share", ".0%") for score in ("return", "cost")),
                str(row["cost"]["episodes"]),
            ]
        )
    return found


def hypervolume_lines(table: pd.DataFrame, choice: pd.DataFrame) -> list[list[str]]:
    """A heading row, then one row a front: its hypervolume on each task, and what choosing gives.

    Args:
        table, choice: what ``analysis.pareto`` makes.
    """
    tasks = [*dict.fromkeys(table["task"])]
    total = tasks[-1:]  # the mean over tasks
    heading = ["Front", "Points", *tasks, "over the controls", "over BC from π_ref", "chosen"]
    found = [heading if len(table) else ["Front"]]
    for name, own in table.groupby("front", sort=False):
        cells = {row["task"]: row for _, row in own.iterrows()}
        line = [own["label"].iloc[0], f"{own['points'].max():.0f}"]
        line += [_cell_of(cells.get(task), "hypervolume") for task in tasks]
        line += [_cell_of(cells.get(t), key) for t in total for key in OVER]
        last = choice[(choice["front"] == name) & (choice["k"] == choice["points"])]
        scores = f"{last['score'].mean():.2f} of {last['oracle'].mean():.2f}" if len(last) else "–"
        found.append([*line, scores])
    return found


def _cell_of(row: pd.Series | None, name: str) -> str:
    return "–" if row is None else _with_interval(row, name, ".2f")


def hypervolume_note(table: pd.DataFrame, choice: pd.DataFrame) -> str:
    """Say what the numbers of the fronts are."""
    if table.empty:
        return "No front: without a cost limit there is none."
    each = choice["episodes"].sum() / choice["k"].sum() if len(choice) else 0
    return (
        "Hypervolume inside the limit: the mean over budgets from 0 to τ of the best normalised "
        "reward of a point of the front whose mean cost is within the budget; 95 % intervals, "
        "paired by seed where fronts are compared; π_ref's point belongs to every front. The "
        "controls are BC stopped early and actions mixed of π_ref's and BC's, as one front. "
        "chosen: the mean reward, 0 where the cost is above τ, of the point that each run chooses "
        f"by {each:.0f} validation episodes a point, of what it would be with the best choice. "
        f"{source_note(table['source'])}"
    )
