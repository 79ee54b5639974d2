"""Write a trained policy for others: safetensors, ONNX and a model card.

Both map raw observations to the environment's own actions, deterministically.
"""

import contextlib
import logging
import warnings
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import torch

from prefine.files import atomic, write_text
from prefine.policies import file as policy_file
from prefine.policies.actor import Actor, action_bounds
from prefine.policies.stack import PolicyStack
from prefine.policies.zoo import FILE

EXPORTED_OPSET = 18  # of December 2022, the exporter's lowest; newer ones have more operators
LOWEST_OPSET = 13  # of 2020; nobody has older runtimes
ONLY_MORE_TYPES_SINCE = {"ConstantOfShape": 9, "Shape": 15}  # types that no policy has
KEPT = (
    "runs",
    "task",
    "method",
    "data_sha256",
    "versions",
    "settings",
)  # of what training wrote down


def export(
    folder: str | Path,
    policies: str | Path,
    run: str | None,
    card: str,
    low=None,
    high=None,
) -> None:
    """Write policy.safetensors, policy.onnx and README.md, the card.

    Args:
        policies: a file of policies, of which ``run`` is taken; None if it holds one alone.
        card: the page, in Markdown.
        low, high: bounds of actions, numbers or (act_dim,), where they are not the task's.

    Raises:
        UserError: the file is no policy, or has no such run.
    """
    stack, folder = policy_file.load_run(policies, run), Path(folder)
    if low is None or high is None:
        lowest, highest = action_bounds(stack.metadata, policies)
        low, high = lowest if low is None else low, highest if high is None else high
    actor = write_policy(folder, stack, card, low, high)
    write_onnx(folder / "policy.onnx", actor)


def write_policy(folder: Path, stack: PolicyStack, card: str, low, high) -> Actor:
    """Write policy.safetensors and README.md alone; return the policy as a module.

    Args:
        stack: of one policy.
        low, high: bounds of actions, numbers or (act_dim,).
    """
    actor = Actor(stack, low, high).eval()
    bounds = {"action_low": actor.low.tolist(), "action_high": actor.high.tolist()}
    kept = {key: stack.metadata[key] for key in KEPT if key in stack.metadata}
    policy_file.save(folder / FILE, replace(stack, metadata=kept | bounds))
    write_text(folder / "README.md", card)
    return actor


def write_onnx(path: Path, actor: Actor) -> None:
    """Write the actor with input ``observation`` and output ``action``, any batch size."""
    batch = torch.export.Dim("batch")
    with atomic(path) as temporary, quiet():
        program = torch.onnx.export(
            actor,
            (examples(actor),),
            input_names=["observation"],
            output_names=["action"],
            dynamic_shapes=({0: batch},),
            dynamo=True,
            opset_version=EXPORTED_OPSET,
            verbose=False,
        )
        lower_versions(program.model)
        program.save(temporary, external_data=False)


def lower_versions(model) -> None:
    """Ask a runtime for no newer operators and file format than the policy needs.

    The exporter writes IR 10, which runtimes of two years ago refuse. An operator that is the same
    since an earlier opset may as well be declared with that.

    Args:
        model: ``onnx_ir.Model`` of standard operators.
    """
    from onnx import defs, helper

    newest = model.opset_imports[""]
    nodes = [*model.graph, *(node for own in model.functions.values() for node in own)]
    if any(node.domain for node in nodes):
        return  # operators of others, or functions, say themselves what they need
    needed = [
        ONLY_MORE_TYPES_SINCE.get(own.op_type)
        or defs.get_schema(own.op_type, newest, "").since_version
        for own in nodes
    ]
    opset = max([LOWEST_OPSET, *needed])
    model.opset_imports[""] = opset
    model.ir_version = helper.find_min_ir_version_for([helper.make_opsetid("", opset)])


def examples(actor: Actor) -> torch.Tensor:
    """A batch to trace with, of neither one row nor as many as a dimension."""
    return torch.zeros(2 + actor.policy.obs_dim, actor.policy.obs_dim)


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Keep away the exporter's remarks on packages that it does not need here."""
    logger = logging.getLogger("torch.onnx")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(level)
