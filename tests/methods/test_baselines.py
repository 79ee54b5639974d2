"""Known answers of PPL, SafeDICE and CPQ (methods 9)."""

import math

import pytest
import torch
from prefine.methods import Batch, Context, cpq, method_settings, safedice
from prefine.methods.losses import bradley_terry_loss, segment_sum
from prefine.policies.gaussian import (
    TanhGaussianPolicy,
    WideTanhGaussianPolicy,
    tanh_normal_log_prob,
)
from prefine.policies.networks import stack


def f64(*values):
    return torch.tensor(values, dtype=torch.float64)


# --- the tanh-Gaussian ---------------------------------------------------------------------


def test_tanh_gaussian_density():
    u = torch.atanh(f64(0.6))
    assert u.item() == pytest.approx(0.6931471806, abs=1e-9)
    value = tanh_normal_log_prob(u, f64(0.5), f64(0.2).log())
    assert value.item() == pytest.approx(0.6704635649, abs=1e-9)


def test_tanh_gaussian_integrates_to_one():
    action = torch.linspace(-1, 1, 400_001, dtype=torch.float64)[1:-1]
    log_prob = tanh_normal_log_prob(torch.atanh(action)[:, None], f64(0.5), f64(0.6).log())
    assert torch.trapezoid(log_prob.exp(), action).item() == pytest.approx(1.0, abs=1e-4)


def test_tanh_gaussian_is_finite_at_the_edge_of_the_box():
    policy = TanhGaussianPolicy(3, 2, (8,))
    params = stack([policy.init(torch.Generator().manual_seed(0))])
    params["trunk.0.weight"].requires_grad_()
    log_prob = policy.log_prob(params, torch.randn(1, 4, 3), torch.ones(1, 4, 2))
    log_prob.sum().backward()
    assert torch.isfinite(log_prob).all() and params["trunk.0.weight"].grad.isfinite().all()


# --- PPL -----------------------------------------------------------------------------------


def test_bradley_terry_on_a_pair_of_segments():
    ratios = f64(0.2, -0.1, 0.4)[None].requires_grad_(), f64(-0.3, 0.1, 0.0)[None]
    mask = torch.ones(1, 1, 3, dtype=torch.float64)
    score_p, score_np = (segment_sum(ratio, mask) for ratio in ratios)
    score_p.retain_grad()
    loss = bradley_terry_loss(score_p, score_np, f64(0.1))
    assert 0.1 * (score_p - score_np).item() == pytest.approx(0.07)
    assert loss.item() == pytest.approx(0.6587595555, abs=1e-9)
    loss.sum().backward()
    assert score_p.grad.item() == pytest.approx(-0.0482507142, abs=1e-9)


# --- SafeDICE ------------------------------------------------------------------------------


def test_reward_in_logit_form():
    reward = safedice.density_ratio_reward(f64(-2.0, 0.0, 1.0)[None], f64(0.1))
    assert reward[0].tolist() == pytest.approx([0.0917345744, 0.0, -0.2118577304], abs=1e-9)


@pytest.mark.parametrize(("share", "weights"), [(0.2, (1.25, 0.0)), (0.1, (1.1111111, 0.5555556))])
def test_bandit_weights(share, weights):
    """d_U = (.8, .2), d_N = (0, 1): e^l = d_N/d_U = (0, 5)."""
    logits = f64(-1e3, math.log(5.0))[None]
    reward = safedice.density_ratio_reward(logits, f64(share))
    assert reward.exp()[0].tolist() == pytest.approx(weights, abs=2e-6)


@pytest.mark.parametrize("largest", [1.0, 50.0, 90.0, 1e4])
def test_a_discriminator_that_is_certain_leaves_rewards_finite(largest):
    """e^l overflows, and alpha = exp(-max l) - 1e-5 is 0: no share of N in U, weight 1."""
    logits = torch.tensor([[largest, 0.0, -largest]])
    alpha = safedice.mixture_share(logits, torch.ones_like(logits, dtype=bool), torch.ones(1))
    reward = safedice.density_ratio_reward(logits, alpha)
    assert torch.isfinite(reward).all()
    if largest > 12:
        assert alpha.item() == 0 and (reward == 0).all()
    some = safedice.density_ratio_reward(logits, torch.tensor([1e-5]))
    assert torch.isfinite(some).all() and some[0, 0] <= some[0, 1] <= some[0, 2]


def test_mixture_share_of_the_union():
    """N is a sixth of U: e^l = 6 on D_np, 0 on D_p; alpha = 1/6, weights 1.2 and 0."""
    logits = torch.cat([torch.full((1, 100), -1e3), torch.full((1, 20), math.log(6.0))], 1).double()
    assert torch.sigmoid(logits[0, -1]).item() == pytest.approx(6 / 7)
    mask = torch.ones(1, 120, dtype=torch.bool)
    alpha = safedice.mixture_share(logits, mask, f64(1.0))
    assert alpha.item() == pytest.approx(1 / 6 - 1e-5, abs=1e-7)
    weights = safedice.density_ratio_reward(logits, alpha).exp()[0]
    assert weights[0].item() == pytest.approx(1.2, abs=1e-4)
    assert weights[-1].item() == pytest.approx(0.0, abs=1e-3)


def test_mixture_share_ignores_padding_and_takes_quantiles():
    logits = torch.arange(10.0, dtype=torch.float64)[None] / 10
    mask = torch.arange(10)[None] < 5
    alpha = safedice.mixture_share(logits, mask, f64(1.0))
    assert alpha.item() == pytest.approx(math.exp(-0.4) - 1e-5)
    assert safedice.mixture_share(logits, mask, f64(0.5)).item() == pytest.approx(
        math.exp(-0.2) - 1e-5
    )
    assert safedice.mixture_share(-logits - 9, mask, f64(1.0)).item() == safedice.ALPHA_MAX


class Tabular:
    """Two states, two actions, gamma .9, start in state 0."""

    gamma = 0.9
    to_zero = f64(0.9, 0.2, 0.7, 0.1).view(2, 2)  # P(0 | s, a)

    def __init__(self):
        preferred, labelled = f64(0.9, 0.1, 0.8, 0.2).view(2, 2), f64(0.1, 0.9, 0.2, 0.8).view(2, 2)
        self.policy = preferred
        self.d_p, d_n = self.occupancy(preferred), self.occupancy(labelled)
        self.d_u = 0.75 * self.d_p + 0.25 * d_n
        self.reward = (self.d_p / self.d_u).log()

    def occupancy(self, policy):
        move = torch.stack([self.to_zero, 1 - self.to_zero], -1)
        chain = (policy[..., None] * move).sum(1)
        start = f64(1.0, 0.0)
        states = (1 - self.gamma) * torch.linalg.solve(
            torch.eye(2, dtype=torch.float64) - self.gamma * chain.T, start
        )
        return states[:, None] * policy

    def advantage(self, nu):
        following = self.to_zero * nu[0] + (1 - self.to_zero) * nu[1]
        return self.reward + self.gamma * following - nu[:, None]

    def objective(self, nu):
        """Feed the exact expectation: four samples whose advantage carries log(4 d_U)."""
        flat = (self.advantage(nu) + (4 * self.d_u).log()).reshape(1, 4)
        return safedice.nu_loss(flat, nu[:1][None], f64(self.gamma))


def test_tabular_nu_objective():
    table = Tabular()
    assert table.d_p.flatten().tolist() == pytest.approx([0.7223, 0.0803, 0.1579, 0.0395], abs=1e-4)
    assert table.d_u.flatten().tolist() == pytest.approx([0.5495, 0.1304, 0.1528, 0.1672], abs=1e-4)
    for constant in (-2.0, 0.0, 3.0):
        assert table.objective(f64(constant, constant)).item() == pytest.approx(0.0, abs=1e-12)
    nu = f64(0.0, 0.0).requires_grad_()
    (gradient,) = torch.autograd.grad(table.objective(nu), nu)
    assert gradient.abs().max() < 1e-12
    assert table.objective(f64(0.1, 0.0)).item() == pytest.approx(6.704869e-4, abs=1e-9)
    assert table.objective(f64(0.0, 0.1)).item() == pytest.approx(6.600822e-4, abs=1e-9)


def test_tabular_weights_recover_the_preferred_policy():
    table = Tabular()
    nu = f64(0.7, -0.4).requires_grad_()
    optimizer = torch.optim.Adam([nu], lr=0.05)
    for _ in range(600):
        optimizer.zero_grad()
        table.objective(nu).sum().backward()
        optimizer.step()
    with torch.no_grad():
        mass = table.d_u * table.advantage(nu).exp()
    torch.testing.assert_close(mass / mass.sum(1, keepdim=True), table.policy, atol=1e-3, rtol=0)


def safedice_context(terminal=0.0):
    policy, generator = TanhGaussianPolicy(3, 2, (8,)), torch.Generator().manual_seed(0)
    settings = {"hidden": [8]}
    nets = {
        group: stack([init(generator)])
        for group, init in safedice.networks(policy, settings).items()
    }
    hyper = {name: torch.tensor([v]) for name, v in safedice.HYPERPARAMETERS.items()}
    n, index = 16, torch.arange(16)[None]
    batch = Batch(
        obs=torch.randn(1, n, 3),
        action=torch.rand(1, n, 2) - 0.5,
        next_obs=torch.randn(1, n, 3),
        terminal=torch.full((1, n), terminal),
        index=index,
    )
    context = Context(policy, nets, None, hyper, None, settings)
    context.batches = dict.fromkeys(("unlabelled", "nonpreferred", "initial"), batch)
    context.noise = {"mix": torch.rand(1, n, 1)}
    context.constants = {"alpha": torch.zeros(1), "reward": torch.zeros(1, n)}
    return context, batch


def test_weight_one_is_plain_behaviour_cloning():
    context, batch = safedice_context()
    for tensor in context.nets["nu"].values():
        tensor.zero_()
    loss = safedice.actor_and_nu_losses(context)["policy"]
    expected = -context.policy.log_prob(context.nets["policy"], batch.obs, batch.action).mean(1)
    torch.testing.assert_close(loss.total, expected)


def test_a_true_termination_masks_the_next_state():
    loss = {}
    for terminal in (0.0, 1.0):
        context, batch = safedice_context(terminal)
        far = batch._replace(next_obs=batch.next_obs + 100)
        context.batches = context.batches | {"unlabelled": far}
        context.batches["nonpreferred"] = batch
        loss[terminal] = safedice.actor_and_nu_losses(context)["nu"].terms["nu"]
        context.batches = dict.fromkeys(context.batches, batch)
        loss[terminal] -= safedice.actor_and_nu_losses(context)["nu"].terms["nu"]
    assert loss[1.0].abs().item() == 0.0 and loss[0.0].abs().item() > 0.0


# --- CPQ -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("tau", "horizon", "expected"),
    [
        ((30, 40, 50), 1000, (3.000, 4.000, 5.000)),
        ((10, 20, 40), 100, (6.340, 12.679, 25.359)),
        ((10, 20, 40), 200, (4.330, 8.660, 17.320)),
        ((10, 20, 40), 300, (3.170, 6.340, 12.680)),
    ],
)
def test_threshold_conversion(tau, horizon, expected):
    values = cpq.cost_threshold(f64(*tau), f64(0.99), horizon)
    assert values.tolist() == pytest.approx(expected, abs=1e-3)


def test_only_safe_actions_bootstrap():
    following = cpq.safe_bootstrap(f64(10.0, 10.0), f64(1.0, 5.0), f64(3.0))
    assert (1.0 + 0.9 * following).tolist() == [10.0, 1.0]


def test_log_alpha_steps_and_is_clamped():
    rate, limit = f64(1e-4, 1e-4, 1e9, 1e9), f64(4.5, 4.5, 4.5, 4.5)
    value = f64(0.0, 0.0, 0.0, 0.0)
    cpq.step_log_alpha(value, f64(2.0, 7.0, 2.0, 7.0), limit, rate)
    assert value.tolist() == pytest.approx([2.5e-4, -2.5e-4, 5.0, -5.0], abs=1e-12)


def cpq_context(variant="paper", terminal=0.0, tau=20.0):
    policy, generator = WideTanhGaussianPolicy(3, 2, (8,)), torch.Generator().manual_seed(0)
    settings = method_settings("cpq") | {
        "variant": variant,
        "hidden": [8],
        "vae_hidden": 8,
        "horizon": 100,
        "iterations": 1,
        "batch_size": 16,
    }
    nets = {
        group: stack([init(generator)]) for group, init in cpq.networks(policy, settings).items()
    }
    hyper = {name: torch.tensor([v]) for name, v in cpq.HYPERPARAMETERS.items()}
    context = Context(policy, nets, None, hyper, torch.tensor([tau]), settings)
    n = 16
    context.batches = {
        "all": Batch(
            obs=torch.randn(1, n, 3),
            action=torch.rand(1, n, 2) - 0.5,
            next_obs=torch.randn(1, n, 3),
            terminal=torch.full((1, n), terminal),
            done=torch.ones(1, n),
            reward=torch.ones(1, n),
            cost=torch.ones(1, n),
        )
    }
    (phase,) = cpq.phases(policy, settings)
    context.noise = {name: torch.randn(1, *shape) for name, shape in phase.normals.items()}
    return context


def gradient_of(loss, params):
    params = list(params.values())
    return torch.autograd.grad(loss.sum(), params, allow_unused=True, materialize_grads=True)


def test_variants_differ_in_the_gradient_of_the_penalty():
    for variant, has_gradient in (("paper", True), ("osrl", False)):
        context = cpq_context(variant)
        for tensor in context.nets["cost_critic"].values():
            tensor.requires_grad_()
        penalty = cpq.update_cost_critic(context)["cost_critic"].terms["penalty"]
        assert penalty.requires_grad == has_gradient
        if has_gradient:
            gradients = gradient_of(penalty, context.nets["cost_critic"])
            assert max(g.abs().max() for g in gradients) > 0


def test_penalty_pushes_cost_values_of_sampled_actions_up():
    context = cpq_context()
    context.updating = False
    critic = context.nets["cost_critic"]
    for tensor in critic.values():
        tensor.requires_grad_()
    loss = cpq.update_cost_critic(context)["cost_critic"].terms["penalty"]
    gradient = gradient_of(loss, critic)
    with torch.no_grad():
        for tensor, g in zip(critic.values(), gradient, strict=True):
            tensor -= 1e-2 * g
    lower = cpq.update_cost_critic(context)["cost_critic"].terms["penalty"]
    assert lower.item() < loss.item()
    assert context.nets["log_alpha"]["value"].item() == 0.0


def test_alpha_moves_only_where_the_iteration_updates():
    context = cpq_context()
    cpq.update_cost_critic(context)
    assert context.nets["log_alpha"]["value"].item() != 0.0


@pytest.mark.parametrize(
    ("variant", "critic", "stops"),
    [
        ("paper", "reward", "terminal"),
        ("osrl", "reward", "done"),
        ("paper", "cost", "terminal"),
        ("osrl", "cost", "never"),
    ],
)
def test_what_ends_the_bootstrap(variant, critic, stops):
    """Timeouts (done without terminal) bootstrap in the paper's variant, not in OSRL's."""
    update = getattr(cpq, f"update_{critic}_critic")

    def error(terminal, boost):
        torch.manual_seed(0)
        context = cpq_context(variant, terminal, tau=1e9)
        bias = f"q{{}}.{1}.bias"
        for k in range(cpq.ENSEMBLE):
            context.nets[f"target_{critic}_critic"][bias.format(k)] += boost
        return update(context)[f"{critic}_critic"].terms[f"{critic}_critic"].item()

    bootstraps = {t: error(t, 0.0) != error(t, 100.0) for t in (0.0, 1.0)}
    expected = {"terminal": {0.0: True, 1.0: False}, "done": {0.0: False, 1.0: False}}
    assert bootstraps == expected.get(stops, {0.0: True, 1.0: True})


def test_actor_counts_only_actions_under_the_threshold():
    allowed, forbidden = cpq_context(tau=1e9), cpq_context(tau=1e-9)
    for k in range(cpq.ENSEMBLE):
        forbidden.nets["cost_critic"][f"q{k}.1.bias"] += 100
    for context, moves in ((allowed, True), (forbidden, False)):
        for tensor in context.nets["policy"].values():
            tensor.requires_grad_()
        loss = cpq.update_actor(context)["policy"].total
        gradients = gradient_of(loss, context.nets["policy"])
        assert (max(g.abs().max() for g in gradients) > 0) == moves


def test_kl_of_the_vae_is_osrl_s_mean_over_dimensions():
    value = cpq.latent_kl(f64(0.5, -0.2), f64(0.8, 1.1).log())
    assert value.item() == pytest.approx(0.0989166858, abs=1e-9)
