"""What the jobs of a run wrote down about themselves, brought together for its readers.

A training log carries the settings, versions and device of its job, and the hash of its data; a
table of episodes those of its rollouts. What differs where it should not is said, not averaged.
"""

import html
import json
from collections.abc import Iterable, Mapping
from pathlib import Path

import pyarrow.parquet as pq

from prefine import reading, results
from prefine.analysis.names import SOURCE_LABELS, method_label
from prefine.errors import UserError

TRAINING, EVALUATION = "training", "evaluation"


def read_record(path: str | Path) -> dict:
    """Read what a job wrote about itself beside its Parquet table, without the table.

    Raises:
        UserError: the table carries no such record.
    """
    results.intact(path, reading.TABLE)
    with reading.refused_in_one_line(path, "cannot be read as Parquet", results.DELETE):
        attributes = (pq.read_schema(path).metadata or {}).get(b"PANDAS_ATTRS", b"{}")
        record = json.loads(attributes).get("provenance")
    if record is None:
        raise UserError(f"{path}: does not say where it comes from; move it away and run again")
    return record


def job(path: str, kind: str, record: Mapping, task: str) -> dict:
    """Reduce a job's record to what is shown of it."""
    own = {"file": path, "kind": kind, "task": task, "versions": record["versions"]}
    own |= {"data_sha256": record["data_sha256"]}
    if kind == TRAINING:
        settings = record["settings"]
        own |= {"method": record["method"], "device": record["device"]}
        own |= {"runs": len(record["runs"]), "iterations": settings.get("iterations")}
        own |= {"settings": settings}
    else:
        own |= {name: record[name] for name in ("settings", "policies_sha256")}
    return own


def together(jobs: Iterable[Mapping], manifests: Iterable[Mapping], config: Mapping) -> dict:
    """Bring jobs, datasets and config together, and name what does not agree."""
    jobs = sorted(jobs, key=lambda own: (own["kind"], own["file"]))
    data = {
        manifest["task"]["name"]: {
            "source": manifest["source"],
            "sha256": manifest["data_sha256"],
            "trajectories": manifest["n_trajectories"],
            "sets": sum(bool(cell["feasible"]) for cell in manifest["cells"]),
        }
        for manifest in manifests
    }
    found: list[str] = []
    for own in jobs:
        if own["data_sha256"] != data[own["task"]]["sha256"]:
            found.append(f"{own['file']} is of other data than {own['task']}'s splits")
    for kind in (TRAINING, EVALUATION):
        own = [entry for entry in jobs if entry["kind"] == kind]
        for name, plural in (("versions", "versions"), ("device", "devices")):
            if (n := len(_shared(own, name))) > 1:
                found.append(f"{kind} jobs have {n} different {plural}")
    return {"config": config, "data": data, "jobs": jobs, "disagreements": found}


def _text(value: object) -> str:
    return html.escape(str(value))


def _shared(jobs: Iterable[Mapping], name: str) -> dict[str, int]:
    """Each value that jobs have under ``name``, and how many have it."""
    counts: dict[str, int] = {}
    for own in jobs:
        value = own.get(name)
        if isinstance(value, Mapping):
            value = ", ".join(f"{key} {value[key]}" for key in sorted(value))
        if value is not None:
            counts[str(value)] = counts.get(str(value), 0) + 1
    return counts


def page_lines(record: Mapping) -> list[list[str]]:
    """Lay the record out as HTML: a heading row, then what and its value."""
    config, jobs = record["config"], record["jobs"]
    source = SOURCE_LABELS.get(config["source"], config["source"])
    lines = [["What", "Value"], ["Run", _text(config["run"])], ["Data", _text(source)]]
    agreement = [_text(finding) for finding in record["disagreements"]]
    lines.append(["Do jobs agree?", "<br>".join(agreement) or "yes: data, versions and devices"])
    for kind in (TRAINING, EVALUATION):
        own = [entry for entry in jobs if entry["kind"] == kind]
        lines.append([f"<b>{kind.capitalize()}</b>", f"{len(own)} jobs"])
        for name in ("device", "versions"):
            lines += [
                [name.capitalize(), f"{_text(value)} ({n} jobs)"]
                for value, n in _shared(own, name).items()
            ]
        if kind == EVALUATION:
            shown = _shared(own, "settings").items()
            lines += [["Rollouts", f"{_text(value)} ({n} jobs)"] for value, n in shown]
            continue
        by_method: dict[str, list[dict]] = {}
        for entry in own:
            by_method.setdefault(entry["method"], []).append(entry)
        for method, entries in by_method.items():
            iterations = ", ".join(
                sorted({f"{entry['iterations']} iterations" for entry in entries})
            )
            runs = sum(entry["runs"] for entry in entries)
            lines.append(
                [_text(method_label(method)), f"{runs} runs in {len(entries)} jobs, {iterations}"]
            )
    lines.append(["<b>Data</b>", "sha256 of each dataset"])
    lines += [
        [_text(task), f"{own['trajectories']} trajectories, <code>{_text(own['sha256'])}</code>"]
        for task, own in record["data"].items()
    ]
    full = _text(json.dumps(config, indent=1, sort_keys=True))
    summary = "every key, defaults filled in"
    lines.append(
        ["<b>Config</b>", f"<details><summary>{summary}</summary><pre>{full}</pre></details>"]
    )
    return lines
