"""Tables as Markdown, HTML and LaTeX."""

import re
from collections.abc import Iterable
from string import Template

import numpy as np
import pandas as pd

from prefine.analysis.names import columns_of, marks_note, method_label, method_order, source_note
from prefine.files import template
from prefine.tasks import SUITES, TASKS

PAGE = Template(template(__file__, ".html").template.replace("\n", "") + "\n")  # in one line


def _cells(table: pd.DataFrame, render) -> list[list[str]]:
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


def _score_text(cell: pd.Series, opening: str, closing: str) -> str:
    """Reward and cost of a cell: marked if safe, a star if the best safe one."""
    text = " / ".join(_scores(cell, " ± "))
    text = f"{opening}{text}{closing}" if cell["safe"] else text
    return text + (" ★" if cell["best_safe"] else "") + ("†" if cell["missing"] else "")


def table1_markdown(table: pd.DataFrame) -> str:
    """Render Table 1: bold is safe, a star marks the best safe reward of the task."""
    return markdown(_cells(table, lambda cell: _score_text(cell, "**", "**")), caption(table))


def table1_html(table: pd.DataFrame) -> str:
    """Render Table 1 as a page for the report."""
    lines = _cells(table, lambda cell: _score_text(cell, "<b>", "</b>"))
    return html_page("Table 1", lines, caption(table))


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

    lines = _cells(table, render)
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


def html_page(title: str, lines: list[list[str]], note: str) -> str:
    """Build a page that needs nothing else: the first line is the heading of the table.

    Cells are HTML already; they come from numbers and names of this project.
    """
    lines = [[_unbroken(cell) for cell in line] for line in lines]
    head = "".join(f"<th>{cell.replace('π_ref', 'π<sub>ref</sub>')}</th>" for cell in lines[0])
    rows = "".join(
        "<tr>" + "".join(f"<td>{cell}</td>" for cell in line) + "</tr>" for line in lines[1:]
    )
    return PAGE.substitute(title=title, head=head, rows=rows, note=note)


def _unbroken(cell: str) -> str:
    """Keep numbers with their %, ± and intervals in one line."""
    space = "\N{NO-BREAK SPACE}"
    cell = re.sub(r"(?<=\d) %", f"{space}%", cell).replace(" ± ", f"{space}±{space}")
    cell = cell.replace(" / ", f"{space}/ ")
    return re.sub(r"\[[^\[\]\n<>]{,30}\]", lambda found: found[0].replace(" ", space), cell)


def _statistics_lines(table: pd.DataFrame) -> list[list[str]]:
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


def dataset_statistics_markdown(table: pd.DataFrame) -> str:
    """Render Tables 2 and 3."""
    return markdown(_statistics_lines(table), _statistics_note(table))


def dataset_statistics_html(table: pd.DataFrame) -> str:
    """Render Tables 2 and 3 as a page for the report."""
    title = "Tables 2 and 3: dataset statistics"
    return html_page(title, _statistics_lines(table), _statistics_note(table))


def _statistics_note(table: pd.DataFrame) -> str:
    return f"In brackets the paper's numbers, on DSRL's data. {source_note(table['source'])}"


def _likeness_lines(table: pd.DataFrame) -> list[list[str]]:
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
    shares = {"reference_reward": "reward D_ref", "reference_cost": "cost D_ref / τ"}
    parts = [
        _beside_paper(table, columns, digits)
        for columns, digits in ((sizes, 0), (sets, 1), (shares, 2))
    ]
    return [[*a, *b, *c] for a, b, c in zip(*parts, strict=True)]


def _likeness_note(table: pd.DataFrame) -> str:
    return (
        "In brackets DSRL's numbers and, of D_p, D_np and D_ref, the paper's; of D_ref what "
        f"π_ref reaches in Table 1. {source_note(table['source'])}"
    )


def likeness_markdown(table: pd.DataFrame) -> str:
    """Render the datasets beside DSRL's."""
    return markdown(_likeness_lines(table), _likeness_note(table))


def likeness_html(table: pd.DataFrame) -> str:
    """Render the datasets beside DSRL's as a page for the report."""
    return html_page("Datasets beside DSRL's", _likeness_lines(table), _likeness_note(table))
