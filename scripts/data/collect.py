"""Collect a task's dataset in its simulator (PPO at several cost limits)."""

from prefine import provenance
from prefine.data import dataset
from prefine.data.collect import collect
from prefine.pipeline import cli
from prefine.tasks import TASKS


def main() -> None:
    parser = cli.parser(__doc__, "output", task=str, recipe=cli.json_argument)
    args = parser.parse_args()
    total = sum(behaviour["steps"] for behaviour in args.recipe["behaviours"])
    progress = cli.Progress(f"collect {args.task}", total, "steps")

    def on_steps(steps: int, mean_return: float, mean_cost: float) -> None:
        finished = mean_return == mean_return  # NaN while no episode has ended
        note = f"return {mean_return:.0f} cost {mean_cost:.0f}" if finished else ""
        progress.update(steps, note)

    log = collect(args.task, args.recipe, on_steps)
    progress.close()
    metadata = {
        "source": "collect",
        "task": args.task,
        "env_id": TASKS[args.task].env_id,
        "recipe": args.recipe,
        "behaviours": log.behaviours,
        "seeds": log.seeds,
        "versions": provenance.versions(),
    }
    dataset.write(args.output, log.episodes, metadata)


if __name__ == "__main__":
    cli.run(main)
