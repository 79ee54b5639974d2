"""Policies from a file are tried before they are used: sizes, numbers, one action."""

import numpy as np
import torch

from prefine.errors import UserError
from prefine.policies.networks import Params


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
