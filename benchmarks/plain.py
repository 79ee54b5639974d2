"""PREFINE as anyone would write it: separate torch.nn policies, one after another."""

import loops
import torch
import torch.nn.functional as F
from loops import TASK, device, transitions
from torch import nn

BATCH = 256
BETA, LAM = 0.05, 1.6


class PlainPolicy(nn.Module):
    """A policy as anyone would write it."""

    def __init__(self, kind: str):
        super().__init__()
        obs, act, hidden = TASK.obs_dim, TASK.act_dim, 256
        self.kind, self.latent = kind, 2 * act

        def network(n_in, n_out):
            return nn.Sequential(
                nn.Linear(n_in, hidden),
                nn.ReLU(),
                nn.Linear(hidden, hidden),
                nn.ReLU(),
                nn.Linear(hidden, n_out),
            )

        if kind == "gaussian":
            self.trunk = network(obs, 2 * act)
        else:
            self.encoder = network(obs + act, 2 * self.latent).requires_grad_(False)
            self.decoder = network(obs + self.latent, act)
            self.log_std = nn.Parameter(torch.full((act,), -1.0))

    def distribution(self, obs, z=None):
        """Return mean and log_std."""
        if self.kind == "gaussian":
            mean, log_std = self.trunk(obs).chunk(2, -1)
            return torch.tanh(mean), log_std.clamp(-3, 0.5)
        return torch.tanh(self.decoder(torch.cat([obs, z], -1))), self.log_std

    def log_prob(self, obs, action, z=None):
        """Return log pi(a|s), given z for the VAE."""
        mean, log_std = self.distribution(obs, z)
        return torch.distributions.Normal(mean, log_std.exp()).log_prob(action).sum(-1)


class PlainLoop:
    """One policy after another, each with its own optimiser."""

    def __init__(self, kind: str, replicas: int, threads: int):
        torch.set_num_threads(threads)
        self.kind = kind
        data = transitions("actions")
        self.on = device()
        self.reference = PlainPolicy(kind).to(self.on).requires_grad_(False)
        self.policies = [PlainPolicy(kind).to(self.on) for _ in range(replicas)]
        self.optimizers = [
            torch.optim.Adam([p for p in policy.parameters() if p.requires_grad], lr=3e-4)
            for policy in self.policies
        ]
        self.split = loops.PREFERRED * TASK.horizon
        self.obs = torch.as_tensor(data.observations, device=self.on)
        self.action = torch.as_tensor(data.actions, device=self.on)

    def steps(self, n: int) -> None:
        """Do ``n`` iterations of each policy."""
        for _ in range(n):
            for policy, optimizer in zip(self.policies, self.optimizers, strict=True):
                self._step(policy, optimizer)
        if torch.cuda.is_available():
            torch.cuda.synchronize()

    def _step(self, policy, optimizer) -> None:
        preferred = torch.randint(0, self.split, (BATCH,), device=self.on)
        other = torch.randint(self.split, len(self.obs), (BATCH,), device=self.on)
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
