"""Write a dataset as Minari's, for others to load.

A trajectory of T steps has T + 1 observations; costs are in its infos, which begin with the one of
the reset. The folder is Minari's own: ``minari.load_dataset`` finds it where
``MINARI_DATASETS_PATH`` names it.
"""

import os
import shutil
import warnings
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from gymnasium.spaces import Box
from prefine import files
from prefine.data import dataset
from prefine.data.hdf5 import KEYS, read
from prefine.errors import UserError
from prefine.pipeline import cli
from prefine.tasks import Task, find

DATASET = "trajectories-v0"


def episodes(path: Path, task: Task, box: Box) -> Iterator[dict]:
    """The trajectories of a dataset in their order, each as Minari's buffer names its parts."""
    data = read(path, task, KEYS if task.has_costs else [key for key in KEYS if key != "costs"])
    data["actions"] = (box.high + box.low) / 2 + data["actions"] * (box.high - box.low) / 2
    starts, lengths, _ = dataset.segment(data["terminals"], data["timeouts"])
    for start, length in zip(starts, lengths, strict=True):
        own = {key: values[start : start + length] for key, values in data.items()}
        last = own["next_observations"][-1:]
        yield {
            "observations": np.concatenate([own["observations"], last]),
            "actions": own["actions"],
            "rewards": own["rewards"],
            "terminations": own["terminals"],
            "truncations": own["timeouts"] & ~own["terminals"],
            "infos": {"cost": np.append(np.float32(0), own["costs"])} if task.has_costs else None,
        }


def main() -> None:
    args = cli.parser(__doc__, "data output", task=find).parse_args()
    task, output = args.task, args.output
    low, high = (
        np.broadcast_to(np.float32(own), task.act_dim)
        for own in (task.action_low, task.action_high)
    )
    box = Box(low, high, dtype=np.float32)
    warnings.filterwarnings("ignore", module="minari")  # of authors and environments not named
    if len(task.name) < 2:
        raise UserError(f"{task.name}: Minari takes names of two characters and more")
    # Its name is always the same, so that the next one removes what a killed job left.
    folder = output.resolve().with_name(f".{output.name}.part")
    shutil.rmtree(folder, ignore_errors=True)
    try:
        with files.room_for(output):
            folder.mkdir(parents=True)
            os.environ["MINARI_DATASETS_PATH"] = str(folder)  # where Minari writes to
            import minari  # it makes that folder when it is imported
            from minari.data_collector import EpisodeBuffer

            made = minari.create_dataset_from_buffers(
                f"{task.name}/{DATASET}",
                [EpisodeBuffer(**episode) for episode in episodes(args.data, task, box)],
                observation_space=Box(-np.inf, np.inf, (task.obs_dim,), np.float32),
                action_space=box,
                description=f"{task.name}; the cost of a step is in infos['cost']. "
                "Scores are normalised with ref_min_score and ref_max_score.",
                data_format="hdf5",
            )
            scores = {"ref_min_score": task.min_return, "ref_max_score": task.max_return}
            made.storage.update_metadata(scores)  # creation takes them with an environment only
            shutil.rmtree(output, ignore_errors=True)
            (folder / task.name / DATASET).replace(output)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    cli.run(main)
