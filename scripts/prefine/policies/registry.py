"""A policy class by its name."""

from collections.abc import Sequence
from dataclasses import fields

from prefine.errors import UserError
from prefine.policies.cvae import CVAEPolicy
from prefine.policies.gaussian import (
    DeterministicPolicy,
    GaussianPolicy,
    TanhGaussianPolicy,
    WideTanhGaussianPolicy,
)

POLICIES = {
    policy.name: policy
    for policy in (
        GaussianPolicy,
        TanhGaussianPolicy,
        WideTanhGaussianPolicy,
        CVAEPolicy,
        DeterministicPolicy,
    )
}


ACTION_MODES = ("deterministic", "bcq", "sampled")


def check_mode(mode: str) -> None:
    """Raise UserError if there is no such way to act."""
    if mode not in ACTION_MODES:
        raise UserError(f"action_mode: {mode!r} is not one of {', '.join(ACTION_MODES)}")


def make_policy(name: str, obs_dim: int, act_dim: int, hidden: Sequence[int], **limits):
    """Build a policy class by its name in config.yaml; ``limits`` are such as log_std_min."""
    return POLICIES[name](obs_dim, act_dim, tuple(hidden), **limits)


def describe(policy) -> dict:
    """Return what a file must keep of a policy for ``make_policy`` to build it again."""
    sizes = {"obs_dim": policy.obs_dim, "act_dim": policy.act_dim, "hidden": list(policy.hidden)}
    limits = {
        field.name: getattr(policy, field.name)
        for field in fields(policy)
        if field.name not in sizes and getattr(policy, field.name) != field.default
    }
    return {"policy": policy.name, **sizes, "limits": limits}
