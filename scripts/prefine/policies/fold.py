"""Policies that standardise observations each in its own way, as one stack that does it once."""

from collections.abc import Mapping, Sequence

import numpy as np

LAYERS = {  # Stable-Baselines3's names -> ours
    "mlp_extractor.policy_net.0": "trunk.0",
    "mlp_extractor.policy_net.2": "trunk.1",
    "action_net": "trunk.2",
}


def common_scale(policies: Sequence[Mapping[str, np.ndarray]]) -> tuple[np.ndarray, np.ndarray]:
    """Mean and standard deviation of a mixture of what the policies standardise by, float32."""
    means = np.stack([own["obs_mean"] for own in policies])
    variances = np.stack([own["obs_std"] for own in policies]) ** 2
    mean = means.mean(axis=0)
    std = np.sqrt((variances + (means - mean) ** 2).mean(axis=0))
    return mean.astype(np.float32), np.maximum(std, 1e-3).astype(np.float32)


def folded(
    policies: Sequence[Mapping[str, np.ndarray]], mean: np.ndarray, std: np.ndarray
) -> dict[str, np.ndarray]:
    """The same policies on observations that are standardised by ``mean`` and ``std``.

    W ((o - m) / s) + b = W (std / s) ((o - mean) / std) + b + W ((mean - m) / s).

    Args:
        policies: arrays of Stable-Baselines3's policies with ``obs_mean`` and ``obs_std``.

    Returns:
        Stacked parameters of a ``GaussianPolicy``, (R, ...) float32.
    """
    mean, std = np.asarray(mean, np.float64), np.asarray(std, np.float64)
    stacked: dict[str, list[np.ndarray]] = {}
    for own in policies:
        for theirs, ours in LAYERS.items():
            weight = np.asarray(own[f"{theirs}.weight"], np.float64)
            bias = np.asarray(own[f"{theirs}.bias"], np.float64)
            if ours == "trunk.0":
                bias = bias + weight @ ((mean - own["obs_mean"]) / own["obs_std"])
                weight = weight * (std / own["obs_std"])
            stacked.setdefault(f"{ours}.weight", []).append(weight.T)
            stacked.setdefault(f"{ours}.bias", []).append(bias[None])
        stacked.setdefault("log_std", []).append(own["log_std"][None])
    return {name: np.stack(values).astype(np.float32) for name, values in stacked.items()}
