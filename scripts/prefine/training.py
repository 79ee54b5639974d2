"""Train a table of runs together: one stacked step, random streams of each run's own.

What a run does depends on its row alone. Its streams are named after the run, not after
its place in the stack, and no operation mixes replicas.
"""

import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from types import ModuleType

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from prefine.dataset import Transitions
from prefine.errors import UserError
from prefine.methods import Batch
from prefine.networks import Params, clip_replica_gradients, replica_norm, stack
from prefine.streams import stream_seed

log = logging.getLogger(__name__)

NOISE_BLOCK = 25  # iterations whose noise is drawn at once; part of the numbers, do not change
HELD_OUT_STATES = 1024


@dataclass(frozen=True)
class TrainingSettings:
    """The loop's settings; the names are config.yaml's, sections ``training``/``reference``."""

    iterations: int
    batch_size: int = 256
    learning_rate: float = 3e-4
    gradient_clip: float = 10.0
    log_points: int = 50
    likelihood_draws: int = 1
    sampler: str = "trajectory"
    threads: int = 1

    def log_iterations(self) -> set[int]:
        """Iteration 0, the end, and evenly spaced ones between."""
        points = np.linspace(0, self.iterations, min(self.log_points, self.iterations) + 1)
        return {round(point) for point in points}


def device() -> torch.device:
    """Return CUDA when it is there."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


class TrajectorySets:
    """One trajectory set a replica over shared flat arrays, sampled by index.

    Args:
        indices: for each replica the dataset indices of its trajectories (may be empty).
    """

    def __init__(
        self, data: Transitions, indices: Sequence[np.ndarray], sampler: str, on: torch.device
    ):
        used = np.unique(np.concatenate(indices)).astype(int)
        rows = np.concatenate([np.arange(data.lengths[i]) + data.starts[i] for i in used])
        obs = (data.observations[rows] - data.mean) / data.std
        self.obs = torch.as_tensor(obs, device=on)
        self.action = torch.as_tensor(data.actions[rows], device=on)
        offset = np.concatenate([[0], np.cumsum(data.lengths[used])])
        position = {index: place for place, index in enumerate(used)}
        width = max(1, max(len(own) for own in indices))
        starts = np.zeros((len(indices), width), dtype=np.int64)
        lengths = np.zeros_like(starts)
        for replica, own in enumerate(indices):
            starts[replica, : len(own)] = [offset[position[index]] for index in own]
            lengths[replica, : len(own)] = data.lengths[own]
        counts = np.array([len(own) for own in indices])
        self.starts, self.lengths, self.ends, self.counts = (
            torch.as_tensor(array, device=on)
            for array in (starts, lengths, lengths.cumsum(1), counts)
        )
        self.sampler = sampler

    def batch(self, uniforms: Tensor) -> Batch:
        """Gather a batch with two uniforms a state: (R, B, 2) in [0, 1).

        ``trajectory``: a trajectory uniformly, then a step of it uniformly (methods 4.1);
        ``transition``: every step equally likely.
        """
        if self.sampler == "trajectory":
            place = (uniforms[..., 0] * self.counts[:, None]).long()
            place = place.minimum((self.counts - 1).clamp(min=0)[:, None])
            length = self.lengths.gather(1, place)
            step = (uniforms[..., 1] * length).long().minimum((length - 1).clamp(min=0))
        else:
            total = self.ends[:, -1:]
            flat = (uniforms[..., 1].double() * total).long().minimum((total - 1).clamp(min=0))
            place = torch.searchsorted(self.ends, flat, right=True).clamp(
                max=self.ends.shape[1] - 1
            )
            step = flat - (self.ends - self.lengths).gather(1, place)
        index = self.starts.gather(1, place) + step
        return Batch(self.obs[index], self.action[index])


class Noise:
    """Uniforms and standard normals of every replica, drawn in blocks from named streams.

    A block's numbers are a function of the replica's name, the role and the block, so a
    run can start at any block and its neighbours do not matter.
    """

    def __init__(
        self,
        names: Sequence[str],
        uniforms: dict[str, tuple[int, ...]],
        normals: dict[str, tuple[int, ...]],
        on: torch.device,
    ):
        self.names, self.on = names, on
        self.draws = {role: (torch.rand, shape) for role, shape in uniforms.items()}
        self.draws |= {role: (torch.randn, shape) for role, shape in normals.items()}
        self.block, self.values = -1, {}

    def at(self, iteration: int) -> dict[str, Tensor]:
        """Return role -> (R, *shape) for one iteration."""
        block, place = divmod(iteration, NOISE_BLOCK)
        if block != self.block:
            self.block = block
            self.values = {role: self._draw(role, block) for role in self.draws}
        return {role: values[:, place] for role, values in self.values.items()}

    def _draw(self, role: str, block: int) -> Tensor:
        draw, shape = self.draws[role]
        generator = torch.Generator(self.on)
        replicas = []
        for name in self.names:
            generator.manual_seed(stream_seed(name, role, block))
            replicas.append(draw((NOISE_BLOCK, *shape), generator=generator, device=self.on))
        return torch.stack(replicas)


def initial_parameters(policy, names: Sequence[str], on: torch.device) -> Params:
    """Initialise each replica from the stream of its own name."""
    replicas = []
    for name in names:
        generator = torch.Generator().manual_seed(stream_seed(name, "init"))
        replicas.append(policy.init(generator))
    return {name: value.to(on) for name, value in stack(replicas).items()}


def train(
    method: ModuleType,
    policy,
    runs: pd.DataFrame,
    data: Transitions,
    sets: dict[str, list[np.ndarray]],
    settings: TrainingSettings,
    reference: Params | None = None,
    on_iteration: Callable[[int], None] = lambda iteration: None,
) -> tuple[Params, pd.DataFrame]:
    """Train all rows of ``runs`` at once.

    Args:
        method: a module of ``prefine.methods``.
        runs: one row a replica, with ``run`` (its id), ``stream`` (the name of its random
            streams) and a column for each hyper-parameter of the method.
        sets: role -> one array of dataset indices a replica; ``held_out`` is optional.
        reference: parameters of pi_ref with a replica axis of 1 or R.

    Returns:
        The parameters (R, ...) and one log row a replica and log point.

    Raises:
        UserError: a loss or a parameter is not finite; names run, iteration, last values.
    """
    torch.set_num_threads(settings.threads)
    on = device()
    names, n_replicas = list(runs["stream"]), len(runs)
    if reference is not None:
        reference = {name: value.to(on) for name, value in reference.items()}
    if method.STARTS_FROM == "reference":
        theta = {n: v.expand(n_replicas, *v.shape[1:]).clone() for n, v in reference.items()}
        reference = {n: v.expand(n_replicas, *v.shape[1:]) for n, v in reference.items()}
        frozen = policy.frozen_in_fine_tuning
    else:
        theta, frozen = initial_parameters(policy, names, on), ()
    trained = [v.requires_grad_() for n, v in theta.items() if not n.startswith(tuple(frozen))]
    optimizer = torch.optim.Adam(trained, lr=settings.learning_rate)
    hyper = {
        name: torch.as_tensor(runs[name].to_numpy(np.float32), device=on)
        for name in method.HYPERPARAMETERS
    }
    samplers = {
        role: TrajectorySets(data, sets[role], settings.sampler, on) for role in method.NEEDS
    }
    normals = method.noise_shapes(policy, settings.batch_size, vars(settings))
    noise = Noise(names, dict.fromkeys(samplers, (settings.batch_size, 2)), normals, on)
    held_out = HeldOut(policy, names, data, sets.get("held_out"), on)

    rows, log_iterations, seconds = [], settings.log_iterations(), 0.0
    for iteration in range(settings.iterations + 1):
        started = time.perf_counter()
        drawn = noise.at(iteration)
        batches = [sampler.batch(drawn[role]) for role, sampler in samplers.items()]
        diagnose = iteration in log_iterations
        loss = method.loss(policy, theta, reference, batches, drawn, hyper, diagnose)
        if diagnose:
            row = log_row(runs, loss, theta, trained, held_out)
            rows.append(row.assign(iteration=iteration, seconds=seconds))
            check_finite(rows)
        if iteration == settings.iterations:
            break
        optimizer.zero_grad(set_to_none=True)
        loss.total.sum().backward()
        clip_replica_gradients(trained, settings.gradient_clip)
        optimizer.step()
        policy.project(theta)
        if on.type == "cuda" and (iteration + 1) in log_iterations:
            torch.cuda.synchronize()
        seconds += time.perf_counter() - started
        on_iteration(iteration + 1)
    table = pd.concat(rows, ignore_index=True)
    first = ["run", "iteration", "seconds", "loss"]
    table = table[first + [c for c in table.columns if c not in first]]
    return {name: value.detach() for name, value in theta.items()}, table


class HeldOut:
    """Mean negative log-likelihood (ELBO for the VAE) of states that are not trained on."""

    def __init__(self, policy, names, data, indices, on: torch.device):
        self.batch = None
        if indices is None or not any(len(own) for own in indices):
            return
        self.policy = policy
        self.missing = torch.tensor([len(own) == 0 for own in indices], device=on)
        sets = TrajectorySets(data, indices, "trajectory", on)
        shape = (HELD_OUT_STATES, 2)
        normals = {"latent": (HELD_OUT_STATES, policy.latent_dim)}
        drawn = Noise([f"{name}/held_out" for name in names], {"states": shape}, normals, on).at(0)
        self.batch, self.latent = sets.batch(drawn["states"]), drawn["latent"]

    def nll(self, theta: Params) -> dict[str, Tensor]:
        """``held_out_nll`` (R,), NaN for a replica with nothing held out."""
        if self.batch is None:
            return {}
        with torch.no_grad():
            nll, _ = self.policy.pretraining_loss(
                theta, self.batch.obs, self.batch.action, self.latent
            )
        return {"held_out_nll": nll.mean(1).masked_fill(self.missing, float("nan"))}


def log_row(runs, loss, theta, trained, held_out) -> pd.DataFrame:
    """Bring the logs of one iteration to the host: one row a replica."""
    logs = {"loss": loss.total.detach()} | {k: v.detach() for k, v in loss.logs.items()}
    for term, value in loss.terms.items():
        gradients = torch.autograd.grad(
            value.sum(), trained, retain_graph=True, allow_unused=True, materialize_grads=True
        )
        logs[f"gradient_norm_{term}"] = replica_norm(gradients)
    if {"dpo", "sft"} <= set(loss.terms):
        logs["gradient_ratio_dpo_sft"] = logs["gradient_norm_dpo"] / logs["gradient_norm_sft"]
    logs["parameter_norm"] = replica_norm([v.detach() for v in trained])
    logs |= held_out.nll(theta)
    columns = {name: value.double().cpu().numpy() for name, value in logs.items()}
    return pd.DataFrame({"run": runs["run"].to_numpy()} | columns)


def check_finite(rows: list[pd.DataFrame]) -> None:
    """Stop when a loss or a parameter is not finite, with the last good values."""
    now = rows[-1]
    bad = ~np.isfinite(now[["loss", "parameter_norm"]]).all(axis=1)
    if bad.any():
        where = now[bad].iloc[0]
        before = "none"
        if len(rows) > 1:
            last = rows[-2].set_index("run").loc[where["run"]]
            before = f"loss {last['loss']:.4g} at iteration {int(last['iteration'])}"
        raise UserError(
            f"{where['run']}: the loss or a parameter is not finite at iteration "
            f"{int(where['iteration'])} (loss {where['loss']}); last good: {before}. "
            "Lower the learning rate or check the data."
        )
