"""The runs of an arm: one row a run. Light enough for the Snakefile."""

from collections.abc import Iterable, Mapping

SIZES = ("n_preferred", "n_nonpreferred")
CONFIG = "config"  # the variant of a study in which nothing is changed
COLUMNS = ("run", "study", "task", "method", "arm", "tau", "draw", "seed", "stream")


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


def suffix(numbers: Mapping[str, float]) -> str:
    """The end of a run's name that tells its own numbers, if it has any."""
    return "".join(f"/{key}{_short(value)}" for key, value in numbers.items())


def _short(value: float) -> str:
    """A number in few digits, and never that of another one."""
    text = f"{value:g}"
    return text if float(text) == value else repr(value)


def plan(
    study: str,
    task: str,
    method: str,
    arm: str,
    cells: Iterable[dict],
    rows: Iterable[tuple],
    variants: list[dict],
) -> list[dict]:
    """List the runs whose (threshold, draw) cell is feasible.

    Args:
        arm: name of the method with what its job is told otherwise.
        cells: the split manifest's cells (tau, draw, feasible).
        rows: (tau, draw, seed, index into ``variants``).
        variants: what a run has of its own: hyper-parameters, sizes of its sets, and
            ``suffix``, the end of its name.

    Returns:
        ``COLUMNS`` and one a number, of each run.
    """
    feasible = {(cell["tau"], cell["draw"]) for cell in cells if cell["feasible"]}
    listed = []
    for tau, draw, seed, variant in rows:
        if (tau, draw) not in feasible:
            continue
        numbers = dict(variants[variant])
        end, stream = numbers.pop("suffix"), stream_name(task, tau, draw, seed)
        listed.append(
            {
                "run": f"{study}/{arm}/{stream}{end}",
                "study": study,
                "task": task,
                "method": method,
                "arm": arm,
                "tau": tau,
                "draw": draw,
                "seed": seed,
                "stream": stream,
            }
            | numbers
        )
    return listed
