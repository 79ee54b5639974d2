"""Train a table of runs together: one stacked step, random streams of each run's own.

What a run does depends on its row alone. Its streams are named after the run, not after
its place in the stack, and no operation mixes replicas. On a CPU with one thread it is so to the
last bit where the batch is a multiple of 16 (tests/training/test_stack_bits.py): a CPU's kernels
compute what is left over behind the last whole vector in another way. (With a layer of odd width
the batch must be a power of two.) On a GPU the library chooses
its matrix kernels by the size of the stack.
"""

import math
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from types import ModuleType

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from prefine.data.dataset import Transitions
from prefine.errors import UserError
from prefine.methods import REFERENCE, Context, Loss, Phase, decided
from prefine.policies.networks import Params, clip_replicas, replica_norm, stack
from prefine.streams import stream_seed
from prefine.training import checkpoint
from prefine.training.adam import Adam
from prefine.training.batches import Noise, TrajectorySets
from prefine.training.cuda import FUSED_ON, GraphedStep, device, fused, set_up_torch

HELD_OUT_STATES = 1024
CHECK_EVERY = 100  # iterations between looks at what the device saw of losses that are not finite
FIRST_COLUMNS = ["run", "phase", "iteration", "seconds"]


def log_iterations(iterations: int, log_points: int) -> set[int]:
    """Iteration 0, the end, and evenly spaced ones between."""
    points = np.linspace(0, iterations, min(log_points, iterations) + 1)
    return {round(point) for point in points}


def trains_policy(phase: Phase) -> bool:
    """Say whether a phase changes the policy."""
    return "policy" in phase.learning_rates


def snapshot_iterations(method: ModuleType, policy, settings: dict) -> set[int]:
    """The iterations of the policy's phase whose policies are kept; none without ``points``."""
    if not settings.get("points"):
        return set()
    phase = next(phase for phase in method.phases(policy, settings) if trains_policy(phase))
    return log_iterations(phase.iterations, settings["points"])


def initial_parameters(init: Callable, names: Sequence[str], on: torch.device) -> Params:
    """Initialise each replica from the stream of its own name."""
    replicas = [init(torch.Generator().manual_seed(stream_seed(name, "init"))) for name in names]
    return {name: value.to(on) for name, value in stack(replicas).items()}


def train(
    method: ModuleType,
    policy,
    runs: pd.DataFrame,
    data: Transitions,
    sets: dict[str, list[np.ndarray]],
    settings: dict,
    reference: Params | None = None,
    on_iteration: Callable[[], None] = lambda: None,
    state: Path | None = None,
    on_snapshot: Callable[[int, Params], None] = lambda iteration, params: None,
    reference_policy=None,
    on_skip: Callable[[int], None] = lambda iterations: None,
    on_log: Callable[[pd.DataFrame], None] = lambda row: None,
) -> tuple[Params, pd.DataFrame]:
    """Train all rows of ``runs`` at once.

    Args:
        method: a module of ``prefine.methods``.
        runs: one row a replica, with ``run`` (its id), ``stream`` (the name of its random
            streams), ``tau`` and a column for each hyper-parameter of the method.
        sets: role -> one array of dataset indices a replica; ``held_out`` is optional.
        settings: config.yaml's ``training`` with the method's own settings.
        reference: parameters of pi_ref with a replica axis of 1 or R.
        state: file for checkpoints every ``settings["checkpoint_every"]`` iterations; a
            file that is there is gone on from, also when it holds the end.
        on_snapshot: called with the policies of the iterations of ``snapshot_iterations``;
            again for some of them, with the same numbers, when a killed job goes on.
        reference_policy: pi_ref's class, if its limits are not ``policy``'s. A Gaussian with
            another floor of log sigma does not start as pi_ref where that floor is reached.
        on_skip: called with the number of iterations that ``state`` saves.
        on_log: called with each log row.

    Returns:
        The policy's parameters (R, ...) and one log row a replica and log point.

    Raises:
        UserError: a loss or a parameter is not finite; names run, iteration, last values.
    """
    set_up_torch(settings)
    on = device()
    context = build_context(method, policy, runs, settings, reference, on)
    context.reference_policy = reference_policy
    held_out = HeldOut(policy, list(runs["stream"]), data, sets.get("held_out"), on)
    reads = runs, vars(data), sets, reference, repr(reference_policy)
    keeper = checkpoint.Keeper(state, settings, *reads)
    rows: list[pd.DataFrame] = []
    seconds = 0.0
    phases = method.phases(policy, settings)
    snapshots = snapshot_iterations(method, policy, settings)
    for number, phase in enumerate(phases):
        if keeper.skips(number):
            on_skip(phase.iterations + 1)
            continue
        loop = PhaseLoop(method, phase, context, runs, data, sets, settings, held_out, on)
        if keeper.holds(number):
            first, seconds, rows = keeper.restore(context, loop.optimizers)
            loop.watch.iteration.fill_(first)
            on_skip(first)
        else:
            first = 0
            if phase.prepare:
                phase.prepare(context, loop.samplers)
        for iteration in range(first, phase.iterations + 1):
            if keeper.due(iteration, first):
                keeper.save(number, iteration, seconds, rows, context, loop.optimizers)
            if iteration in snapshots and trains_policy(phase):
                on_snapshot(iteration, context.nets["policy"])
            row, spent = loop.iterate(iteration)
            if row is not None:
                rows.append(row.assign(phase=phase.name, iteration=iteration, seconds=seconds))
                check_finite(rows)
                on_log(row)
                if iteration == 0 and reference_policy in (None, policy):
                    check_start(row)
            seconds += spent
            if iteration % CHECK_EVERY == 0:
                began = time.perf_counter()
                loop.watch.check(runs["run"])
                seconds += time.perf_counter() - began  # a GPU is waited for here
            on_iteration()
    if keeper.holds(len(phases)):
        _, seconds, rows = keeper.restore(context, {})
    elif state is not None:
        keeper.save(len(phases), 0, seconds, rows, context, {})
    table = pd.concat(rows, ignore_index=True)
    table = table[FIRST_COLUMNS + [c for c in table.columns if c not in FIRST_COLUMNS]]
    return {name: value.detach() for name, value in context.nets["policy"].items()}, table


def build_context(
    method: ModuleType, policy, runs: pd.DataFrame, settings: dict, reference, on: torch.device
) -> Context:
    """Initialise the networks of every replica and put per-run numbers on the device."""
    names, n_replicas = list(runs["stream"]), len(runs)
    nets = {}
    for group, init in method.networks(policy, settings).items():
        nets[group] = initial_parameters(init, [f"{name}/{group}" for name in names], on)
    if decided(method.STARTS_FROM, settings) == REFERENCE:
        reference = {n: v.to(on).expand(n_replicas, *v.shape[1:]) for n, v in reference.items()}
        nets["policy"] = {name: value.clone() for name, value in reference.items()}

    def numbers(column):
        return torch.as_tensor(runs[column].to_numpy(np.float32), device=on)

    hyper = {name: numbers(name) for name in method.HYPERPARAMETERS}
    tau = numbers("tau") if "tau" in runs else None
    return Context(policy, nets, reference, hyper, tau, settings)


def trained_names(policy, settings: dict, group: str, params: Params) -> list[str]:
    """Return the names of a group's parameters that train: not a frozen encoder."""
    frozen = ()
    if group == "policy" and settings.get("encoder_update") == "frozen":
        frozen = policy.frozen_in_fine_tuning
    return [name for name in params if not name.startswith(tuple(frozen))]


class PhaseLoop:
    """The batches, optimisers and iterations of one phase."""

    def __init__(
        self, method, phase: Phase, context: Context, runs, data, sets, settings, held_out, on
    ):
        self.phase, self.context, self.runs, self.held_out, self.on = (
            phase,
            context,
            runs,
            held_out,
            on,
        )
        self.samplers = {
            role: TrajectorySets(data, sets[role], draw.sampler or settings["sampler"], on)
            for role, draw in phase.batches.items()
        }
        uniforms = {role: (draw.size, 2) for role, draw in phase.batches.items()}
        # A later phase takes other numbers than the first one.
        prefix = "" if phase.name == "train" else f"{phase.name}/"
        self.noise = Noise(
            [prefix + name for name in runs["stream"]],
            {**uniforms, **phase.uniforms},
            phase.normals,
            on,
            {role: partial(self._choose, role) for role in phase.batches},
        )
        self.trained, self.optimizers = {}, {}
        for group, learning_rate in phase.learning_rates.items():
            params = context.nets[group]
            names = trained_names(context.policy, settings, group, params)
            self.trained[group] = [params[name].requires_grad_() for name in names]
            self.optimizers[group] = Adam(self.trained[group], learning_rate)
        fuse = on.type in FUSED_ON and settings["compile"] and phase.compiles
        if fuse:
            torch.compiler.reset()  # earlier stacks count as recompilations, which are few
        self.updates = [fused(update, fuse) for update in phase.updates]
        self.clip = fused(clip_replicas, fuse)
        self.watch = Watch(len(runs), on)
        self.logged = log_iterations(phase.iterations, settings["log_points"])
        self.graph = GraphedStep(self._step, on.type == "cuda" and settings["cuda_graphs"])

    def iterate(self, iteration: int) -> tuple[pd.DataFrame | None, float]:
        """Do one iteration; the one after the last only logs.

        Returns:
            The log row, if it is a log point, and the seconds of training without logging.
        """
        started, context, waited = time.perf_counter(), self.context, 0.0
        updating = iteration < self.phase.iterations
        context.noise = self.graph.load(self.noise.at(iteration))
        context.diagnose, context.updating = iteration in self.logged, updating
        if not context.diagnose:
            self.graph()
            return None, time.perf_counter() - started
        if self.on.type == "cuda":  # what was launched before is training and no logging
            torch.cuda.synchronize()
            waited = time.perf_counter() - started
        self.logs, self.seconds_logging = {}, 0.0
        self._step()
        if self.on.type == "cuda":
            torch.cuda.synchronize()
        spent = time.perf_counter() - started - self.seconds_logging
        return self._row(self.logs), spent if updating else waited

    def _step(self) -> None:
        """Draw the batches and do the phase's updates; log where the context says so."""
        context = self.context
        context.batches = {
            role: self.samplers[role].gather(context.noise[role], draw.length)
            for role, draw in self.phase.batches.items()
        }
        # What only logs has other operations, and would be compiled for a few iterations.
        for update in self.phase.updates if context.diagnose else self.updates:
            losses = update(context)
            if context.diagnose:
                began = time.perf_counter()
                for group, loss in losses.items():
                    self.logs |= loss_logs(loss, self.trained[group], group)
                self.seconds_logging += time.perf_counter() - began
            if context.updating:
                self._update(losses)
        if context.updating:
            self.watch.end_iteration()
            if self.phase.after:
                self.phase.after(context)

    def _choose(self, role: str, uniforms: Tensor) -> Tensor:
        draw = self.phase.batches[role]
        return self.samplers[role].choose(draw.kind, uniforms, draw.length)

    def _update(self, losses: dict[str, Loss]) -> None:
        """Take all gradients at the old parameters, then step."""
        gradients = {}
        for group, loss in losses.items():
            total = loss.total
            self.watch.see(group, total)
            gradients[group] = torch.autograd.grad(
                total.sum(), self.trained[group], allow_unused=True, materialize_grads=True
            )
            if self.phase.gradient_clip is not None:
                self.clip(gradients[group], self.phase.gradient_clip)
        for group in losses:
            self.optimizers[group].step(gradients[group])

    def _row(self, logs: dict[str, Tensor]) -> pd.DataFrame:
        """Bring the logs of one iteration to the host: one row a replica."""
        everything = [v.detach() for tensors in self.trained.values() for v in tensors]
        logs = logs | {"parameter_norm": replica_norm(everything)}
        if "policy" in self.trained:
            logs |= self.held_out.nll(self.context.nets["policy"])
        columns = {name: value.double().cpu().numpy() for name, value in logs.items()}
        return pd.DataFrame({"run": self.runs["run"].to_numpy()} | columns)


def loss_logs(loss: Loss, trained: list[Tensor], group: str) -> dict[str, Tensor]:
    """Return a loss, the norms of its terms' gradients, and its diagnostics."""
    suffix = "" if group == "policy" else f"_{group}"
    logs = {f"loss{suffix}": loss.total.detach()}
    for term, value in loss.terms.items():
        if not value.requires_grad:  # OSRL's penalty moves alpha alone
            continue
        gradients = torch.autograd.grad(
            value.sum(), trained, retain_graph=True, allow_unused=True, materialize_grads=True
        )
        logs[f"gradient_norm_{term}"] = replica_norm(gradients)
    if {"dpo", "sft"} <= set(loss.terms):
        logs["gradient_ratio_dpo_sft"] = logs["gradient_norm_dpo"] / logs["gradient_norm_sft"]
    return logs | {name: value.detach() for name, value in loss.logs.items()}


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
        self.batch, self.latent = sets.gather(sets.steps(drawn["states"])), drawn["latent"]

    def nll(self, theta: Params) -> dict[str, Tensor]:
        """``held_out_nll`` (R,), NaN for a replica with nothing held out."""
        if self.batch is None:
            return {}
        with torch.no_grad():
            nll, _ = self.policy.pretraining_loss(
                theta, self.batch.obs, self.batch.action, self.latent
            )
        return {"held_out_nll": nll.mean(1).masked_fill(self.missing, float("nan"))}


def check_start(row: pd.DataFrame) -> None:
    """At theta = ref each preference term is log 2; anything else is a bug, not a result."""
    for name in {"loss_p_dpo", "loss_np_dpo"} & set(row.columns):
        if not np.allclose(row[name], np.log(2), atol=1e-3):
            raise AssertionError(f"{name} is {row[name].tolist()} at iteration 0, not log 2")


class Watch:
    """Sees every loss on the device, without a word to the host until ``check``.

    A parameter that is not finite makes the next loss so.
    """

    def __init__(self, n_replicas: int, on: torch.device):
        self.fine = torch.ones(n_replicas, dtype=torch.bool, device=on)
        self.iteration = torch.zeros(n_replicas, dtype=torch.long, device=on)
        self.now: dict[str, Tensor] = {}
        self.good, self.good_at = {}, None

    def see(self, group: str, loss: Tensor) -> None:
        """Note which replicas are still fine."""
        self.fine &= loss.detach().abs() < math.inf  # isfinite has twice as many kernels
        if group not in self.now:
            self.now[group] = torch.empty_like(loss)  # a captured step writes where it wrote
        self.now[group].copy_(loss.detach())

    def end_iteration(self) -> None:
        """Count the iterations before the first bad one."""
        self.iteration += self.fine

    def check(self, names: Sequence[str]) -> None:
        """Raise UserError if a loss was not finite since the last check; else keep the losses."""
        for bad in torch.nonzero(~self.fine).flatten().tolist():
            last = {f"loss of {group}": float(values[bad]) for group, values in self.good.items()}
            raise not_finite(
                list(names)[bad], int(self.iteration[bad]), "a loss", last, self.good_at
            )
        self.good = {group: values.clone() for group, values in self.now.items()}
        self.good_at = int(self.iteration[0]) - 1


def check_finite(rows: list[pd.DataFrame]) -> None:
    """Stop when a logged loss or a parameter is not finite, with the last good values."""
    now = rows[-1]
    watched = [c for c in now.columns if c.startswith("loss") or c == "parameter_norm"]
    bad = ~np.isfinite(now[watched]).all(axis=1)
    if bad.any():
        where = now[bad].iloc[0]
        found = ", ".join(f"{c} {where[c]}" for c in watched if not np.isfinite(where[c]))
        last = rows[-2].set_index("run").loc[where["run"]] if len(rows) > 1 else {}
        values = {c: last[c] for c in watched if c in last}
        raise not_finite(
            where["run"], int(where["iteration"]), found, values, last.get("iteration")
        )


def not_finite(run: str, iteration: int, found: str, last: dict, at: int | None) -> UserError:
    """The error of a run that diverged."""
    good = ", ".join(f"{name} {value:.4g}" for name, value in last.items() if np.isfinite(value))
    before = f"{good} at iteration {int(at)}" if good else "none"
    return UserError(
        f"{run}: not finite at iteration {iteration}: {found}; last good: {before}. "
        "Lower the learning rate or check the data."
    )
