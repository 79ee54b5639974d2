"""Stacked policies on disk: safetensors with JSON metadata in its header."""

import contextlib
import hashlib
import json
from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np
import torch
from safetensors import safe_open
from safetensors.torch import save_file

from prefine import reading, results
from prefine.errors import UserError, reason, shown
from prefine.files import atomic
from prefine.policies.networks import Params
from prefine.policies.registry import describe, make_policy
from prefine.policies.stack import PolicyStack

CONTENT = "sha256"  # key of the header: hash of what was written


def save(path: str | Path, stack: PolicyStack) -> None:
    """Write a stack: its parameters, standardisation constants and metadata.

    The metadata says all that is needed to build the policy class again.
    """
    tensors = {f"params.{name}": v.cpu().contiguous() for name, v in stack.params.items()}
    tensors |= {"obs_mean": torch.as_tensor(stack.mean), "obs_std": torch.as_tensor(stack.std)}
    metadata = stack.metadata | describe(stack.policy)
    own = content_hash(tensors, json.dumps(metadata, sort_keys=True))
    # One key: safetensors writes several in an order that differs from time to time.
    text = json.dumps(metadata | {CONTENT: own}, sort_keys=True)
    with atomic(path, noted=False) as temporary:  # the hash in it goes where it goes
        save_file(tensors, temporary, {"prefine": text})


def content_hash(tensors: Params, text: str) -> str:
    """SHA-256 of the tensors, their names and shapes, and of the metadata."""
    digest = hashlib.sha256(text.encode())
    for name in sorted(tensors):
        value = tensors[name].contiguous()
        digest.update(f"{name} {value.dtype} {tuple(value.shape)}".encode())
        digest.update(value.numpy().data)
    return digest.hexdigest()


def read_tensors(
    path: str | Path, finding: str, largest: int = reading.WEIGHTS, advice: str = ""
) -> tuple[dict[str, object], Mapping[str, str]]:
    """The tensors of a safetensors file and its metadata, all text.

    They are copies: safetensors hands out the file itself, and what is written there later.

    Args:
        finding: what is wrong with the file if it cannot be read.
        advice: what to do then.
    """
    results.intact(path, largest)
    with reading.refused_in_one_line(path, finding, advice), safe_open(path, "pt") as file:
        tensors = {name: file.get_tensor(name).clone() for name in file.keys()}  # noqa: SIM118
        return tensors, file.metadata() or {}


def load(path: str | Path) -> PolicyStack:
    """Read a file of policies.

    Raises:
        UserError: the file is not a policy of this project.
    """
    finding = "not a policy of this project"
    tensors, header = read_tensors(path, finding, advice=results.DELETE)
    with reading.refused_in_one_line(path, finding, results.DELETE):
        metadata = dict(reading.json_of(f"{path}: {finding}: its header", header["prefine"]))
        own = metadata.pop(CONTENT, header.get(CONTENT))
        if own and own != content_hash(tensors, json.dumps(metadata, sort_keys=True)):
            raise UserError(f"{path}: is not what was written: it was damaged{results.DELETE}")
    params = {n.removeprefix("params."): v for n, v in tensors.items() if n.startswith("params.")}
    try:
        sizes = metadata["obs_dim"], metadata["act_dim"], metadata["hidden"]
        policy = make_policy(metadata["policy"], *sizes, **metadata.get("limits", {}))
        mean, std = tensors["obs_mean"].numpy(), tensors["obs_std"].numpy()
    except Exception as error:  # whatever a class makes of sizes that are none
        raise UserError(f"{path}: not a policy that this version knows ({reason(error)})") from None
    if not isinstance(metadata.get("runs"), list):
        raise UserError(f"{path}: {finding} (it does not say its runs)")
    with reading.refused_in_one_line(path, finding, results.DELETE):
        results.check_place(path, [run["run"] for run in metadata["runs"]])
    check_policy(path, policy, params, mean, std)
    return PolicyStack(policy, params, mean, std, metadata)


def load_run(path: str | Path, run: str | None = None) -> PolicyStack:
    """Read one run of a file (`PolicyStack.run`).

    Raises:
        UserError: there is no such run, or several and none is named.
    """
    stack = load(path)
    with reading.refused_in_one_line(path, "does not say its runs"):
        names = [str(row["run"]) for row in stack.metadata["runs"]]
        if not names or any(len(value) != len(names) for value in stack.params.values()):
            raise UserError(f"{path}: does not hold the {len(names)} runs that it says")
    try:
        return stack.run(run)
    except UserError as error:
        text = str(error)
        raise UserError(text if text.startswith(str(path)) else f"{path}: {text}") from None


def check_policy(path, policy, params: Params, mean: np.ndarray, std: np.ndarray) -> None:
    """Refuse parameters that are not those of ``policy``.

    Raises:
        UserError: one line with the file and what is wrong in it.
    """
    for name, values in {"obs_mean": mean, "obs_std": std}.items():
        right = values.shape == (policy.obs_dim,) and values.dtype == np.float32
        if not right or not np.isfinite(values).all():
            raise UserError(f"{path}: {name}: is not {policy.obs_dim} finite numbers (float32)")
    if not (std > 0).all():
        raise UserError(f"{path}: obs_std: is not above 0")
    replicas = {len(value) if value.ndim == 3 else -1 for value in params.values()}
    if len(replicas) != 1 or -1 in replicas:
        raise UserError(f"{path}: its parameters are not all of the shape (runs, rows, columns)")
    for name, value in params.items():
        if value.dtype != torch.float32 or not torch.isfinite(value).all():
            raise UserError(f"{path}: {name}: is not finite numbers of type float32")
    (n,) = replicas
    with (
        reading.refused_in_one_line(path, "its parameters do not fit together"),
        one_thread(),
    ):
        if not _acts(policy, params, n):
            raise UserError(f"{path}: its parameters give no action of {policy.act_dim} numbers")
        if extra := sorted(set(params) - _own_names(policy, params)):
            raise UserError(f"{path}: {shown(extra[0])} is no parameter of such a policy")
        if finding := _misbehaviour(policy, params, n) or _out_of_scale(policy, params, mean, std):
            raise UserError(f"{path}: {finding}; the policy is broken")


def _own_names(policy, params: Params) -> set[str]:
    """The parameters that a policy of this class has; all of them where it does not say."""
    if not hasattr(policy, "init"):
        return set(params)
    return set(policy.init(torch.Generator().manual_seed(0)))


def _out_of_scale(policy, params: Params, mean: np.ndarray, std: np.ndarray) -> str | None:
    """Whether observations are scaled so that float32 cannot hold them, or tell them apart."""
    blind = np.abs(mean) > np.float32(2**24) * std  # there one deviation is less than a last bit
    if blind.any():
        place = int(blind.argmax())
        return (
            f"has mean {mean[place]:.3g} and std {std[place]:.3g} for number {place} of an "
            "observation: in float32 it cannot tell one observation from another"
        )
    raw = np.float32([0, 1, -1, 1000, -1000])[:, None]
    with np.errstate(over="ignore"):
        scaled = torch.from_numpy((raw - mean) / std)
    clip = getattr(policy, "obs_clip", None)
    scaled = scaled if clip is None else scaled.clamp(-clip, clip)
    n = len(next(iter(params.values())))
    obs = scaled[None].expand(n, -1, -1)
    with torch.no_grad():
        acted = policy.act(params, obs, "deterministic", obs.new_zeros(n, 5, policy.sample_dim))
    if torch.isfinite(acted).all() and torch.isfinite(scaled).all():
        return None
    return (
        "scales observations beyond all numbers (mean "
        f"{np.abs(mean).max():.3g}, std {std.min():.3g} to {std.max():.3g})"
    )


def _acts(policy, params: Params, n: int) -> bool:
    """Whether each replica gives an action and, where it can, a likelihood."""
    # Before anything of the sizes that a header says is made.
    widest, hidden = max(max(value.shape[1:]) for value in params.values()), policy.hidden
    if max((policy.act_dim, *hidden)) > widest or len(hidden) > len(params) or policy.obs_dim < 1:
        return False
    with torch.no_grad():
        obs, action = torch.zeros(n, 1, policy.obs_dim), torch.zeros(n, 1, policy.act_dim)
        acted = policy.act(params, obs, "sampled", torch.zeros(n, 1, policy.sample_dim))
        if acted.shape != action.shape or not hasattr(policy, "draw_latents"):
            return acted.shape == action.shape
        noise = torch.zeros(n, 1, 1, policy.latent_dim)
        latents = policy.draw_latents(params, obs, action, noise)
        return policy.log_prob(params, obs, action, latents).shape == (n, 1)


@contextlib.contextmanager
def one_thread() -> Iterator[None]:
    """Compute in this thread alone: products so small gain nothing from others."""
    n = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(n)


LOG_SIGMA = (-25.0, 10.0)  # SAC's own are -20 to 2; in units of half the range of an action
TRIED = 8  # observations of each size


def _misbehaviour(policy, params: Params, n: int) -> str | None:
    """What a policy does that none may, in usual and extreme standardised observations."""
    limits = getattr(policy, "log_std_min", -1.0), getattr(policy, "log_std_max", 1.0)
    if limits[0] > limits[1]:
        return f"its log sigma is at least {limits[0]:g} and at most {limits[1]:g}"
    generator = torch.Generator().manual_seed(0)
    draws = torch.randn(1, TRIED, policy.obs_dim, generator=generator)
    states = [torch.zeros(1, 1, policy.obs_dim), torch.ones(1, 1, policy.obs_dim)]
    states += [size * draws for size in (1.0, 10.0, 100.0)]
    obs = torch.cat(states, 1).expand(n, -1, -1)
    rows = obs.shape[1]
    noise = torch.randn(n, rows, policy.sample_dim, generator=generator)
    action = 2 * torch.rand(n, rows, policy.act_dim, generator=generator) - 1
    with torch.no_grad():
        for mode in ("deterministic", "sampled"):
            if not torch.isfinite(policy.act(params, obs, mode, noise)).all():
                return f"its {mode} action is not finite in some states"
        if hasattr(policy, "distribution"):
            mean, log_std = policy.distribution(params, obs)
        else:
            mean, log_std = action, params.get("decoder_log_std", torch.zeros(1))
        if not torch.isfinite(mean).all():
            return "its mean is not finite in some states"
        if not ((log_std >= LOG_SIGMA[0]) & (log_std <= LOG_SIGMA[1])).all():
            return (
                f"its log sigma reaches from {log_std.min():.3g} to {log_std.max():.3g} (in units "
                f"of half an action's range); {LOG_SIGMA[0]:g} to {LOG_SIGMA[1]:g} is believable"
            )
        if hasattr(policy, "log_prob"):
            if not torch.isfinite(policy.sample(params, obs, noise)).all():
                return "its draws are not finite in some states"
            latents = policy.draw_latents(
                params, obs, action, torch.zeros(n, 1, rows, policy.latent_dim)
            )
            if not torch.isfinite(policy.log_prob(params, obs, action, latents)).all():
                return "its log-likelihood is not finite in some states"
    return None
