"""Batches by index from trajectory sets on the device, and the random numbers for them.

One set a replica over shared flat arrays; a replica's batches depend on its own set and on
random streams of its own name.
"""

from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import Tensor

from prefine.data.dataset import FullTransitions, LinkedTransitions, Transitions
from prefine.methods import Batch
from prefine.streams import stream_seed

NOISE_BLOCK = 25  # iterations whose noise is drawn at once; part of the numbers, do not change


class TrajectorySets:
    """One trajectory set a replica, sampled by index.

    Args:
        indices: for each replica the dataset indices of its trajectories (may be empty).
        sampler: ``trajectory``, a trajectory uniformly, then a step of it (methods 4.1), or
            ``transition``, every step alike.
    """

    def __init__(
        self, data: Transitions, indices: Sequence[np.ndarray], sampler: str, on: torch.device
    ):
        used = np.unique(np.concatenate(indices)).astype(int)
        rows = np.concatenate([np.arange(data.lengths[i]) + data.starts[i] for i in used])

        def flat(values):
            return torch.as_tensor(np.ascontiguousarray(values), device=on)

        def standardized(obs):
            return flat((obs - data.mean) / data.std)

        self.flat = {
            "obs": standardized(data.observations[rows]),
            "action": flat(data.actions[rows]),
        }
        if isinstance(data, LinkedTransitions):
            self.flat["next_obs"] = standardized(data.next_observations(rows))
            self.flat["terminal"] = flat(data.terminals[rows].astype(np.float32))
        if isinstance(data, FullTransitions):
            self.flat["reward"] = flat(data.rewards[rows])
            self.flat["cost"] = flat(data.costs[rows])
            done = data.terminals[rows] | data.timeouts[rows]
            self.flat["done"] = flat(done.astype(np.float32))

        offsets = np.zeros(len(data.lengths), dtype=np.int64)
        offsets[used] = np.concatenate([[0], np.cumsum(data.lengths[used])[:-1]])
        width = max(1, max(len(own) for own in indices))
        starts = np.zeros((len(indices), width), dtype=np.int64)
        lengths = np.zeros_like(starts)
        for replica, own in enumerate(indices):
            starts[replica, : len(own)] = offsets[own]
            lengths[replica, : len(own)] = data.lengths[own]
        self.counts = flat(np.array([len(own) for own in indices]))
        self.starts, self.lengths, self.ends = map(flat, (starts, lengths, lengths.cumsum(1)))
        self.sampler = sampler

    def steps(self, uniforms: Tensor) -> Tensor:
        """Choose single steps with two uniforms each, (R, B, 2) in [0, 1): rows (R, B)."""
        if self.sampler == "trajectory":
            place = self._trajectories(uniforms[..., 0])
            length = self.lengths.gather(1, place)
            step = (uniforms[..., 1] * length).long().minimum((length - 1).clamp(min=0))
        else:
            total = self.ends[:, -1:]
            number = (uniforms[..., 1].double() * total).long()
            number = number.minimum((total - 1).clamp(min=0))
            place = torch.searchsorted(self.ends, number, right=True)
            place = place.clamp(max=self.ends.shape[1] - 1)
            step = number - (self.ends - self.lengths).gather(1, place)
        return self.starts.gather(1, place) + step

    def segments(self, uniforms: Tensor, length: int) -> Tensor:
        """Choose segments with two uniforms each, (R, S, 2): first row and valid steps (R, S, 2).

        Trajectories and starts are uniform; a shorter trajectory is one segment.
        """
        place = self._trajectories(uniforms[..., 0])
        own = self.lengths.gather(1, place)
        free = (own - length).clamp(min=0) + 1
        start = (uniforms[..., 1] * free).long().minimum(free - 1)
        return torch.stack([self.starts.gather(1, place) + start, own - start], -1)

    def first_steps(self, uniforms: Tensor) -> Tensor:
        """Choose the first steps of uniform trajectories, (R, B, 2), the second unused: (R, B)."""
        return self.starts.gather(1, self._trajectories(uniforms[..., 0]))

    def choose(self, kind: str, uniforms: Tensor, length: int) -> Tensor:
        """Choose what ``gather`` takes: ``steps``, ``segments`` of ``length``, ``first_steps``."""
        if kind == "segments":
            return self.segments(uniforms, length)
        return getattr(self, kind)(uniforms)

    def gather(self, chosen: Tensor, length: int = 1) -> Batch:
        """Gather rows (R, B), or segments (R, S, 2) of ``length`` consecutive steps.

        Segments that are shorter are padded, and ``mask`` (R, S, L) is 0 there; their states
        and actions come flat, (R, S L, dim).
        """
        if chosen.dim() == 2:
            return self._gather(chosen)
        first, valid = chosen.unsqueeze(-1).unbind(2)
        step = torch.arange(length, device=chosen.device)
        mask = step < valid
        rows = first + step.minimum((valid - 1).clamp(min=0))
        return self._gather(rows.flatten(1))._replace(mask=mask.float())

    def all_steps(self) -> tuple[Tensor, Tensor]:
        """Return flat indices (R, n) of every step of each set and a mask (R, n)."""
        total = self.ends[:, -1:]
        number = torch.arange(int(total.max()), device=total.device).expand(len(total), -1)
        mask = number < total
        number = number.minimum((total - 1).clamp(min=0)).contiguous()
        place = torch.searchsorted(self.ends, number, right=True)
        place = place.clamp(max=self.ends.shape[1] - 1)
        step = number - (self.ends - self.lengths).gather(1, place)
        return self.starts.gather(1, place) + step, mask

    def _trajectories(self, uniforms: Tensor) -> Tensor:
        place = (uniforms * self.counts[:, None]).long()
        return place.minimum((self.counts - 1).clamp(min=0)[:, None])

    def _gather(self, index: Tensor) -> Batch:
        rows = index.flatten()
        fields = {
            name: values.index_select(0, rows).unflatten(0, index.shape)
            for name, values in self.flat.items()
        }
        return Batch(**fields, index=index)


class Noise:
    """Uniforms and standard normals of every replica, drawn in blocks from named streams.

    A block's numbers are a function of the replica's name, the role and the block, so a
    run can start at any block and its neighbours do not matter. ``transforms`` turn a role's
    numbers (R, n, *rest), of all iterations of a block at once, into what is used.

    Each kind of device has numbers of its own, and a GPU's differ between models.
    """

    drawn_on: torch.device | None = None  # where they are drawn, if not where they are used

    def __init__(
        self,
        names: Sequence[str],
        uniforms: dict[str, tuple[int, ...]],
        normals: dict[str, tuple[int, ...]],
        on: torch.device,
        transforms: dict[str, Callable[[Tensor], Tensor]] | None = None,
    ):
        self.names, self.on, self.transforms = names, on, transforms or {}
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
        on = self.drawn_on or self.on
        generator = torch.Generator(on)
        replicas = []
        for name in self.names:
            generator.manual_seed(stream_seed(name, role, block))
            replicas.append(draw((NOISE_BLOCK, *shape), generator=generator, device=on))
        values = torch.stack(replicas).to(self.on)
        if role in self.transforms:
            values = self.transforms[role](values.flatten(1, 2)).unflatten(1, values.shape[1:3])
        return values
