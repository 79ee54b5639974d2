"""Export the chosen policy with its model card, which has the reported episodes."""

import json

import pandas as pd
from prefine.pipeline import cli
from prefine.policies import file as policy_file
from prefine.policies.export import export
from prefine.report.model_card import model_card


def main() -> None:
    parser = cli.parser(__doc__, "choice policies episodes manifest output", source=str)
    args = parser.parse_args()
    choice, manifest = (json.loads(path.read_text()) for path in (args.choice, args.manifest))
    policies = args.policies / f"{choice['job']}.safetensors"
    trained = policy_file.load_run(policies, choice["run"]).metadata
    episodes = pd.read_parquet(args.episodes)
    brought = episodes["who"].iloc[0]  # the policy as it was brought comes first
    before, after = (episodes[episodes["who"] == who] for who in (brought, "after"))
    cell = next(own for own in manifest["cells"] if own["tau"] == choice["tau"])
    trained_on = {
        "trajectories": f"{manifest['n_trajectories']}, {args.source}",
        "preferred, nonpreferred": f"{cell['n_safe']}, {cell['n_unsafe']}",
        "judged by": "labels" if manifest["labelled"] else "costs and a threshold",
    }
    validation = choice["validation"]["episodes"]
    remarks = f"Chosen on {validation} episodes that are not those above: {choice['why']}."
    card = model_card(trained, after, before, trained_on, remarks)
    export(args.output, policies, choice["run"], card)


if __name__ == "__main__":
    cli.run(main)
