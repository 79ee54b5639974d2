"""Choose the fine-tuned policy that is handed back, by validation episodes."""

import logging
from dataclasses import asdict
from pathlib import Path

import pandas as pd
from prefine import files, frames
from prefine.analysis.choose import choose, summarize
from prefine.pipeline import cli
from prefine.preferences.plans import read_plan


def main() -> None:
    parser = cli.parser(__doc__, "before output table", settings=cli.json_argument)
    parser.add_argument("--episodes", type=Path, nargs="+", required=True)
    parser.add_argument("--plans", type=Path, nargs="+", required=True)
    args = parser.parse_args()
    settings = args.settings
    plans = pd.concat([read_plan(path) for path in args.plans], ignore_index=True)
    plans["job"] = plans["study"] + "/" + plans["task"] + "/" + plans["arm"]
    episodes = pd.concat([frames.read_parquet(path) for path in args.episodes], ignore_index=True)
    before = frames.read_parquet(args.before)[["return", "cost"]].mean()
    runs = summarize(episodes, plans)
    choice = choose(runs, before["cost"], settings["cost_share"], settings["usual"])
    logging.info("%s\n%s", choice, runs.to_string())
    files.write_table(args.table, runs.assign(chosen=runs["run"] == choice.run))
    validation = {"episodes": settings["episodes"], "before": before.to_dict()}
    files.write_json(args.output, asdict(choice) | {"validation": validation, "settings": settings})


if __name__ == "__main__":
    cli.run(main)
