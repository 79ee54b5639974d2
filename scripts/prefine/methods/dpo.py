"""Vanilla DPO: PREFINE without its SFT anchor, lambda = 0 (paper 5.5, methods 4.5)."""

from prefine.methods import policy_network
from prefine.methods.prefine import loss, phases

__all__ = ["loss", "phases"]

HYPERPARAMETERS = {
    "beta": 0.05,  # as PREFINE's; the paper does not say which (Bullet 0.2)
    "lam": 0.0,  # this is the ablation
}
SETTINGS = {
    "delta_level": ("step", "segment", "trajectory"),
    "segment_length": 64,
    "segments": 32,
    "counterfactual": ("detached", "reparameterised"),
    "encoder_update": ("frozen", "all"),
}
SEES = "actions"
STARTS_FROM = "reference"
networks = policy_network
