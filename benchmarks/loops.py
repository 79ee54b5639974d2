"""The project's own training loop on random data of a velocity task's sizes.

The time of a step does not depend on the values, so none of the simulators is needed.
"""

import functools
import gc
import resource
import sys
import time
from collections.abc import Callable
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
BLOCKS, GIB = 5, 2**30
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


class Loop:
    """``replicas`` runs of a method in one stack; ``phase`` counts from the last one (-1)."""

    def __init__(self, name: str, kind: str, replicas: int, threads: int, phase=-1, **changes):
        method, on = method_module(name), device()
        settings = method_settings(name) | SETTINGS | {"threads": threads}
        if hasattr(method, "BATCH_SIZE"):
            settings["batch_size"] = method.BATCH_SIZE
        settings |= changes
        set_up_torch(settings)
        kind = method_constant(name, "POLICY") or kind
        sizes = (TASK.obs_dim, TASK.act_dim, tuple(settings["hidden"]))
        deterministic = kind == DeterministicPolicy.name
        policy = DeterministicPolicy(*sizes) if deterministic else make_policy(kind, *sizes)
        names = [f"r{k}" for k in range(replicas)]
        runs = pd.DataFrame({"run": names, "stream": names, "tau": 40, **method.HYPERPARAMETERS})
        reference = initial_parameters(policy.init, ["reference"], on)
        context = build_context(method, policy, runs, settings, reference, on)
        data = transitions(decided(method.SEES, settings))
        everything = [np.arange(TRAJECTORIES)] * replicas
        sets = dict.fromkeys(("all", "unlabelled", "initial", "reference"), everything) | {
            "preferred": [np.arange(PREFERRED)] * replicas,
            "nonpreferred": [np.arange(PREFERRED, TRAJECTORIES)] * replicas,
        }
        phase = method.phases(policy, settings)[phase]
        held_out = HeldOut(policy, names, data, None, on)
        self.loop = PhaseLoop(method, phase, context, runs, data, sets, settings, held_out, on)
        if phase.prepare:
            phase.prepare(context, self.loop.samplers)
        self.loop.logged, self.iteration = set(), 0

    def steps(self, n: int) -> None:
        """Do ``n`` iterations."""
        for _ in range(n):
            self.loop.iterate(self.iteration)
            self.iteration += 1
        if torch.cuda.is_available():
            torch.cuda.synchronize()


def timed(build: Callable, least: int, seconds: float, warm_up: int) -> tuple[object, dict]:
    """A loop, its milliseconds an iteration (median and quartiles of blocks), its peak memory.

    Args:
        build: returns what has ``steps``.
        least: a block's iterations are a multiple of it.
        seconds: that a block takes, or one ``least``.
    """
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()
    before = peak_memory()
    loop = build()
    loop.steps(warm_up)
    began = time.perf_counter()
    loop.steps(least)
    block = max(1, round(seconds / (time.perf_counter() - began))) * least
    memory = peak_memory() if torch.cuda.is_available() else peak_memory() - before
    times = []
    for _ in range(BLOCKS):
        began = time.perf_counter()
        loop.steps(block)
        times.append((time.perf_counter() - began) * 1000 / block)
    low, middle, high = np.quantile(times, [0.25, 0.5, 0.75]).tolist()
    return loop, {"ms": middle, "q25": low, "q75": high, "gib": memory / GIB}


def peak_memory() -> int:
    """Of this process in bytes: the GPU's where there is one."""
    if torch.cuda.is_available():
        return torch.cuda.max_memory_reserved()
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
