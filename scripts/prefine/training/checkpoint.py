"""Checkpoints of a training job: a killed job goes on and ends with the same numbers.

One safetensors file with everything that an iteration changes. Random numbers are a
function of the iteration, so none of their state is kept.
"""

import hashlib
import json
import logging
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from safetensors import safe_open
from safetensors.torch import save_file

from prefine import reading
from prefine.errors import UserError
from prefine.files import atomic
from prefine.methods import HOW, Context
from prefine.policies.file import CONTENT, content_hash, read_tensors

log = logging.getLogger(__name__)


def digest_of(*parts: object) -> str:
    """A hash of what a job reads: text, tables, arrays, tensors, and lists and mappings of them."""
    found = hashlib.sha256()

    def add(part: object) -> None:
        if isinstance(part, Mapping):
            part = [*part.items()]
        if isinstance(part, list | tuple):
            for own in (f"{len(part)} parts", *part):
                add(own)
            return
        if isinstance(part, torch.Tensor):
            part = part.detach().cpu().numpy()
        text = part.to_csv() if isinstance(part, pd.DataFrame) else str(part)
        content = text.encode()
        if isinstance(part, np.ndarray):
            add(f"{part.dtype} {part.shape}")
            content = np.ascontiguousarray(part).view(np.uint8).reshape(-1).data
        found.update(f"{len(content)} ".encode())
        found.update(content)

    add(parts)
    return found.hexdigest()


class Keeper:
    """Save and restore the state file of one job; no path, no checkpoints.

    Args:
        reads: all else that the job's numbers hang on (`digest_of`): what is of other runs, sets,
            data or another pi_ref is not gone on from.
    """

    def __init__(self, path: Path | None, settings: Mapping, *reads: object):
        self.path, self.every, self.metadata = path, settings["checkpoint_every"], None
        told = {name: value for name, value in settings.items() if name not in HOW}
        self.reads = "" if path is None else digest_of(torch.__version__, told, *reads)
        if path is not None and path.exists():
            try:
                self.metadata = _read(path)
                if self.metadata.get("reads") != self.reads:
                    self.metadata = None
                    raise UserError(f"{path}: is of other runs, sets, data or another pi_ref")
            except UserError as error:
                log.warning("%s; training starts anew", error)

    def skips(self, phase: int) -> bool:
        """Whether a phase was finished before the checkpoint."""
        return self.metadata is not None and phase < self.metadata["phase"]

    def holds(self, phase: int) -> bool:
        """Whether the checkpoint lies in this phase; the one after the last is the end."""
        return self.metadata is not None and phase == self.metadata["phase"]

    def due(self, iteration: int, first: int) -> bool:
        """Whether to save before this iteration."""
        return self.path is not None and iteration > first and iteration % self.every == 0

    def save(self, phase: int, iteration: int, seconds: float, rows, context, optimizers) -> None:
        """Write everything that iterations change, whole or not at all."""
        tensors = {}
        for group, params in context.nets.items():
            tensors |= {f"nets/{group}/{n}": v.detach().contiguous() for n, v in params.items()}
        tensors |= {f"constants/{n}": v.contiguous() for n, v in context.constants.items()}
        for group, optimizer in optimizers.items():
            tensors |= {f"adam/{group}/{n}": v for n, v in optimizer.state.items()}
        metadata = {
            "reads": self.reads,
            "phase": phase,
            "iteration": iteration,
            "seconds": seconds,
            "rows": [row.to_dict("records") for row in rows],
        }
        text = json.dumps(metadata)
        on_cpu = {name: value.cpu() for name, value in tensors.items()}
        header = {"prefine": text, CONTENT: content_hash(on_cpu, text)}
        with atomic(self.path, noted=False) as temporary:
            save_file(on_cpu, temporary, header)

    def restore(self, context: Context, optimizers) -> tuple[int, float, list[pd.DataFrame]]:
        """Put the saved state back; return iteration, seconds and log rows."""
        with safe_open(self.path, "pt") as file, torch.no_grad():
            for key in file.keys():  # noqa: SIM118
                kind, group, *names = key.split("/")
                tensor = file.get_tensor(key)
                if kind == "constants":
                    on = next(iter(context.nets["policy"].values())).device
                    context.constants[group] = tensor.to(on)
                    continue
                own = context.nets[group] if kind == "nets" else optimizers[group].state
                own["/".join(names)].copy_(tensor)
        saved = self.metadata
        return saved["iteration"], saved["seconds"], [pd.DataFrame(row) for row in saved["rows"]]


def _read(path: Path) -> dict:
    """The metadata of a checkpoint that is whole to the last bit.

    Raises:
        UserError: it is not.
    """
    tensors, header = read_tensors(path, "cannot be read as a checkpoint")
    with reading.refused_in_one_line(path, "cannot be read as a checkpoint"):
        text = header["prefine"]
        if header[CONTENT] != content_hash(tensors, text):
            raise UserError(f"{path}: is not what was written: it was damaged")
        return dict(json.loads(text))
