"""Each step of a method on this device from the CPU's state; a part of ``gpu_checks.py``.

At a velocity task's real sizes: before each step the device gets the CPU's state, and the gradient
and the loss of each group of parameters are compared, so that nothing can grow. The bounds are
between what was measured on a CPU with every observation changed in its last bit, which is what a
device that rounds otherwise does (median of all steps 1e-6), and by 2^-11, which is what TF32 does
(7e-3 and more). In a step in which the last bit opens or closes a ReLU, or changes which samples
count (CPQ), a gradient jumps by up to 3e-3: hence a bound for the median and another for the
largest.
"""

from dataclasses import replace

import loops
import numpy as np
import pandas as pd
import torch
from gpu_checks import CPU, FIRST, ITERATIONS, RUNS, Case, relative, training_on
from prefine.training.adam import BETA_1

GRADIENT = 5e-4  # |g - g_CPU| / |g_CPU|, the median of all steps
JUMP = 5e-2  # the largest of all steps


def step_by_step(case: Case, on: torch.device, data_error: float = 0.0) -> dict:
    """Steps from the CPU's state at a time.

    Args:
        data_error: by how much the device's observations are off, which is how bounds are found.
    """
    parts = case.parts()
    steps = []
    captured: list[bool] = []
    phases = parts["method"].phases(parts["policy"], parts["settings"])
    with training_on(CPU, CPU):
        cpu = Stepper(parts, CPU)
        for number in range(len(phases)):
            cpu.begin(number)
            if not number:
                ours = Stepper(parts | {"data": wrong(parts["data"], data_error)}, on)
            copy_into(ours.nets(), cpu.nets())
            ours.begin(number)
            for iteration in range(ITERATIONS):
                steps.append(one_step(cpu, ours, iteration))
            captured.append(ours.loop.graph.graph is not None)
    if on.type == "cuda" and not all(captured):
        raise AssertionError(f"steps were not captured as CUDA graphs: {captured}")
    table = pd.DataFrame(steps)
    found = {name: float(value) for name, value in table.max().items()}
    found = {"gradient": float(table["gradient"].median()), "jump": found.pop("gradient")} | found
    bounds = {"gradient": GRADIENT, "jump": JUMP, "loss": FIRST}
    return {"passed": all(found[name] <= bounds[name] for name in bounds)} | found


def wrong(data, error: float):
    """The same data with every observation off by a share of itself, up or down."""
    signs = np.random.default_rng(2).choice(np.float32([-1, 1]), data.observations.shape)
    return replace(data, observations=data.observations * (1 + np.float32(error) * signs))


class Stepper(loops.Stepper):
    """A training loop that is stepped by hand, and all that a step changes."""

    def nets(self) -> dict[str, torch.Tensor]:
        """All parameters."""
        nets = self.context.nets.items()
        return {f"{group}/{name}": value for group, own in nets for name, value in own.items()}

    def state(self) -> dict[str, torch.Tensor]:
        """Everything that a step changes."""
        found = self.nets()
        for group, optimizer in self.loop.optimizers.items():
            found |= {f"adam {group}/{name}": value for name, value in optimizer.state.items()}
        return found


def copy_into(ours: dict[str, torch.Tensor], theirs: dict[str, torch.Tensor]) -> None:
    """Copy tensors by name, in place; the CPU's moments are padded."""
    with torch.no_grad():
        for name, value in ours.items():
            values = theirs[name]
            if values.shape != value.shape:
                values = values[:, : value[0].numel()].reshape(value.shape)
            value.copy_(values)


def one_step(cpu: Stepper, ours: Stepper, iteration: int) -> dict[str, float]:
    """Let both do one step from the CPU's state; the largest relative differences."""
    copy_into(ours.state(), cpu.state())
    before = {name: value.detach().clone() for name, value in ours.state().items()}
    cpu.loop.iterate(iteration)
    ours.loop.iterate(iteration)
    found = {"gradient": 0.0, "loss": 0.0, "update": 0.0}
    for group in cpu.loop.optimizers:
        # A moment is the last one and a tenth of the gradient, which is compared so.
        moved = [both_changes(cpu, ours, before, name) for name in first_moments(ours, group)]
        found["gradient"] = max(found["gradient"], apart(moved, RUNS))
        moved = [both_changes(cpu, ours, before, f"{group}/{n}") for n in ours.context.nets[group]]
        found["update"] = max(found["update"], apart(moved, RUNS, decay=1.0))
        a, b = (one.loop.watch.now[group].cpu() for one in (ours, cpu))
        found["loss"] = max(found["loss"], relative(pd.DataFrame(a), pd.DataFrame(b)))
    return found


def first_moments(ours: Stepper, group: str) -> list[str]:
    """The names of a group's first moments in ``Stepper.state``."""
    names = ours.loop.optimizers[group].state
    return [f"adam {group}/{name}" for name in names if name.startswith("first")]


def both_changes(cpu: Stepper, ours: Stepper, before: dict, name: str) -> tuple:
    """A tensor before, behind here, and behind on the CPU: (R, n) each, float64 on the CPU."""
    own, theirs = ours.state()[name], cpu.state()[name]
    shape = (RUNS, -1)
    n = own[0].numel()
    values = (before[name].cpu(), own.detach().cpu(), theirs.detach().reshape(shape)[:, :n])
    return tuple(value.reshape(shape).double() for value in values)


def apart(moved: list[tuple], replicas: int, decay: float = BETA_1) -> float:
    """|change here - change on the CPU| / |change on the CPU| of the worst replica."""
    olds, ours, cpus = (torch.cat(list(each), 1) for each in zip(*moved, strict=True))
    scale = (cpus - decay * olds).norm(dim=1)
    difference = (ours - cpus).norm(dim=1)
    share = torch.where(difference == 0, torch.zeros(replicas).double(), difference / scale)
    return float(torch.nan_to_num(share, nan=float("inf")).max())
