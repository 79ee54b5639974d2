"""A policy of the user's own, read as it is: Stable-Baselines3, a plain MLP, a function, or ours.

Whatever it was trained with, it comes out as a policy of `prefine.policies` with one replica:
observations standardised with constants of its own, actions in [-1, 1]. Its numbers are not
changed by that: an affine map of the actions is taken into the last layer.
"""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch

from prefine import files, reading
from prefine.errors import UserError
from prefine.policies import file as policy_file
from prefine.policies.formats import function as python_policy
from prefine.policies.formats import sb3 as sb3_archive
from prefine.policies.formats import torch_mlp
from prefine.policies.formats.network import build
from prefine.policies.formats.normalise import Standardiser, read_statistics
from prefine.policies.stack import PolicyStack
from prefine.tasks import Task

KEYS = {"file", "format", "vec_normalize", "trust_pickle", "activation", "run"}
KEYS |= {"distil", "rollouts"}  # of the workflow
FORMATS = {"sb3": sb3_archive.read, "torch": torch_mlp.read}


def read_policy(settings: Mapping, task: Task) -> PolicyStack:
    """Read config's ``policy`` entry: a stack of one, whose metadata say where it comes from.

    Args:
        settings: ``file`` and ``format`` (sb3, torch, python, prefine); ``vec_normalize``, a
            file of statistics; ``trust_pickle``; ``activation``, where an archive does not say it;
            ``run``, which one of a file of this project.
        task: whose observations it takes and in whose bounds it acts.

    Raises:
        UserError: one line that says what is wrong with the file and what to do.
    """
    if wrong := sorted({"file", "format"} - set(settings)) or sorted(set(settings) - KEYS):
        said = "is needed" if wrong[0] in KEYS else f"is unknown; known: {', '.join(sorted(KEYS))}"
        raise UserError(f"policy.{wrong[0]}: {said}")
    path, kind = Path(settings["file"]), settings["format"]
    if kind not in (*FORMATS, "python", "prefine"):
        known = ", ".join((*FORMATS, "python"))
        raise UserError(f"policy.format: {kind!r} is not known; {known} or prefine")
    if not reading.is_there(path) and not path.is_symlink():
        raise UserError(f"policy.file: {path} is not there")
    reading.size_of(path, reading.WEIGHTS)
    obs_dim, act_dim = task.obs_dim, task.act_dim
    bounds = task.action_low, task.action_high
    low, high = (np.broadcast_to(np.float64(bound), (act_dim,)) for bound in bounds)
    if kind == "prefine":
        actor, params, mean, std, about = _of_this_project(path, settings, low, high)
    elif kind == "python":
        actor, params = python_policy.read(path, settings, obs_dim, low, high)
        raw, about = Standardiser.identity(obs_dim), {"algorithm": "a Python function"}
        mean, std = raw.mean, raw.std
    else:
        network = FORMATS[kind](path, settings, low, high)
        scaler = network.standardiser or Standardiser.identity(network.obs_dim)
        if settings.get("vec_normalize"):
            if network.standardiser:
                raise UserError(
                    f"{path}: has observation_mean and observation_std of its own; leave out "
                    "policy.vec_normalize"
                )
            statistics = Path(settings["vec_normalize"])
            scaler = read_statistics(statistics, settings.get("trust_pickle", False))
            _check_size(statistics, "observations", len(scaler.mean), network.obs_dim, "the policy")
        actor, params = build(network, low, high, scaler.clip)
        mean, std, about = scaler.mean, scaler.std, network.about
    _check_size(path, "observations", actor.obs_dim, obs_dim)
    _check_size(path, "actions", actor.act_dim, act_dim)
    for name, value in {**params, "obs_mean": mean, "obs_std": std}.items():
        if not torch.isfinite(torch.as_tensor(value)).all():
            raise UserError(f"{path}: {name} has numbers that are not finite; the policy is broken")
    if kind != "python":  # what a function gives is checked whenever it acts
        policy_file.check_policy(path, actor, params, np.asarray(mean), np.asarray(std))
    description = {
        "file": path.name,
        "sha256": files.sha256(path),
        "format": kind,
        "kind": actor.name,
        "hidden": list(actor.hidden),
        "activation": getattr(actor, "activation", "relu"),
    } | about
    return PolicyStack(actor, params, mean, std, description)


def _check_size(path: Path, what: str, found: int, needed: int, of: str = "the environment"):
    if found != needed:
        raise UserError(f"{path}: is for {found} {what}, {of} has {needed}")


def _of_this_project(path: Path, settings: Mapping, low: np.ndarray, high: np.ndarray):
    """Take one run out of a file of policies."""
    if settings.get("vec_normalize"):
        raise UserError(f"{path}: holds its own standardisation; leave out policy.vec_normalize")
    stack = policy_file.load_run(path, settings.get("run"))
    (run,), metadata = stack.metadata["runs"], stack.metadata
    with reading.refused_in_one_line(path, "does not say its method and task"):
        task = metadata["task"]
        about = {"algorithm": metadata["method"], "run": run["run"], "task": task["name"]}
        told = metadata if "action_low" in metadata else task  # an export says it of its own
        bounds = {key: told[key] for key in ("action_low", "action_high") if key in told}
        bounds = {key: (np.zeros_like(low) + bound).tolist() for key, bound in bounds.items()}
    torch_mlp.check_bounds(path, bounds, low, high)
    return stack.policy, stack.params, stack.mean, stack.std, about
