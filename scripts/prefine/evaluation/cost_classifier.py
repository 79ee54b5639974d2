"""The chance p(c = 1 | s, a) that a step costs, learned from a task's data (methods 8.3).

For tasks whose simulator cannot be put into a recorded state. It knows the actions of the data;
what it says about others is extrapolation, and its AUC does not measure that.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F

from prefine.data.dataset import observation_constants
from prefine.policies.networks import Params, init_mlp, mlp, stack
from prefine.simulators.states import Step
from prefine.streams import generator, stream_seed

HIDDEN = (256, 256)
BATCH, ITERATIONS, LEARNING_RATE = 512, 3000, 1e-3
HELD_OUT = 0.1  # of the trajectories
ROWS = 2**14  # of a forward pass


def auc(scores: np.ndarray, positive: np.ndarray) -> float:
    """P(a positive's score > a negative's), ties count half: the rank-sum statistic.

    Args:
        scores (N,), positive (N,) bool. NaN where a class is empty.
    """
    n_positive, n_negative = int(positive.sum()), int((~positive).sum())
    if not n_positive or not n_negative:
        return float("nan")
    _, group, sizes = np.unique(scores, return_inverse=True, return_counts=True)
    ranks = (np.cumsum(sizes) - (sizes - 1) / 2)[group]  # mean rank of each tie
    above = ranks[positive].sum() - n_positive * (n_positive + 1) / 2
    return float(above / n_positive / n_negative)


@dataclass(frozen=True)
class Classifier:
    """A network trained on as many costly steps as others; ``log_odds`` are the data's own."""

    params: Params
    mean: np.ndarray
    std: np.ndarray
    log_odds: float

    def probabilities(self, observations: np.ndarray, actions: np.ndarray) -> np.ndarray:
        """Return p(c = 1 | s, a) (N,) for raw observations (N, obs_dim), actions (N, act_dim)."""
        parts = []
        with torch.no_grad():
            for first in range(0, len(observations), ROWS):
                rows = slice(first, first + ROWS)
                inputs = _inputs(observations[rows], actions[rows], self.mean, self.std)
                logits = mlp(self.params, "cost", inputs[None])[0, :, 0]
                parts.append(torch.sigmoid(logits.double() + self.log_odds).numpy())
        return np.concatenate(parts)

    def begin(self, observations: np.ndarray) -> np.ndarray:
        """Return what takes the place of a simulator's states: the observations themselves."""
        return observations

    def step(self, states: np.ndarray, actions: np.ndarray) -> Step:
        """Say what each step costs (B,), as a chance; where it leads is not known."""
        chances = self.probabilities(states, actions)
        return Step(states, states, chances, np.zeros(len(states), dtype=bool))

    def close(self) -> None:
        """There is nothing to end."""


def fit(
    observations: np.ndarray,
    actions: np.ndarray,
    costs: np.ndarray,
    trajectory: np.ndarray,
    name: str,
    iterations: int = ITERATIONS,
    on_step: Callable[[], None] = lambda: None,
) -> tuple[Classifier, float]:
    """Train on nine tenths of the trajectories; return the classifier and its AUC on the others.

    Args:
        observations (N, obs_dim) raw, actions (N, act_dim), costs (N,), trajectory (N,) numbers.
        name: of the task; seeds everything.
    """
    numbers = np.unique(trajectory)
    n_held = max(1, round(HELD_OUT * len(numbers)))
    held = generator("cost classifier", name, "held out").permutation(numbers)[:n_held]
    test, costly = np.isin(trajectory, held), costs > 0.5
    mean, std = observation_constants(observations)
    sides = np.flatnonzero(~test & ~costly), np.flatnonzero(~test & costly)
    # One step more on each side: data without any cost have finite odds too.
    log_odds = float(np.log((len(sides[1]) + 1) / (len(sides[0]) + 1)))
    sizes = [observations.shape[1] + actions.shape[1], *HIDDEN, 1]
    source = torch.Generator().manual_seed(stream_seed("cost classifier", name, "weights"))
    params = stack([init_mlp("cost", sizes, source)])
    classifier = Classifier(params, mean, std, log_odds)
    if min(map(len, sides)):
        _train(params, observations, actions, sides, (mean, std), name, iterations, on_step)
    chances = classifier.probabilities(observations[test], actions[test])
    return classifier, auc(chances, costly[test])


def _train(params, observations, actions, sides, constants, name, iterations, on_step) -> None:
    """Minimise the binary cross-entropy on batches that are half of each side."""
    weights = [value.requires_grad_() for value in params.values()]
    optimiser = torch.optim.Adam(weights, lr=LEARNING_RATE)
    draws = generator("cost classifier", name, "batches")
    target = torch.arange(2).repeat_interleave(BATCH // 2).float()
    for _ in range(iterations):
        rows = np.concatenate([side[draws.integers(len(side), size=BATCH // 2)] for side in sides])
        inputs = _inputs(observations[rows], actions[rows], *constants)
        logits = mlp(params, "cost", inputs[None])[0, :, 0]
        optimiser.zero_grad()
        F.binary_cross_entropy_with_logits(logits, target).backward()
        optimiser.step()
        on_step()
    for weight in weights:
        weight.requires_grad_(False)


def _inputs(observations, actions, mean, std) -> torch.Tensor:
    return torch.from_numpy(np.concatenate([(observations - mean) / std, actions], axis=1))
