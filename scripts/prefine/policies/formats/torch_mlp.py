"""Read a plain PyTorch MLP: weights as safetensors and what they mean as JSON beside them."""

import itertools
import math
import re
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from prefine import files, reading
from prefine.errors import UserError, short, shown
from prefine.policies.file import read_tensors
from prefine.policies.formats.network import (
    SQUASHES,
    Layer,
    Network,
    check_activation,
    check_layers,
)
from prefine.policies.formats.normalise import Standardiser
from prefine.policies.formats.sb3 import check_tensor

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
    "prefix": str,
}
LARGEST = 3e38  # of float32
REQUIRED = ("activation", "squash", "log_std")


def read(path: Path, settings: Mapping, low: np.ndarray, high: np.ndarray) -> Network:
    """Read ``path`` and the JSON of the same name beside it.

    Tensors are those of a ``torch.nn.Sequential``: ``0.weight``, ``0.bias``, ``2.weight``, ...
    with any prefix, and ``log_std`` (act_dim,) where it is fixed. Of several networks in one file
    the JSON's ``prefix`` says which one acts.

    Raises:
        UserError: one line that names the file, the key and what is wrong with it.
    """
    about_path = path.with_suffix(".json")
    about = read_json(about_path)
    tensors, _ = read_tensors(path, "is not a safetensors file", reading.ARCHIVE)
    for name, tensor in tensors.items():
        check_tensor(path, name, tensor)
    check_bounds(about_path, about, low, high)
    value = next((tensors.pop(name) for name in list(tensors) if name == "log_std"), None)
    if (value is not None) != (about["log_std"] == "fixed"):
        raise UserError(
            f"{path}: log_std: {about['log_std']} in {about_path.name}, but the tensor log_std "
            f"is {'there' if value is not None else 'not there'}; it goes with fixed alone"
        )
    layers = linear_layers(path, tensors, about.get("prefix"))
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
        about={"algorithm": "unknown", "described_sha256": files.sha256(about_path)},
    )


def read_json(path: Path) -> dict:
    """Read and check the description; keys and kinds are ``KEYS``."""
    meaning = "it says what the weights mean (docs/own_policy.md)"
    if not reading.is_there(path) and not path.is_symlink():
        raise UserError(f"{path}: is not there; {meaning}")
    about = reading.json_of(path, reading.read_text(path, reading.JSON), f"; {meaning}")
    if not isinstance(about, dict) or (unknown := sorted(set(about) - set(KEYS))):
        wrong = (
            "is not an object"
            if not isinstance(about, dict)
            else f"unknown key {short(unknown[0])}"
        )
        raise UserError(f"{path}: {wrong}; keys are {', '.join(KEYS)}")
    if missing := [key for key in REQUIRED if key not in about]:
        raise UserError(f"{path}: lacks {', '.join(missing)}")
    for key, value in about.items():
        kind = (int, float) if KEYS[key] is float else KEYS[key]
        numbers = value if isinstance(value, list) else [] if isinstance(value, str) else [value]
        if not isinstance(value, kind) or not all(map(_is_plain, numbers)):
            raise UserError(f"{path}: {key}: {shown(value)} is not what is needed here")
    for key, allowed in (("squash", SQUASHES), ("log_std", LOG_STDS)):
        if about[key] not in allowed:
            raise UserError(
                f"{path}: {key}: {shown(about[key])} is not one of {', '.join(allowed)}"
            )
    if not np.float32(about.get("observation_clip", 1)) > 0:
        raise UserError(f"{path}: observation_clip must be above 0, as float32 too")
    if about.get("log_std_min", -math.inf) > about.get("log_std_max", math.inf):
        raise UserError(f"{path}: log_std_min is above log_std_max")
    return about


def _is_plain(x) -> bool:
    """A number that float32 can hold; true and false are none."""
    return isinstance(x, int | float) and not isinstance(x, bool) and abs(x) <= LARGEST


def linear_layers(path: Path, tensors: dict[str, Tensor], prefix: str | None = None) -> list[Layer]:
    """Order the tensors of a torch.nn.Sequential by its numbers; a bias may be missing.

    Args:
        prefix: which network of several; None where there is one.

    Raises:
        UserError: there are several and none is named, or two tensors for one place.
    """
    networks, others = {}, []
    for name, tensor in tensors.items():
        found = _LAYER.fullmatch(name)
        if not found:
            others.append(name)
            continue
        place = int(found[2]), found[3]
        of_network = networks.setdefault(found[1] or "", {})
        if place in of_network:
            raise UserError(f"{path}: has two tensors for {shown(f'{place[0]}.{place[1]}')}")
        of_network[place] = tensor.float()
    if prefix is not None:
        if prefix not in networks:
            raise UserError(
                f"{path}: has no network with the prefix {shown(prefix)}; it has "
                f"{_names(networks) or 'none'}"
            )
        networks = {prefix: networks[prefix]}
        # What lies within it and is no layer of it, such as a normalisation, would act too.
        layer = re.compile(rf"{re.escape(prefix)}\.[0-9]+\.(weight|bias)")
        inside = (name for name in tensors if name.startswith(f"{prefix}."))
        others = [name for name in inside if not layer.fullmatch(name)]
    if len(networks) > 1:
        raise UserError(
            f"{path}: has layers of several networks ({_names(networks)}); keep one, or say which "
            'one acts in the JSON beside: "prefix": "..."'
        )
    (own,) = networks.values() or [{}]
    numbers = sorted({number for number, _ in own})
    if others or not numbers or any((number, "weight") not in own for number in numbers):
        names = ", ".join(map(short, (sorted(others) or sorted(tensors))[:4])) or "none"
        raise UserError(
            f"{path}: has tensors {names}; needed are 0.weight, 0.bias, "
            "2.weight, ... of a torch.nn.Sequential, and log_std where it is fixed"
        )
    for number, following in itertools.pairwise(numbers):
        if following == number + 1:
            raise UserError(
                f"{path}: layer {following} follows on {number}, where a torch.nn.Sequential has "
                "its activation between; number them 0, 2, 4, ... if there is one"
            )
    layers = []
    for number in numbers:
        weight = own[number, "weight"]
        if weight.ndim != 2:
            raise UserError(f"{path}: {number}.weight has {weight.ndim} dimensions, not 2")
        layers.append((weight, own.get((number, "bias"), torch.zeros(len(weight)))))
    return layers


_LAYER = re.compile(r"(?:(.*)\.)?([0-9]{1,4})\.(weight|bias)")


def _names(networks) -> str:
    found = [short(name) or "without a prefix" for name in sorted(networks)]
    return ", ".join(found[:5]) + (f" and {len(found) - 5} more" if len(found) > 5 else "")


def check_bounds(path: Path, about: dict, low: np.ndarray, high: np.ndarray) -> None:
    """Raise UserError if action_low or action_high are given and not the environment's."""
    for key, needed in (("action_low", low), ("action_high", high)):
        given = about.get(key, needed)
        if np.shape(given) != np.shape(needed) or not np.allclose(given, needed, rtol=1e-5):
            raise UserError(
                f"{path}: {key} is {shown(given)}, the environment's is {needed.tolist()}"
            )


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
