"""From episodes to the tables: one row a run, then Table 1 (methods 6, "Aggregation")."""

import itertools
import re
from collections.abc import Iterable, Mapping

import numpy as np
import pandas as pd

from prefine.analysis import metrics, statistics
from prefine.analysis.scores import complete_seeds, described, made
from prefine.methods import REFERENCE
from prefine.streams import generator
from prefine.tasks import SUITES, TASKS, Task

IDENTITY = ("study", "task", "method", "arm", "draw", "seed")
SPREAD = ("std", "se", "low", "high")

METHOD_LABELS = {
    REFERENCE: "π_ref",
    "bc": "BC",
    "bc_from_reference": "BC from π_ref",
    "dpo": "DPO",
    "ppl": "PPL",
    "safedice": "SafeDICE",
    "cpq": "CPQ",
    "prefine": "PREFINE",
}
SOURCE_LABELS = {
    "collect": "collected locally in the simulators; these are not DSRL's numbers.",
    "dsrl": "DSRL (Liu et al., 2024).",
    "file": "the user's own.",
    "policy": "rollouts of the user's own policy.",
}


def method_label(method: str) -> str:
    """Return the name that figures and tables print."""
    return METHOD_LABELS.get(method, method)


def method_order(methods: Iterable[str]) -> list[str]:
    """Sort as the paper does: the reference first, PREFINE last."""
    known = list(METHOD_LABELS)
    return sorted(
        set(methods), key=lambda m: (known.index(m) if m in known else len(known) - 1.5, m)
    )


def source_note(sources: Iterable[str]) -> str:
    """Say in one line where the data of a table or figure come from."""
    return " ".join(f"Data: {SOURCE_LABELS.get(s, s)}" for s in sorted(set(sources)))


def runs_table(
    episodes: Iterable[pd.DataFrame],
    training: Iterable[pd.DataFrame],
    manifests: Mapping[str, dict],
) -> pd.DataFrame:
    """Reduce episodes to one row a run and iteration, normalised with kappa = tau of the run.

    The reference policy knows no threshold: it gets one row for each threshold of its task.
    """
    columns = ["run", "phase", "iteration", "seconds"]
    logs = pd.concat([log[columns] for log in training] or [pd.DataFrame(columns=columns)])
    seconds = logs.groupby("run")["seconds"].max()
    iterations = logs.groupby(["run", "phase"])["iteration"].max().groupby("run").sum()
    rows = []
    for table in episodes:
        for (run, iteration), own in table.groupby(["run", "iteration"], sort=False):
            first = own.iloc[0]
            manifest = manifests[first["task"]]
            task = Task(**manifest["task"])
            identity = {name: first.get(name) for name in IDENTITY}
            cells = [cell["tau"] for cell in manifest["cells"] if cell["feasible"]]
            for tau in dict.fromkeys(cells) if first["method"] == REFERENCE else [first["tau"]]:
                tau = np.nan if tau is None else tau  # sets that come from labels have none
                rows.append(
                    {"run": run, "suite": task.suite, "label": task.label, "tau": tau}
                    | identity
                    | {"iteration": iteration}
                    | {"action_mode": first["action_mode"], "source": manifest["source"]}
                    | metrics.summarize(own, task, tau)
                    | {"train_iterations": iterations.get(run, np.nan)}
                    | {"train_seconds": seconds.get(run, np.nan)}
                )
    first = ["run", "study", "suite", "task", "label", "method", "arm", "tau", "draw", "seed"]
    table = pd.DataFrame(rows).astype({"tau": "Int64"})
    return table[first + [c for c in table.columns if c not in first]]


def add_hyperparameters(runs: pd.DataFrame, plans: Iterable[pd.DataFrame]) -> pd.DataFrame:
    """Put the hyper-parameters of the plans behind the columns that identify a run."""
    identity = [*IDENTITY, "tau", "stream"]
    table = pd.concat(plans, ignore_index=True).drop(columns=identity)
    merged = runs.merge(table, on="run", how="left")
    hyper = [c for c in table.columns if c != "run"]
    first = list(runs.columns[: list(runs.columns).index("seed") + 1])
    return merged[first + hyper + [c for c in merged.columns if c not in first + hyper]]


def table1(runs: pd.DataFrame, expected: Mapping[str, list[int]]) -> pd.DataFrame:
    """Table 1: one row a (task, method) with reward, cost, their spread and what is missing.

    For every seed the scores are averaged over thresholds; the cell is mean and standard
    deviation (ddof 1) over seeds, with the bootstrap interval of the mean. The reference policy
    has no seeds and no spread. A cell without runs has a row with the reason.

    Args:
        expected: task -> thresholds that the config asks for.
    """
    rows = []
    names = described(runs, expected)
    for task, method in itertools.product(expected, method_order(runs["method"])):
        own = runs[(runs["task"] == task) & (runs["method"] == method)]
        there, row, missing = made(own), {}, []
        for name, score in (("reward", "normalized_return"), ("cost", "normalized_cost")):
            by_seed, gaps = complete_seeds(own, score, expected[task])
            row |= _spread(name, by_seed.to_numpy(), generator("table1", task, method, score))
            missing += [gap for gap in gaps if gap not in missing]
        n = there["seed"].nunique()  # the reference policy has none
        rows.append(
            {"suite": names["suite"][task], "task": task, "label": names["label"][task]}
            | {"method": method}
            | row
            | {
                "raw_cost": there["cost"].mean(),
                "seeds": n,
                "runs": there["run"].nunique(),
                "episodes": there["episodes"].min(),
                "thresholds": " ".join(f"{tau:.0f}" for tau in sorted(set(there["tau"].dropna()))),
                "missing": "; ".join(missing),
                "action_mode": made(runs)["action_mode"].iloc[0],
                "source": (own if len(own) else runs)["source"].iloc[0],
            }
        )
    table = pd.DataFrame(rows)
    table["safe"] = metrics.is_safe(table["cost"])
    best = table[table["safe"]].groupby("task")["reward"].idxmax()
    table["best_safe"] = table.index.isin(best)
    return table


def _spread(name: str, by_seed: np.ndarray, stream: np.random.Generator) -> dict[str, float]:
    """Mean, standard deviation and error over seeds, and the bootstrap interval of the mean."""
    if not len(by_seed):
        return dict.fromkeys([name, *(f"{name}_{part}" for part in SPREAD)], np.nan)
    estimate = statistics.bootstrap(statistics.mean_of_tasks, [by_seed], generator=stream)
    std = by_seed.std(ddof=1) if len(by_seed) > 1 else np.nan
    parts = (std, statistics.standard_error(by_seed), estimate.low, estimate.high)
    return {name: estimate.value} | {
        f"{name}_{part}": value for part, value in zip(SPREAD, parts, strict=True)
    }


def _cells(table: pd.DataFrame, render) -> list[list[str]]:
    """Lay Table 1 out: a heading row, then suites and tasks; a cell without runs is missing."""
    methods = method_order(table["method"])
    lines = [["Task", *(method_label(m) for m in methods)]]
    for suite in (s for s in SUITES if s in set(table["suite"])):
        lines.append([SUITES[suite], *("" for _ in methods)])
        own = table[table["suite"] == suite]
        names = [*TASKS, *own["task"]]
        for task in (t for t in dict.fromkeys(names) if t in set(own["task"])):
            label = own.loc[own["task"] == task, "label"].iloc[0]
            cells = own[(own["task"] == task) & (own["runs"] > 0)].set_index("method")
            texts = [render(cells.loc[m]) if m in cells.index else "missing" for m in methods]
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
    text = (
        "Normalised reward / normalised cost (kappa = tau), mean ± standard deviation over seeds "
        f"({table['seeds'].max()} seeds, {table['episodes'].min():.0f} episodes a run, "
        f"{table['action_mode'].iloc[0]} actions). Bold: safe (cost ≤ 1). "
        f"★: best safe reward. {source_note(table['source'])}"
    )
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
    rows = [" & ".join(line).replace("π_ref", r"$\pi_\mathrm{ref}$") + r" \\" for line in lines]
    note = caption(table).translate({ord("±"): r"$\pm$", ord("≤"): r"$\le$"})
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
    style = (
        "body{font:15px system-ui,sans-serif;margin:2em;color:#222}"
        "table{border-collapse:collapse}"
        "th,td{padding:.35em .7em;text-align:left;vertical-align:top}"
        "th{border-bottom:2px solid #222}td{border-bottom:1px solid #ddd}"
        "p{max-width:60em;color:#555}code,pre{font-size:12px;overflow-wrap:anywhere}"
    )
    return (
        f'<!doctype html><html lang="en"><meta charset="utf-8"><title>{title}</title>'
        f"<style>{style}</style><h2>{title}</h2>"
        f"<table><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table><p>{note}</p></html>\n"
    )


def _unbroken(cell: str) -> str:
    """Keep numbers with their %, ± and intervals in one line."""
    space = "\N{NO-BREAK SPACE}"
    cell = re.sub(r"(?<=\d) %", f"{space}%", cell).replace(" ± ", f"{space}±{space}")
    cell = cell.replace(" / ", f"{space}/ ")
    return re.sub(r"\[[^\[\]\n<>]{,30}\]", lambda found: found[0].replace(" ", space), cell)


def dataset_statistics(
    manifests: Iterable[dict], checks: Iterable[dict], paper: pd.DataFrame
) -> pd.DataFrame:
    """Tables 2 and 3: sizes and means of D_p and D_np over all thresholds and draws.

    ``paper_{column}`` are the paper's own numbers, on DSRL's data.

    ``cost_agreement`` is the share of recorded costs that the record gives (methods 2.5).
    """
    rows, agreement = [], {check["task"]: check["agreement"] for check in checks}
    paper = paper.set_index("task")
    for manifest in manifests:
        task = Task(**manifest["task"])
        cells = [cell for cell in manifest["cells"] if cell["feasible"]]
        row = {
            "suite": task.suite,
            "task": task.name,
            "source": manifest["source"],
            "trajectories": manifest["n_trajectories"],
            "max_cost": manifest["max_cost"],
            "cost_agreement": agreement[task.name],
            "mean_return_reference": manifest["reference"].get("mean_return", np.nan),
            "mean_cost_reference": manifest["reference"].get("mean_cost", np.nan),
            "infeasible": len(manifest["cells"]) - len(cells),
            "short": sum(bool(cell["short"]) for cell in manifest["cells"]),
        }
        for role in ("preferred", "nonpreferred"):
            row[f"n_{role}"] = np.mean([c[role]["n"] for c in cells]) if cells else np.nan
            for score in ("cost", "return"):
                values = [c[role][f"mean_{score}"] for c in cells]
                row[f"mean_{score}_{role}"] = np.mean(values) if values else np.nan
                row[f"paper_mean_{score}_{role}"] = paper[f"mean_{score}_{role}"].get(task.name)
        rows.append(row)
    return pd.DataFrame(rows)


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
    lines = [[*columns.values(), "costs agree"]]
    for row in table.to_dict("records"):
        line = []
        for name in columns:
            value = row[name]
            text = f"{value:.1f}" if isinstance(value, float) else str(value)
            text = "–" if pd.isna(value) else text
            own = row.get(f"paper_{name}", np.nan)
            line.append(text if pd.isna(own) else f"{text} ({own:.1f})")
        share = row["cost_agreement"]
        lines.append([*line, "–" if pd.isna(share) else f"{100 * share:.2f} %"])
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
