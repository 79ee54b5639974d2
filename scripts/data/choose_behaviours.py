"""Choose a task's family among the snapshots of its branches, by rollouts.

Snapshots spread over the plane by what was measured in training are played a few times. A search
then looks for some of them whose rollouts, thinned, come near to the paper's numbers. Those are
played again, since whatever is chosen for its numbers looks better than it is, and what comes out
is judged by the new episodes alone. scripts/data/family.py makes a family of the result.
"""

import json
import logging
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from prefine import files, frames, provenance
from prefine.analysis.likeness import distance, scores
from prefine.data import selection
from prefine.data.behaviours import Arrays
from prefine.data.thinning import cells
from prefine.evaluation.rollout import evaluate
from prefine.files import atomic
from prefine.pipeline import cli
from prefine.policies.fold import common_scale, folded
from prefine.policies.gaussian import behaviour_policy
from prefine.policies.stack import PolicyStack
from prefine.streams import generator
from prefine.tasks import TASKS, Task

MEASURED = ["return", "cost", "length"]
SURPLUS = (1.15, 1.2, 1.25, 1.3, 1.35, 1.4)  # episodes for each trajectory that is kept


@dataclass(frozen=True)
class Snapshot:
    """A policy of a branch, and what was measured of it in training."""

    branch: str
    row: dict[str, float]
    arrays: Arrays


def read(paths: list[Path]) -> tuple[list[Snapshot], dict[str, dict]]:
    """All snapshots of all branches, and the branches' recipes."""
    found, recipes = [], {}
    for path in sorted(paths):
        arrays = frames.read_arrays(path)
        recipes[path.stem] = json.loads(str(arrays.pop("recipe")))
        rows = {name[4:]: arrays.pop(name) for name in list(arrays) if name.startswith("row.")}
        for place in range(len(rows["steps"])):
            row = {name: float(column[place]) for name, column in rows.items()}
            own = {name: column[place] for name, column in arrays.items()}
            found.append(Snapshot(path.stem, row, own))
    return found, recipes


def spread(snapshots: list[Snapshot], task: Task, most: int) -> list[Snapshot]:
    """Snapshots that cover the plane by their training's numbers, none far out of it."""
    low = task.min_return - 0.06 * (task.max_return - task.min_return)
    near = [
        own
        for own in snapshots
        if own.row["return"] >= low
        and own.row["return"] + own.row["return_std"] <= 1.05 * task.max_return
        and own.row["cost"] - own.row["cost_std"] <= task.max_cost
    ]
    rng = generator("choose", task.name)
    normals = 0.7 * rng.standard_normal((len(near), 24, 2))
    middle = np.array([[own.row["return"], own.row["cost"]] for own in near])[:, None]
    width = np.array([[own.row["return_std"], own.row["cost_std"]] for own in near])[:, None]
    guessed = middle + width * normals
    guessed[..., 1] = np.maximum(0, guessed[..., 1])
    chosen = selection.cover(selection.histograms(guessed, task, 16), most, 0.1)
    return [near[place] for place in sorted(chosen)]


def stack_of(snapshots: list[Snapshot], task: Task) -> PolicyStack:
    """The snapshots as one stack."""
    arrays = [own.arrays for own in snapshots]
    mean, std = common_scale(arrays)
    params = {name: torch.from_numpy(v) for name, v in folded(arrays, mean, std).items()}
    return PolicyStack(behaviour_policy(task), params, mean, std)


def play(snapshots: list[Snapshot], task: Task, n: int, purpose: str, workers: int) -> list:
    """Returns, costs and lengths of ``n`` rollouts of each, (n, 3)."""
    progress = cli.Progress(f"play {task.name}", n * len(snapshots), "episodes")
    stack = stack_of(snapshots, task)
    options = {"workers": workers, "purpose": purpose}
    table = evaluate(stack, task, n, "sampled", progress.update, **options)
    progress.close()
    return [own[MEASURED].to_numpy(float) for _, own in table.groupby("replica")]


def main() -> None:
    parser = cli.parser(__doc__, "table1 tables23 output", task=str, thresholds=cli.json_argument)
    parser.add_argument("--trained", type=Path, nargs="+", required=True, help="all branches")
    parser.add_argument("--candidates", type=int, default=110)
    parser.add_argument("--first", type=int, default=6, help="episodes of each candidate")
    parser.add_argument("--episodes", type=int, default=20, help="of each that is chosen")
    parser.add_argument("--rounds", type=int, default=600, help="of the search")
    parser.add_argument("--workers", type=int, default=1)
    args = parser.parse_args()
    torch.set_num_threads(1)
    task = TASKS[args.task]
    table1, tables23 = frames.read_csv(args.table1), frames.read_csv(args.tables23)
    paper = tables23.set_index("task").loc[task.name].to_dict()
    reached = table1[table1["method"] == "reference"].set_index("task").loc[task.name]
    paper |= {"reference_reward": reached["reward"], "reference_cost": reached["cost"]}

    def assessed(episodes: list[np.ndarray], surplus: float, draw: int) -> tuple[float, dict]:
        rng = np.random.default_rng(draw)
        returns, costs = selection.dataset_of(episodes, task, surplus, rng)
        found = scores(returns, costs, task, args.thresholds)
        covered = len(np.unique(cells(returns, costs, task, selection.GRID)))
        return distance(found, paper, task) - 2.5 * covered / selection.GRID**2, found

    def value(chosen: list[int]) -> float:
        own = [episodes[place] for place in chosen]
        return float(np.mean([assessed(own, 1.2, 0)[0], assessed(own, 1.3, 1)[0]]))

    snapshots, recipes = read(args.trained)
    candidates = spread(snapshots, task, args.candidates)
    first = play(candidates, task, args.first, "evaluate", args.workers)
    episodes = [own[:, :2] for own in first]
    start = selection.cover(selection.histograms(episodes, task), selection.MOST)
    rng = generator("choose", task.name, "search")
    chosen = sorted(selection.search(start, len(candidates), value, args.rounds, rng))
    family = [candidates[place] for place in chosen]
    verified = play(family, task, args.episodes, "validate", args.workers)
    new = [own[:, :2] for own in verified]
    surplus = min(SURPLUS, key=lambda s: np.mean([assessed(new, s, d)[0] for d in (3, 5, 6)]))
    shares = selection.histograms(new, task)
    counts = selection.episodes_of(selection.weights(shares), shares, task, surplus)
    found = assessed(new, surplus, 4)[1]
    logging.info("%s", json.dumps(found | {"paper": paper}, indent=1, default=float))

    stack = stack_of(family, task)
    arrays = {name: value.numpy() for name, value in stack.params.items()}
    args.output.parent.mkdir(parents=True, exist_ok=True)
    with atomic(args.output) as temporary, Path(temporary).open("wb") as handle:
        np.savez(handle, obs_mean=stack.mean, obs_std=stack.std, **arrays)
    about = {
        "task": task.name,
        "branches": {own.branch: recipes[own.branch] for own in family},
        "versions": provenance.versions(),
        "rollouts": {"episodes_each": args.episodes},
        "likeness": {name: float(number) for name, number in found.items()},
        "snapshots": [
            {"branch": own.branch, "steps": int(own.row["steps"]), "episodes_to_play": int(n)}
            | {f"{name}_mean": column.mean() for name, column in zip(MEASURED, e.T, strict=True)}
            | {f"{name}_std": column.std() for name, column in zip(MEASURED, e.T, strict=True)}
            for own, n, e in zip(family, counts, verified, strict=True)
        ],
    }
    files.write_json(args.output.with_suffix(".json"), about)


if __name__ == "__main__":
    cli.run(main)
