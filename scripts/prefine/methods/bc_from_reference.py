"""Behaviour cloning on D_p from pi_ref: PREFINE without its preference term (methods 4.3).

The control that separates what the preference term does from what the start does. It
trains the same parameters on the same likelihood estimate as PREFINE.
"""

from prefine.methods import Context, Draw, Loss, Phase, policy_network, policy_phase
from prefine.methods.losses import log_probs, sft_loss

HYPERPARAMETERS: dict = {}
SETTINGS = {
    "encoder_update": ("frozen", "all"),  # as PREFINE's
}
SEES = "actions"
STARTS_FROM = "reference"
POLICY = ""
networks = policy_network


def phases(policy, settings: dict) -> tuple[Phase, ...]:
    """K latent draws a state."""
    size, draws = settings["batch_size"], settings["likelihood_draws"]
    batches = {"preferred": Draw("steps", size)}
    normals = {"latent": (draws, size, policy.latent_dim)}
    return (policy_phase(policy, settings, batches, normals, loss),)


def loss(context: Context) -> Loss:
    """-E log pi_theta(a+|s), Eq. 3."""
    (batch,) = context.batches.values()
    log_prob, _, _ = log_probs(context, batch.obs, batch.action)
    theta = context.nets["policy"]
    logs = {}
    if context.diagnose:
        logs["mean_log_std"] = context.policy.mean_log_std(theta, batch.obs).detach()
    return Loss({"sft": sft_loss(log_prob)}, logs)
