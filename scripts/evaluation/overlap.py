"""Lay states of D_p and D_np of a task out by a joint UMAP and measure how far they overlap."""

import time
from pathlib import Path

import numpy as np
import pandas as pd
from prefine import files, frames
from prefine.data.dataset import read_trajectories
from prefine.data.hdf5 import blocks
from prefine.pipeline import cli
from prefine.rows import read_manifest
from prefine.streams import generator, stream_seed
from prefine.tasks import Task, find

ROLES = ("preferred", "nonpreferred")


def why_missing(manifest: dict, tau: int | None, draw: int) -> str:
    """Say why a cell has no two sets to compare; empty if it has."""
    cells = {(cell["tau"], cell["draw"]): cell for cell in manifest["cells"]}
    if (tau, draw) not in cells:
        return f"no sets with τ = {tau}, draw {draw}"
    cell = cells[tau, draw]
    side = "safe" if cell["n_safe"] == 0 else "unsafe"
    return "" if cell["feasible"] else f"infeasible: no {side} trajectory"


def draw_rows(
    trajectories: pd.DataFrame, splits: pd.DataFrame, task: str, settings: dict
) -> list[np.ndarray]:
    """Draw rows of the dataset from each set, as many from both, every step alike."""
    tau, draw = settings["tau"], settings["draw"]
    same_tau = splits["tau"].isna() if tau is None else splits["tau"] == tau
    cell = splits[same_tau & (splits["draw"] == draw)]
    steps = []
    for role in ROLES:
        own = trajectories.iloc[cell.loc[cell["role"] == role, "index"]]
        bounds = zip(own["start"], own["start"] + own["length"], strict=True)
        steps.append(np.concatenate([np.arange(*pair) for pair in bounds]))
    n = min(settings["n_states"], *map(len, steps))
    streams = (generator("overlap", task, tau, draw, role) for role in ROLES)
    return [rng.choice(own, n, replace=False) for own, rng in zip(steps, streams, strict=True)]


def read_states(path: Path, task: Task, rows: np.ndarray) -> np.ndarray:
    """Read some observations (len(rows), obs_dim) of a dataset, which may not fit the memory."""
    states = np.empty((len(rows), task.obs_dim), np.float32)
    for start, _, block in blocks(path, task, ["observations"]):
        here = (rows >= start) & (rows < start + len(block["observations"]))
        states[here] = block["observations"][rows[here] - start]
    return states


def measure(states: np.ndarray, preferred: np.ndarray, task: str, settings: dict):
    """Return the embedding (n, 2) of both sets' states and what is measured of it."""
    from prefine.evaluation import overlap  # writes what it compiles: a full disk is one line here

    names = (task, settings["tau"], settings["draw"])
    points = overlap.standardise(states)
    near = overlap.nearest(points, max(settings["n_neighbors"] - 1, overlap.NEIGHBOURS))
    started = time.perf_counter()
    seed = stream_seed("overlap", *names, "umap") % 2**32
    embedding = overlap.embed(points, near, settings["n_neighbors"], settings["min_dist"], seed)
    grids = sorted({settings["grid"], *settings["grids"]})
    return embedding, {
        "umap_seconds": round(time.perf_counter() - started, 1),
        "neighbour_share": overlap.neighbour_share(near, preferred),
        "sweep": overlap.sweep(embedding, preferred, grids, generator("overlap", *names, "halves")),
    }


def main() -> None:
    args = cli.parser(
        __doc__,
        "data trajectories splits manifest points numbers",
        task=find,
        settings=cli.json_argument,
    ).parse_args()
    task, settings = args.task, args.settings
    manifest = read_manifest(args.manifest)
    missing = why_missing(manifest, settings["tau"], settings["draw"])
    points = pd.DataFrame(columns=["role", "row", "x", "y"])
    numbers = {"n_states": 0, "sweep": []}
    if not missing:
        rows = draw_rows(
            read_trajectories(args.trajectories, args.data, task),
            frames.read_csv(args.splits),
            task.name,
            settings,
        )
        numbers["n_states"], needed = len(rows[0]), max(settings["n_neighbors"], 20)
        if len(rows[0]) < needed:
            missing = f"a set has {len(rows[0])} states; {needed} are needed"
        else:
            both = np.concatenate(rows)
            preferred = np.repeat([True, False], len(rows[0]))
            embedding, measured = measure(
                read_states(args.data, task, both), preferred, task.name, settings
            )
            numbers |= measured
            points = pd.DataFrame(embedding, columns=["x", "y"]).round(4)
            points.insert(0, "role", np.repeat(ROLES, len(rows[0])))
            points.insert(1, "row", both)
    own = {"task": task.name, "label": task.label, "source": manifest["source"]}
    files.write_table(args.points, points)
    files.write_json(args.numbers, own | settings | numbers | {"missing": missing})
    print(missing or pd.DataFrame(numbers["sweep"]).to_string())


if __name__ == "__main__":
    cli.run(main)
