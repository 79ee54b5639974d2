"""Export the chosen policy with its model card, which has the reported episodes."""

import shutil
from pathlib import Path

from prefine import files, frames, results
from prefine.pipeline import cli
from prefine.policies import file as policy_file
from prefine.policies.export import export
from prefine.report.model_card import model_card
from prefine.rows import read_manifest

SMALL_FILM = "film.webp"
ROLES = {"preferred": "n_safe", "nonpreferred": "n_unsafe"}  # set -> how many there were


def main() -> None:
    parser = cli.parser(__doc__, "choice policies episodes manifest film output", source=str)
    args = parser.parse_args()
    choice, manifest = results.read_object(args.choice), read_manifest(args.manifest)
    policies = args.policies / f"{choice['job']}.safetensors"
    trained = policy_file.load_run(policies, choice["run"]).metadata
    episodes = frames.read_parquet(args.episodes)
    brought = episodes["who"].iloc[0]  # the policy as it was brought comes first
    before, after = (episodes[episodes["who"] == who] for who in (brought, "after"))
    cell = next(own for own in manifest["cells"] if own["tau"] == choice["tau"])
    trained_on = {
        "trajectories": f"{manifest['n_trajectories']}, {args.source}",
        **{name: f"{cell[name]['n']} of {cell[n]}" for name, n in ROLES.items()},
        "judged by": "labels" if manifest["labelled"] else "costs and a threshold",
    }
    validation = choice["validation"]["episodes"]
    remarks = f"Chosen on {validation} episodes that are not those above: {choice['why']}."
    film = copied(args.film / SMALL_FILM, args.output)
    card = model_card(trained, after, before, trained_on, remarks, film)
    export(args.output, policies, choice["run"], card)


def copied(film: Path, folder: Path) -> str:
    """Put a film beside the page and return its name; nothing if there is none."""
    if not film.exists():
        return ""
    with files.atomic(folder / film.name, noted=False) as temporary:
        shutil.copyfile(film, temporary)
    return film.name


if __name__ == "__main__":
    cli.run(main)
