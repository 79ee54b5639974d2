"""Read the policy of a Stable-Baselines3 archive (.zip) without running anything of it.

An archive holds weights (``policy.pth``, read as weights only) and ``data``: JSON whose objects
are pickled, with a readable text of their fields beside. The text says what is needed - spaces,
activation, policy class - and the shapes of the weights say the rest; no pickle is opened.
"""

import io
import re
import warnings
import zipfile
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from prefine import reading
from prefine.errors import UserError, short, shown
from prefine.policies.formats.network import Layer, Network, check_activation, check_layers

MAX_DATA, MAX_WEIGHTS = 2**24, 2**27  # bytes, unpacked
MAX_NUMBERS = 2**25
MAX_BOUNDS = 100_000  # letters
MAX_DIGITS = 4  # of a layer's number
FLOATS = (torch.float16, torch.bfloat16, torch.float32, torch.float64)
SAC_LOG_STD = (-20.0, 2.0)
# An attribute of its own tells an algorithm. PPO's clip_range is often left out of an archive.
ALGORITHMS = {
    "clip_range_vf": "PPO",
    "cg_max_steps": "TRPO",
    "top_quantiles_to_drop_per_net": "TQC",
    "target_entropy": "SAC",
    "target_policy_noise": "TD3 or DDPG",
    "normalize_advantage": "A2C",
}
ACTIVATIONS = {
    "Tanh": "tanh",
    "ReLU": "relu",
    "Sigmoid": "sigmoid",
    "ELU": "elu",
    "SELU": "selu",
    "LeakyReLU": "leaky_relu",
    "GELU": "gelu",
    "SiLU": "silu",
    "Mish": "mish",
    "Softplus": "softplus",
}
INSTEAD = "write its actor as a plain MLP (format: torch, docs/own_policy.md)"


def read(path: Path, settings: Mapping, low: np.ndarray, high: np.ndarray) -> Network:
    """Read PPO, A2C, TRPO, SAC, TQC, TD3 or DDPG with an MLP policy.

    Args:
        settings: ``activation`` overrides what the archive says.
        low, high: (act_dim,) the box of the environment, which the archive must agree with.

    Raises:
        UserError: it is no such archive, or its policy is not a plain MLP.
    """
    data, weights = open_archive(path)
    check_data(path, data)
    check_box(path, data["action_space"], low, high)
    about = {"algorithm": next((v for k, v in ALGORITHMS.items() if k in data), "unknown")}
    if "_stable_baselines3_version" in weights:
        about["stable_baselines3"] = weights.pop("_stable_baselines3_version")
    for kind in (actor_critic, squashed_gaussian, deterministic):
        network = kind(path, weights)
        if network is None:
            continue
        default, found = network
        name = settings.get("activation") or activation(path, data, default)
        check_layers(path, found["layers"])
        return Network(activation=check_activation(path, name), about=about, **found)
    unknown = sorted({short(name.split(".")[0]) for name in weights})
    raise UserError(
        f"{path}: its weights ({', '.join(unknown[:5])}) are not those of an MLP policy of PPO, "
        f"A2C, SAC, TD3 or DDPG; {INSTEAD}"
    )


def open_archive(path: Path) -> tuple[dict, dict[str, Tensor]]:
    """Return ``data`` and the weights, with SB3's version among them where it is noted.

    Raises:
        UserError: not a zip, damaged, or with weights that are more than weights.
    """
    with reading.opened_zip(path) as archive:
        if missing := [name for name in ("data", "policy.pth") if name not in archive.names]:
            raise UserError(
                f"{path}: is not an archive of Stable-Baselines3 (it has no {missing[0]}); give "
                "what model.save() wrote"
            )
        text, packed = archive.read("data", MAX_DATA), archive.read("policy.pth", MAX_WEIGHTS)
        version = None
        if VERSION in archive.names:
            version = archive.read(VERSION, 1000).decode(errors="replace")
    data = reading.json_of(f"{path}: its data", text)
    weights = read_weights(path, packed)
    if not isinstance(data, dict):
        raise UserError(f"{path}: data is not a table of fields")
    if version is not None:
        weights[VERSION] = reading.version_number(version)
    return data, weights


VERSION = "_stable_baselines3_version"


def read_weights(path: Path, packed: bytes) -> dict[str, Tensor]:
    """The tensors that torch.save wrote, none of them more than plain numbers.

    Raises:
        UserError: they are packed again, claim too much, or are of another kind.
    """
    content = io.BytesIO(packed)
    finding = "its policy.pth cannot be read as weights"
    with reading.refused_in_one_line(path, finding, "; nothing of it was run"):
        if not zipfile.is_zipfile(content):
            raise ValueError("it is not what torch.save writes")
        with reading.members(path, content) as inner:
            if not inner.stored():  # torch packs nothing, and would unpack without a bound
                raise UserError(f"{path}: policy.pth holds packed members; torch.save packs none")
        content.seek(0)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            weights = torch.load(content, map_location="cpu", weights_only=True)
    if not isinstance(weights, dict) or not all(isinstance(name, str) for name in weights):
        raise UserError(f"{path}: policy.pth is not a table of tensors")
    n_numbers = 0
    for name, value in weights.items():
        check_tensor(path, name, value)
        n_numbers += value.numel()  # a tensor of a few bytes may claim any size: strides can be 0
        if n_numbers > MAX_NUMBERS:
            raise UserError(f"{path}: its weights claim more than {MAX_NUMBERS:,} numbers")
    return dict(weights)


def check_tensor(path: Path, name: str, value: object) -> None:
    """Raise UserError for what is not a dense tensor of real numbers on the CPU."""
    if not isinstance(value, Tensor):
        raise UserError(f"{path}: {shown(name)} is {type(value).__name__}, not a tensor")
    if value.layout != torch.strided or value.is_quantized or value.device.type != "cpu":
        kind = "quantized" if value.is_quantized else str(value.layout).removeprefix("torch.")
        kind = value.device.type if value.device.type != "cpu" else kind
        raise UserError(f"{path}: {shown(name)} is a tensor of kind {kind}; write plain weights")
    if value.dtype not in FLOATS:
        kind = str(value.dtype).removeprefix("torch.")
        raise UserError(f"{path}: {shown(name)} is of type {kind}, not of real numbers (float32)")


def check_data(path: Path, data: dict) -> None:
    """Raise UserError for spaces, classes and options that are not supported."""
    for key in ("observation_space", "action_space", "policy_class"):
        if not isinstance(data.get(key), dict):
            raise UserError(f"{path}: its data lack {key}; save it again with Stable-Baselines3")
    for key, what in (("observation_space", "observations"), ("action_space", "actions")):
        kind = str(data[key].get(":type:"))
        if not kind.endswith(".Box'>"):
            name = kind.rsplit(".", 1)[-1].rstrip("'>")
            raise UserError(f"{path}: {what} are {name}; vectors of numbers (Box) are supported")
        shape = data[key].get("_shape") or [0]
        if not isinstance(shape, list) or len(shape) != 1:
            raise UserError(
                f"{path}: {what} have shape {shown(shape)}; vectors are supported, not images"
            )
    module = str(data["policy_class"].get("__module__"))
    if "recurrent" in module:
        raise UserError(f"{path}: the policy is recurrent; one without memory is needed")
    if not module.startswith(("stable_baselines3.", "sb3_contrib.")):
        raise UserError(
            f"{path}: its policy class is not of Stable-Baselines3 ({short(module)}); {INSTEAD}"
        )
    options = data.get("policy_kwargs") or {}
    if not isinstance(options, dict):
        raise UserError(f"{path}: its policy_kwargs are {shown(options)}, not options by name")
    if data.get("use_sde") or options.get("use_sde"):
        raise UserError(
            f"{path}: uses gSDE, whose noise is no density of an action by itself; {INSTEAD} with "
            "log_std: none, and it is distilled"
        )
    extractor = str(options.get("features_extractor_class", "FlattenExtractor"))
    if "FlattenExtractor" not in extractor:
        raise UserError(f"{path}: has a features extractor, {short(extractor, 200)}; {INSTEAD}")


def check_box(path: Path, space: dict, low: np.ndarray, high: np.ndarray) -> None:
    """Raise UserError if the archive's action bounds are not the environment's."""
    (size,) = space.get("_shape") or [0]
    if size != len(low):
        return  # which has an error of its own
    for name, needed in (("low", low), ("high", high)):
        text = str(space.get(name))[:MAX_BOUNDS]
        if "..." in text or len(text) == MAX_BOUNDS:
            continue  # a long one is abbreviated, or cut here
        try:
            numbers = [float(number) for number in text.strip("[]").split()]
        except ValueError:
            numbers = []
        if len(numbers) not in (1, size):
            raise UserError(
                f"{path}: its actions have {name} {short(text, 100)}, which is not {size} numbers; "
                "save it again with Stable-Baselines3"
            )
        if not np.allclose(numbers, needed, rtol=1e-5, atol=1e-6):
            raise UserError(
                f"{path}: was trained with actions whose {name} is {short(space[name], 200)}, the "
                f"environment's is {needed.tolist()}; register the environment with the wrappers "
                "of its training"
            )


def activation(path: Path, data: dict, default: str) -> str:
    """Return the activation that the archive names, or its policy class's default."""
    text = (data.get("policy_kwargs") or {}).get("activation_fn")
    if text is None:
        return default
    found = re.fullmatch(r"<class 'torch\.nn\.modules\.activation\.(\w+)'>", str(text))
    if not found or found[1] not in ACTIVATIONS:
        raise UserError(
            f"{path}: its activation, {short(text, 200)}, is not one that is known by name; set "
            f"policy.activation to one of {', '.join(ACTIVATIONS.values())} if it is the same"
        )
    return ACTIVATIONS[found[1]]


def sequential(weights: dict, prefix: str) -> list[Layer] | None:
    """The linear layers 0, 2, 4, ... of a torch.nn.Sequential; None if it has others."""
    pattern = re.compile(re.escape(prefix) + r"\.([0-9]+)\.(weight|bias)")
    texts = {m[1] for name in weights if (m := pattern.fullmatch(name))}
    if any(len(text) > MAX_DIGITS for text in texts):
        return None
    found = {int(text) for text in texts}
    if len(found) < len(texts):  # 0 and 00
        return None
    if found != set(range(0, 2 * len(found), 2)):
        return None
    names = [f"{prefix}.{number}" for number in sorted(found)]
    if any(f"{name}.{part}" not in weights for name in names for part in ("weight", "bias")):
        return None
    return [(weights[f"{name}.weight"], weights[f"{name}.bias"]) for name in names]


def only(weights: dict, *patterns: str) -> bool:
    """Whether every weight is one of ``patterns``, regular expressions."""
    return all(any(re.fullmatch(p, name) for p in patterns) for name in weights)


def actor_critic(path: Path, weights: dict) -> tuple[str, dict] | None:
    """PPO, A2C, TRPO: a Gaussian with one log sigma a dimension, its mean not squashed."""
    heads = "(action_net|value_net)"
    nets = rf"(mlp_extractor\.(policy_net|value_net)\.\d+|{heads})\.(weight|bias)"
    hidden = sequential(weights, "mlp_extractor.policy_net")
    needed = {"log_std", "action_net.weight", "action_net.bias"}
    if not only(weights, "log_std", nets) or not needed <= set(weights) or hidden is None:
        return None
    layers = [*hidden, (weights["action_net.weight"], weights["action_net.bias"])]
    if weights["log_std"].shape != layers[-1][1].shape:
        raise UserError(f"{path}: log_std is not one number for each action")
    density = {"log_std": "fixed", "log_std_value": weights["log_std"]}
    return "tanh", {"layers": layers, "squash": "none", **density}


def squashed_gaussian(path: Path, weights: dict) -> tuple[str, dict] | None:
    """SAC, TQC: tanh of a Gaussian whose log sigma is of the state."""
    nets = r"actor\.(latent_pi\.\d+|mu|log_std)\.(weight|bias)"
    hidden = sequential(weights, "actor.latent_pi")
    parts = [f"actor.{head}.{part}" for part in ("weight", "bias") for head in ("mu", "log_std")]
    rest = r"(critic|critic_target)\..*"
    if not only(weights, nets, rest) or not set(parts) <= set(weights) or hidden is None:
        return None
    tensors = [weights[name] for name in parts]
    if [t.ndim for t in tensors] != [2, 2, 1, 1] or tensors[0].shape != tensors[1].shape:
        raise UserError(
            f"{path}: actor.mu and actor.log_std are not two linear layers of one shape"
        )
    last = torch.cat(tensors[:2]), torch.cat(tensors[2:])
    density = {"log_std": "state", "log_std_bounds": SAC_LOG_STD}
    return "relu", {"layers": [*hidden, last], "squash": "tanh", **density}


def deterministic(path: Path, weights: dict) -> tuple[str, dict] | None:
    """TD3, DDPG: tanh of an MLP; no density."""
    rest = r"(actor_target|critic|critic_target)\..*"
    layers = sequential(weights, "actor.mu")
    if not only(weights, r"actor\.mu\.\d+\.(weight|bias)", rest) or not layers:
        return None
    return "relu", {"layers": layers, "squash": "tanh", "log_std": "none"}
