"""What the paper's protocol (config.yaml) costs on this machine, from the measured rates.

Training from `methods.py` (its rows of 15 runs, the number of a job of the main study), rollouts
from `evaluation.py`, whose task of the same simulator stands for the others. Not counted: data,
tables, figures, and that some studies change the cost of a step.

    python benchmarks/paper_hours.py
"""

import json
import sys
from pathlib import Path

import pandas as pd
import yaml

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "scripts"))

from paired import RESULTS, report
from prefine.config import check as configuration
from prefine.config import studies
from prefine.methods import REFERENCE
from prefine.tasks import TASKS

RUNS = 15
MEASURED = {"Velocity": "HalfCheetahVelocity", "PointGoal1": "PointGoal1", "CarGoal1": "CarGoal1"}
SCHEMA = Path("workflow/schemas/config.schema.yaml")


def rows_of(name: str) -> pd.DataFrame:
    return pd.DataFrame(json.loads((RESULTS / f"{name}.json").read_text())["rows"])


def main() -> None:
    schema = yaml.safe_load(SCHEMA.read_text())
    config = configuration.check(yaml.safe_load(Path("config.yaml").read_text()), schema)
    methods = rows_of("methods").query(f"replicas == {RUNS}").set_index("method")
    rates = rows_of("evaluation").set_index("task")["job steps/s"]
    arms, _ = studies.expand(config)
    of_run, costs = methods["hours"] / RUNS, []
    for job, arm in arms.items():
        same = [measured for end, measured in MEASURED.items() if arm.task.endswith(end)]
        played = config["evaluation"]["episodes"]
        played += arm.points * config["evaluation"]["curves"]["episodes"]
        steps = len(arm.rows) * played * TASKS[arm.task].horizon
        costs.append(
            {
                "study": arm.study,
                "training jobs": int(arm.policies == job),
                "runs": len(arm.rows) if arm.policies == job else 0,
                "training hours": of_run[arm.method] * len(arm.rows) * (arm.policies == job),
                "rollout hours": steps / rates[(same or ["BallCircle"])[0]] / 3600,
            }
        )
    one = rows_of("methods").query(f"method == {REFERENCE!r} and replicas == 1")["hours"].item()
    tasks = len(config["tasks"])
    costs.append({"study": "π_ref", "training jobs": tasks, "runs": tasks})
    costs[-1] |= {"training hours": tasks * one, "rollout hours": 0.0}
    table = pd.DataFrame(costs).groupby("study", sort=False).sum()
    table.loc["all"] = table.sum()
    whole = table.astype({"training jobs": int, "runs": int}).reset_index()
    report("paper_hours", whole.to_dict("records"))


if __name__ == "__main__":
    main()
