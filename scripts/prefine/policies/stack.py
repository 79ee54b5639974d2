"""One or several policies of a class, with all that they need to act."""

from dataclasses import dataclass, field, replace

import numpy as np
import torch

from prefine.errors import UserError
from prefine.policies.networks import Params
from prefine.policies.registry import check_mode


@dataclass(frozen=True)
class PolicyStack:
    """R policies of one class, their parameters stacked.

    Attributes:
        policy: the class with its sizes (``prefine.policies.registry``).
        params: (R, ...) parameters.
        mean, std: (obs_dim,) float32, standardise raw observations.
        metadata: where they come from; ``runs`` has a row for each.
    """

    policy: object
    params: Params
    mean: np.ndarray
    std: np.ndarray
    metadata: dict = field(default_factory=dict)

    def __len__(self) -> int:
        """How many policies there are."""
        return len(next(iter(self.params.values()))) if self.params else 0

    @property
    def names(self) -> list[str]:
        """The runs that the policies are of."""
        return [row["run"] for row in self.metadata.get("runs", [])]

    @property
    def has_density(self) -> bool:
        """Whether log pi(a|s) exists, so that one of them can be pi_ref as it is."""
        return hasattr(self.policy, "log_prob")

    def replica(self, place: int) -> "PolicyStack":
        """One of them alone: params (1, ...)."""
        params = {name: value[place, None] for name, value in self.params.items()}
        rows = self.metadata.get("runs")
        metadata = self.metadata | ({"runs": [rows[place]]} if rows else {})
        return replace(self, params=params, metadata=metadata)

    def run(self, name: str | None = None) -> "PolicyStack":
        """The policy of a run, the last where there are several of the way.

        Args:
            name: may be left out where there is one run.

        Raises:
            UserError: there is no such run, or several and none is named.
        """
        names = self.names
        if name is None and len(names) > 1:
            raise UserError(f"holds {len(names)} runs; name one (run), such as {names[0]}")
        if name is not None and name not in names:
            raise UserError(f"has no run {name}; it has {', '.join(names[:5])}")
        return self.replica(len(names) - 1 - names[::-1].index(name or names[0]))

    def act(
        self,
        observations: np.ndarray,
        mode: str = "deterministic",
        noise: np.ndarray | None = None,
    ) -> np.ndarray:
        """Map raw observations to actions in [-1, 1], (R, n, act_dim).

        Args:
            observations: (n, obs_dim), the same for all, or (R, n, obs_dim).
            mode: of ``registry.ACTION_MODES``.
            noise: (n, sample_dim) or (R, n, sample_dim) standard normals, of which a
                deterministic action needs none.

        Raises:
            UserError: there is no such mode, or no noise for it.
        """
        check_mode(mode)
        if noise is None and mode != "deterministic":
            raise UserError(f"{mode} actions need noise")
        raw = np.asarray(observations, dtype=np.float32)
        scaled = torch.from_numpy((raw - self.mean) / self.std)
        scaled = scaled.expand(len(self), *scaled.shape[-2:])
        shape = (*scaled.shape[:2], self.policy.sample_dim)
        normals = torch.zeros(shape) if noise is None else torch.from_numpy(noise).expand(shape)
        with torch.no_grad():
            return self.policy.act(self.params, scaled, mode, normals).numpy()
