"""Known answers of the PREFINE loss (methods 9, "PREFINE")."""

import math

import pytest
import torch
from prefine.methods import Batch, Context, method_module, method_settings
from prefine.methods.losses import (
    dpo_loss,
    dpo_sft_loss,
    effective_sample_size,
    log_ratio_difference,
    segment_sum,
    sft_loss,
)
from prefine.methods.prefine import diagnostics
from prefine.policies.cvae import CVAEPolicy
from prefine.policies.gaussian import GaussianPolicy, TanhGaussianPolicy, normal_log_prob
from prefine.policies.networks import stack

PREFINE = method_module("prefine")
SETTINGS = method_settings("prefine") | {
    "iterations": 1,
    "learning_rate": 3e-4,
    "gradient_clip": 10.0,
}


def prefine_loss(policy, theta, reference, batches, noise, hyper, diagnose, **changes):
    context = Context(policy, {"policy": theta}, reference, hyper, None, SETTINGS | changes)
    context.batches, context.noise, context.diagnose = batches, noise, diagnose
    return PREFINE.loss(context)


def f64(*values):
    return torch.tensor(values, dtype=torch.float64)


def test_one_dimensional_example():
    """sigma 1, reference mean 0, mu .4, a+ 1, a- -.5, beta .2, lambda 1."""
    mu = f64(0.4).requires_grad_()
    zero, beta, lam = f64(0.0), f64(0.2), f64(1.0)

    def log_ratio(action):
        action = f64(action)[:, None]
        ours = normal_log_prob(action[..., None], mu[:, None, None], zero)
        return ours - normal_log_prob(action[..., None], zero[:, None, None], zero)

    delta = log_ratio_difference(log_ratio(1.0), log_ratio(-0.5))
    assert delta.item() == pytest.approx(0.6)
    log_prob = normal_log_prob(f64(1.0)[:, None, None], mu[:, None, None], zero)
    dpo, sft = dpo_loss(delta, beta), lam * sft_loss(log_prob)
    assert dpo.item() == pytest.approx(0.6349461016, abs=1e-9)
    assert (dpo + sft).item() == pytest.approx(1.7338846348, abs=1e-9)
    (dpo_gradient,) = torch.autograd.grad(dpo, mu, retain_graph=True)
    (sft_gradient,) = torch.autograd.grad(sft, mu)
    assert dpo_gradient.item() == pytest.approx(-0.1410107845, abs=1e-9)
    assert sft_gradient.item() == pytest.approx(-0.6, abs=1e-9)

    # Non-preferred side: the data is a- = -.5, the counterfactual a+ = .7.
    delta = log_ratio_difference(log_ratio(0.7), log_ratio(-0.5))
    assert delta.item() == pytest.approx(0.48)
    loss = dpo_loss(delta, beta)
    (gradient,) = torch.autograd.grad(loss, mu)
    assert loss.item() == pytest.approx(0.6462987385, abs=1e-9)
    assert gradient.item() == pytest.approx(-0.1142444197, abs=1e-9)


def test_swapping_roles_negates_delta():
    a, b = torch.randn(2, 3, 7)
    assert torch.equal(log_ratio_difference(a, b), -log_ratio_difference(b, a))


def test_lambda_zero_is_dpo_and_small_beta_is_linear():
    delta_p, delta_np = torch.randn(2, 2, 64, dtype=torch.float64)
    loss_sft, beta, lam = f64(0.7, 1.1), f64(1e-4, 1e-4), f64(0.0, 1.5)
    parts = dpo_sft_loss(delta_p, delta_np, loss_sft, beta, lam)
    assert parts["sft"].tolist() == [0.0, 1.5 * 1.1]
    expected = 2 * math.log(2) - beta * (delta_p.mean(1) + delta_np.mean(1)) / 2
    torch.testing.assert_close(parts["dpo"], expected, atol=1e-8, rtol=0)


def test_what_is_logged_of_a_batch_of_one_pair_is_finite():
    one, beta = torch.full((2, 1), 3.0), torch.tensor([0.0, 0.5])
    logs = diagnostics(one, -one, (one,) * 4, beta)
    assert all(torch.isfinite(value).all() for value in logs.values())
    assert logs["delta_p_std"].tolist() == [0.0, 0.0]


def test_masked_steps_change_nothing():
    log_prob, mask = torch.randn(2, 12), torch.ones(2, 3, 4)
    mask[:, :, 3] = 0
    changed = log_prob.view(2, 3, 4).clone()
    changed[:, :, 3] = 1e6
    changed = changed.flatten(1)
    assert torch.equal(segment_sum(log_prob, mask), segment_sum(changed, mask))
    assert torch.equal(sft_loss(log_prob, mask), sft_loss(changed, mask))
    kept = log_prob.view(2, 3, 4)[..., :3]
    torch.testing.assert_close(segment_sum(log_prob, mask), kept.sum(2))
    torch.testing.assert_close(sft_loss(log_prob, mask), -kept.flatten(1).mean(1))


def test_effective_sample_size():
    equal = torch.zeros(1, 8, 3)
    single = torch.full((1, 8, 3), -1e4)
    single[:, 0] = 0.0
    assert effective_sample_size(equal).item() == pytest.approx(8.0)
    assert effective_sample_size(single).item() == pytest.approx(1.0)


def problem(policy, n_replicas=2, batch_size=32, draws=1, dtype=torch.float64):
    generator = torch.Generator().manual_seed(0)
    theta = stack([policy.init(torch.Generator().manual_seed(s)) for s in range(n_replicas)])
    theta = {name: value.to(dtype) for name, value in theta.items()}

    def normal(*shape):
        return torch.randn(shape, generator=generator, dtype=dtype)

    batches = {
        role: Batch(
            normal(n_replicas, batch_size, policy.obs_dim),
            normal(n_replicas, batch_size, policy.act_dim).clamp(-1, 1),
        )
        for role in ("preferred", "nonpreferred")
    }
    settings = SETTINGS | {"likelihood_draws": draws, "batch_size": batch_size}
    (phase,) = PREFINE.phases(policy, settings)
    noise = {name: normal(n_replicas, *shape) for name, shape in phase.normals.items()}
    hyper = {
        "beta": torch.tensor([0.05, 0.95], dtype=dtype),
        "lam": torch.tensor([1.6, 0.1], dtype=dtype),
    }
    return theta, batches, noise, hyper


POLICIES = [GaussianPolicy(5, 2, (16, 16)), CVAEPolicy(5, 2, (16, 16))]


@pytest.mark.parametrize("draws", [1, 3])
@pytest.mark.parametrize("policy", POLICIES, ids=lambda p: p.name)
def test_at_the_reference_delta_is_zero_and_each_term_log_2(policy, draws):
    theta, batches, noise, hyper = problem(policy, draws=draws)
    loss = prefine_loss(policy, theta, theta, batches, noise, hyper, True)
    for name in ("delta_p_mean", "delta_np_mean", "delta_p_std", "kl_to_reference"):
        assert loss.logs[name].abs().max() == 0.0
    for name in ("loss_p_dpo", "loss_np_dpo"):
        assert loss.logs[name].tolist() == pytest.approx([math.log(2)] * 2, abs=1e-12)
    assert loss.terms["dpo"].tolist() == pytest.approx([1.3862943611] * 2, abs=1e-9)
    torch.testing.assert_close(loss.terms["sft"], hyper["lam"] * loss.logs["loss_sft"])


@pytest.mark.parametrize("policy", POLICIES, ids=lambda p: p.name)
def test_in_float32_delta_at_the_reference_is_rounding_at_most(policy):
    theta, batches, noise, hyper = problem(policy, dtype=torch.float32)
    reference = {name: value.clone() for name, value in theta.items()}
    loss = prefine_loss(policy, theta, reference, batches, noise, hyper, True)
    assert loss.logs["delta_p_std"].max() <= 1e-6


@pytest.mark.parametrize("policy", POLICIES, ids=lambda p: p.name)
def test_loss_reads_the_sides_the_right_way(policy):
    """Rebuild Eqs. 6-9 from the policy's own log-probabilities."""
    theta, batches, noise, hyper = problem(policy, n_replicas=1)
    preferred, nonpreferred = batches.values()
    reference, *_ = problem(policy, n_replicas=3)
    reference = {name: value[2:] for name, value in reference.items()}
    hyper = {name: value[:1] for name, value in hyper.items()}
    loss = prefine_loss(policy, theta, reference, batches, noise, hyper, True)
    obs = torch.cat([preferred.obs, nonpreferred.obs], 1)
    counterfactual_p, counterfactual_np = policy.sample(theta, obs, noise["sample"]).chunk(2, 1)
    pieces = [(preferred.obs, preferred.action), (nonpreferred.obs, nonpreferred.action)]
    pieces += [(preferred.obs, counterfactual_p), (nonpreferred.obs, counterfactual_np)]
    ratios = []
    for (s, a), epsilon in zip(pieces, noise["latent"].chunk(4, 2), strict=True):
        latents = policy.draw_latents(reference, s, a, epsilon)
        ratios.append(
            policy.log_prob(theta, s, a, latents) - policy.log_prob(reference, s, a, latents)
        )
    delta_p, delta_np = ratios[0] - ratios[2], ratios[3] - ratios[1]
    torch.testing.assert_close(loss.logs["delta_p_mean"], delta_p.mean(1))
    torch.testing.assert_close(loss.logs["delta_np_mean"], delta_np.mean(1))
    torch.testing.assert_close(loss.logs["accuracy_p"], (delta_p > 0).float().mean(1))
    expected = -torch.log(torch.sigmoid(0.05 * delta_p)).mean(1)
    torch.testing.assert_close(loss.logs["loss_p_dpo"], expected)


LEVELS = {
    "step": {},
    "segment": {"segments": 4, "segment_length": 3},
    "trajectory": {"segments": 3},
}


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize(
    "policy", [*POLICIES, TanhGaussianPolicy(5, 2, (16, 16))], ids=lambda p: p.name
)
@pytest.mark.parametrize("encoder", ["frozen", "all"])
@pytest.mark.parametrize("objective", ["prefine", "dpo"])
def test_the_gradient_through_the_sample_is_that_of_finite_differences(
    policy, level, encoder, objective
):
    """Along random directions, away from the reference; q_ref and pi_ref of the sample count."""
    settings = SETTINGS | {"batch_size": 12, "likelihood_draws": 2, "longest": 4}
    settings |= {"delta_level": level, "encoder_update": encoder} | LEVELS[level]
    settings["counterfactual"] = "reparameterised"
    (phase,) = PREFINE.phases(policy, settings)
    generator = torch.Generator().manual_seed(1)

    def normal(*shape):
        return torch.randn(shape, generator=generator, dtype=torch.float64)

    size = phase.normals["sample"][0] // 2
    own = [policy.init(torch.Generator().manual_seed(seed)) for seed in range(2)]
    reference = {name: value.double() for name, value in stack(own).items()}
    theta = {name: value + 0.1 * normal(*value.shape) for name, value in reference.items()}
    mask = None
    if level != "step":
        shape = (2, settings["segments"], size // settings["segments"])
        mask = (torch.rand(shape, generator=generator) < 0.8).double()
        mask[..., 0] = 1.0
    batches = {
        role: Batch(normal(2, size, 5), normal(2, size, 2).clamp(-0.9, 0.9), mask=mask)
        for role in ("preferred", "nonpreferred")
    }
    noise = {name: normal(2, *shape) for name, shape in phase.normals.items()}
    hyper = {"beta": f64(0.2, 0.9), "lam": f64(1.6, 0.5) * (objective == "prefine")}

    def total(params):
        context = Context(policy, {"policy": params}, reference, hyper, None, settings)
        context.batches, context.noise = batches, noise
        return PREFINE.loss(context).total.sum()

    params = {name: value.clone().requires_grad_() for name, value in theta.items()}
    found = torch.autograd.grad(
        total(params), list(params.values()), allow_unused=True, materialize_grads=True
    )
    gradient = dict(zip(params, found, strict=True))
    # With a frozen encoder the loss takes the reference's: theta's own has no part in it.
    trained = [n for n in theta if encoder == "all" or not n.startswith("encoder")]
    for prefix in sorted({name.split(".")[0] for name in trained}):
        along = {n: normal(*theta[n].shape) for n in trained if n.startswith(prefix)}
        step = 1e-6

        def moved(sign, along=along, step=step):
            with torch.no_grad():
                return total({n: v + sign * step * along.get(n, 0.0) for n, v in theta.items()})

        difference = (moved(1) - moved(-1)).item() / (2 * step)
        expected = sum((gradient[n] * v).sum() for n, v in along.items()).item()
        assert expected == pytest.approx(difference, rel=2e-5, abs=1e-7), prefix


def test_expected_gradient_at_the_reference():
    """E[gradient] = -(beta/2) E_Dp grad log pi, as counterfactuals average out (4.4.4)."""
    n = 4_000_000
    generator = torch.Generator().manual_seed(0)
    data = 1.0 + 0.2 * torch.randn(1, n, generator=generator, dtype=torch.float64)
    mu = f64(0.3).requires_grad_()
    with torch.no_grad():
        sample = mu + 0.5 * torch.randn(1, n, generator=generator, dtype=torch.float64)
    log_std = f64(0.5).log()

    def log_ratio(action):
        ours = normal_log_prob(action[..., None], mu, log_std)
        return ours - normal_log_prob(action[..., None], mu.detach(), log_std)

    loss = dpo_loss(log_ratio(data) - log_ratio(sample), f64(0.2))
    (gradient,) = torch.autograd.grad(loss.sum(), mu)
    assert gradient.item() == pytest.approx(-0.28, abs=0.002)


class OneState:
    """a ~ N(mean, sigma) in one state; the smallest policy there is."""

    latent_dim, sample_dim, name = 0, 1, "toy"

    def distribution(self, params):
        return params["mean"], params["log_std"]

    def draw_latents(self, params, obs, action, noise):
        return None

    def log_prob(self, params, obs, action, latents):
        return normal_log_prob(action, *self.distribution(params))

    def sample(self, params, obs, noise):
        mean, log_std = self.distribution(params)
        return mean + log_std.exp() * noise


def test_one_state_toy_end_to_end():
    """Methods 9: cost 1[a > 0]; D_p N(-.3,.2), D_np N(.6,.2), pi_ref N(.5,.2).

    Four runs in one stack: (beta, lambda) = (.05, 1.6), (.2, 1), (0, 1) = BC, (.05, 0) = DPO.
    """
    policy, n = OneState(), 1024
    beta, lam = torch.tensor([0.05, 0.2, 0.0, 0.05]), torch.tensor([1.6, 1.0, 1.0, 0.0])
    reference = {
        "mean": torch.full((4, 1, 1), 0.5),
        "log_std": torch.full((4, 1, 1), math.log(0.2)),
    }
    theta = {name: value.clone().requires_grad_() for name, value in reference.items()}
    optimizer = torch.optim.Adam(theta.values(), lr=3e-3)
    generator = torch.Generator().manual_seed(0)
    obs = torch.zeros(4, n, 0)
    for _ in range(4000):
        draws = torch.randn(4, n, 1, generator=generator), torch.randn(4, n, 1, generator=generator)
        batches = {
            "preferred": Batch(obs, -0.3 + 0.2 * draws[0]),
            "nonpreferred": Batch(obs, 0.6 + 0.2 * draws[1]),
        }
        noise = {"sample": torch.randn(4, 2 * n, 1, generator=generator), "latent": None}
        loss = prefine_loss(
            policy, theta, reference, batches, noise, {"beta": beta, "lam": lam}, False
        )
        optimizer.zero_grad()
        loss.total.sum().backward()
        optimizer.step()
    mean = theta["mean"].detach().flatten()
    sigma = theta["log_std"].detach().exp().flatten()
    violation = 1 - torch.distributions.Normal(mean, sigma).cdf(torch.zeros(4))
    assert violation[:3].tolist() == pytest.approx([0.047, 0.060, 0.066], abs=0.01)
    assert mean[:2].tolist() == pytest.approx([mean[2].item()] * 2, abs=0.02)
    assert (sigma[:2] > 0.17).all() and (sigma[:2] < sigma[2]).all()
    assert sigma[3] < 0.10
