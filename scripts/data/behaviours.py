"""Train one branch of a task's behaviour policies.

A branch that goes on from another finds it beside its own output.
"""

import json
from pathlib import Path

import numpy as np
from prefine import frames
from prefine.data.behaviours import Arrays, Branch, train_branch
from prefine.files import atomic
from prefine.pipeline import cli


def write(path: Path, branch: Branch, text: str) -> None:
    """A branch's file: ``row.{name}`` (snapshots,), its arrays (snapshots, ...), ``recipe``."""
    rows, policies = branch.rows, branch.policies
    arrays = {f"row.{name}": np.array([row[name] for row in rows]) for name in rows[0]}
    arrays |= {name: np.stack([own[name] for own in policies]) for name in policies[0]}
    with atomic(path) as temporary, Path(temporary).open("wb") as handle:
        np.savez(handle, recipe=text, **arrays)


def snapshot(path: Path, steps: int) -> Arrays:
    """The policy of a branch that is nearest to a step."""
    arrays = frames.read_arrays(path)
    row = int(np.argmin(np.abs(arrays["row.steps"] - steps)))
    names = [name for name in arrays if not name.startswith("row.") and name != "recipe"]
    return {name: arrays[name][row] for name in names}


def main() -> None:
    parser = cli.parser(__doc__, "output", task=str, branch=str, recipe=cli.json_argument)
    args = parser.parse_args()
    recipe = args.recipe[args.task][args.branch]
    source = None
    if "begin" in recipe:
        origin, steps = recipe["begin"]
        source = snapshot(args.output.with_name(f"{origin}.npz"), steps)
    progress = cli.Progress(f"{args.task} {args.branch}", recipe["steps"], "steps")

    def tell(row: dict) -> None:
        note = f"return {row['return']:.0f} cost {row['cost']:.0f}, limit {row['limit']:.0f}"
        progress.update(row["steps"] - progress.count, note)

    branch = train_branch(args.task, args.branch, recipe, source, tell)
    progress.close()
    write(args.output, branch, json.dumps(recipe, sort_keys=True))


if __name__ == "__main__":
    cli.run(main)
