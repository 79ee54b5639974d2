"""Behaviour cloning on D_p from scratch, the paper's BC (methods 4.3)."""

from prefine.methods import Loss

HYPERPARAMETERS: dict[str, float] = {}
NEEDS = ("preferred",)
STARTS_FROM = "random"


def noise_shapes(policy, batch_size: int, settings: dict) -> dict[str, tuple[int, ...]]:
    """One latent a state for the ELBO."""
    return {"latent": (batch_size, policy.latent_dim)}


def loss(policy, theta, reference, batches, noise, hyper, diagnose) -> Loss:
    """-E log pi(a|s): the negative ELBO of the VAE, the exact likelihood of the Gaussian."""
    (batch,) = batches
    nll, logs = policy.pretraining_loss(theta, batch.obs, batch.action, noise["latent"])
    return Loss({"sft": nll.mean(1)}, logs)
