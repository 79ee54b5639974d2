"""How observations are normalised before a policy sees them: VecNormalize's statistics."""

import json
import pickle
from pathlib import Path
from typing import NamedTuple

import numpy as np

from prefine.errors import UserError

KEYS = ("mean", "var", "epsilon", "clip_obs")


class Standardiser(NamedTuple):
    """(obs - mean) / std, clipped to +-clip; mean, std (obs_dim,) float32."""

    mean: np.ndarray
    std: np.ndarray
    clip: float | None = None

    @classmethod
    def identity(cls, obs_dim: int) -> "Standardiser":
        """Leave observations as they are."""
        return cls(np.zeros(obs_dim, np.float32), np.ones(obs_dim, np.float32))


def standardiser(mean, variance, epsilon: float, clip: float | None) -> Standardiser:
    """VecNormalize's rule: (obs - mean) / sqrt(var + epsilon), then clipped."""
    mean, variance = (np.asarray(values, dtype=np.float64) for values in (mean, variance))
    with np.errstate(invalid="ignore"):  # a negative variance is found by its reader
        std = np.sqrt(variance + epsilon)
    clip = None if clip is None or np.isinf(clip) else float(clip)
    return Standardiser(mean.astype(np.float32), std.astype(np.float32), clip)


def read_statistics(path: Path, trust_pickle: bool) -> Standardiser:
    """Read mean, var, epsilon and clip_obs from JSON, npz, or VecNormalize's own pickle.

    Raises:
        UserError: it is not there, a pickle that is not trusted, or not such statistics.
    """
    if not path.is_file():
        raise UserError(f"policy.vec_normalize: {path} is not there")
    if path.suffix in (".json", ".npz"):
        found = _plain(path)
    elif trust_pickle:
        found = _pickled(path)
    else:
        raise UserError(
            f"{path}: is a pickle, which can run any code when it is read; set "
            "policy.trust_pickle: true if it is your own, or write the statistics as JSON "
            "(docs/own_policy.md has three lines for it)"
        )
    try:
        scaler = standardiser(*(found[key] for key in KEYS))
    except (TypeError, ValueError) as error:
        raise UserError(f"{path}: mean, var, epsilon, clip_obs are not numbers ({error})") from None
    if scaler.mean.ndim != 1 or scaler.mean.shape != scaler.std.shape:
        raise UserError(f"{path}: mean and var must be one vector each, of the observations")
    if not (np.isfinite(scaler.mean).all() and (scaler.std > 0).all()):
        raise UserError(f"{path}: mean or var is not finite, or var + epsilon is not positive")
    if scaler.clip is not None and not scaler.clip > 0:
        raise UserError(f"{path}: clip_obs must be above 0")
    return scaler


def _plain(path: Path) -> dict:
    try:
        if path.suffix == ".json":
            found = json.loads(path.read_text())
        else:
            with np.load(path, allow_pickle=False) as archive:
                found = {key: archive[key] for key in archive.files}
        return {key: found[key] for key in KEYS}
    except KeyError as error:
        raise UserError(f"{path}: lacks {error.args[0]}; it needs {', '.join(KEYS)}") from None
    except Exception as error:  # numpy has no one exception for an archive that is broken
        raise UserError(f"{path}: cannot be read ({error}); it needs {', '.join(KEYS)}") from None


def _pickled(path: Path) -> dict:
    """Unpickle a VecNormalize that the user trusts; needs the packages that it names."""
    try:
        with path.open("rb") as handle:
            found = pickle.load(handle)
        if not found.norm_obs:
            size = found.observation_space.shape[0]
            return dict(zip(KEYS, (np.zeros(size), np.ones(size), 0.0, None), strict=True))
        statistics = found.obs_rms.mean, found.obs_rms.var, found.epsilon, found.clip_obs
    except Exception as error:  # a pickle can raise anything
        reason = " ".join(str(error).split()) or type(error).__name__
        raise UserError(
            f"{path}: is not a VecNormalize that can be read here ({reason}); write its "
            "statistics as JSON (docs/own_policy.md)"
        ) from None
    return dict(zip(KEYS, statistics, strict=True))
