"""Bring data of the user's own into DSRL's layout, and describe their task."""

import logging
from dataclasses import replace

import numpy as np
from prefine import cli, dataset, files, provenance, simulators
from prefine.errors import UserError
from prefine.hdf5 import UNIT_BOX, ActionBox
from prefine.own_data import load
from prefine.tasks import OWN, TASKS, Task


def own_task(name: str, settings: dict, has_costs: bool) -> tuple[Task, ActionBox]:
    """Ask the environment for its sizes; scores and horizon may still be missing."""
    env_id, module = settings["env_id"], settings.get("module")
    env = simulators.make_own(env_id, module, settings.get("horizon"))
    horizon = settings.get("horizon") or env.spec.max_episode_steps
    if horizon is None:
        raise UserError(
            f"config: file.{name}: lacks horizon; {env_id} has no limit of steps of its own"
        )
    env.reset(seed=0)
    *_, info = env.step(env.action_space.sample())
    if has_costs and "cost" not in info:
        raise UserError(
            f'environment {env_id}: a step gives no info["cost"]; add it, or give labels instead'
        )
    box = ActionBox(env.action_space.low, env.action_space.high)
    sizes = env.observation_space.shape[0], env.action_space.shape[0]
    env.close()
    label = settings.get("label", name[:8])
    scores = {"max_cost": np.nan, "min_return": np.nan, "max_return": np.nan}
    task = Task(
        *(name, label, OWN, env_id, horizon, *sizes),
        **scores,
        n_trajectories=0,
        licence="the user's own",
        module=module,
        has_costs=has_costs,
    )
    return task, box


def with_scores(task: Task, arrays: dict[str, np.ndarray], settings: dict) -> Task:
    """Fill in reference scores: the config's, else the data's smallest and largest return."""
    starts, _, _ = dataset.segment(arrays["terminals"], arrays["timeouts"])
    ends = np.flatnonzero(arrays["terminals"] | arrays["timeouts"])

    def sums(name: str) -> np.ndarray:
        return np.add.reduceat(arrays[name][: ends[-1] + 1].astype(np.float64), starts)

    rewards = sums("rewards")
    scores = {
        "min_return": settings.get("min_return", float(rewards.min())),
        "max_return": settings.get("max_return", float(rewards.max())),
    }
    if scores["min_return"] >= scores["max_return"]:
        raise UserError(
            f"config: file.{task.name}: min_return {scores['min_return']:g} must be below "
            f"max_return {scores['max_return']:g}; both are the data's unless you give them"
        )
    max_cost = float(sums("costs").max()) if task.has_costs else float("nan")
    return replace(task, **scores, max_cost=max_cost, n_trajectories=len(starts))


def main() -> None:
    parser = cli.parser(__doc__, "data", "output", "task", name=str, settings=cli.json_argument)
    parser.add_argument("--labelled", action="store_true", help="costs may be missing")
    args = parser.parse_args()
    data, settings = args.data, args.settings
    if not data.exists():
        raise UserError(f"config: file.{args.name}.data: {data} is not there")
    if args.name in TASKS:
        task, box = TASKS[args.name], UNIT_BOX
        known = {key: settings[key] for key in ("min_return", "max_return") if key in settings}
        settings = {"min_return": task.min_return, "max_return": task.max_return} | known
    else:
        task, box = own_task(args.name, settings, has_costs=not args.labelled)
    arrays = load(data, replace(task, has_costs=not args.labelled), box)
    task = with_scores(replace(task, has_costs="costs" in arrays), arrays, settings)
    arrays.setdefault("costs", np.zeros_like(arrays["rewards"]))  # never read
    metadata = {"source": "file", "file": str(data), "versions": provenance.versions()}
    dataset.write(args.output, [arrays], metadata | {"task": task.to_dict()})
    files.write_json(args.task, task.to_dict())
    logging.info("%s: %d steps of %s", data, len(arrays["rewards"]), task)


if __name__ == "__main__":
    cli.run(main)
