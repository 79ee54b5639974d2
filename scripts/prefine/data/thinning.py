"""A dataset's trajectories spread over the plane of cost and return, as DSRL's are.

DSRL's authors logged far more than they kept: they thinned what was dense until the plane of
episode cost and return was covered evenly (methods 2.2).
"""

from collections.abc import Sequence

import numpy as np

from prefine.streams import generator
from prefine.tasks import Task

GRID = (
    20  # cells along each side: costs up to the largest, returns from the smallest to the largest
)


def cells(returns: np.ndarray, costs: np.ndarray, task: Task, grid: int = GRID) -> np.ndarray:
    """The cell of each trajectory in the plane, (n,) integers.

    Returns below or above DSRL's have cells of their own, a row each.
    """
    column = np.clip((costs / task.max_cost * grid).astype(int), 0, grid - 1)
    share = (returns - task.min_return) / (task.max_return - task.min_return)
    row = np.clip(np.floor(share * grid).astype(int), -1, grid)
    return column * (grid + 2) + row + 1


def thin(
    returns: np.ndarray, costs: np.ndarray, task: Task, n: int, grid: int = GRID
) -> np.ndarray:
    """Choose ``n`` trajectories of even density; fewer, if there are not as many.

    None costs more than the dataset of DSRL's costliest. Every cell gives one trajectory after
    another, drawn at random, until there are enough: a cell that gives fewer than another one has
    no more to give.

    Args:
        returns, costs: (m,) undiscounted sums.

    Returns:
        Their places, sorted.
    """
    allowed = np.flatnonzero(costs <= task.max_cost)
    allowed = generator("thin", task.name).permutation(allowed)
    cell = cells(returns[allowed], costs[allowed], task, grid)
    order = np.argsort(cell, kind="stable")
    starts = np.searchsorted(cell[order], cell[order])
    turn = np.empty(len(allowed), int)  # when a trajectory's cell would give it
    turn[order] = np.arange(len(allowed)) - starts
    return np.sort(allowed[np.argsort(turn, kind="stable")[:n]])


def episodes_to_play(full: Sequence[int], n: int, task: Task) -> list[int]:
    """How many episodes each policy plays for ``n`` trajectories.

    Args:
        full: of each policy, for as many trajectories as DSRL has; more than are kept.
    """
    return [max(1, -(-own * n // task.n_trajectories)) for own in full]
