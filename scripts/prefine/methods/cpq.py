"""CPQ: constraints-penalised Q-learning, offline RL with costs (methods 4.9).

Out-of-distribution actions are made to look unsafe by raising their cost value, and only
actions that satisfy the constraint bootstrap reward. Sees the whole dataset.
"""

import contextlib
import math

import torch
from torch import Tensor

from prefine.methods import Context, Draw, Loss, Phase
from prefine.policies.networks import init_mlp, mlp

HYPERPARAMETERS = {
    "gamma": 0.99,
    "alpha_learning_rate": 0.0001,
    "cost_scalar": 1.5,  # target of out-of-distribution cost values over the threshold
    "reward_scale": 0.1,
}
SETTINGS = {
    # osrl: no gradient of the penalty, unsquashed actions, no terminal mask
    "variant": ("paper", "osrl"),
    "actor_learning_rate": 0.0001,
    "critic_learning_rate": 0.001,
    "vae_learning_rate": 0.001,
    "vae_hidden": 400,
    "vae_kl_weight": 0.5,
    "sampled_actions": 10,  # a state
    "ood_quantile": 0.75,
    "polyak": 0.005,
}
SEES = "everything"
STARTS_FROM = "random"
POLICY = "tanh_gaussian_wide"
BATCH_SIZE = 512
ITERATIONS = 100_000  # OSRL's
SHARES = ("gamma",)
ENSEMBLE = 2
LATENT_LOG_STD = (-4.0, 15.0)


def networks(policy, settings: dict) -> dict:
    """Actor, two ensembles of critics with their targets, the VAE, log alpha."""
    pair, hidden = policy.obs_dim + policy.act_dim, settings["hidden"]
    latent, wide = 2 * policy.act_dim, [settings["vae_hidden"]] * 2

    def critics(generator):
        members = [init_mlp(f"q{k}", [pair, *hidden, 1], generator) for k in range(ENSEMBLE)]
        return {name: tensor for member in members for name, tensor in member.items()}

    def vae(generator):
        return {
            **init_mlp("encoder", [pair, *wide, 2 * latent], generator),
            **init_mlp("decoder", [policy.obs_dim + latent, *wide, policy.act_dim], generator),
        }

    return {
        "policy": policy.init,
        "reward_critic": critics,
        "cost_critic": critics,
        "target_reward_critic": critics,
        "target_cost_critic": critics,
        "vae": vae,
        "log_alpha": lambda generator: {"value": torch.zeros(())},
    }


def phases(policy, settings: dict) -> tuple[Phase, ...]:
    """VAE, reward critic, cost critic (and alpha), actor, in this order."""
    size, n = settings["batch_size"], settings["sampled_actions"]
    act = policy.act_dim
    train = Phase(
        name="train",
        iterations=settings["iterations"],
        batches={"all": Draw("steps", size, sampler="transition")},
        updates=(update_vae, update_reward_critic, update_cost_critic, update_actor),
        learning_rates={
            "vae": settings["vae_learning_rate"],
            "reward_critic": settings["critic_learning_rate"],
            "cost_critic": settings["critic_learning_rate"],
            "policy": settings["actor_learning_rate"],
        },
        normals={
            "latent": (size, 2 * act),
            "next_reward": (size, act),
            "next_cost": (size, act),
            "ood": (n * size, act),
            "actor": (size, act),
        },
        prepare=start_targets,
        after=polyak,
    )
    return (train,)


def cost_threshold(tau: Tensor, gamma: Tensor, horizon: int) -> Tensor:
    """q_thr: an episode limit as a discounted value, cost spread evenly over T steps: (R,)."""
    return tau * (1 - gamma**horizon) / ((1 - gamma) * horizon)


def q_value(params, obs: Tensor, action: Tensor) -> Tensor:
    """Minimum over the ensemble: (R, B)."""
    return q_values(params, obs, action).amin(0)


def q_values(params, obs: Tensor, action: Tensor) -> Tensor:
    """Every member: (ensemble, R, B)."""
    x = torch.cat([obs, action], -1)
    return torch.stack([mlp(params, f"q{k}", x)[..., 0] for k in range(ENSEMBLE)])


def encode(params, obs: Tensor, action: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and log_std of the VAE's q(z|s, a)."""
    mean, log_std = mlp(params, "encoder", torch.cat([obs, action], -1)).chunk(2, -1)
    return mean, log_std.clamp(*LATENT_LOG_STD)


def latent_kl(mean: Tensor, log_std: Tensor) -> Tensor:
    """KL to N(0, I), averaged over latent dimensions (OSRL's form): (R, B)."""
    return -0.5 * (1 + 2 * log_std - mean.square() - torch.exp(2 * log_std)).mean(-1)


def start_targets(context: Context, samplers: dict) -> None:
    """Targets begin as copies of their critics."""
    for kind in ("reward", "cost"):
        for name, tensor in context.nets[f"{kind}_critic"].items():
            context.nets[f"target_{kind}_critic"][name].copy_(tensor.detach())


def polyak(context: Context) -> None:
    """Move the targets towards their critics."""
    with torch.no_grad():
        for kind in ("reward", "cost"):
            for name, tensor in context.nets[f"{kind}_critic"].items():
                target = context.nets[f"target_{kind}_critic"][name]
                target.lerp_(tensor, context.settings["polyak"])


def thresholds(context: Context) -> Tensor:
    """q_thr of each run: (R, 1)."""
    hyper = context.hyper
    return cost_threshold(context.tau, hyper["gamma"], context.settings["horizon"])[:, None]


def update_vae(context: Context) -> dict[str, Loss]:
    """MSE of the reconstruction and 0.5 KL."""
    (batch,), params = context.batches.values(), context.nets["vae"]
    mean, log_std = encode(params, batch.obs, batch.action)
    z = mean + torch.exp(log_std) * context.noise["latent"]
    decoded = torch.tanh(mlp(params, "decoder", torch.cat([batch.obs, z], -1)))
    terms = {
        "vae_reconstruction": (decoded - batch.action).square().mean((1, 2)),
        "vae_kl": context.settings["vae_kl_weight"] * latent_kl(mean, log_std).mean(1),
    }
    return {"vae": Loss(terms, {})}


def update_reward_critic(context: Context) -> dict[str, Loss]:
    """y = r + gamma (1 - end) 1[Q_c'(s', a') <= q_thr] Q_r'(s', a')."""
    (batch,), nets = context.batches.values(), context.nets
    # OSRL also stops at timeouts.
    end = batch.done if context.settings["variant"] == "osrl" else batch.terminal
    with torch.no_grad():
        action = context.policy.sample(nets["policy"], batch.next_obs, context.noise["next_reward"])
        following = safe_bootstrap(
            q_value(nets["target_reward_critic"], batch.next_obs, action),
            q_value(nets["target_cost_critic"], batch.next_obs, action),
            thresholds(context),
        )
        reward = context.hyper["reward_scale"][:, None] * batch.reward
        target = reward + context.hyper["gamma"][:, None] * (1 - end) * following
    errors = (q_values(nets["reward_critic"], batch.obs, batch.action) - target).square()
    return {"reward_critic": Loss({"reward_critic": errors.mean(2).sum(0)}, {})}


def safe_bootstrap(reward_value: Tensor, cost_value: Tensor, threshold: Tensor) -> Tensor:
    """Only actions that satisfy the constraint bootstrap reward."""
    return (cost_value <= threshold).float() * reward_value


def most_unlikely(kl: Tensor, quantile: float) -> Tensor:
    """Indices (R, k) of the KLs at or above their quantile, the out-of-distribution mask.

    An interpolated quantile lies at rank q (n - 1), so k = n - ceil(q (n - 1)) are above it.
    """
    n = kl.shape[1]
    return kl.topk(n - math.ceil(quantile * (n - 1)), dim=1, sorted=False).indices


def rows(values: Tensor, index: Tensor) -> Tensor:
    """Gather rows of (R, B, dim) by (R, k): (R, k, dim)."""
    return values.gather(1, index[..., None].expand(-1, -1, values.shape[-1]))


def update_cost_critic(context: Context) -> dict[str, Loss]:
    """MSE to c + gamma Q_c'(s', a'), minus alpha (E[mask Q_c(s, a_sampled)] - 1.5 q_thr)."""
    (batch,), nets, settings = context.batches.values(), context.nets, context.settings
    osrl, policy = settings["variant"] == "osrl", context.policy
    copies = (1, settings["sampled_actions"], 1)
    obs = batch.obs.repeat(copies)
    with torch.no_grad():
        action = policy.sample(nets["policy"], batch.next_obs, context.noise["next_cost"])
        alive = torch.ones_like(batch.terminal) if osrl else 1 - batch.terminal
        following = q_value(nets["target_cost_critic"], batch.next_obs, action)
        target = batch.cost + context.hyper["gamma"][:, None] * alive * following
        mean, log_std = policy.distribution(nets["policy"], batch.obs)
        noise = log_std.exp().repeat(copies) * context.noise["ood"]
        sampled = mean.repeat(copies) + noise  # before tanh
        sampled = sampled if osrl else torch.tanh(sampled)
        kl = latent_kl(*encode(nets["vae"], obs, sampled))
        far = most_unlikely(kl, settings["ood_quantile"])
        obs, sampled = rows(obs, far), rows(sampled, far)
    critic = nets["target_cost_critic" if osrl else "cost_critic"]
    with torch.no_grad() if osrl else contextlib.nullcontext():
        # The mean over all samples of the value where the mask is 1.
        ood = q_value(critic, obs, sampled).sum(1) / kl.shape[1]
    limit = context.hyper["cost_scalar"] * thresholds(context)[:, 0]
    alpha = nets["log_alpha"]["value"].detach().exp()
    errors = (q_values(nets["cost_critic"], batch.obs, batch.action) - target).square()
    terms = {"cost_critic": errors.mean(2).sum(0), "penalty": -alpha * (ood - limit)}
    if context.updating:
        rate = context.hyper["alpha_learning_rate"]
        step_log_alpha(nets["log_alpha"]["value"], ood.detach(), limit, rate)
    logs = {"alpha": alpha, "ood": ood.detach(), "ood_limit": limit} if context.diagnose else {}
    return {"cost_critic": Loss(terms, logs)}


def step_log_alpha(log_alpha: Tensor, ood: Tensor, limit: Tensor, rate: Tensor) -> None:
    """log alpha grows while out-of-distribution actions look too safe; in [-5, 5]."""
    with torch.no_grad():
        log_alpha.add_(rate * log_alpha.exp() * (limit - ood)).clamp_(-5.0, 5.0)


def update_actor(context: Context) -> dict[str, Loss]:
    """-E 1[Q_c(s, a) <= q_thr] Q_r(s, a), a reparameterised; the indicator has no gradient."""
    (batch,), nets = context.batches.values(), context.nets
    action = context.policy.sample(nets["policy"], batch.obs, context.noise["actor"])
    with torch.no_grad():
        cost = q_value(nets["cost_critic"], batch.obs, action)
    reward = q_value(nets["reward_critic"], batch.obs, action)
    safe = safe_bootstrap(reward, cost, thresholds(context))
    logs = {}
    if context.diagnose:
        data_cost = q_value(nets["cost_critic"], batch.obs, batch.action).detach()
        logs = {
            "safe_share_policy": (cost <= thresholds(context)).float().mean(1),
            "safe_share_data": (data_cost <= thresholds(context)).float().mean(1),
            "q_reward": reward.detach().mean(1),
            "q_cost": cost.mean(1),
        }
    return {"policy": Loss({"actor": -safe.mean(1)}, logs)}
