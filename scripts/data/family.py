"""Write a family of behaviour policies: its file, its card, and its entry in recipes.yaml.

Reads what scripts/data/choose_behaviours.py leaves: the arrays of the chosen snapshots, and what
was measured of each.
"""

import json
import logging
from pathlib import Path

import torch
import yaml
from prefine import files, frames, results
from prefine.pipeline import cli
from prefine.policies import file as policy_file
from prefine.policies.gaussian import behaviour_policy
from prefine.policies.stack import PolicyStack
from prefine.tasks import TASKS

MEASURED = ("return_mean", "return_std", "cost_mean", "cost_std", "length_mean")
RECIPES = "recipes.yaml"

CARD = """# Behaviour policies of {task}

{n} snapshots of PPO's training (Stable-Baselines3) under a limit on the episode cost that moves.
Their rollouts stand in for DSRL's dataset: `source: collect` plays each as many episodes as the
table says, with sampled actions, and thins them to {trajectories} trajectories of even density over
the plane of cost and return. Actions are drawn from a normal distribution with two tanh layers of
64 and one σ a dimension, and clipped to [-1, 1].

## Snapshots

Mean and standard deviation over {episodes} rollouts each, made after the snapshots were chosen.

{table}

## Recipe

A *branch* is one training; `limits` are pairs (share of the steps, cost limit), with straight lines
between them. The names of the keys are explained in `scripts/prefine/data/behaviours.py`.

```yaml
{recipe}```

## Made with

{versions}
"""


def rows_of(snapshots: list[dict]) -> list[dict]:
    """One row a snapshot, named by its branch and step."""
    return [
        {
            "run": f"{own['branch']}-{own['steps']}",
            "branch": own["branch"],
            "steps": own["steps"],
            "episodes": own["episodes_to_play"],
            **{name: round(own[name], 3) for name in MEASURED},
        }
        for own in snapshots
    ]


def recipe_of(branches: dict[str, dict], trained: list[Path]) -> dict[str, dict]:
    """The recipes of a family's branches and of those that they go on from.

    Args:
        trained: the files of all branches, each with its ``recipe``.
    """
    found: dict[str, dict] = {}
    files_of = {path.stem: path for path in trained}
    todo = dict(branches)
    while todo:
        name, own = todo.popitem()
        found[name] = dict(own)
        if "begin" in own:
            source, steps = Path(own["begin"][0]).stem, own["begin"][1]
            found[name]["begin"] = [source, steps]
            if source not in found | todo:
                todo[source] = json.loads(str(frames.read_arrays(files_of[source])["recipe"]))
    return dict(sorted(found.items()))


def table_of(rows: list[dict]) -> str:
    """The snapshots as a Markdown table."""
    lines = ["| branch | steps | episodes | return | cost | length |", "|---|---|---|---|---|---|"]
    for row in rows:
        scores = (
            f"{row[f'{name}_mean']:.1f} ± {row[f'{name}_std']:.1f}" for name in ("return", "cost")
        )
        cells = [row["branch"], row["steps"], row["episodes"], *scores, f"{row['length_mean']:.0f}"]
        lines.append(f"| {' | '.join(map(str, cells))} |")
    return "\n".join(lines)


def dumped(content: object) -> str:
    """YAML with the innermost lists and mappings in one line."""
    return yaml.safe_dump(content, default_flow_style=None, width=100, sort_keys=False)


def main() -> None:
    parser = cli.parser(__doc__, "arrays about output")
    parser.add_argument("--trained", type=Path, nargs="*", default=[], help="all branches")
    args = parser.parse_args()
    about = results.read_object(args.about)
    task, rows = TASKS[about["task"]], rows_of(about["snapshots"])
    arrays = frames.read_arrays(args.arrays)
    mean, std = arrays.pop("obs_mean"), arrays.pop("obs_std")
    params = {name: torch.from_numpy(value) for name, value in arrays.items()}
    metadata = {"task": task.name, "runs": rows, "versions": about["versions"]}
    stack = PolicyStack(behaviour_policy(task), params, mean, std, metadata)
    policy_file.check_policy(args.arrays, stack.policy, params, mean, std)
    folder, recipes = args.output, args.output / RECIPES
    folder.mkdir(parents=True, exist_ok=True)
    policy_file.save(folder / f"{task.name}.safetensors", stack)

    recipe = recipe_of(about["branches"], args.trained)
    everything = yaml.safe_load(recipes.read_text(encoding="utf-8")) if recipes.exists() else {}
    everything[task.name] = recipe
    files.write_text(recipes, dumped(dict(sorted(everything.items()))))
    card = CARD.format(
        task=task.name,
        n=len(rows),
        trajectories=task.n_trajectories,
        episodes=about["rollouts"]["episodes_each"],
        table=table_of(rows),
        recipe=dumped(recipe),
        versions=", ".join(f"{name} {version}" for name, version in about["versions"].items()),
    )
    files.write_text(folder / f"{task.name}.md", card)
    logging.info("%s: %d snapshots", task.name, len(rows))


if __name__ == "__main__":
    cli.run(main)
