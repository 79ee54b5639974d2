"""A policy of the user's own, read as it is: Stable-Baselines3, a plain MLP, a function, or ours.

Whatever it was trained with, it comes out as a policy of `prefine.policies` with one replica:
observations standardised with constants of its own, actions in [-1, 1]. Its numbers are not
changed by that: an affine map of the actions is taken into the last layer.
"""

from collections.abc import Mapping
from dataclasses import dataclass
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
from prefine.policies.networks import Params

FORMATS = {"sb3": sb3_archive.read, "torch": torch_mlp.read}


@dataclass(frozen=True)
class OwnPolicy:
    """A pretrained policy of one replica, ready for training, rollouts and export.

    Attributes:
        actor, actor_params: policy class and its (1, ...) parameters; what acts, with or
            without a density.
        mean, std: (obs_dim,) float32, standardise raw observations.
        description: where it comes from: file, sha256, format, algorithm, layers.
    """

    actor: object
    actor_params: Params
    mean: np.ndarray
    std: np.ndarray
    description: dict

    @property
    def has_density(self) -> bool:
        """Whether log pi(a|s) exists, so that it can be pi_ref as it is."""
        return hasattr(self.actor, "log_prob")

    @property
    def policy(self):
        """The policy class, or None when it has no density."""
        return self.actor if self.has_density else None

    @property
    def params(self) -> Params | None:
        """Parameters (1, ...), or None when it has no density."""
        return self.actor_params if self.has_density else None

    def act(self, obs: np.ndarray) -> np.ndarray:
        """Map raw observations (n, obs_dim) to deterministic actions (n, act_dim) in [-1, 1]."""
        standardised = (np.asarray(obs, dtype=np.float32) - self.mean) / self.std
        noise = torch.zeros(1, len(standardised), self.actor.sample_dim)
        with torch.no_grad():
            batch = torch.from_numpy(standardised)[None]
            return self.actor.act(self.actor_params, batch, "deterministic", noise)[0].numpy()


def read_policy(settings: Mapping, obs_dim: int, act_dim: int, low, high) -> OwnPolicy:
    """Read config's ``policy`` entry.

    Args:
        settings: ``file`` and ``format`` (sb3, torch, python, prefine); ``vec_normalize``, a
            file of statistics; ``trust_pickle``; ``activation``, where an archive does not say it;
            ``run``, which one of a file of this project.
        low, high: the environment's own bounds of actions, numbers or (act_dim,).

    Raises:
        UserError: one line that says what is wrong with the file and what to do.
    """
    path, kind = Path(settings["file"]), settings["format"]
    if kind not in (*FORMATS, "python", "prefine"):
        raise UserError(f"policy.format: {kind!r} is not known; sb3, torch, python or prefine")
    if not reading.is_there(path) and not path.is_symlink():
        raise UserError(f"policy.file: {path} is not there")
    reading.size_of(path, reading.WEIGHTS)
    low, high = (np.broadcast_to(np.float64(bound), (act_dim,)) for bound in (low, high))
    if kind == "prefine":
        actor, params, mean, std, about = _of_this_project(path, settings)
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
    return OwnPolicy(actor, params, mean, std, description)


def _check_size(path: Path, what: str, found: int, needed: int, of: str = "the environment"):
    if found != needed:
        raise UserError(f"{path}: is for {found} {what}, {of} has {needed}")


def _of_this_project(path: Path, settings: Mapping):
    """Take one run out of a file of policies."""
    if settings.get("vec_normalize"):
        raise UserError(f"{path}: holds its own standardisation; leave out policy.vec_normalize")
    policy, params, mean, std, metadata = policy_file.load_run(path, settings.get("run"))
    (run,) = metadata["runs"]
    with reading.refused_in_one_line(path, "does not say its method and task"):
        task = metadata["task"]["name"]
        about = {"algorithm": metadata["method"], "run": run["run"], "task": task}
    return policy, params, mean, std, about
