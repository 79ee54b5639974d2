"""How far the states of D_p and D_np overlap: occupied cells of a joint UMAP (methods 8.4).

A Jaccard index of occupied cells says nothing by itself: it falls with the number of cells and
rises with the number of points, also for two samples of one density (E J = tanh(mu / 2) for mu
points a cell and sample of a uniform one). So it stands beside the index of two halves of the
same set, and beside a share of neighbours that needs neither cells nor UMAP.
"""

import itertools
import warnings
from collections.abc import Iterable
from typing import NamedTuple

import numpy as np

from prefine import caches

caches.find()  # before numba looks for one

import umap
import umap.layouts
from numba.core.dispatcher import Dispatcher
from sklearn.neighbors import NearestNeighbors

from prefine.data.dataset import observation_constants

# Some of UMAP's functions it would compile in every process anew, for longer than they run.
for part in (umap.umap_, umap.layouts):
    for function in vars(part).values():
        if isinstance(function, Dispatcher):
            function.enable_caching()

PAD = 1e-9  # around the box of the cells, so that its edges belong to it
SPLITS = 10  # ways to halve the sets; their mean is less noisy than one
NEIGHBOURS = 10  # of a state, in the share of neighbours


class Nearest(NamedTuple):
    """The other points nearest to each point, nearest first: both (n, k)."""

    indices: np.ndarray
    distances: np.ndarray


def standardise(states: np.ndarray) -> np.ndarray:
    """Give the columns of (n, obs_dim) mean 0 and standard deviation 1, constant ones 0."""
    mean, std = observation_constants(states)
    return (states - mean) / std


def nearest(points: np.ndarray, k: int) -> Nearest:
    """Find the ``k`` nearest of the other points (n, d), exactly, by Euclidean distance."""
    search = NearestNeighbors(n_neighbors=k, algorithm="brute", n_jobs=1).fit(points)
    distances, indices = search.kneighbors()  # without points: of each its own place is left out
    return Nearest(indices, distances)


def embed(
    points: np.ndarray, near: Nearest, n_neighbors: int, min_dist: float, seed: int
) -> np.ndarray:
    """Lay points (n, d) out in the plane by UMAP: (n, 2) float32, the same for the same seed.

    ``near`` has at least ``n_neighbors`` - 1 columns; UMAP counts a point as its own neighbour.
    Exact neighbours also save most of UMAP's start, which compiles a search of its own.
    """
    itself = np.arange(len(points))[:, None]
    indices = np.hstack([itself, near.indices[:, : n_neighbors - 1]])
    distances = np.hstack([np.zeros_like(itself), near.distances[:, : n_neighbors - 1]])
    with warnings.catch_warnings():
        # Its search is for new points, and there will be none.
        warnings.filterwarnings("ignore", message=".*knn_search_index")
        model = umap.UMAP(
            n_neighbors=n_neighbors,
            min_dist=min_dist,
            metric="euclidean",
            random_state=seed,
            n_jobs=1,
            precomputed_knn=(indices.astype(np.int32), distances.astype(np.float32)),
        )
        return model.fit_transform(points)


def cells(embedding: np.ndarray, grid: int) -> np.ndarray:
    """Number the cells, ``grid`` x ``grid`` over the bounding box, in which points (n, 2) lie."""
    low, high = embedding.min(axis=0) - PAD, embedding.max(axis=0) + PAD
    places = np.floor(grid * (embedding - low) / (high - low)).astype(int)
    places = places.clip(0, grid - 1)  # float32 can lose the pad
    return places[:, 0] * grid + places[:, 1]


def jaccard(one: np.ndarray, other: np.ndarray) -> float:
    """|A and B| / |A or B| of the cells that two samples occupy; both (n,), not empty."""
    a, b = np.unique(one), np.unique(other)
    common = len(np.intersect1d(a, b, assume_unique=True))
    return common / (len(a) + len(b) - common)


def compare(
    preferred: np.ndarray, nonpreferred: np.ndarray, rng: np.random.Generator
) -> dict[str, float]:
    """Compare the cells (n,) of two samples of one size with those of their halves.

    Returns:
        ``jaccard`` of the samples; ``jaccard_half`` of halves of different samples and
        ``jaccard_self`` of halves of one sample (J0), of n // 2 points all; ``ratio``, the
        former over the latter; ``median_points`` of a set in a cell that it occupies, the
        smaller of the two sets'.
    """
    across, within = [], []
    for _ in range(SPLITS):
        a, b = (np.array_split(rng.permutation(own), 2) for own in (preferred, nonpreferred))
        size = min(map(len, a))
        a, b = ([half[:size] for half in halves] for halves in (a, b))
        across.append(np.mean([jaccard(x, y) for x, y in itertools.product(a, b)]))
        within.append(np.mean([jaccard(*a), jaccard(*b)]))
    medians = [
        np.median(np.unique(own, return_counts=True)[1]) for own in (preferred, nonpreferred)
    ]
    half, itself = float(np.mean(across)), float(np.mean(within))
    return {
        "jaccard": jaccard(preferred, nonpreferred),
        "jaccard_half": half,
        "jaccard_self": itself,
        "ratio": half / itself if itself else float("nan"),
        "median_points": float(min(medians)),
    }


def sweep(
    embedding: np.ndarray, preferred: np.ndarray, grids: Iterable[int], rng: np.random.Generator
) -> list[dict[str, float]]:
    """Compare the two sets on each grid.

    Args:
        embedding: (n, 2), both sets.
        preferred: (n,) bool, which points are D_p's; as many are not.
    """
    rows = []
    for grid in grids:
        own = cells(embedding, grid)
        rows.append({"grid": grid} | compare(own[preferred], own[~preferred], rng))
    return rows


def neighbour_share(near: Nearest, preferred: np.ndarray, k: int = NEIGHBOURS) -> float:
    """Share of D_p's states with a state of D_np among their ``k`` nearest of the union.

    Of two samples of one density nearly all have one: 1 - 2^-k.

    Args:
        near: of the states of both sets, in the space where it is measured.
        preferred: (n,) bool, which states are D_p's.
    """
    return float((~preferred)[near.indices[preferred, :k]].any(axis=1).mean())
