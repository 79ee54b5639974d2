"""Pretraining of the reference policy on D_ref by behaviour cloning (methods 4.2)."""

from prefine.methods import Draw, Phase, policy_network, policy_phase
from prefine.methods.bc import loss

HYPERPARAMETERS: dict = {}
SETTINGS: dict = {}
SEES = "actions"
STARTS_FROM = "random"
POLICY = ""
networks = policy_network


def phases(policy, settings: dict) -> tuple[Phase, ...]:
    """One latent a state for the ELBO."""
    size = settings["batch_size"]
    batches = {"reference": Draw("steps", size)}
    return (policy_phase(policy, settings, batches, {"latent": (size, policy.latent_dim)}, loss),)
