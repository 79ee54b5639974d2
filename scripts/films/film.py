"""Film pi_ref and a fine-tuned policy in the same episode, or say why there is no film."""

import logging
from pathlib import Path

import torch
from prefine import files, frames, results
from prefine.analysis.names import method_label
from prefine.films import choose
from prefine.films.film import Policy, film, page
from prefine.films.views import NoPicture
from prefine.methods import REFERENCE
from prefine.pipeline import cli
from prefine.policies import file as policy_file
from prefine.policies.stack import PolicyStack
from prefine.report.colors import METHOD_COLORS
from prefine.tasks import of_policy

METHOD = "prefine"
BLACK, BLUE = METHOD_COLORS["reference"], METHOD_COLORS["prefine"]


def shown(args) -> tuple[choose.Choice, Path]:
    """What the film shows, and the file of the policy after."""
    episodes = [frames.read_parquet(path) for path in args.episodes]
    if args.choice:
        job = results.read_object(args.choice)["job"]
        return choose.of_pair(*episodes), args.policies / f"{job}.safetensors"
    return choose.of_study(*episodes, args.settings["tau"]), args.policies


def names_of(args) -> tuple[str, str]:
    """What the policies before and after are called."""
    if not args.choice:
        return method_label(REFERENCE), method_label(METHOD)
    cloned = "original" in set(frames.read_parquet(*args.episodes)["who"])
    return "your policy's clone" if cloned else "your policy", "after PREFINE"


def load(args) -> tuple[choose.Choice, PolicyStack, PolicyStack]:
    """What is shown, and both policies, each a stack of one."""
    choice, path = shown(args)
    before, after = policy_file.load(args.reference), policy_file.load(path)
    return choice, before.replica(0), after.run(choice.run)


def main() -> None:
    parser = cli.parser(__doc__, "reference policies output page", settings=cli.json_argument)
    parser.add_argument("--episodes", type=Path, nargs="+", required=True)
    parser.add_argument("--choice", type=Path, help="of a policy of one's own")
    parser.add_argument("--module", nargs="*", type=Path, default=[], help="before what it imports")
    args = parser.parse_args()
    torch.set_num_threads(1)
    choice, before, after = load(args)
    task = of_policy(args.reference, before.metadata.get("task"), *args.module[:1])
    policies = tuple(
        Policy(stack, name, color, recorded)
        for stack, name, color, recorded in zip(
            (before, after),
            names_of(args),
            (BLACK, BLUE),
            (choice.before, choice.after),
            strict=True,
        )
    )
    args.output.mkdir(parents=True, exist_ok=True)
    try:
        told = film(args.output, task, policies, choice, args.settings)
        logging.info("%d frames %s", told["frames"], told["view"])
    except NoPicture as error:
        told = {"task": task.name, "reason": f"There is no film of {task.name}: {error}"}
        logging.warning("%s", told["reason"])
    files.write_json(args.output / "film.json", told)
    title = f"{task.name}: the same episode before and after"
    files.write_text(args.page, page(title, told, args.output))


if __name__ == "__main__":
    cli.run(main)
