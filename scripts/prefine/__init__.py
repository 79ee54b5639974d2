"""PREFINE: make a pretrained control policy safe from preferences.

The names below are the library's public ones (docs/library.md). They are imported when they are
first asked for: importing the package is light, and torch, gymnasium and h5py are imported only by
what needs them, so that each rule's environment stays small.
"""

import importlib

__version__ = "0.1.0"

# name -> the module that has it, and its name there where that is another
_PUBLIC = {
    "UserError": ("errors", ""),
    "Task": ("tasks", ""),
    "describe_task": ("simulators.own", "own_task"),
    "load_data": ("data.own", "load"),
    "write_dataset": ("data.dataset", "write"),
    "load_transitions": ("data.dataset", ""),
    "trajectory_table": ("data.dataset", ""),
    "SplitSettings": ("preferences.split", ""),
    "split_by_cost": ("preferences.split", "split"),
    "split_by_labels": ("preferences.split", "labelled_split"),
    "read_labels": ("preferences.labels", ""),
    "read_policy": ("policies.formats.read", ""),
    "make_policy": ("policies.registry", ""),
    "METHODS": ("methods", ""),
    "pretrain": ("training.fine_tune", ""),
    "fine_tune": ("training.fine_tune", ""),
    "evaluate": ("evaluation.rollout", ""),
    "load_policy": ("policies.actor", ""),
    "export_policy": ("policies.export", "export"),
}
__all__ = ["__version__", *sorted(_PUBLIC)]


def __getattr__(name: str):
    """Import a public name when it is first asked for."""
    if name not in _PUBLIC:
        raise AttributeError(f"module 'prefine' has no attribute {name!r}")
    module, there = _PUBLIC[name]
    value = getattr(importlib.import_module(f"prefine.{module}"), there or name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return __all__
