"""Policies that nobody trained, to act in tests."""

import numpy as np
import torch
from prefine.policies.registry import make_policy
from prefine.policies.stack import PolicyStack
from prefine.training.loop import initial_parameters


def some_policies(task, n=2, kind="cvae", hidden=(16,)) -> PolicyStack:
    """A stack that nobody trained."""
    policy = make_policy(kind, task.obs_dim, task.act_dim, hidden)
    params = initial_parameters(policy.init, [f"p{k}" for k in range(n)], torch.device("cpu"))
    mean, std = np.zeros(task.obs_dim, np.float32), np.ones(task.obs_dim, np.float32)
    return PolicyStack(policy, params, mean, std)
