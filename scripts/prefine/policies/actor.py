"""Use a trained policy: raw observations in, the environment's own actions out."""

from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from prefine.errors import UserError
from prefine.policies import file as policy_file
from prefine.policies import zoo
from prefine.policies.stack import PolicyStack
from prefine.tasks import OWN


class Actor(torch.nn.Module):
    """The deterministic policy as a module: (n, obs_dim) raw -> (n, act_dim) in the box.

    It holds everything between the two: standardisation, clipping, network, action bounds.
    """

    def __init__(self, stack: PolicyStack, low, high):
        """Take a stack of one policy; low and high are numbers or (act_dim,)."""
        super().__init__()
        self.policy, self.names = stack.policy, list(stack.params)
        for name, value in stack.params.items():
            self.register_buffer(_attribute(name), value.detach().cpu())
        n = self.policy.act_dim
        bounds = {"low": np.broadcast_to(low, n), "high": np.broadcast_to(high, n)}
        for name, value in {"mean": stack.mean, "std": stack.std, **bounds}.items():
            self.register_buffer(name, torch.tensor(value, dtype=torch.float32))

    def forward(self, obs: Tensor) -> Tensor:
        """Act in raw observations (n, obs_dim)."""
        # shape[0], for len() would fix the size of a batch in what is traced.
        noise = obs.new_zeros(obs.shape[0], self.policy.sample_dim)
        return self.in_mode(obs, "deterministic", noise)

    def in_mode(self, obs: Tensor, mode: str, noise: Tensor) -> Tensor:
        """Act ``deterministic``, ``bcq`` or ``sampled``; noise (n, sample_dim) standard normal."""
        params = {name: getattr(self, _attribute(name)) for name in self.names}
        standardised = ((obs - self.mean) / self.std)[None]
        unit = self.policy.act(params, standardised, mode, noise[None])[0]
        action = self.low + 0.5 * (unit + 1.0) * (self.high - self.low)
        return torch.minimum(torch.maximum(action, self.low), self.high)


def _attribute(name: str) -> str:
    return "params_" + name.replace(".", "_")


class LoadedPolicy:
    """A policy that acts, alone, in Gymnasium's loop and in Stable-Baselines3's functions.

    Attributes:
        actor: the same as a ``torch.nn.Module``.
        metadata: what the file says of itself: task, method, settings, hashes.
    """

    def __init__(self, actor: Actor, metadata: dict, seed: int | None = None):
        self.actor, self.metadata = actor, metadata
        self._generator = np.random.default_rng(seed)

    def act(self, obs: np.ndarray) -> np.ndarray:
        """Map a raw observation (obs_dim,), or a batch (n, obs_dim), to actions in the box.

        Raises:
            ValueError: the observation has another size.
        """
        return self._act(obs, "deterministic")

    def predict(
        self, observation: np.ndarray, state=None, episode_start=None, deterministic: bool = True
    ) -> tuple[np.ndarray, None]:
        """Act as Stable-Baselines3 wants it; without ``deterministic`` it is a draw.

        The policy has no memory: ``state`` and ``episode_start`` do not matter, and the state
        that is returned is None.
        """
        return self._act(observation, "deterministic" if deterministic else "sampled"), None

    def _act(self, obs: np.ndarray, mode: str) -> np.ndarray:
        policy, obs = self.actor.policy, np.asarray(obs, dtype=np.float32)
        if obs.ndim not in (1, 2) or obs.shape[-1] != policy.obs_dim:
            raise ValueError(
                f"an observation has shape ({policy.obs_dim},), a batch (n, {policy.obs_dim}); "
                f"this one has {obs.shape}"
            )
        batch = torch.from_numpy(np.atleast_2d(obs))
        noise = self._generator.standard_normal((len(batch), policy.sample_dim), np.float32)
        with torch.no_grad():
            action = self.actor.in_mode(batch, mode, torch.from_numpy(noise)).numpy()
        return action if obs.ndim == 2 else action[0]


def load_policy(path: str | Path, run: str | None = None, seed: int | None = None) -> LoadedPolicy:
    """Load a policy that was exported, or one run of a file of policies.

    Args:
        path: a safetensors file, the folder that an export wrote, or a name of the zoo that comes
            with the package: ``zoo/{task}/prefine`` or ``zoo/{task}/reference``.
        run: which one, where the file holds several.
        seed: of the draws that ``predict(..., deterministic=False)`` makes.

    Raises:
        UserError: it is no policy, holds several, or the zoo has none of that name.
    """
    path = zoo.place(path)
    path = path / zoo.FILE if path.is_dir() else path
    stack = policy_file.load_run(path, run)
    return LoadedPolicy(Actor(stack, *action_bounds(stack.metadata, path)), stack.metadata, seed)


def action_bounds(metadata: dict, path: str | Path) -> tuple:
    """The bounds of the environment's own actions, numbers or (act_dim,); the unit box if not said.

    Files of before 0.2 have them beside the task, or not at all.

    Raises:
        UserError: the environment is the user's own, and they are not there.
    """
    task = metadata.get("task", {})
    known = metadata if "action_low" in metadata else task
    if "action_low" not in known and task.get("suite") == OWN:
        raise UserError(
            f"{path}: does not say the bounds of its actions; export it (scripts/export.py with "
            "--low and --high)"
        )
    return known.get("action_low", -1.0), known.get("action_high", 1.0)
