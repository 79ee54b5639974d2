"""Read a plain PyTorch MLP: weights as safetensors and what they mean as JSON beside them."""

import json
import math
import re
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from prefine.errors import UserError
from prefine.policies.formats.network import (
    SQUASHES,
    Layer,
    Network,
    check_activation,
    check_layers,
)
from prefine.policies.formats.normalise import Standardiser

LOG_STDS = ("fixed", "state", "none")
KEYS = {
    "activation": str,
    "squash": str,
    "log_std": str,
    "log_std_min": float,
    "log_std_max": float,
    "observation_mean": list,
    "observation_std": list,
    "observation_clip": float,
    "action_low": list,
    "action_high": list,
}
REQUIRED = ("activation", "squash", "log_std")


def read(path: Path, settings: Mapping, low: np.ndarray, high: np.ndarray) -> Network:
    """Read ``path`` and the JSON of the same name beside it.

    Tensors are those of a ``torch.nn.Sequential``: ``0.weight``, ``0.bias``, ``2.weight``, ...
    with any prefix, and ``log_std`` (act_dim,) where it is fixed.

    Raises:
        UserError: one line that names the file, the key and what is wrong with it.
    """
    about_path = path.with_suffix(".json")
    about = read_json(about_path)
    try:
        tensors = load_file(path)
    except (SafetensorError, OSError, ValueError) as error:
        raise UserError(f"{path}: is not a safetensors file ({error})") from None
    check_bounds(about_path, about, low, high)
    value = next((tensors.pop(name) for name in list(tensors) if name == "log_std"), None)
    if (value is not None) != (about["log_std"] == "fixed"):
        raise UserError(
            f"{path}: log_std: {about['log_std']} in {about_path.name}, but the tensor log_std "
            f"is {'there' if value is not None else 'not there'}; it goes with fixed alone"
        )
    layers = linear_layers(path, tensors)
    check_layers(path, layers)
    n_out = len(layers[-1][1])
    if about["log_std"] == "state" and n_out % 2:
        raise UserError(
            f"{path}: gives {n_out} numbers; log_std: state needs means, then log sigmas"
        )
    if value is not None and value.shape != (n_out,):
        raise UserError(f"{path}: log_std has shape {tuple(value.shape)}, needs ({n_out},)")
    bounds = about.get("log_std_min", -math.inf), about.get("log_std_max", math.inf)
    return Network(
        layers=layers,
        activation=check_activation(path, settings.get("activation") or about["activation"]),
        squash=about["squash"],
        log_std=about["log_std"],
        log_std_value=value if value is None else value.clamp(*bounds),
        log_std_bounds=bounds,
        standardiser=standardiser(about_path, about, layers[0][0].shape[1]),
        about={"algorithm": "unknown"},
    )


def read_json(path: Path) -> dict:
    """Read and check the description; keys and kinds are ``KEYS``."""
    try:
        about = json.loads(path.read_text())
    except (OSError, ValueError) as error:
        raise UserError(
            f"{path}: cannot be read ({error}); it says what the weights mean (docs/own_policy.md)"
        ) from None
    if not isinstance(about, dict) or (unknown := sorted(set(about) - set(KEYS))):
        wrong = "is not an object" if not isinstance(about, dict) else f"unknown key {unknown[0]}"
        raise UserError(f"{path}: {wrong}; keys are {', '.join(KEYS)}")
    if missing := [key for key in REQUIRED if key not in about]:
        raise UserError(f"{path}: lacks {', '.join(missing)}")
    for key, value in about.items():
        kind = (int, float) if KEYS[key] is float else KEYS[key]
        numbers = value if isinstance(value, list) else [] if isinstance(value, str) else [value]
        plain = all(isinstance(x, int | float) and math.isfinite(x) for x in numbers)
        if isinstance(value, bool) or not isinstance(value, kind) or not plain:
            raise UserError(f"{path}: {key}: {value!r} is not what is needed here")
    for key, allowed in (("squash", SQUASHES), ("log_std", LOG_STDS)):
        if about[key] not in allowed:
            raise UserError(f"{path}: {key}: {about[key]!r} is not one of {', '.join(allowed)}")
    if about.get("observation_clip", 1) <= 0:
        raise UserError(f"{path}: observation_clip must be above 0")
    if about.get("log_std_min", -math.inf) > about.get("log_std_max", math.inf):
        raise UserError(f"{path}: log_std_min is above log_std_max")
    return about


def linear_layers(path: Path, tensors: dict[str, Tensor]) -> list[Layer]:
    """Order the tensors of a torch.nn.Sequential by its numbers; a bias may be missing."""
    numbered, others = {}, []
    for name, tensor in tensors.items():
        found = re.fullmatch(r"(?:.*\.)?(\d+)\.(weight|bias)", name)
        if found:
            numbered.setdefault(int(found[1]), {})[found[2]] = tensor.float()
        else:
            others.append(name)
    if others or not numbered or any("weight" not in parts for parts in numbered.values()):
        raise UserError(
            f"{path}: has tensors {', '.join(sorted(tensors)[:4])}; needed are 0.weight, 0.bias, "
            "2.weight, ... of a torch.nn.Sequential, and log_std where it is fixed"
        )
    ordered = [numbered[number] for number in sorted(numbered)]
    return [(p["weight"], p.get("bias", torch.zeros(len(p["weight"])))) for p in ordered]


def check_bounds(path: Path, about: dict, low: np.ndarray, high: np.ndarray) -> None:
    """Raise UserError if action_low or action_high are given and not the environment's."""
    for key, needed in (("action_low", low), ("action_high", high)):
        given = about.get(key, needed)
        if np.shape(given) != np.shape(needed) or not np.allclose(given, needed, rtol=1e-5):
            raise UserError(f"{path}: {key} is {given}, the environment's is {needed.tolist()}")


def standardiser(path: Path, about: dict, obs_dim: int) -> Standardiser | None:
    """The standardisation that the description asks for, if it does."""
    keys = ("observation_mean", "observation_std", "observation_clip")
    if not any(key in about for key in keys):
        return None
    plain = Standardiser.identity(obs_dim)
    mean = np.asarray(about.get(keys[0], plain.mean), dtype=np.float32)
    std = np.asarray(about.get(keys[1], plain.std), dtype=np.float32)
    for key, values in zip(keys, (mean, std), strict=False):
        if values.shape != (obs_dim,):
            raise UserError(f"{path}: {key} has {values.size} numbers, the network takes {obs_dim}")
    if not (std > 0).all():
        raise UserError(f"{path}: observation_std must be above 0")
    return Standardiser(mean, std, about.get("observation_clip"))
