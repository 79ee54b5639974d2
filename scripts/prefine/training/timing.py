"""A method timed alone (methods 7)."""

import platform
import time
from pathlib import Path

import pandas as pd
import torch

from prefine import frames
from prefine.data.dataset import load_transitions, read_trajectories
from prefine.methods import REFERENCE, decided, method_module
from prefine.policies import file as policy_file
from prefine.policies.registry import make_policy
from prefine.preferences.sets import check_belongs, reference_sets, run_sets
from prefine.tasks import Task
from prefine.training.cuda import device, set_up_torch
from prefine.training.loop import HeldOut, PhaseLoop, build_context


def device_name() -> str:
    """The GPU, or the model of the CPU."""
    if torch.cuda.is_available():
        return torch.cuda.get_device_name()
    cpu = Path("/proc/cpuinfo")
    lines = cpu.read_text(encoding="utf-8").splitlines() if cpu.exists() else []
    models = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return models[0] if models else platform.processor()


def time_phase(loop: PhaseLoop, warm_up: int, block: int, blocks: int) -> list[float]:
    """Seconds an iteration of each block; logging and what comes before are not counted."""

    def iterate(first: int, n: int) -> None:
        for iteration in range(first, first + n):
            loop.iterate(iteration)
        if torch.cuda.is_available():
            torch.cuda.synchronize()

    loop.logged = set()
    iterate(0, warm_up)
    found = []
    for number in range(blocks):
        started = time.perf_counter()
        iterate(warm_up + number * block, block)
        found.append((time.perf_counter() - started) / block)
    return found


def one_run(task: Task, tau: int | None, method) -> pd.DataFrame:
    """The run of draw and seed 0."""
    name = f"timing/{task.name}"
    row = {"run": name, "stream": name, "tau": tau, "draw": 0, "seed": 0}
    return pd.DataFrame([row | method.HYPERPARAMETERS]).astype({"tau": float})


def time_method(name: str, settings: dict, blocks: dict, task: Task, tau, args) -> list[dict]:
    """One row a phase and block."""
    method, on = method_module(name), device()
    splits = frames.read_csv(args.splits)
    trajectories = read_trajectories(args.trajectories, args.data, task)
    settings |= {"horizon": task.horizon, "longest": int(trajectories["length"].max())}
    check_belongs(splits, args.splits, trajectories, args.data)
    data = load_transitions(args.data, task, decided(method.SEES, settings))
    runs = one_run(task, tau, method)
    if name == REFERENCE:
        sets = reference_sets(splits, 0, 0.0, task.name)
    else:
        sets = run_sets(splits, trajectories, runs)
    policy = make_policy(settings["policy"], task.obs_dim, task.act_dim, settings["hidden"])
    reference = None
    from_reference = decided(method.STARTS_FROM, settings) == REFERENCE
    if from_reference:
        of_reference = policy_file.load(args.reference)
        policy, reference = of_reference.policy, of_reference.params
    set_up_torch(settings)
    context = build_context(method, policy, runs, settings, reference, on)
    held_out = HeldOut(policy, list(runs["stream"]), data, None, on)
    rows = []
    for phase in method.phases(policy, settings):
        loop = PhaseLoop(method, phase, context, runs, data, sets, settings, held_out, on)
        if phase.prepare:
            phase.prepare(context, loop.samplers)
        place = {"task": task.name, "method": name, "phase": phase.name}
        place |= {"iterations": phase.iterations, "trains_policy": "policy" in phase.learning_rates}
        place["from_reference"] = from_reference
        for number, seconds in enumerate(time_phase(loop, **blocks)):
            rows.append(place | {"block": number, "ms": 1000 * seconds})
    return rows
