"""The project's own training loop on random data of a velocity task's sizes.

The time of a step does not depend on the values, so none of the simulators is needed.
"""

import functools
import sys
from dataclasses import fields
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from torch import Tensor

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "scripts"))

from prefine.data.dataset import SEES, Transitions
from prefine.methods import decided, method_constant, method_module, method_settings
from prefine.policies.gaussian import GaussianPolicy
from prefine.policies.networks import Params, init_mlp, mlp
from prefine.policies.registry import make_policy
from prefine.tasks import TASKS
from prefine.training.cuda import device, set_up_torch
from prefine.training.loop import HeldOut, PhaseLoop, build_context, initial_parameters

TASK = TASKS["Walker2dVelocity"]  # the sizes of HalfCheetahVelocity
TRAJECTORIES, PREFERRED = 120, 100
SETTINGS = {
    "iterations": 10**9,
    "batch_size": 256,
    "learning_rate": 3e-4,
    "gradient_clip": 10.0,
    "log_points": 1,
    "likelihood_draws": 1,
    "sampler": "trajectory",
    "hidden": [256, 256],
    "horizon": TASK.horizon,
    "longest": TASK.horizon,
    "cuda_graphs": True,
    "compile": False,
    "tf32": False,
}


class DeterministicPolicy(GaussianPolicy):
    """OSRL's BC: an action a state and a squared error."""

    name = "deterministic"

    def init(self, generator: torch.Generator) -> Params:
        """Return one replica's parameters."""
        return init_mlp("trunk", [self.obs_dim, *self.hidden, self.act_dim], generator)

    def pretraining_loss(self, params: Params, obs: Tensor, action: Tensor, noise: Tensor):
        """Squared error (R, B)."""
        return (torch.tanh(mlp(params, "trunk", obs)) - action).square().mean(-1), {}


def arrays() -> dict[str, np.ndarray]:
    """Random episodes in DSRL's layout."""
    rng, n = np.random.default_rng(0), TRAJECTORIES * TASK.horizon
    ends = np.zeros(n, dtype=bool)
    ends[TASK.horizon - 1 :: TASK.horizon] = True
    return {
        "observations": rng.normal(size=(n, TASK.obs_dim)).astype(np.float32),
        "next_observations": rng.normal(size=(n, TASK.obs_dim)).astype(np.float32),
        "actions": rng.uniform(-1, 1, (n, TASK.act_dim)).astype(np.float32),
        "rewards": rng.normal(size=n).astype(np.float32),
        "costs": rng.integers(0, 2, n).astype(np.float32),
        "terminals": np.zeros(n, dtype=bool),
        "timeouts": ends,
    }


@functools.cache
def transitions(sees: str) -> Transitions:
    """What a method may see of them."""
    kind, values = SEES[sees], arrays()
    n = len(values["observations"])
    values |= {"next_rows": np.arange(1, n + 1), "last_observations": values["observations"][:1]}
    return kind(
        **{field.name: values[field.name] for field in fields(kind) if field.name in values},
        starts=np.arange(TRAJECTORIES) * TASK.horizon,
        lengths=np.full(TRAJECTORIES, TASK.horizon),
        mean=np.zeros(TASK.obs_dim, np.float32),
        std=np.ones(TASK.obs_dim, np.float32),
    )


def parts_of(
    method: str, kind: str, names: list[str], settings: dict, sets: dict[str, list[np.ndarray]]
) -> dict:
    """Arguments of ``train`` by name, the reference policy on the CPU; ``sets`` by role."""
    module = method_module(method)
    kind = method_constant(method, "POLICY", "") or kind
    sizes = (TASK.obs_dim, TASK.act_dim, tuple(settings["hidden"]))
    deterministic = kind == DeterministicPolicy.name
    policy = DeterministicPolicy(*sizes) if deterministic else make_policy(kind, *sizes)
    columns = {"run": names, "stream": names, "tau": 40.0, **module.HYPERPARAMETERS}
    return {
        "method": module,
        "policy": policy,
        "runs": pd.DataFrame(columns),
        "data": transitions(decided(module.SEES, settings)),
        "sets": sets,
        "settings": settings,
        "reference": initial_parameters(policy.init, ["reference"], torch.device("cpu")),
    }


def settings_of(method: str, changes: dict) -> dict:
    """What the training loop is told: at the method's own batch size, unless it is changed."""
    own = {"batch_size": getattr(method_module(method), "BATCH_SIZE", SETTINGS["batch_size"])}
    return method_settings(method) | SETTINGS | own | changes


class Stepper:
    """A training loop that is stepped by hand, of ``parts_of`` a method."""

    def __init__(self, parts: dict, on: torch.device):
        self.parts, self.on = parts, on
        given = (parts[name] for name in ("method", "policy", "runs", "settings", "reference"))
        set_up_torch(parts["settings"])
        self.context = build_context(*given, on)
        self.loop: PhaseLoop

    def begin(self, number: int) -> None:
        """Build the loop of a phase, which logs nothing."""
        method, policy, settings = (self.parts[k] for k in ("method", "policy", "settings"))
        runs, data, sets = (self.parts[k] for k in ("runs", "data", "sets"))
        held_out = HeldOut(policy, list(runs["stream"]), data, None, self.on)
        phase = method.phases(policy, settings)[number]
        self.loop = PhaseLoop(
            method, phase, self.context, runs, data, sets, settings, held_out, self.on
        )
        self.loop.logged = set()
        if phase.prepare:
            phase.prepare(self.context, self.loop.samplers)


class Loop:
    """``replicas`` runs of a method in one stack; ``phase`` counts from the last one (-1)."""

    def __init__(self, name: str, kind: str, replicas: int, threads: int, phase=-1, **changes):
        everything = [np.arange(TRAJECTORIES)] * replicas
        sets = dict.fromkeys(("all", "unlabelled", "initial", "reference"), everything) | {
            "preferred": [np.arange(PREFERRED)] * replicas,
            "nonpreferred": [np.arange(PREFERRED, TRAJECTORIES)] * replicas,
        }
        settings = settings_of(name, {"threads": threads} | changes)
        names = [f"r{k}" for k in range(replicas)]
        stepper = Stepper(parts_of(name, kind, names, settings, sets), device())
        stepper.begin(phase)
        self.loop, self.iteration = stepper.loop, 0

    def steps(self, n: int) -> None:
        """Do ``n`` iterations."""
        for _ in range(n):
            self.loop.iterate(self.iteration)
            self.iteration += 1
        if torch.cuda.is_available():
            torch.cuda.synchronize()
