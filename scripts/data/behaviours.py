"""Train a task's behaviour policies, one branch after another; finished ones stay."""

import json
import logging
from pathlib import Path

import numpy as np
import yaml
from prefine.data.behaviours import Arrays, Branch, train_branch
from prefine.errors import UserError
from prefine.files import atomic
from prefine.pipeline import cli


def in_order(recipes: dict[str, dict]) -> list[str]:
    """The branches, each behind the one that it goes on from.

    Raises:
        UserError: one goes on from a branch that is not there, or from itself.
    """
    order: list[str] = []
    while len(order) < len(recipes):
        ready = [n for n, own in recipes.items() if own.get("begin", [None])[0] in [None, *order]]
        new = [name for name in ready if name not in order]
        if not new:
            left = ", ".join(sorted(set(recipes) - set(order)))
            raise UserError(f"recipes: {left}: begin names no branch that comes before")
        order += new
    return order


def is_done(path: Path, text: str) -> bool:
    """Whether a branch was trained by this very recipe."""
    if not path.exists():
        return False
    with np.load(path) as file:
        return str(file["recipe"]) == text


def write(path: Path, branch: Branch, text: str) -> None:
    """A branch's file: ``row.{name}`` (snapshots,), its arrays (snapshots, ...), ``recipe``."""
    rows, policies = branch.rows, branch.policies
    arrays = {f"row.{name}": np.array([row[name] for row in rows]) for name in rows[0]}
    arrays |= {name: np.stack([own[name] for own in policies]) for name in policies[0]}
    with atomic(path) as temporary, Path(temporary).open("wb") as handle:
        np.savez(handle, recipe=text, **arrays)


def snapshot(path: Path, steps: int) -> Arrays:
    """The policy of a branch that is nearest to a step."""
    with np.load(path) as file:
        row = int(np.argmin(np.abs(file["row.steps"] - steps)))
        names = [name for name in file.files if not name.startswith("row.") and name != "recipe"]
        return {name: file[name][row] for name in names}


def main() -> None:
    parser = cli.parser(__doc__, "recipes output", task=str)
    parser.add_argument("--branches", nargs="+", help="of the task's; all if not named")
    args = parser.parse_args()
    recipes = yaml.safe_load(args.recipes.read_text()).get(args.task)
    if recipes is None:
        raise UserError(f"{args.recipes}: has no {args.task}")
    for name in in_order(recipes):
        recipe, path = recipes[name], args.output / f"{name}.npz"
        text = json.dumps(recipe, sort_keys=True)
        if (args.branches and name not in args.branches) or is_done(path, text):
            continue
        source = None
        if "begin" in recipe:
            origin, steps = recipe["begin"]
            source = snapshot(args.output / f"{origin}.npz", steps)
        progress = cli.Progress(f"{args.task} {name}", recipe["steps"], "steps")

        def tell(row: dict, progress=progress) -> None:
            note = f"return {row['return']:.0f} cost {row['cost']:.0f}, limit {row['limit']:.0f}"
            progress.update(row["steps"] - progress.count, note)

        path.parent.mkdir(parents=True, exist_ok=True)
        write(path, train_branch(args.task, name, recipe, source, tell), text)
        progress.close()
        logging.info("%s: %s", args.task, path)


if __name__ == "__main__":
    cli.run(main)
