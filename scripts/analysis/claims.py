"""The paper's claims: its number, ours with an interval, and a verdict."""

from pathlib import Path

import pandas as pd
from prefine import files, frames, results
from prefine.analysis.claims import evidence
from prefine.analysis.claims import studies as study_claims
from prefine.analysis.claims import verdict as verdicts
from prefine.analysis.names import method_label, method_order, source_note
from prefine.analysis.scores import read_study
from prefine.pipeline import cli
from prefine.report.tables import markdown

MARKS = {verdicts.HOLDS: "✓", verdicts.FAILS: "✗", verdicts.SMALL: "≈", verdicts.OPEN: "–"}
DATA = {
    "collect": "collected data (not DSRL's)",
    "dsrl": "DSRL's data",
    "file": "the user's data (not DSRL's)",
    "policy": "rollouts of the user's policy (not DSRL's)",
}
TABLES = ("sizes", "sweep", "ablation", "pareto", "cost_gap", "overlap", "timing")
HEADING = ["Claim", "Where", "Paper", "Ours [95 %]", "Holds if", "Verdict", "Iterations (paper)"]
HEADING += ["Measured on"]


def lines(table: pd.DataFrame, data: str) -> list[list[str]]:
    """Lay the claims out as text: a heading row, then one row a claim."""
    return [HEADING, *(line(row, data) for row in table.to_dict("records"))]


def read(paths: list[Path]) -> pd.DataFrame:
    """Tables of the same kind as one; of Figure 13 the numbers at its grid."""
    parts = []
    for path in paths:
        if path.suffix == ".json":
            numbers = results.read_object(path)
            at = [row for row in numbers["sweep"] if row["grid"] == numbers["grid"]]
            parts.append(pd.DataFrame([{"task": numbers["task"]} | row for row in at]))
        else:
            parts.append(frames.read_csv(path))
    parts = [part for part in parts if len(part)]
    return pd.concat(parts, ignore_index=True) if parts else pd.DataFrame()


def line(row: dict, data: str) -> list[str]:
    """Write one claim."""
    told = verdicts.in_words(row, f" ({', '.join(row['tasks'].split())})")
    paper = [row["paper"]] if row["paper"] else []
    paper += [f"its Table 1: {told['table1']}"] if told["table1"] else []
    measured = f"{data}; {told['measured']}" if told["measured"] else ""
    conclusion = f"{MARKS[row['verdict']]} {row['verdict']}"
    conclusion += f": {row['reason']}" if row["reason"] else ""
    trained = ""
    if pd.notna(row["iterations"]):
        trained = f"{row['iterations']:.0f} ({row['iterations_paper']:.0f})"
    begin = [row["says"], row["where"], "; ".join(paper), told["ours"], row["rule"]]
    return [*begin, conclusion, trained, measured]


def note(table: pd.DataFrame, runs: pd.DataFrame, source: str) -> str:
    """Say how many claims hold, what the numbers are and how long was trained."""
    counts = table["verdict"].value_counts()
    numbers = ", ".join(f"{counts.get(name, 0)} {name}" for name in MARKS)
    trained = runs.groupby("method")["train_iterations"].max()
    iterations = ", ".join(
        f"{method_label(method)} {trained[method]:.0f}" for method in method_order(trained.index)
    )
    return (
        f"{len(table)} claims: {numbers}. A claim holds if the whole 95 % interval (t over runs, "
        "stratified over tasks, made for few and skewed runs; no interval and no verdict with "
        "fewer than three runs a task) keeps to the rule. What fails after less than half of the "
        f"protocol's iterations is '{verdicts.SMALL}'. Paper's 'Table 1' is the same "
        "formula on its printed numbers. Iterations of training (500000 in the paper): "
        f"{iterations}. {source_note([source])}"
    )


def main() -> None:
    parser = cli.parser(__doc__, "runs paper csv markdown", thresholds=cli.json_argument, study=str)
    for name in TABLES:
        parser.add_argument(f"--{name.replace('_', '-')}", type=Path, nargs="*", default=[])
    args = parser.parse_args()
    own = read_study(args.runs, args.study)
    others = {name: read(getattr(args, name)) for name in TABLES}
    paper = evidence.from_paper(frames.read_csv(args.paper))
    ours = evidence.Results.of(own, args.thresholds, paper.suites, others)
    source = own["source"].iloc[0]
    table = pd.DataFrame(verdicts.check(study_claims.CLAIMS, ours, paper))
    table = table.assign(source=source, study=args.study)
    text = table.fillna(dict.fromkeys(("tasks", "missing", "reason", "device"), ""))
    data = DATA.get(source, source)
    body, remark = lines(text, data), note(table, own, source)
    files.write_table(args.csv, table)
    files.write_text(args.markdown, markdown(body, remark))
    print(markdown(body, remark))


if __name__ == "__main__":
    cli.run(main)
