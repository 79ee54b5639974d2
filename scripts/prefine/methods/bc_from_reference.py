"""Behaviour cloning on D_p from pi_ref: PREFINE with beta = 0, bit for bit (methods 4.3).

The control that separates what the preference term does from what the start does. It is
PREFINE's own code: the same batches, noise, likelihood estimate, weight of the SFT term and
hence the same effect of the gradient's clipping. What is sampled and D_np have no weight; they
are computed all the same, since a product of other shapes rounds otherwise.
"""

from dataclasses import replace

import torch

from prefine.methods import Context, Loss, Phase, policy_network, prefine

CONTROL_OF = "prefine"  # what the config does not say of this method is as it says of that one
HYPERPARAMETERS = {
    "lam": 1.6,  # PREFINE's: Adam hardly sees a loss's scale, but the clipping does
}
SETTINGS = {
    "delta_level": ("step", "segment", "trajectory"),  # all as PREFINE's: they shape the batch
    "segment_length": 64,
    "segments": 32,
    "counterfactual": ("detached", "reparameterised"),
    "encoder_update": ("frozen", "all"),
}
SEES = "actions"
STARTS_FROM = "reference"
networks = policy_network


def phases(policy, settings: dict) -> tuple[Phase, ...]:
    """PREFINE's."""
    return prefine.phases(policy, settings, loss)


def loss(context: Context) -> Loss:
    """Eq. 9 with beta = 0: lam times Eq. 3 and a constant."""
    lam = context.hyper["lam"]
    return prefine.loss(replace(context, hyper={"beta": torch.zeros_like(lam), "lam": lam}))
