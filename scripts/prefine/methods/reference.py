"""Pretraining of the reference policy on D_ref by behaviour cloning (methods 4.2)."""

from prefine.methods import Phase, bc, policy_network

HYPERPARAMETERS: dict = {}
SETTINGS: dict = {}
SEES = "actions"
STARTS_FROM = "random"
networks = policy_network


def phases(policy, settings: dict) -> tuple[Phase, ...]:
    """As the BC baseline's, on other trajectories."""
    return bc.phases(policy, settings, "reference")
