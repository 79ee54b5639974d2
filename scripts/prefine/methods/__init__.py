"""One file a method, all with the same interface and the same order of sections.

A method module defines

``HYPERPARAMETERS``
    name -> default; a table of runs may give each replica its own value.
``NEEDS``
    the trajectory sets that it is handed, in the order in which batches arrive.
``STARTS_FROM``
    ``"random"`` or ``"reference"``.
``noise_shapes(policy, batch_size, settings)``
    name -> shape of the standard normals that one replica takes in one iteration.
``loss(policy, theta, reference, batches, noise, hyper, diagnose)``
    a ``Loss``: the terms of each replica and, if ``diagnose``, what to log.

The three constants are literals: the workflow reads them without importing torch.
"""

import ast
import importlib
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from torch import Tensor

FOLDER = Path(__file__).parent
REFERENCE = "reference"
METHODS = tuple(sorted(file.stem for file in FOLDER.glob("[a-z]*.py") if file.stem != REFERENCE))


class Batch(NamedTuple):
    """A batch of one trajectory set.

    Standardised states (R, B, obs_dim) and actions (R, B, act_dim).
    """

    obs: "Tensor"
    action: "Tensor"


class Loss(NamedTuple):
    """``terms`` add up to the loss, each (R,); ``logs`` are (R,) too, of no gradient."""

    terms: dict[str, "Tensor"]
    logs: dict[str, "Tensor"]

    @property
    def total(self) -> "Tensor":
        """The loss of each replica: (R,)."""
        return sum(self.terms.values())


def method_file(name: str) -> Path:
    """Return the file of a method."""
    if name not in (*METHODS, REFERENCE):
        raise KeyError(f"unknown method {name!r}; known: {', '.join(METHODS)}")
    return FOLDER / f"{name}.py"


def method_module(name: str) -> ModuleType:
    """Import and return a method; the others are not imported."""
    return importlib.import_module(f"prefine.methods.{method_file(name).stem}")


def method_constant(name: str, constant: str):
    """Return a literal that a method's file assigns, without running the file."""
    for node in ast.parse(method_file(name).read_text()).body:
        targets = node.targets if isinstance(node, ast.Assign) else [getattr(node, "target", None)]
        if any(isinstance(t, ast.Name) and t.id == constant for t in targets):
            return ast.literal_eval(node.value)
    raise KeyError(f"{method_file(name)} does not assign {constant}")
