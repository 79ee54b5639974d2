"""Peak memory of reading a file of the size of DSRL's largest, CarPush2 (3 GiB, 4.4 million steps).

python benchmarks/reading.py [folder for the file]
"""

import subprocess
import sys
import tempfile
import time
from pathlib import Path

import h5py
import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "scripts"))

from prefine.data import dataset
from prefine.data.hdf5 import blocks
from prefine.simulators.costs import agreement
from prefine.tasks import TASKS

TASK = TASKS["CarPush2"]
BLOCK = 100_000


def write(path: Path) -> None:
    """Random numbers in DSRL's layout; next states follow, as in the real file."""
    rng, n = np.random.default_rng(0), TASK.n_trajectories * TASK.horizon
    timeouts = np.zeros(n, dtype=bool)
    timeouts[TASK.horizon - 1 :: TASK.horizon] = True
    with h5py.File(path, "w") as file:
        for name in ("observations", "next_observations"):
            file.create_dataset(name, (n, TASK.obs_dim), "f4", chunks=(4096, TASK.obs_dim))
        for start in range(0, n, BLOCK):
            stop = min(n, start + BLOCK)
            states = rng.random((stop - start + 1, TASK.obs_dim), dtype=np.float32)
            file["observations"][start:stop] = states[:-1]
            file["next_observations"][start:stop] = states[1:]
        file["actions"] = rng.uniform(-1, 1, (n, TASK.act_dim)).astype(np.float32)
        file["rewards"] = rng.random(n, dtype=np.float32)
        file["costs"] = (rng.random(n) < 0.1).astype(np.float32)
        file["terminals"], file["timeouts"] = np.zeros(n, dtype=bool), timeouts


WAYS = {
    "trajectory table": lambda path: dataset.trajectory_table(path, TASK),
    "costs recomputed": lambda path: agreement(TASK, (b for _, _, b in blocks(path, TASK))),
    "what PREFINE, BC, DPO and PPL see": lambda path: dataset.load_transitions(path, TASK),
    "what SafeDICE sees": lambda path: dataset.load_transitions(path, TASK, "transitions"),
    "what CPQ sees": lambda path: dataset.load_transitions(path, TASK, "everything"),
}


def main(folder: str | None = None) -> None:
    with tempfile.TemporaryDirectory(dir=folder) as place:
        path = Path(place) / "large.hdf5"
        write(path)
        print(f"file: {path.stat().st_size / 2**30:.2f} GiB")
        for way in WAYS:  # each in a process of its own
            subprocess.run([sys.executable, __file__, way, str(path)], check=True)


def measure(way: str, path: str) -> None:
    started = time.perf_counter()
    kept = WAYS[way](path)
    seconds = time.perf_counter() - started
    peak = int(Path("/proc/self/status").read_text().split("VmHWM:")[1].split()[0]) / 2**20
    print(f"{way}: peak {peak:.2f} GiB, {seconds:.0f} s ({type(kept).__name__})", flush=True)


if __name__ == "__main__":
    measure(*sys.argv[1:]) if len(sys.argv) == 3 else main(*sys.argv[1:])
