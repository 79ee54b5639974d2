"""Whether training on this device is the CPU's to float32 rounding; a part of ``gpu.py``.

Both devices get the CPU's random numbers, for a GPU's own streams are others. There are two checks,
each of 50 iterations of 3 runs whose sets have different sizes. One goes step by step and has the
close bounds (``gpu_steps.py``). The other goes from beginning to end by the workflow's own
functions, with and without CUDA graphs, in chunks, and killed and gone on with.

Adam divides a gradient by its own size, so where a gradient is nothing but rounding its step is
not: parameters part. At small sizes they hardly do: a CPU whose observations are changed in their
last bit parts from itself by 2e-5 of its way at most, and by 1e-2 and more if they are changed by
2^-11; other draws are 0.7 apart. A GPU rounds in every product, so the bound is above the second.
At real sizes the last bit makes up to 1e-2, so that no whole run of those sizes is compared.
"""

import contextlib
import logging
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import loops
import numpy as np
import pandas as pd
import prefine.training.loop as loop_module
import torch
from prefine.methods import (
    METHODS,
    REFERENCE,
    decided,
    method_constant,
)
from prefine.training import stacks
from prefine.training.batches import Noise
from prefine.training.cuda import GraphedStep

ITERATIONS, SAVED_EVERY, KILLED_AT = 50, 20, 33
RUNS, CHUNK = 3, 2
CPU = torch.device("cpu")
DRIFT = 2e-2  # |theta - theta_CPU| / |theta_CPU - theta_0|, small sizes
LOSS = 1e-3  # relative, at any log point
FIRST = 1e-4  # relative, losses and gradient norms at iteration 0
UNIT = 1e-2  # what a loss is compared with if it is smaller itself
SMALL = {"hidden": [32, 32], "batch_size": 32, "vae_hidden": 32, "segments": 4}
SMALL |= {"segment_length": 16, "longest": 40, "bags": 2, "bag_size": 4, "cost_hidden": 32}
TINY = SMALL | {"hidden": [16, 16], "batch_size": 16}
OTHER_SETTINGS = (
    ("prefine", {"delta_level": "segment"}),
    ("prefine", {"delta_level": "trajectory"}),
    ("prefine", {"counterfactual": "reparameterised"}),
    ("prefine", {"encoder_update": "all", "likelihood_draws": 4}),
    ("ppl", {"objective": "ref_free", "level": "trajectory"}),
    ("ppl", {"objective": "reward_model"}),
    ("cpq", {"variant": "osrl"}),
    ("trac", {"labels": "segment"}),
    ("safemil", {"variant": "bradley_terry"}),
)


@dataclass(frozen=True)
class Way:
    """How a device comes to the end of a run."""

    graphs: bool = True
    chunk: int = RUNS
    killed: bool = False
    streams: str = "r"
    tf32: bool = False
    compiled: bool = False


WAYS = {
    "eager": Way(graphs=False),
    "eager, chunks": Way(graphs=False, chunk=CHUNK),
    "eager, killed": Way(graphs=False, killed=True),
    "graphs": Way(),
    "graphs, chunks": Way(chunk=CHUNK),
    "graphs, killed": Way(killed=True),
}
COMPILED = {"compiled": Way(compiled=True), "compiled, killed": Way(compiled=True, killed=True)}


@dataclass(frozen=True)
class Case:
    """A method with a policy, and what of its settings is not the default."""

    method: str
    policy: str
    changes: dict = field(default_factory=dict)
    threads: int = 1

    @property
    def settings(self) -> dict:
        """What the training loop is told."""
        first = dict.fromkeys(("discriminator_iterations", "reference_iterations"), ITERATIONS)
        told = {"iterations": ITERATIONS, "log_points": 10, "checkpoint_every": SAVED_EVERY}
        threads = {"threads": self.threads}
        return loops.settings_of(self.method, self.changes | first | told | threads)

    def parts(self, streams: str = "r") -> dict:
        """Arguments of ``train`` by name; a run's sets are of its own sizes."""
        names = [f"{streams}{k}" for k in range(RUNS)]
        return loops.parts_of(self.method, self.policy, names, self.settings, sets())


def sets() -> dict[str, list[np.ndarray]]:
    """Trajectories by role, other ones and another number of them for each run."""
    rng, n, split = np.random.default_rng(1), loops.TRAJECTORIES, loops.PREFERRED

    def some(first: int, stop: int) -> list[np.ndarray]:
        sizes = np.linspace((stop - first) // 2, stop - first, RUNS).astype(int)
        return [np.sort(rng.choice(np.arange(first, stop), size, False)) for size in sizes]

    drawn = {role: some(0, n) for role in ("all", "unlabelled", "initial", "reference")}
    held_out = [np.arange(5), np.arange(0), np.arange(9)]
    return drawn | {
        "preferred": some(0, split),
        "nonpreferred": some(split, n),
        "held_out": held_out,
    }


class Killed(Exception):
    """Ends a run in its middle."""


class Progress:
    """Counts iterations, as a progress bar does, up to the one that a run is killed in."""

    def __init__(self, killed_at: int | None = None):
        self.left = killed_at

    def skip(self, n: int) -> None:
        """What an earlier process has done is not counted."""

    def say(self, note: str) -> None:
        """Nobody reads it."""

    def update(self) -> None:
        """Count one."""
        if self.left is not None:
            self.left -= 1
            if not self.left:
                raise Killed


class WatchedStep(GraphedStep):
    """Remembers whether steps were captured."""

    captured: list[bool]

    def _capture(self) -> None:
        super()._capture()
        self.captured.append(self.graph is not None)


@contextlib.contextmanager
def training_on(on: torch.device, drawn_on: torch.device | None) -> Iterator[list[bool]]:
    """Train on a device with the random numbers of another; says which steps were captured."""
    was = loop_module.device, loop_module.GraphedStep
    WatchedStep.captured = []
    loop_module.device, loop_module.GraphedStep = lambda: on, WatchedStep
    Noise.drawn_on = drawn_on
    try:
        yield WatchedStep.captured
    finally:
        loop_module.device, loop_module.GraphedStep = was
        Noise.drawn_on = None


@dataclass(frozen=True)
class Trained:
    """A policy's parameters before and behind, (R, n) on the CPU, and the log."""

    start: torch.Tensor
    end: torch.Tensor
    log: pd.DataFrame


def flat(params: dict[str, torch.Tensor]) -> torch.Tensor:
    """All numbers of a replica in a row: (R, n), on the CPU."""
    return torch.cat([value.detach().flatten(1).cpu() for value in params.values()], 1)


def trained(case: Case, on: torch.device, way: Way, drawn_on: torch.device | None = CPU) -> Trained:
    """Train a case from beginning to end."""
    parts = case.parts(way.streams)
    changed = {"max_runs": way.chunk, "cuda_graphs": way.graphs, "tf32": way.tf32}
    parts["settings"] |= changed | {"compile": way.compiled}
    method, policy, names = parts["method"], parts["policy"], parts["runs"]["stream"]
    start = parts["reference"]
    if decided(method.STARTS_FROM, parts["settings"]) != REFERENCE:
        start = loops.initial_parameters(policy.init, [f"{name}/policy" for name in names], CPU)
    phases = len(method.phases(policy, parts["settings"]))
    with tempfile.TemporaryDirectory() as folder, training_on(on, drawn_on) as captured:
        state = Path(folder)
        if way.killed:
            killed_at = (phases - 1) * (ITERATIONS + 1) + KILLED_AT
            with contextlib.suppress(Killed):
                stacks.train_in_chunks(**parts, progress=Progress(killed_at), state=state)
                raise AssertionError("it was not killed")
            if not list(state.glob("*.safetensors")):
                raise AssertionError("it left no checkpoint")
        params, log = stacks.train_in_chunks(**parts, progress=Progress(), state=state)
    if on.type == "cuda" and way.graphs and not (captured and all(captured)):
        raise AssertionError(f"steps were not captured as CUDA graphs: {captured}")
    return Trained(flat(start), flat(params), log)


def relative(a: pd.DataFrame, b: pd.DataFrame) -> float:
    """The largest relative difference; what is missing in both does not count."""
    x, y = a.to_numpy(float), b.to_numpy(float)
    both = np.isnan(x) & np.isnan(y)
    found = np.abs(x - y) / np.maximum(np.abs(y), UNIT)
    return float(np.nan_to_num(np.where(both, 0.0, found), nan=np.inf).max(initial=0.0))


def compare(ours: Trained, cpu: Trained) -> dict:
    """How far two runs are from one another, and whether that is rounding."""
    losses = [c for c in cpu.log if c.startswith("loss")]
    norms = [c for c in cpu.log if c.startswith("gradient_norm")]
    at_first = cpu.log["iteration"] == 0
    way = (cpu.end - cpu.start).norm(dim=1)
    apart = ours.end - cpu.end
    found = {
        "first": relative(*(one.log.loc[at_first, losses + norms] for one in (ours, cpu))),
        "loss": relative(ours.log[losses], cpu.log[losses]),
        "drift": float((apart.norm(dim=1) / way).max()),
        "largest": float(apart.abs().max()),
    }
    bounds = {"first": FIRST, "loss": LOSS, "drift": DRIFT}
    # A difference that is no number is in no bounds.
    return found | {"passed": all(found[name] <= bounds[name] for name in bounds)}


def ways(case: Case, on: torch.device, names: list[str]) -> dict:
    """A case on the CPU, and on the device in several ways."""
    cpu = trained(case, CPU, Way(graphs=False))
    ours = {name: trained(case, on, (WAYS | COMPILED)[name]) for name in names}
    each = {name: compare(one, cpu) for name, one in ours.items()}
    first = ours[names[0]]
    same = {name: torch.equal(one.end, first.end) for name, one in ours.items()}
    return worst(each) | {"same_bits": same, "ways": each}


def worst(each: dict[str, dict]) -> dict:
    """The largest of each difference; passed if all are."""
    rows = list(each.values())
    found = {key: max(row[key] for row in rows) for key in rows[0] if key != "passed"}
    return {"passed": all(row["passed"] for row in rows)} | found


def other_draws(case: Case, on: torch.device) -> dict:
    """The comparison finds other random numbers, or it would find nothing."""
    cpu = trained(case, CPU, Way(graphs=False))
    found = compare(trained(case, on, Way(streams="others")), cpu)
    return found | {"passed": not found["passed"]}


def own_streams(case: Case, on: torch.device) -> dict:
    """With the device's own random streams a run does not depend on its neighbours."""
    whole, chunks = (trained(case, on, Way(chunk=size), drawn_on=None) for size in (RUNS, CHUNK))
    roles = {"uniforms": {"u": (64, 2)}, "normals": {"n": (8,)}, "on": on}
    together, alone = Noise(["a", "b"], **roles).at(30), Noise(["b"], **roles).at(30)
    same = all(torch.equal(together[role][1:], alone[role]) for role in together)
    inside = bool(((together["u"] >= 0) & (together["u"] < 1)).all())
    found = compare(chunks, whole)
    return found | {"passed": found["passed"] and same and inside, "same_streams": same}


def tf32(case: Case, on: torch.device) -> dict:
    """What TF32 changes; it is not the default, and not held to float32's bounds."""
    cpu = trained(case, CPU, Way(graphs=False))
    return compare(trained(case, on, Way(tf32=True)), cpu) | {"passed": True}


def items(on: torch.device, tiny: bool, threads: int) -> list[tuple]:
    """Name and function of each check, the most important first."""
    import gpu_steps  # which needs this module

    logging.getLogger("prefine").setLevel(logging.WARNING)
    small = TINY if tiny else SMALL
    prefine = Case("prefine", "cvae", small)
    listed = [("control: other draws are found", lambda: other_draws(prefine, on))]

    def whole(name: str, kind: str, changes: dict, names: list[str]) -> None:
        own = method_constant(name, "POLICY", "") or kind
        told = [own, *(f"{k} {v}" for k, v in changes.items())]
        told += ["compiled"] if names == list(COMPILED) else []
        label = f"{name} ({', '.join(told)})"
        case = Case(name, kind, small | changes)
        listed.append((label, lambda: ways(case, on, names)))

    # PREFINE first, and what takes a CPU longest last.
    order = sorted((*METHODS, REFERENCE), key=lambda name: (name == "cpq") - (name == "prefine"))
    for name in order:
        whole(name, "cvae", {}, list(WAYS))
    real = TINY if tiny else {}
    for name in order:
        case = Case(name, "cvae", real, threads)
        listed.append((f"{name} step by step", lambda case=case: gpu_steps.step_by_step(case, on)))
    for name in order:
        if not method_constant(name, "POLICY", ""):
            whole(name, "gaussian", {}, ["eager", "graphs"])
    for name, changes in OTHER_SETTINGS:
        whole(name, "cvae", changes, ["eager", "graphs"])
    for name, changes in (("prefine", {}), ("prefine", {"encoder_update": "all"}), ("cpl", {})):
        whole(name, "cvae", changes, list(COMPILED))
    listed.append(("own random streams", lambda: own_streams(prefine, on)))
    listed.append(("TF32 (not checked)", lambda: tf32(prefine, on)))
    return listed
