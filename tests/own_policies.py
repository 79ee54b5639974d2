"""Models of Stable-Baselines3 and plain MLPs that tests read, and how a refusal is checked."""

import json
from dataclasses import replace

import gymnasium
import numpy as np
import pytest
import torch
from prefine.errors import UserError
from prefine.policies.formats.read import read_policy
from prefine.tasks import TASKS
from safetensors.torch import save_file
from stable_baselines3 import PPO

OBS_DIM, ACT_DIM = 3, 2
LOW, HIGH = np.array([-2.0, 0.0]), np.array([2.0, 3.0])
HALF, CENTRE = torch.tensor((HIGH - LOW) / 2), torch.tensor((HIGH + LOW) / 2)
BOX = gymnasium.spaces.Box(LOW.astype("f4"), HIGH.astype("f4"))
VECTOR = gymnasium.spaces.Box(-np.inf, np.inf, (OBS_DIM,), np.float32)
N = 1000


class Blank(gymnasium.Env):
    """Spaces to build a model for; it is never stepped."""

    def __init__(self, observations=VECTOR, actions=BOX):
        self.observation_space, self.action_space = observations, actions

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        return self.observation_space.sample(), {}


def read(path, kind="sb3", obs_dim=OBS_DIM, low=LOW, high=HIGH, **settings):
    settings = {"file": str(path), "format": kind} | settings
    return read_policy(settings, with_sizes(obs_dim, len(low), low, high))


def with_sizes(obs_dim, act_dim, low=-1.0, high=1.0):
    """A task with these sizes and bounds of actions; nothing else of it matters here."""
    bounds = {"action_low": low, "action_high": high}
    return replace(TASKS["BallRun"], obs_dim=obs_dim, act_dim=act_dim, **bounds)


def model(path, algorithm=PPO, policy="MlpPolicy", env=None, **options):
    """Save an untrained model."""
    algorithm(policy, env or Blank(), device="cpu", **options).save(path)
    return path


def refuses(says, path, *arguments, **settings):
    """Reading must fail in one line that has these words."""
    with pytest.raises(UserError) as raised:
        read(path, *arguments, **settings)
    text = str(raised.value)
    assert says in text and "\n" not in text, text


def network(path, squash, log_std, **about):
    """Save a net with a tanh between its layers and a JSON; return the net."""
    torch.manual_seed(0)
    n_out = 2 * ACT_DIM if log_std == "state" else ACT_DIM
    layers = torch.nn.Linear(OBS_DIM, 16), torch.nn.Tanh(), torch.nn.Linear(16, n_out)
    net = torch.nn.Sequential(*layers)
    fixed = {"log_std": torch.tensor([-0.5, 0.3])} if log_std == "fixed" else {}
    save_file({f"net.{k}": v for k, v in net.state_dict().items()} | fixed, path)
    meaning = {"activation": "tanh", "squash": squash, "log_std": log_std}
    path.with_suffix(".json").write_text(json.dumps(meaning | about))
    return net.double()
