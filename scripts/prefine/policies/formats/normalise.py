"""How observations are normalised before a policy sees them: VecNormalize's statistics."""

import io
import pickle
from pathlib import Path
from typing import NamedTuple

import numpy as np

from prefine import reading
from prefine.errors import UserError, reason

KEYS = ("mean", "var", "epsilon", "clip_obs")
MOST = 1_000_000  # numbers of an observation


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
    with np.errstate(over="ignore"):  # what float32 does not hold is found by its reader
        clip = None if clip is None or np.isinf(np.float32(clip)) else float(clip)
        return Standardiser(mean.astype(np.float32), std.astype(np.float32), clip)


def read_statistics(path: Path, trust_pickle: bool) -> Standardiser:
    """Read mean, var, epsilon and clip_obs from JSON, npz, or VecNormalize's own pickle.

    Raises:
        UserError: it is not there, a pickle that is not trusted, or not such statistics.
    """
    if not reading.is_there(path) and not path.is_symlink():
        raise UserError(f"policy.vec_normalize: {path} is not there")
    reading.size_of(path, reading.ARCHIVE)
    if path.suffix in (".json", ".npz"):
        found = _plain(path)
    elif trust_pickle:
        found = _pickled(path)
    else:
        raise UserError(
            f"{path}: is a pickle, of which one from a stranger is not to be trusted; set "
            "policy.trust_pickle: true if it is your own, or write the statistics as JSON "
            "(docs/own_policy.md has three lines for it)"
        )
    with reading.refused_in_one_line(path, "mean, var, epsilon, clip_obs are not numbers"):
        numbers = {key: plain_numbers(found[key]) for key in KEYS}
        if any(np.ndim(numbers[key]) for key in ("epsilon", "clip_obs") if key in numbers):
            raise UserError(f"{path}: epsilon and clip_obs must be one number each")
        if not numbers["epsilon"] >= 0:
            raise UserError(f"{path}: epsilon must be at least 0")
        scaler = standardiser(*(numbers[key] for key in KEYS))
    if scaler.mean.ndim != 1 or scaler.mean.shape != scaler.std.shape:
        raise UserError(f"{path}: mean and var must be one vector each, of the observations")
    if not (np.isfinite(scaler.mean) & np.isfinite(scaler.std) & (scaler.std > 0)).all():
        raise UserError(
            f"{path}: mean or var is not finite as float32, or var + epsilon is not positive"
        )
    if scaler.clip is not None and not np.float32(scaler.clip) > 0:
        raise UserError(f"{path}: clip_obs must be above 0, as float32 too")
    return scaler


def plain_numbers(values) -> np.ndarray | None:
    """Real numbers as float64; None where there are none (no clip).

    Raises:
        ValueError: they are of another kind, such as booleans, or too many.
    """
    if values is None:
        return None
    array = np.asarray(values)
    if isinstance(values, list) and any(isinstance(value, bool) for value in values):
        raise ValueError("true and false are no numbers")  # beside numbers they become 1 and 0
    if array.dtype.kind not in "fiu" or array.size > MOST:
        raise ValueError(f"{array.dtype.name} of shape {array.shape}")
    return array.astype(np.float64)


def _plain(path: Path) -> dict:
    needed = f"; it needs {', '.join(KEYS)}"
    if path.suffix == ".npz":
        return read_arrays(path, *KEYS)
    found = reading.json_of(path, reading.read_text(path, reading.JSON), needed)
    if not isinstance(found, dict) or (missing := [key for key in KEYS if key not in found]):
        raise UserError(
            f"{path}: lacks {missing[0] if isinstance(found, dict) else 'an object'}{needed}"
        )
    return {key: found[key] for key in KEYS}


def read_arrays(path: str | Path, *keys: str, most: int = 2**23) -> dict:
    """Read these arrays of an npz file, none of them of objects."""
    found = {}
    with reading.opened_zip(path) as archive:
        for key in keys:
            content = io.BytesIO(archive.read(f"{key}.npy", most))
            with reading.refused_in_one_line(path, f"{key} is no plain array"):
                found[key] = np.lib.format.read_array(content, allow_pickle=False)
    return found


# What a pickle of an array names: in `numpy.core` or, since numpy 2, in `numpy._core`.
ARRAYS = {
    "ndarray": np.ndarray,
    "dtype": np.dtype,
    "_reconstruct": np.zeros(1).__reduce__()[0],
    "_frombuffer": np.zeros(1).__reduce_ex__(5)[0],
    "scalar": np.float64(0).__reduce__()[0],
}


class _Shell:
    """In place of any other object of a pickle: keeps what is stored in it and does nothing."""

    def __new__(cls, *_arguments, **_options):
        return super().__new__(cls)

    def __init__(self, *_arguments, **_options):
        pass

    def __setstate__(self, state: object) -> None:
        if isinstance(state, dict):
            self.__dict__.update(state)


class _Shells(pickle.Unpickler):
    """Makes arrays and shells: whichever versions wrote a pickle, and nothing of it is run."""

    def find_class(self, module: str, name: str) -> object:
        return ARRAYS.get(name, _Shell) if module.partition(".")[0] == "numpy" else _Shell


def _pickled(path: Path) -> dict:
    """The numbers of a pickled VecNormalize, without the packages that it names."""
    try:
        found = _Shells(io.BytesIO(reading.read_bytes(path, reading.ARCHIVE))).load()
        if not found.norm_obs:
            size = found.observation_space._shape[0]
            return dict(zip(KEYS, (np.zeros(size), np.ones(size), 0.0, None), strict=True))
        statistics = found.obs_rms.mean, found.obs_rms.var, found.epsilon, found.clip_obs
    except Exception as error:  # a pickle can raise anything
        raise UserError(
            f"{path}: is not a VecNormalize that can be read here ({reason(error)}); write its "
            "statistics as JSON (docs/own_policy.md)"
        ) from None
    return dict(zip(KEYS, statistics, strict=True))
