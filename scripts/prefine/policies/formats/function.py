"""A policy that is a Python function of the user's own: it acts, and has no density."""

import importlib.util
import sys
import traceback
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from prefine.errors import UserError, reason
from prefine.policies.networks import Params

Function = Callable[[np.ndarray], np.ndarray]  # (n, obs_dim) float32 -> (n, act_dim)


@dataclass(frozen=True)
class FunctionPolicy:
    """``act(observations)`` of a Python file: raw observations in, the environment's units out.

    Its parameters are the middle and half the width of the box of actions.
    """

    obs_dim: int
    act_dim: int
    function: Function
    path: Path

    name = "python"
    hidden = ()
    activation = "none"
    sample_dim = 0
    latent_dim = 0

    def act(self, params: Params, obs: Tensor, mode: str, noise: Tensor) -> Tensor:
        """The action in [-1, 1], (1, B, act_dim), whatever the mode.

        Raises:
            UserError: the function fails, or what it returns is not B actions.
        """
        try:
            found = self.function(obs[0].numpy().copy())
        except KeyboardInterrupt:
            raise
        except BaseException as error:  # also one that would end the process
            raise UserError(f"{self.path}: act(observations) {failure(error)}") from error
        actions = self._numbers(found)
        if actions.shape != (obs.shape[1], self.act_dim):
            raise UserError(
                f"{self.path}: act(observations) of shape {tuple(obs.shape[1:])} returns shape "
                f"{actions.shape}; an action of {self.act_dim} numbers for each row is needed"
            )
        if not np.isfinite(actions).all():
            raise UserError(f"{self.path}: act(observations) returns numbers that are not finite")
        centred = torch.from_numpy(actions) - params["centre"]
        return (centred / params["half_width"]).clamp(-1, 1)

    def _numbers(self, found: object) -> np.ndarray:
        """What the function returned as float32, if it is real numbers and all of them are told."""
        try:
            array = np.asarray(found)
        except Exception:  # ragged lists, tensors that are elsewhere
            array = np.empty(0, object)
        if np.ma.is_masked(found) or array.dtype.kind not in "fiub":
            kind = "a masked array" if np.ma.is_masked(found) else _kind(found, array)
            raise UserError(
                f"{self.path}: act(observations) returns {kind}; an array of real numbers is needed"
            )
        with np.errstate(over="ignore"):
            return array.astype(np.float32)


def _kind(found: object, array: np.ndarray) -> str:
    name = type(found).__name__
    return f"an array of {array.dtype}" if isinstance(found, np.ndarray) else f"a {name}"


def read(path: Path, settings: Mapping, obs_dim: int, low: np.ndarray, high: np.ndarray):
    """Import a file, which runs it, and take its ``act``: policy and parameters (1, ...).

    Raises:
        UserError: it cannot be imported, or has no such function.
    """
    for key in ("vec_normalize", "activation", "run"):
        if settings.get(key):
            raise UserError(f"{path}: is a function of raw observations; leave out policy.{key}")
    function = getattr(import_file(path), "act", None)
    if not callable(function):
        raise UserError(f"{path}: has no function act(observations)")
    policy = FunctionPolicy(obs_dim, len(low), function, path)
    box = {"centre": (high + low) / 2, "half_width": (high - low) / 2}
    return policy, {name: torch.from_numpy(v).float()[None, None] for name, v in box.items()}


def import_file(path: Path):
    """Run a Python file as a module; it may import what lies beside it."""
    spec = importlib.util.spec_from_file_location(f"own_policy_{path.stem}", path)
    if spec is None:
        raise UserError(f"{path}: is no Python file; its name must end in .py")
    module = importlib.util.module_from_spec(spec)
    sys.path.append(str(path.resolve().parent))
    try:
        spec.loader.exec_module(module)
    except (Exception, SystemExit) as error:
        raise UserError(f"{path}: cannot be imported: {failure(error)}") from error
    return module


def failure(error: BaseException) -> str:
    """An exception of the user's code, in one line with its place."""
    text = reason(error)
    *_, last = traceback.extract_tb(error.__traceback__)
    return f"raised {type(error).__name__}: {text} ({Path(last.filename).name}, line {last.lineno})"
