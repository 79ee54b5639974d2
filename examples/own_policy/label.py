"""Stand for the person who labels: preferred or nonpreferred, and nothing where it is between.

    python examples/own_policy/label.py results/own_policy_example data/own_policy

A person looks at results/{run}/labels/{task}.html and clicks. To have an example that runs by
itself, and that anybody can check, this script judges by the cost that the simulator told when the
trajectory was made. What it writes are the two words, and they are all that fine-tuning is given.
"""

import argparse
from pathlib import Path

import pandas as pd

LIMITS = {  # cost of an episode: at most this is preferred, at least that is not
    "BallCircle": (10, 50),
    "HalfCheetahVelocity": (150, 500),
}


def judged(cost: float, good: float, bad: float) -> str:
    """A label, or nothing."""
    return "preferred" if cost <= good else "nonpreferred" if cost >= bad else ""


def main(results: str, folder: str) -> None:
    for task, (good, bad) in LIMITS.items():
        sheet = pd.read_csv(Path(results) / f"labels/{task}.csv")
        costs = pd.read_csv(Path(results) / f"trajectories/{task}.csv").set_index("index")["cost"]
        sheet["label"] = [judged(costs[number], good, bad) for number in sheet["trajectory"]]
        Path(folder).mkdir(parents=True, exist_ok=True)
        sheet.to_csv(Path(folder) / f"{task}.csv", index=False)
        print(task, sheet["label"].replace("", "no label").value_counts().to_dict())


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("results", help="results/{run}, which has labels/ and trajectories/")
    parser.add_argument("folder", help="where the labels go")
    main(**vars(parser.parse_args()))
