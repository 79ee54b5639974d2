"""Pretraining of the reference policy on D_ref by behaviour cloning (methods 4.2)."""

from prefine.methods.bc import loss, noise_shapes

__all__ = ["HYPERPARAMETERS", "NEEDS", "STARTS_FROM", "loss", "noise_shapes"]

HYPERPARAMETERS: dict[str, float] = {}
NEEDS = ("reference",)
STARTS_FROM = "random"
