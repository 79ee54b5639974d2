"""Behaviour cloning on D_p from scratch, the paper's BC (methods 4.3)."""

from prefine.methods import Context, Draw, Loss, Phase, policy_network, policy_phase

HYPERPARAMETERS: dict = {}
SETTINGS: dict = {}
SEES = "actions"
STARTS_FROM = "random"
networks = policy_network


def phases(policy, settings: dict, trajectories: str = "preferred") -> tuple[Phase, ...]:
    """One latent a state for the ELBO."""
    size = settings["batch_size"]
    batches = {trajectories: Draw("steps", size)}
    return (policy_phase(policy, settings, batches, {"latent": (size, policy.latent_dim)}, loss),)


def loss(context: Context) -> Loss:
    """-E log pi(a|s): the negative ELBO of the VAE, the exact likelihood of the Gaussian."""
    (batch,) = context.batches.values()
    nll, logs = context.policy.pretraining_loss(
        context.nets["policy"], batch.obs, batch.action, context.noise["latent"]
    )
    return Loss({"sft": nll.mean(1)}, logs)
