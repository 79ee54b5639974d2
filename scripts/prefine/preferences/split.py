"""Split a dataset by a cost threshold into D_ref, D_p and D_np (methods 2.6, paper 5.1)."""

import hashlib
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from prefine.errors import UserError

ORDERS = ("highest_cost", "lowest_cost")
SALT = 20260525  # the paper's conference; any constant does, but it must not change
PREFERRED_ROLE, NONPREFERRED_ROLE = 0, 1


@dataclass(frozen=True)
class SplitSettings:
    """How the sets are drawn; the names are config.yaml's, section ``split``."""

    n_preferred: int = 100
    n_nonpreferred: int = 20
    preferred_top: float = 0.25
    preferred_strata: int = 5
    nonpreferred_pool: int = 100
    nonpreferred_order: str = "highest_cost"
    reference_top: float = 0.1
    reference_min: int = 50

    def __post_init__(self):
        """Raise UserError for an order that is none; the config's are checked by its schema."""
        if self.nonpreferred_order not in ORDERS:
            raise UserError(
                f"nonpreferred_order: {self.nonpreferred_order!r} is not one of {', '.join(ORDERS)}"
            )


@dataclass(frozen=True)
class Split:
    """Dataset indices, sorted. ``short`` lists the sets that have fewer than asked."""

    preferred: np.ndarray
    nonpreferred: np.ndarray
    n_safe: int
    n_unsafe: int
    short: list[str] = field(default_factory=list)

    @property
    def feasible(self) -> bool:
        """A (task, threshold) cell needs at least one trajectory on each side."""
        return len(self.preferred) > 0 and len(self.nonpreferred) > 0

    def checksum(self) -> str:
        """Return a SHA-256 of the two index lists."""
        text = f"{self.preferred.tolist()}|{self.nonpreferred.tolist()}"
        return hashlib.sha256(text.encode()).hexdigest()


def split_generator(task: str, tau: float, draw: int, role: int) -> np.random.Generator:
    """Return the stream of one set; the same numbers on every machine.

    ``tau`` is 0 where labels take its place.
    """
    whole = tau >= 0 and float(tau).is_integer()  # else its 64 bits are a number of their own
    number = int(tau) if whole else int(np.float64(tau).view(np.uint64))
    entropy = [SALT, zlib.crc32(task.encode()), number, draw, role]
    return np.random.Generator(np.random.PCG64(np.random.SeedSequence(entropy)))


def rank(primary: np.ndarray, *, descending: bool) -> np.ndarray:
    """Return positions ordered by ``primary``; ties keep the order of the dataset index."""
    return np.argsort(-primary if descending else primary, kind="stable")


def reference_set(returns: np.ndarray, settings: SplitSettings) -> np.ndarray:
    """D_ref: the top ``reference_top`` by return, whatever they cost (paper 5.1)."""
    n = max(settings.reference_min, int(np.ceil(settings.reference_top * len(returns))))
    return np.sort(rank(returns, descending=True)[:n])


def preferred_set(
    returns: np.ndarray, costs: np.ndarray, tau: float, settings: SplitSettings, rng
) -> np.ndarray:
    """D_p: a stratified draw over the return quantiles of the best safe trajectories."""
    safe = np.flatnonzero(costs < tau)
    n = settings.n_preferred
    n_top = min(max(n, int(np.ceil(settings.preferred_top * len(safe)))), len(safe))
    top = safe[rank(returns[safe], descending=True)][:n_top]
    return np.sort(stratified_draw(top, n, settings.preferred_strata, rng))


def nonpreferred_set(
    returns: np.ndarray, costs: np.ndarray, tau: float, settings: SplitSettings, rng
) -> np.ndarray:
    """D_np: one draw from each return group of the 100 costliest unsafe trajectories."""
    unsafe = np.flatnonzero(costs >= tau)
    costliest_first = settings.nonpreferred_order == "highest_cost"
    pool = unsafe[rank(costs[unsafe], descending=costliest_first)][: settings.nonpreferred_pool]
    pool = np.sort(pool)  # ties in return go by index, not by cost
    pool = pool[rank(returns[pool], descending=False)]
    if len(pool) <= settings.n_nonpreferred:
        return np.sort(pool)
    groups = np.array_split(pool, settings.n_nonpreferred)
    return np.sort(np.array([rng.choice(group) for group in groups]))


def stratified_draw(ranked: np.ndarray, n: int, n_strata: int, rng) -> np.ndarray:
    """Draw ``n`` of ``ranked`` (best first) without replacement, evenly over strata.

    A group that is too short passes its deficit to the next better group, then to the
    remaining ones from best to worst.
    """
    if len(ranked) <= n:
        return ranked
    groups = np.array_split(ranked, n_strata)
    quotas = [len(part) for part in np.array_split(np.arange(n), n_strata)]
    takes = [min(quota, len(group)) for quota, group in zip(quotas, groups, strict=True)]
    for position, quota in enumerate(quotas):
        deficit = quota - min(quota, len(groups[position]))
        better = list(range(position - 1, -1, -1))
        for receiver in better + [g for g in range(n_strata) if g not in better]:
            extra = min(deficit, len(groups[receiver]) - takes[receiver])
            takes[receiver] += extra
            deficit -= extra
    drawn = [
        rng.choice(group, take, replace=False) for group, take in zip(groups, takes, strict=True)
    ]
    return np.concatenate(drawn)


def split(
    returns: np.ndarray,
    costs: np.ndarray,
    task: str,
    tau: float,
    draw: int,
    settings: SplitSettings,
) -> Split:
    """Draw D_p and D_np for one (task, threshold, draw).

    Args:
        returns, costs: (n,) undiscounted sums by dataset index.
        tau: cost threshold; a trajectory is safe if its cost is strictly below.

    Raises:
        UserError: a return or a cost is not finite.
    """
    if not (np.isfinite(returns).all() and np.isfinite(costs).all()):
        raise UserError(f"{task}: a split by costs needs finite returns and costs")
    preferred = preferred_set(
        returns, costs, tau, settings, split_generator(task, tau, draw, PREFERRED_ROLE)
    )
    nonpreferred = nonpreferred_set(
        returns, costs, tau, settings, split_generator(task, tau, draw, NONPREFERRED_ROLE)
    )
    wanted = {
        "preferred": (preferred, settings.n_preferred),
        "nonpreferred": (nonpreferred, settings.n_nonpreferred),
    }
    n_safe = int((costs < tau).sum())
    return Split(
        preferred=preferred,
        nonpreferred=nonpreferred,
        n_safe=n_safe,
        n_unsafe=len(costs) - n_safe,
        short=[name for name, (drawn, asked) in wanted.items() if len(drawn) < asked],
    )


def labelled_split(
    labels: Mapping[str, np.ndarray], task: str, draw: int, settings: SplitSettings
) -> Split:
    """Take D_p and D_np from labels instead of costs: all, or a draw if there are more than asked.

    Args:
        labels: ``preferred`` and ``nonpreferred`` -> dataset indices.
    """
    asked = {"preferred": settings.n_preferred, "nonpreferred": settings.n_nonpreferred}
    sets = {}
    for role, name in enumerate(asked):
        indices, rng = labels[name], split_generator(task, 0, draw, role)
        if len(indices) > asked[name]:
            indices = rng.choice(indices, asked[name], replace=False)
        sets[name] = np.sort(indices)
    return Split(
        **sets,
        n_safe=len(labels["preferred"]),
        n_unsafe=len(labels["nonpreferred"]),
        short=[name for name, n in asked.items() if len(sets[name]) < n],
    )
