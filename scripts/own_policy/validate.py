"""Play the policy before on validation episodes: as it was brought, not a copy that acts for it."""

import torch
from prefine import files
from prefine.evaluation.rollout import evaluate
from prefine.pipeline import cli
from prefine.policies import file as policy_file
from prefine.policies.formats.read import read_policy
from prefine.tasks import Task


def main() -> None:
    parser = cli.parser(
        __doc__, "reference output", policy=cli.json_argument, settings=cli.json_argument
    )
    parser.add_argument("--workers", type=int, default=1, help="processes that step simulators")
    args = parser.parse_args()
    torch.set_num_threads(1)
    settings, reference = args.settings, policy_file.load(args.reference)
    task = Task(**reference.metadata["task"])
    own = read_policy(args.policy, task)
    progress = cli.Progress(f"validate {task.name}", settings["episodes"], "episodes")
    episodes = evaluate(
        reference.replica(0) if own.has_density else own,
        task,
        settings["episodes"],
        settings["action_mode"],
        progress.update,
        workers=args.workers,
        names=reference.names,
        purpose=settings["purpose"],
    )
    progress.close()
    files.write_table(args.output, episodes.drop(columns="replica"))


if __name__ == "__main__":
    cli.run(main)
