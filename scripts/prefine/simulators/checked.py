"""An environment of one's own, of which nothing is believed.

Whatever it hands over is copied and checked at every step. What cannot be used ends in one line
that names the environment, the step and the mend.
"""

import contextlib
import os
import random
import sys
import traceback
from collections.abc import Iterator, Mapping
from pathlib import Path

import gymnasium
import numpy as np
from gymnasium.wrappers import OrderEnforcing, TimeLimit

from prefine.errors import UserError, reason

SAFETY_GYMNASIUM = "safety_gymnasium"  # whose environments give the cost as a value of its own
LARGEST = 1e37  # of a reward or cost; float32 holds ten times as much
LONGEST = 200  # letters of what an environment says itself


class GlobalGenerators:
    """Python's, numpy's and torch's global generators, as one environment knows them.

    Many environments draw from there. Each has states of its own, so that an episode depends on
    its seed alone: not on what else runs in the process, and nothing outside is changed. PyTorch's
    is the CPU's, and only where somebody has imported it.

    The same holds for what else belongs to the whole process and is part of paths and numbers:
    the working folder, numpy's ways with overflow, torch's type of numbers, threads and gradients.
    """

    def __init__(self, seed: int):
        outside = _states()
        _seed(seed)
        self._own = _states()
        _restore(outside)

    @contextlib.contextmanager
    def inside(self, seed: int | None = None) -> Iterator[None]:
        """Draw from this environment's states in the block, seeded anew if a seed is given."""
        outside = _states()
        if seed is None:
            _restore(self._own)
        else:
            _seed(seed)
        try:
            yield
        finally:
            self._own = _states()
            _restore(outside)


def _states() -> dict:
    states = {"random": random.getstate(), "numpy": np.random.get_state()}
    states |= {"folder": os.getcwd(), "errors": np.geterr()}  # noqa: PTH109 (each step: fast)
    if torch := sys.modules.get("torch"):
        states["torch"] = torch.default_generator.get_state()
        states["settings"] = _torch_settings(torch)
    return states


def _torch_settings(torch) -> tuple:
    return torch.get_default_dtype(), torch.get_num_threads(), torch.is_grad_enabled()


def _restore(states: dict) -> None:
    random.setstate(states["random"])
    np.random.set_state(states["numpy"])
    if "torch" in states:
        torch = sys.modules["torch"]
        torch.default_generator.set_state(states["torch"])
        dtype, threads, gradients = states["settings"]
        if _torch_settings(torch) != states["settings"]:
            torch.set_default_dtype(dtype)
            torch.set_num_threads(threads)
            torch.set_grad_enabled(gradients)
    if np.geterr() != states["errors"]:
        np.seterr(**states["errors"])
    if os.getcwd() != states["folder"]:  # noqa: PTH109
        os.chdir(states["folder"])


def _seed(seed: int) -> None:
    random.seed(seed)
    np.random.seed(seed)
    if torch := sys.modules.get("torch"):
        torch.default_generator.manual_seed(seed)


class FiveValues(gymnasium.Wrapper):
    """Counts what reset and step return, below wrappers of Gymnasium that unpack it.

    The six values of safety-gymnasium (observation, reward, cost, terminated, truncated, info)
    become five, the cost in ``info``.
    """

    def __init__(self, env: gymnasium.Env):
        super().__init__(env)
        self._six = of_package(env, SAFETY_GYMNASIUM)

    def reset(self, *, seed: int | None = None, options: dict | None = None):
        more = {} if options is None else {"options": options}
        found = self.env.reset(seed=seed, **more)
        if not (isinstance(found, tuple | list) and len(found) == 2):
            raise Unusable(
                f"gives {_count(found)}, but two are needed: return observation, info "
                "(info may be {})"
            )
        if not isinstance(found[1], Mapping):
            raise Unusable(
                f"gives {_kind(found[1])} as its second value, which must be a dict: return "
                "observation, info (info may be {})"
            )
        return tuple(found)

    def step(self, action: np.ndarray):
        found = self.env.step(action)
        n = len(found) if isinstance(found, tuple | list) else 1
        if n == 6 and self._six:
            observation, reward, cost, terminated, truncated, info = found
            if not isinstance(info, Mapping):
                raise Unusable(f"info is {_kind(info)}; a dict is needed")
            return observation, reward, terminated, truncated, {**info, "cost": cost}
        if n != 5:
            hint = {
                4: '; of the four of old Gym, "done" must be told apart as terminated or truncated',
                6: '; a cost goes into info["cost"]',
            }
            raise Unusable(
                f"gives {_count(found)}, but five are needed: observation, reward, terminated, "
                f"truncated, info{hint.get(n, '')}"
            )
        return tuple(found)


class EnvironmentRaised(UserError):
    """An exception of an environment's own code."""


class Unusable(Exception):
    """What an environment did, and the mend; which environment and step is added further out."""


class CheckedEnv(gymnasium.Wrapper):
    """An environment whose observations are float32 copies and whose numbers are numbers.

    ``info["cost"]`` is a float, NaN where the environment tells no cost.

    Args:
        env: what ``gymnasium.make`` returned.
        name: what it is called in an error.
        needs_costs: every step must tell one. Otherwise all steps do or none does.
    """

    def __init__(self, env: gymnasium.Env, name: str, needs_costs: bool):
        super().__init__(_with_five_values(env))
        self._name, self._needs_costs = name, needs_costs
        self._tells_costs: bool | None = True if needs_costs else None
        self._shape = env.observation_space.shape
        self._generators = GlobalGenerators(0)
        self._steps = 0

    def reset(self, *, seed: int | None = None, options: dict | None = None):
        """Begin an episode, with the process's global generators seeded too.

        Raises:
            UserError: it fails, or gives no observation.
        """
        self._steps = 0
        with self._said("reset"), self._generators.inside(seed):
            observation, info = self.env.reset(seed=seed, options=options)
            return self._observation(observation), dict(info)

    def step(self, action: np.ndarray):
        """Step with an action (act_dim,) in the environment's units.

        Raises:
            UserError: it fails, or gives what cannot be used.
        """
        self._steps += 1
        with self._said(f"step {self._steps}"), self._generators.inside():
            observation, reward, terminated, truncated, info = self.env.step(np.array(action))
            if not isinstance(info, Mapping):
                raise Unusable(f"info is {_kind(info)}; a dict is needed")
            return (
                self._observation(observation),
                _number(reward, "reward"),
                _flag(terminated, "terminated"),
                _flag(truncated, "truncated"),
                {**info, "cost": self._cost(info.get("cost"))},
            )

    @contextlib.contextmanager
    def _said(self, when: str) -> Iterator[None]:
        """Say in one line which environment failed, when, and where in its code."""
        try:
            yield
        except (UserError, KeyboardInterrupt):
            raise
        except Unusable as error:
            raise UserError(f"environment {self._name}: {when} {error}") from None
        except BaseException as error:  # also one that would end the process
            text = f"environment {self._name}: {when} {_failure(error)}"
            raise EnvironmentRaised(text) from error

    def _observation(self, value: object) -> np.ndarray:
        array = _array(value)
        if array is None:
            raise Unusable(f"gives {_kind(value)} as observation; an array of numbers is needed")
        if array.shape != self._shape:
            raise Unusable(
                f"gives an observation of shape {array.shape}, its observation_space says "
                f"{self._shape}; make the two agree"
            )
        with np.errstate(over="ignore"):
            copied = np.array(array, dtype=np.float32)
        if not np.isfinite(copied).all():
            place = int((~np.isfinite(copied)).argmax())
            raise Unusable(
                f"gives an observation that is not finite: number {place} is {array[place]}; end "
                "the episode (terminated) before that"
            )
        return copied

    def _cost(self, value: object) -> float:
        """A step's cost; NaN where none is told, which holds for every step or for none."""
        told = value is not None
        if self._tells_costs is None:
            self._tells_costs = told
        if told != self._tells_costs:
            if told:
                raise Unusable('has info["cost"], which earlier steps lack; tell it in every step')
            lacks = "" if self._needs_costs else ", which earlier steps have"
            raise Unusable(
                f'has no info["cost"]{lacks}; tell it in every step, 0.0 where nothing is wrong'
            )
        if not told:
            return float("nan")
        cost = _number(value, 'info["cost"]')
        if cost < 0:  # it would pay an unsafe step back
            raise Unusable(
                f'gives {cost} as info["cost"]; a cost is 0 or more: give violations as positive '
                "numbers"
            )
        return cost


def _with_five_values(env: gymnasium.Env) -> gymnasium.Env:
    """Put ``FiveValues`` below the wrappers that ``gymnasium.make`` adds.

    Not below classes made from them: those of safety-gymnasium take six values.
    """
    above, inner = None, env
    while type(inner) in (OrderEnforcing, TimeLimit):
        above, inner = inner, inner.env
    if above is None:
        return FiveValues(env)
    above.env = FiveValues(inner)
    return env


def classes(env: gymnasium.Env) -> Iterator[type]:
    """The classes of an environment, of all its wrappers, and what they are made from."""
    while env is not None:
        yield from type(env).__mro__
        env = env.env if isinstance(env, gymnasium.Wrapper) else None


def of_package(env: gymnasium.Env, package: str) -> bool:
    """Whether an environment or one of its wrappers is made from a class of a package."""
    return any(base.__module__.partition(".")[0] == package for base in classes(env))


def _array(value: object) -> np.ndarray | None:
    """An array of real numbers, or None."""
    if np.ma.is_masked(value):  # what is hidden would be taken for a number
        return None
    try:
        array = np.asarray(value)
    except (ValueError, TypeError, RuntimeError):  # ragged lists, tensors that are elsewhere
        return None
    return array if array.dtype.kind in "fiub" else None


def _number(value: object, name: str) -> float:
    """One finite number; an array of one will do."""
    array = _array(value)
    if array is None:
        whole = "; give one number, such as the sum" if isinstance(value, Mapping) else ""
        raise Unusable(f"gives {_kind(value)} as {name}{whole or '; a number is needed'}")
    if array.size != 1:
        raise Unusable(
            f"gives {array.size} numbers as {name} (shape {array.shape}); give one, such as their "
            "sum"
        )
    number = float(array.reshape(()))
    if not abs(number) <= LARGEST:
        finite = "a finite number" if not np.isfinite(number) else f"one of at most {LARGEST:g}"
        raise Unusable(f"gives {number} as {name}; {finite} is needed")
    return number


def _flag(value: object, name: str) -> bool:
    """True or false; 0 and 1 will do, a number such as a cost will not."""
    array = _array(value)
    if array is None or array.size != 1 or array.dtype.kind == "f" or array.item() not in (0, 1):
        raise Unusable(
            f"gives {_short(value)} as {name}; True or False is needed (the order is observation, "
            "reward, terminated, truncated, info)"
        )
    return bool(array.item())


def _count(found: object) -> str:
    """How many values were returned, in words."""
    if found is None:
        return "nothing"
    if isinstance(found, tuple | list):
        return f"{len(found)} values"
    return f"{_kind(found)} alone"


def _kind(value: object) -> str:
    """What a value is, as an English noun with its article."""
    if value is None:
        return "None"
    if np.ma.is_masked(value):
        return "a masked array"
    if isinstance(value, np.ndarray):
        return f"an array of {value.dtype}"
    name = type(value).__name__
    return f"{'an' if name[0] in 'aeiou' else 'a'} {name}"


def _short(value: object) -> str:
    return " ".join(repr(value).split())[:LONGEST]


def _failure(error: BaseException) -> str:
    """An exception of the environment, in one line with its place, or with the mend."""
    text = reason(error, LONGEST)
    if isinstance(error, TypeError) and "keyword argument 'seed'" in text:
        return "takes no seed: write def reset(self, *, seed=None, options=None)"
    *_, last = traceback.extract_tb(error.__traceback__)
    place = f"({Path(last.filename).name}, line {last.lineno})"
    return f"raised {type(error).__name__}: {text} {place}"
