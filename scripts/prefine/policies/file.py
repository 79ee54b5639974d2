"""Stacked policies on disk: safetensors with JSON metadata in its header."""

import json
from pathlib import Path

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from prefine.errors import UserError
from prefine.files import atomic
from prefine.policies.networks import Params
from prefine.policies.registry import describe, make_policy
from prefine.policies.stack import PolicyStack


def save(path: str | Path, stack: PolicyStack) -> None:
    """Write a stack: its parameters, standardisation constants and metadata.

    The metadata says all that is needed to build the policy class again.
    """
    tensors = {f"params.{name}": v.cpu().contiguous() for name, v in stack.params.items()}
    tensors |= {"obs_mean": torch.as_tensor(stack.mean), "obs_std": torch.as_tensor(stack.std)}
    metadata = stack.metadata | describe(stack.policy)
    with atomic(path) as temporary:
        save_file(tensors, temporary, {"prefine": json.dumps(metadata, sort_keys=True)})


def load(path: str | Path) -> PolicyStack:
    """Read a file of policies.

    Raises:
        UserError: the file is not a policy of this project.
    """
    try:
        with safe_open(path, "pt") as file:
            metadata = dict(json.loads((file.metadata() or {})["prefine"]))
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except FileNotFoundError:
        raise UserError(f"{path}: is not there") from None
    except (SafetensorError, KeyError, ValueError, TypeError, RecursionError) as error:
        raise UserError(f"{path}: not a policy of this project ({error})") from None
    params = {n.removeprefix("params."): v for n, v in tensors.items() if n.startswith("params.")}
    try:
        sizes = metadata["obs_dim"], metadata["act_dim"], metadata["hidden"]
        policy = make_policy(metadata["policy"], *sizes, **metadata.get("limits", {}))
        mean, std = tensors["obs_mean"].numpy(), tensors["obs_std"].numpy()
    except (KeyError, TypeError) as error:
        raise UserError(f"{path}: not a policy that this version knows ({error})") from None
    check_policy(path, policy, params, mean, std)
    return PolicyStack(policy, params, mean, std, metadata)


def load_run(path: str | Path, run: str | None = None) -> PolicyStack:
    """Read one run of a file (`PolicyStack.run`).

    Raises:
        UserError: there is no such run, or several and none is named.
    """
    try:
        return load(path).run(run)
    except UserError as error:
        text = str(error)
        raise UserError(text if text.startswith(str(path)) else f"{path}: {text}") from None


def check_policy(path, policy, params: Params, mean: np.ndarray, std: np.ndarray) -> None:
    """Refuse parameters that are not those of ``policy``.

    Raises:
        UserError: one line with the file and what is wrong in it.
    """
    for name, values in {"obs_mean": mean, "obs_std": std}.items():
        if values.shape != (policy.obs_dim,) or not np.isfinite(values).all():
            raise UserError(f"{path}: {name}: is not {policy.obs_dim} finite numbers")
    if not (std > 0).all():
        raise UserError(f"{path}: obs_std: is not above 0")
    replicas = {len(value) if value.ndim == 3 else -1 for value in params.values()}
    if len(replicas) != 1 or -1 in replicas:
        raise UserError(f"{path}: its parameters are not all of the shape (runs, rows, columns)")
    for name, value in params.items():
        if value.dtype != torch.float32 or not torch.isfinite(value).all():
            raise UserError(f"{path}: {name}: is not finite numbers of type float32")
    try:
        whole = _acts(policy, params, replicas.pop())
    except (RuntimeError, KeyError, ValueError, TypeError, AttributeError, IndexError) as error:
        reason = " ".join(str(error).split())
        raise UserError(f"{path}: its parameters do not fit together ({reason})") from None
    if not whole:
        raise UserError(f"{path}: its parameters give no action of {policy.act_dim} numbers")


def _acts(policy, params: Params, n: int) -> bool:
    """Whether each replica gives an action and, where it can, a likelihood."""
    widest = max(max(value.shape[1:]) for value in params.values())
    if policy.act_dim > widest or policy.obs_dim < 1:  # before anything of that size is made
        return False
    with torch.no_grad():
        obs, action = torch.zeros(n, 1, policy.obs_dim), torch.zeros(n, 1, policy.act_dim)
        acted = policy.act(params, obs, "sampled", torch.zeros(n, 1, policy.sample_dim))
        if acted.shape != action.shape or not hasattr(policy, "draw_latents"):
            return acted.shape == action.shape
        noise = torch.zeros(n, 1, 1, policy.latent_dim)
        latents = policy.draw_latents(params, obs, action, noise)
        return policy.log_prob(params, obs, action, latents).shape == (n, 1)
