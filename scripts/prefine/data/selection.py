"""Choose snapshots whose rollouts, thinned, make a dataset of given numbers.

Pure functions of episodes that were played: ``episodes`` is a list with an array (n, 2) of returns
and costs for each snapshot.
"""

from collections.abc import Callable, Sequence

import numpy as np

from prefine.data.thinning import cells, thin
from prefine.tasks import Task

GRID = 12  # cells along each side for a choice, wider than those of thinning
MOST, LEAST = 34, 20  # snapshots of a family


def histograms(episodes: Sequence[np.ndarray], task: Task, grid: int = GRID) -> np.ndarray:
    """Shares of a snapshot's episodes by cell, (snapshots, cells + 1); the last costs too much."""
    size = grid * (grid + 2)
    shares = np.zeros((len(episodes), size + 1))
    for row, own in zip(shares, episodes, strict=True):
        inside = own[own[:, 1] <= task.max_cost]
        np.add.at(row, cells(inside[:, 0], inside[:, 1], task, grid), 1 / len(own))
        row[size] = 1 - len(inside) / len(own)
    return shares


def cover(shares: np.ndarray, most: int, least_mass: float = 0.02) -> list[int]:
    """Snapshots that cover the plane: each is the one that raises sum log(mass of a cell) most."""
    chosen: list[int] = []
    mass = np.full(shares.shape[1] - 1, least_mass)
    for _ in range(min(most, len(shares))):
        gain = np.log1p(shares[:, :-1] / mass).sum(axis=1)
        gain[chosen] = -np.inf
        chosen.append(int(gain.argmax()))
        mass += shares[chosen[-1], :-1]
    return chosen


def weights(shares: np.ndarray, rounds: int = 30, floor: float = 0.35) -> np.ndarray:
    """How the episodes are shared out so that the density over reached cells comes near to even.

    Args:
        floor: no snapshot gets less than this part of an equal share.

    Returns:
        (snapshots,), summing to 1.
    """
    used, n = shares[:, :-1], len(shares)
    value = np.minimum(used.sum(axis=0), 0.4)  # single outliers draw no episodes
    value /= value.sum()
    result = np.full(n, 1 / n)
    for _ in range(rounds):
        result = result * (used @ (value / np.maximum(result @ used, 1e-12)))
        result = np.maximum(result / result.sum(), floor / n)
        result /= result.sum()
    return result


def episodes_of(share: np.ndarray, shares: np.ndarray, task: Task, surplus: float) -> np.ndarray:
    """Episodes of each snapshot: DSRL's number times ``surplus``, and those that cost too much."""
    total = surplus * task.n_trajectories / max(0.5, 1 - (share @ shares)[-1])
    return np.maximum(2, np.round(share * min(total, 1.42 * task.n_trajectories))).astype(int)


def like(own: np.ndarray, n: int, rng: np.random.Generator) -> np.ndarray:
    """``n`` episodes like a snapshot's: drawn again, and moved by a part of their spread."""
    drawn = own[rng.integers(len(own), size=n)]
    moved = drawn + rng.standard_normal((n, 2)) * own.std(axis=0) * 0.3
    moved[:, 1] = np.where(drawn[:, 1] == 0, 0, np.maximum(0, np.round(moved[:, 1])))
    return moved


def simulated(
    episodes: Sequence[np.ndarray], counts: np.ndarray, task: Task, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Returns and costs of a dataset as rollouts would give it, thinned."""
    played = np.concatenate([like(own, n, rng) for own, n in zip(episodes, counts, strict=True)])
    kept = thin(played[:, 0], played[:, 1], task, task.n_trajectories)
    return played[kept, 0], played[kept, 1]


def dataset_of(
    episodes: Sequence[np.ndarray], task: Task, surplus: float, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """The dataset that some snapshots would give with the shares that suit them."""
    shares = histograms(episodes, task)
    counts = episodes_of(weights(shares), shares, task, surplus)
    return simulated(episodes, counts, task, rng)


def search(
    start: Sequence[int],
    n: int,
    value: Callable[[list[int]], float],
    rounds: int,
    rng: np.random.Generator,
) -> list[int]:
    """Take out, put in and exchange up to three of ``n`` snapshots while that lowers ``value``."""
    best, lowest = list(start), value(list(start))
    for _ in range(rounds):
        trial, move = list(best), rng.integers(3)
        out = [place for place in range(n) if place not in trial]
        for _ in range(rng.integers(1, 4)):
            if move != 1 and len(trial) > LEAST:
                trial.pop(rng.integers(len(trial)))
            if move != 0 and len(trial) < MOST and out:
                trial.append(out.pop(rng.integers(len(out))))
        if set(trial) != set(best) and (found := value(trial)) < lowest:
            best, lowest = trial, found
    return best
