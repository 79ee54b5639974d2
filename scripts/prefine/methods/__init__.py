"""One file a method, all with the same interface and the same order of sections.

A method module defines

``HYPERPARAMETERS``
    name -> default; numbers that each run of a table may have of its own.
``SETTINGS``
    name -> default; what changes the structure of the computation, one for the whole
    job. A tuple holds choices, of which the first is the default.
``SEES``
    what its data hold: ``actions``, ``transitions`` or ``everything`` (``dataset.SEES``).
    Where a setting decides: {setting: {choice: what its data hold}}.
``STARTS_FROM``
    ``random`` or ``reference``; or by a setting, likewise.
``POLICY`` (optional)
    a policy class of its own, in place of the config's.
``CONTROL_OF`` (optional)
    the method that it is a control of: the config's numbers and settings of that one are its
    own too, as far as it has them and the config says nothing else.
``BATCH_SIZE`` (optional)
    a batch size of its own; with ``training.matched`` the config's is taken.
``ITERATIONS`` (optional)
    iterations of its publication, if not PREFINE's 500 000; a time is said of so many.
``SHARES`` (optional)
    names of those hyper-parameters that are at most 1.
``networks(policy, settings)``
    group of parameters -> how one replica's are initialised; ``policy`` is what is saved.
``phases(policy, settings)``
    the phases of training, each with its batches, noise, losses and learning rates.

The constants are literals: the workflow reads them without importing torch.
"""

import ast
import contextlib
import functools
import importlib
import operator
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from torch import Tensor

FOLDER = Path(__file__).parent
HOW = ("checkpoint_every", "max_runs")  # settings that change no result
REFERENCE = "reference"
SHARED = "losses"  # what several methods use
METHODS = tuple(
    sorted(f.stem for f in FOLDER.glob("[a-z]*.py") if f.stem not in (REFERENCE, SHARED))
)


class Batch(NamedTuple):
    """A batch of one trajectory set: states are standardised, B is the batch size.

    obs, next_obs (R, B, obs_dim); action (R, B, act_dim); terminal, done, reward, cost and
    index (R, B); mask (R, S, L) for S segments of L steps, where B = S L.
    """

    obs: "Tensor"
    action: "Tensor"
    next_obs: "Tensor | None" = None
    terminal: "Tensor | None" = None
    done: "Tensor | None" = None
    reward: "Tensor | None" = None
    cost: "Tensor | None" = None
    index: "Tensor | None" = None
    mask: "Tensor | None" = None


class Loss(NamedTuple):
    """``terms`` add up to the loss, each (R,); ``logs`` are (R,) too, of no gradient."""

    terms: dict[str, "Tensor"]
    logs: dict[str, "Tensor"]

    @property
    def total(self) -> "Tensor":
        """The loss of each replica: (R,)."""
        return functools.reduce(operator.add, self.terms.values())


class Draw(NamedTuple):
    """How a batch is drawn: ``steps``, ``segments`` or ``first_steps`` of a trajectory set."""

    kind: str
    size: int
    length: int = 1  # of segments
    sampler: str = ""  # the config's, if not given


@dataclass
class Context:
    """What a loss sees. ``updating`` is false where only diagnostics are wanted.

    ``reference_policy`` is pi_ref's class where its limits are not those of the policy trained.
    """

    policy: object
    nets: dict[str, dict[str, "Tensor"]]
    reference: "dict[str, Tensor] | None"
    hyper: dict[str, "Tensor"]
    tau: "Tensor"
    settings: dict
    constants: dict[str, "Tensor"] = field(default_factory=dict)
    batches: dict[str, Batch] = field(default_factory=dict)
    noise: dict[str, "Tensor"] = field(default_factory=dict)
    reference_policy: object = None
    diagnose: bool = False
    updating: bool = True


@dataclass(frozen=True)
class Phase:
    """A stretch of training.

    Each of ``updates`` maps the context to group -> Loss; its groups step together, and
    one update follows the other. ``prepare`` runs before the first iteration, ``after``
    behind each. ``compiles`` is false where a loss takes a gradient itself or two losses share
    a graph, which torch.compile does not take.
    """

    name: str
    iterations: int
    batches: dict[str, Draw]
    updates: tuple[Callable[[Context], dict[str, Loss]], ...]
    learning_rates: dict[str, float]
    normals: dict[str, tuple[int, ...]] = field(default_factory=dict)
    uniforms: dict[str, tuple[int, ...]] = field(default_factory=dict)
    gradient_clip: float | None = None
    compiles: bool = True
    prepare: Callable | None = None
    after: Callable[[Context], None] | None = None


def policy_phase(
    policy, settings: dict, batches: dict[str, Draw], normals: dict, loss, group: str = "policy"
) -> Phase:
    """The one phase of a method that trains the policy alone, with the config's optimiser.

    Args:
        group: of the networks, where it is another policy that is trained.
    """
    return Phase(
        name="train",
        iterations=settings["iterations"],
        batches=batches,
        updates=(lambda context: {group: loss(context)},),
        learning_rates={group: settings["learning_rate"]},
        normals=normals,
        gradient_clip=settings["gradient_clip"],
        after=lambda context: policy.project(context.nets[group]),
    )


def policy_network(policy, settings: dict) -> dict[str, Callable]:
    """The networks of a method that trains the policy alone."""
    return {"policy": policy.init}


@functools.cache
def method_file(name: str) -> Path:
    """Return the file of a method."""
    if name not in (*METHODS, REFERENCE):
        raise KeyError(f"unknown method {name!r}; known: {', '.join(METHODS)}")
    return FOLDER / f"{name}.py"


def method_module(name: str) -> ModuleType:
    """Import and return a method; the others are not imported."""
    return importlib.import_module(f"prefine.methods.{method_file(name).stem}")


def method_settings(name: str) -> dict:
    """Return the defaults of a method's ``SETTINGS``."""
    settings = method_constant(name, "SETTINGS")
    return {key: v[0] if isinstance(v, tuple) else v for key, v in settings.items()}


def decided(value: str | Mapping, settings: Mapping) -> str:
    """``SEES`` or ``STARTS_FROM`` of a method with these settings, one of which may decide it."""
    if isinstance(value, str):
        return value
    ((setting, choices),) = value.items()
    return choices[settings[setting]]


@functools.cache
def _literals(file: Path) -> dict:
    """The literals that a file assigns, by name; do not change them."""
    found: dict = {}
    for node in ast.parse(file.read_text(encoding="utf-8")).body:
        targets = node.targets if isinstance(node, ast.Assign) else [getattr(node, "target", None)]
        for target in targets:
            if isinstance(target, ast.Name):
                with contextlib.suppress(ValueError):  # it is computed
                    found.setdefault(target.id, ast.literal_eval(node.value))
    return found


def method_constant(name: str, constant: str, default=None):
    """Return a literal that a method's file assigns, without running the file."""
    file = method_file(name)
    if (found := _literals(file).get(constant, default)) is None:
        raise KeyError(f"{file} does not assign {constant}")
    return found
