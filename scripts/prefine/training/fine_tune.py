"""Training from Python: a policy to start from and two sets of trajectories, no workflow.

The same loop and the same methods as the workflow's, with its defaults; runs differ by seed.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import pandas as pd

from prefine import provenance
from prefine.config.constraints import check_key
from prefine.config.schema import defaults
from prefine.config.settings import sees, starts_from_reference
from prefine.data.dataset import Transitions
from prefine.errors import UserError
from prefine.methods import METHODS, REFERENCE, method_constant, method_module, method_settings
from prefine.policies import file as policy_file
from prefine.policies.networks import Params
from prefine.policies.registry import make_policy
from prefine.policies.stack import PolicyStack
from prefine.tasks import Task
from prefine.training.loop import train

# Of the config's `training` all that does not concern the workflow alone.
OF_THE_WORKFLOW = ("log_std_min", "matched", "max_runs")
DEFAULTS = {k: v for k, v in defaults("training").items() if k not in OF_THE_WORKFLOW}
OF_SEGMENTS = ("ppl", "cpl", "trac")  # these draw `segments` of trajectories, and no transitions
FROM_REFERENCE = tuple(m for m in METHODS if starts_from_reference(m, method_settings(m)))


@dataclass(frozen=True)
class FineTuned(PolicyStack):
    """Policies of one class, one a seed, and how their training went.

    Attributes:
        log: one row a seed and log point; column ``run`` names them.
    """

    log: pd.DataFrame = field(default_factory=pd.DataFrame)

    def save(self, path: str | Path, task: Task, low=None, high=None) -> None:
        """Write a file of policies, for `load_policy` and for the workflow's scripts.

        Args:
            low, high: bounds of the actions where they are not the task's.
        """
        given = {"action_low": low, "action_high": high}
        bounds = {
            name: np.broadcast_to(np.float64(bound), (task.act_dim,)).tolist()
            for name, bound in given.items()
            if bound is not None
        }
        metadata = {**self.metadata, **bounds, "task": task.to_dict()}
        metadata["versions"] = provenance.versions()
        policy_file.save(path, replace(self, metadata=metadata))


def fine_tune(
    reference: PolicyStack,
    data: Transitions,
    preferred: Sequence[int],
    nonpreferred: Sequence[int],
    *,
    method: str = "prefine",
    seeds: int = 1,
    name: str = "fine_tune",
    **changes,
) -> FineTuned:
    """Make a policy prefer some trajectories to others.

    Args:
        reference: pi_ref, with a density (`read_policy`, `pretrain`).
        data: observations and actions of all trajectories (`load_transitions`).
        preferred, nonpreferred: numbers of trajectories in ``data``, from 0.
        method: prefine, dpo, ppl, cpl, trac, endorse or bc_from_reference.
        seeds: how many runs; they train in one stack and differ by their random streams.
        name: of the random streams; the same name and data give the same policies.
        changes: of ``DEFAULTS``, and of the method's settings and hyper-parameters, such as
            ``iterations``, ``beta`` and ``lam``; the default is the method's own, and Safety Gym's
            where the config has one for each suite.

    Returns:
        The policies, one a seed.

    Raises:
        UserError: there is no such method or setting, a set that is empty or not in the data,
            no density, or a run that diverged.
    """
    if method not in FROM_REFERENCE:
        raise UserError(f"method: {method!r} is not one of {', '.join(FROM_REFERENCE)}")
    if not reference.has_density:
        raise UserError(
            "the policy has no density, no action probabilities; distil it first (pretrain)"
        )
    _check_changes(method, changes)
    if sees(method, method_settings(method) | changes) != "actions":
        raise UserError(f"{method}: with these settings it needs rewards and costs; these are none")
    if len(reference) != 1:
        raise UserError(f"the policy is one of {len(reference)}; take one of them, run(name)")
    data = replace(data, mean=reference.mean, std=reference.std)
    sets = {"preferred": preferred, "nonpreferred": nonpreferred}
    params, log = _train(
        method, reference.policy, data, sets, seeds, name, changes, reference.params
    )
    runs = [{"run": run} for run in log["run"].unique()]
    settings = known_of(method) | changes
    metadata = {"method": method, "runs": runs, "settings": settings}
    constants = {"mean": reference.mean, "std": reference.std, "metadata": metadata}
    return FineTuned(policy=reference.policy, params=params, log=log, **constants)


def pretrain(
    data: Transitions,
    trajectories: Sequence[int],
    *,
    policy: str = "gaussian",
    hidden: Sequence[int] = (256, 256),
    name: str = "pretrain",
    **changes,
) -> tuple[PolicyStack, pd.DataFrame]:
    """Clone a policy from some trajectories by maximum likelihood, to start from.

    Args:
        trajectories: their numbers in ``data``.
        policy: gaussian, cvae, tanh_gaussian or tanh_gaussian_wide.
        changes: of ``DEFAULTS``.

    Returns:
        The policy and its log.

    Raises:
        UserError: as `fine_tune`.
    """
    _check_changes(REFERENCE, changes)
    sizes = data.observations.shape[1], data.actions.shape[1]
    actor = make_policy(policy, *sizes, hidden)
    sets = {"reference": trajectories}
    params, log = _train(REFERENCE, actor, data, sets, 1, name, changes)
    about = {"algorithm": "behaviour cloning", "trajectories": len(trajectories)}
    return PolicyStack(actor, params, data.mean, data.std, about), log


def defaults_of(method: str) -> dict:
    """``DEFAULTS`` with as many iterations as the config has for a method."""
    iterations = method_constant(method, "ITERATIONS", DEFAULTS["iterations"])
    return DEFAULTS | {"iterations": iterations}


def known_of(method: str) -> dict:
    """All that can be changed of a method, with its values."""
    numbers = method_constant(method, "HYPERPARAMETERS")
    found = defaults_of(method) | method_settings(method) | numbers
    unused = ["learning_rate"] if "actor_learning_rate" in found else []
    unused += ["batch_size", "sampler"] if method in OF_SEGMENTS else []
    return {key: value for key, value in found.items() if key not in unused}


def _train(
    method: str, policy, data, sets, seeds: int, name: str, changes: dict, reference=None
) -> tuple[Params, pd.DataFrame]:
    """Check the sets and train one run a seed."""
    numbers = method_constant(method, "HYPERPARAMETERS")
    known = known_of(method)
    _check_sets(sets, len(data.starts))
    if not (isinstance(seeds, int) and seeds >= 1):
        raise UserError(f"seeds: {seeds!r} is not allowed; must be an integer of at least 1")
    longest = int(data.lengths.max())
    settings = DEFAULTS | known | changes
    settings = {key: value for key, value in settings.items() if key not in numbers}
    settings |= {"hidden": list(policy.hidden), "horizon": longest, "longest": longest}
    streams = [f"{name}/seed{seed}" for seed in range(seeds)]
    own = {key: float((known | changes)[key]) for key in numbers}
    runs = pd.DataFrame({"run": streams, "stream": streams, "tau": np.nan, **own})
    repeated = {role: [np.sort(indices)] * seeds for role, indices in sets.items()}
    return train(method_module(method), policy, runs, data, repeated, settings, reference)


def _check_changes(method: str, changes: dict) -> None:
    """Check names and values as the config's are; also what a method does not use is unknown."""
    known = known_of(method)
    if unknown := sorted(set(changes) - set(known)):
        raise UserError(f"{method}: unknown setting {unknown[0]}; known: {', '.join(known)}")
    samplers = {"sampler": ("trajectory", "transition")}
    for key, value in changes.items():
        if isinstance(value, Mapping):
            raise UserError(f"{method}: {key}: needs one value, not one for each suite")
        if key != "seed":  # of the reference policy's sets, from 0
            try:
                check_key(method, method, key, value, DEFAULTS | samplers)
            except UserError as error:
                raise UserError(str(error).removeprefix("config: ")) from None


def _check_sets(sets: dict, n: int) -> None:
    """Sets are numbers of trajectories, each there once and in one set."""
    for role, indices in sets.items():
        numbers = np.asarray(indices)
        whole = numbers.dtype.kind in "iu" and numbers.ndim == 1  # a mask of booleans is none
        if not numbers.size or not whole or not np.isin(numbers, np.arange(n)).all():
            raise UserError(f"{role}: needs numbers of trajectories, 0 to {n - 1}, at least one")
    everything = np.concatenate([np.asarray(indices) for indices in sets.values()])
    found, counts = np.unique(everything, return_counts=True)
    if (counts > 1).any():
        raise UserError(
            f"{' and '.join(sets)}: trajectory {found[counts > 1][0]} is there twice; each "
            "may be in one set, once"
        )
