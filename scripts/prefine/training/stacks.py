"""A plan of runs trained in chunks, and their policies on the way."""

import logging
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import torch
from safetensors.torch import load_file, save_file

from prefine import files
from prefine.errors import NoRoom, UserError
from prefine.policies.networks import Params
from prefine.training.cuda import device
from prefine.training.loop import train


def stack_size(policy, settings: dict) -> int:
    """How many runs to stack: the config's number, or what was measured to be fastest.

    On a CPU the activations of a large stack leave the cache (benchmarks/stack.py).
    """
    if settings["max_runs"] is not None:
        return settings["max_runs"]
    if device().type == "cuda":
        return 75
    return 5 if policy.name == "cvae" else 15


def keep_snapshots(folder: Path, stack: int) -> Callable[[int, Params], None]:
    """Write a stack's policies on the way, beside its checkpoints."""

    def write(iteration: int, params: Params) -> None:
        tensors = {name: value.detach().cpu().contiguous() for name, value in params.items()}
        with files.atomic(folder / f"{stack}-{iteration}.safetensors") as temporary:
            save_file(tensors, temporary)

    return write


def join_snapshots(
    folder: Path, stacks: int, iterations: list[int], runs: pd.DataFrame
) -> tuple[Params, pd.DataFrame]:
    """Stack what ``keep_snapshots`` wrote: one replica an iteration and run."""
    moments = []
    for iteration in iterations:
        parts = [load_file(folder / f"{n}-{iteration}.safetensors") for n in range(stacks)]
        moments.append({name: torch.cat([part[name] for part in parts]) for name in parts[0]})
    joined = {name: torch.cat([part[name] for part in moments]) for name in moments[0]}
    rows = [runs.assign(iteration=iteration) for iteration in iterations]
    return joined, pd.concat(rows, ignore_index=True)


def last_loss(row: pd.DataFrame) -> str:
    """The total loss of a log row, the runs' mean, as a remark; a phase may train no policy."""
    names = [column for column in row if column.startswith("loss")]
    name = "loss" if "loss" in names else names[0]
    return f"{name} {row[name].mean():.4g}"


def train_in_chunks(
    method,
    policy,
    runs,
    data,
    sets,
    settings,
    reference,
    progress,
    state,
    reference_policy=None,
):
    """Train at most ``max_runs`` runs at a time; how a plan is cut changes no result.

    A chunk that diverges does not stop the others; the error at the end names each.
    """
    size = stack_size(policy, settings)
    parts = [runs.index[start : start + size] for start in range(0, len(runs), size)]
    params, logs, errors = [], [], []
    for number, rows in enumerate(parts):
        own = {role: [indices[row] for row in rows] for role, indices in sets.items()}
        file = state / f"{number}.safetensors"
        try:
            done = train(
                method,
                policy,
                runs.loc[rows],
                data,
                own,
                settings,
                reference,
                on_iteration=progress.update,
                state=file,
                on_snapshot=keep_snapshots(state, number),
                reference_policy=reference_policy,
                on_skip=progress.skip,
                on_log=lambda row: progress.say(last_loss(row)),
            )
        except NoRoom:
            raise
        except UserError as error:
            logging.warning("%s", error)
            logging.info("runs %d to %d", rows[0], rows[-1], exc_info=True)
            errors.append(str(error))
            continue
        params.append(done[0])
        logs.append(done[1])
    if errors:
        raise UserError(*errors)
    joined = {name: torch.cat([part[name].cpu() for part in params]) for name in params[0]}
    log = pd.concat(logs, ignore_index=True)
    order = log["run"].map({run: place for place, run in enumerate(runs["run"])})
    return joined, log.iloc[order.argsort(kind="stable")].reset_index(drop=True)
