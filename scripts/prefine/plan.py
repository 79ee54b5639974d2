"""The runs of a (study, task, method): one row a run."""

from collections.abc import Iterable

import pandas as pd


def draw_seed_pairs(
    draws: int, seeds: int, pairing: str, sees: str = "actions"
) -> list[tuple[int, int]]:
    """Return (draw, seed) pairs: run k takes draw k and seed k, or all of them (D6).

    A method that sees everything does not depend on the draw, and crossing repeats nothing.
    """
    if pairing == "paired":
        return [(k, k) for k in range(min(draws, seeds))]
    if sees == "everything":
        return [(0, seed) for seed in range(seeds)]
    return [(draw, seed) for draw in range(draws) for seed in range(seeds)]


def stream_name(task: str, tau: int | None, draw: int, seed: int) -> str:
    """Name a run's random streams.

    Method, study and hyper-parameters are left out on purpose: runs that differ only in
    them see the same batches and noise.
    """
    sets = "labels" if tau is None else f"tau{tau}"
    return f"{task}/{sets}/draw{draw}/seed{seed}"


def plan(study: str, task: str, method: str, cells: Iterable[dict], settings: dict) -> pd.DataFrame:
    """List the runs whose (threshold, draw) cell is feasible.

    Args:
        cells: the split manifest's cells (tau, draw, feasible).
        settings: draws, seeds, pairing and the method's hyperparameters for this task.

    Returns:
        Columns run, study, task, method, tau, draw, seed, stream and one a hyper-parameter.
    """
    feasible = {(cell["tau"], cell["draw"]) for cell in cells if cell["feasible"]}
    pairs = draw_seed_pairs(
        settings["draws"], settings["seeds"], settings["pairing"], settings["sees"]
    )
    rows = [
        {
            "run": f"{study}/{method}/{stream_name(task, tau, draw, seed)}",
            "study": study,
            "task": task,
            "method": method,
            "tau": tau,
            "draw": draw,
            "seed": seed,
            "stream": stream_name(task, tau, draw, seed),
        }
        | settings["hyperparameters"]
        for tau in dict.fromkeys(sorted((c["tau"] for c in cells), key=lambda tau: tau or 0))
        for draw, seed in pairs
        if (tau, draw) in feasible
    ]
    columns = ["run", "study", "task", "method", "tau", "draw", "seed", "stream"]
    return pd.DataFrame(rows, columns=columns + list(settings["hyperparameters"]))
