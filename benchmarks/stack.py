"""Time the stacked PREFINE step against a plain loop over separate torch.nn policies.

Both do the same work at HalfCheetahVelocity's sizes: batches by index, counterfactual
samples, Eq. 9, gradient clip, Adam. Blocks of either alternate, and the figure is the
median of their ratios, so a drift of the machine's speed does not matter.

    .venv/bin/python benchmarks/stack.py --replicas 15 --threads 2
"""

import argparse
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import torch
import torch.nn.functional as F
from torch import nn
from tqdm import tqdm

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "scripts"))

from paired import compare, report
from prefine.dataset import Transitions
from prefine.methods import method_module, method_settings
from prefine.policies import make_policy
from prefine.tasks import TASKS
from prefine.training import HeldOut, PhaseLoop, build_context, device, initial_parameters

TASK = TASKS["HalfCheetahVelocity"]
BATCH = 256
SETTINGS = {
    "iterations": 10**9,
    "batch_size": BATCH,
    "learning_rate": 3e-4,
    "gradient_clip": 10.0,
    "log_points": 1,
    "likelihood_draws": 1,
    "sampler": "trajectory",
    "hidden": [256, 256],
    "cuda_graphs": True,
}
BETA, LAM = 0.05, 1.6


def data(rng) -> Transitions:
    """Random states and actions in the shape of 120 episodes; the time does not depend on them."""
    n, length = 120, 1000
    return Transitions(
        observations=rng.normal(size=(n * length, TASK.obs_dim)).astype(np.float32),
        actions=rng.uniform(-1, 1, (n * length, TASK.act_dim)).astype(np.float32),
        starts=np.arange(n) * length,
        lengths=np.full(n, length),
        mean=np.zeros(TASK.obs_dim, np.float32),
        std=np.ones(TASK.obs_dim, np.float32),
    )


class Stacked:
    """The project's own loop."""

    def __init__(self, kind: str, replicas: int, transitions: Transitions):
        policy = make_policy(kind, TASK.obs_dim, TASK.act_dim, (256, 256))
        names = [f"r{k}" for k in range(replicas)]
        runs = pd.DataFrame({"run": names, "stream": names, "tau": 40, "beta": BETA, "lam": LAM})
        settings = method_settings("prefine") | SETTINGS
        method, on = method_module("prefine"), device()
        reference = initial_parameters(policy.init, ["reference"], on)
        context = build_context(method, policy, runs, settings, reference, on)
        (phase,) = method.phases(policy, settings)
        sets = {
            "preferred": [np.arange(100)] * replicas,
            "nonpreferred": [np.arange(100, 120)] * replicas,
        }
        held_out = HeldOut(policy, names, transitions, None, on)
        self.loop = PhaseLoop(
            method, phase, context, runs, transitions, sets, settings, held_out, on
        )
        self.loop.logged, self.iteration = set(), 0

    def steps(self, n: int) -> None:
        for _ in range(n):
            self.loop.iterate(self.iteration)
            self.iteration += 1


class PlainPolicy(nn.Module):
    """A policy as anyone would write it."""

    def __init__(self, kind: str):
        super().__init__()
        obs, act, hidden = TASK.obs_dim, TASK.act_dim, 256
        self.kind, self.latent = kind, 2 * act

        def network(n_in, n_out):
            return nn.Sequential(
                *(nn.Linear(n_in, hidden), nn.ReLU(), nn.Linear(hidden, hidden), nn.ReLU()),
                nn.Linear(hidden, n_out),
            )

        if kind == "gaussian":
            self.trunk = network(obs, 2 * act)
        else:
            self.encoder = network(obs + act, 2 * self.latent).requires_grad_(False)
            self.decoder = network(obs + self.latent, act)
            self.log_std = nn.Parameter(torch.full((act,), -1.0))

    def distribution(self, obs, z=None):
        if self.kind == "gaussian":
            mean, log_std = self.trunk(obs).chunk(2, -1)
            return torch.tanh(mean), log_std.clamp(-3, 0.5)
        return torch.tanh(self.decoder(torch.cat([obs, z], -1))), self.log_std

    def log_prob(self, obs, action, z=None):
        mean, log_std = self.distribution(obs, z)
        return torch.distributions.Normal(mean, log_std.exp()).log_prob(action).sum(-1)


class PlainLoop:
    """One policy after another, each with its own optimiser."""

    def __init__(self, kind: str, replicas: int, transitions: Transitions):
        self.kind = kind
        self.on = device()
        self.reference = PlainPolicy(kind).to(self.on).requires_grad_(False)
        self.policies = [PlainPolicy(kind).to(self.on) for _ in range(replicas)]
        self.optimizers = [
            torch.optim.Adam([p for p in policy.parameters() if p.requires_grad], lr=3e-4)
            for policy in self.policies
        ]
        self.obs = torch.as_tensor(transitions.observations, device=self.on)
        self.action = torch.as_tensor(transitions.actions, device=self.on)

    def steps(self, n: int) -> None:
        for _ in range(n):
            for policy, optimizer in zip(self.policies, self.optimizers, strict=True):
                self._step(policy, optimizer)

    def _step(self, policy, optimizer) -> None:
        preferred = torch.randint(0, 100_000, (BATCH,), device=self.on)
        other = torch.randint(100_000, 120_000, (BATCH,), device=self.on)
        index = torch.cat([preferred, other])
        states, data_action = self.obs[index], self.action[index]
        obs, z = torch.cat([states, states]), None
        with torch.no_grad():
            prior = torch.randn(2 * BATCH, policy.latent, device=self.on)
            mean, log_std = policy.distribution(states, prior)
            sample = mean + log_std.exp() * torch.randn_like(mean)
            action = torch.cat([data_action, sample])
            if self.kind == "cvae":
                m, s = self.reference.encoder(torch.cat([obs, action], -1)).chunk(2, -1)
                z = m + s.clamp(-4, 2).exp() * torch.randn_like(m)
            reference = self.reference.log_prob(obs, action, z)
        log_prob = policy.log_prob(obs, action, z)
        p, other, cf_p, cf_other = (log_prob - reference).chunk(4)
        loss = (
            -F.logsigmoid(BETA * (p - cf_p)).mean() - F.logsigmoid(BETA * (cf_other - other)).mean()
        )
        loss = loss - LAM * log_prob[:BATCH].mean()
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(policy.parameters(), 10.0)
        optimizer.step()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--replicas", type=int, nargs="+", default=[1, 5, 15, 75])
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--pairs", type=int, default=9)
    parser.add_argument("--steps", type=int, default=10)
    parser.add_argument("--output", type=Path, default=Path("results/bench/stack.json"))
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    transitions, rows = data(np.random.default_rng(0)), []
    for kind in ("gaussian", "cvae"):
        for replicas in tqdm(args.replicas, desc=kind):
            stacked = Stacked(kind, replicas, transitions)
            plain = PlainLoop(kind, replicas, transitions)
            figures = compare(stacked, plain, args.pairs, args.steps)
            place = {"policy": kind, "replicas": replicas, "threads": args.threads}
            rows.append(place | {"device": str(device())} | figures)
    report(rows, args.output)


if __name__ == "__main__":
    main()
