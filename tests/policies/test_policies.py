"""Known answers of the policies (methods 9, "Policies"), in float64."""

import math

import pytest
import torch
from prefine.policies.cvae import CVAEPolicy, Latents, kl_to_standard_normal
from prefine.policies.gaussian import (
    GaussianPolicy,
    normal_log_prob,
    standard_normal_log_prob,
)


def f64(*values):
    return torch.tensor(values, dtype=torch.float64)


def stacked(policy, seeds):
    from prefine.policies.networks import stack

    return stack([policy.init(torch.Generator().manual_seed(seed)) for seed in seeds])


def test_gaussian_log_density():
    value = normal_log_prob(f64(0.3, -0.2), f64(0.1, 0.0), f64(0.5, 0.25).log())
    assert value.item() == pytest.approx(-0.1584355247, abs=1e-9)


def test_the_prior_s_log_density_has_the_bits_of_any_normal_s():
    x = 3 * torch.randn(3, 1, 257, 12, generator=torch.Generator().manual_seed(0))
    zero = torch.zeros_like(x)
    assert standard_normal_log_prob(x).equal(normal_log_prob(x, zero, zero))


def test_one_draw_has_the_bits_of_a_mean_over_draws():
    policy = CVAEPolicy(3, 2, (16, 16))
    params = stacked(policy, (0, 1))
    noise = torch.Generator().manual_seed(0)
    obs, action = (torch.randn(2, 33, n, generator=noise) for n in (3, 2))
    latents = policy.draw_latents(params, obs, action, torch.randn(2, 1, 33, 4, generator=noise))
    mean = torch.logsumexp(policy.draw_log_probs(params, obs, action, latents), 1) - math.log(1)
    assert policy.log_prob(params, obs, action, latents).equal(mean)


def test_kl_to_the_prior():
    value = kl_to_standard_normal(f64(0.5, -0.2), f64(0.8, 1.1).log())
    assert value.item() == pytest.approx(0.1978333715, abs=1e-9)


class LinearVAE(CVAEPolicy):
    """a = 0.8 z + 0.1 + 0.3 eps: the marginal and the posterior are known."""

    slope = 0.8

    latent_dim = 1

    def encode(self, params, obs, action):
        shape = (1, action.shape[1], 1)
        return params["q_mean"].expand(shape), params["q_log_std"].expand(shape)

    def decode(self, params, obs, z):
        return self.slope * z + 0.1


POSTERIOR_MEAN, POSTERIOR_VAR = 0.8767123288, 0.1232876712
LOG_MARGINAL = -1.1999393252


def linear_vae(mean_shift=0.0, var_factor=1.0):
    params = {
        "q_mean": f64(POSTERIOR_MEAN + mean_shift),
        "q_log_std": 0.5 * f64(POSTERIOR_VAR * var_factor).log(),
        "decoder_log_std": f64(0.3).log()[None, None],
    }
    return LinearVAE(1, 1), params


def repeated(action, n):
    return torch.zeros(1, n, 1, dtype=torch.float64), torch.full(
        (1, n, 1), action, dtype=torch.float64
    )


@pytest.mark.parametrize("k", [1, 2, 7])
def test_exact_posterior_gives_the_marginal_for_every_k(k):
    policy, params = linear_vae()
    obs, action = repeated(0.9, 1)
    noise = torch.randn(1, k, 1, 1, generator=torch.Generator().manual_seed(0)).double()
    latents = policy.draw_latents(params, obs, action, noise)
    value = policy.log_prob(params, obs, action, latents)
    assert value.item() == pytest.approx(LOG_MARGINAL, abs=1e-8)


def test_elbo_and_its_gap():
    policy, params = linear_vae(0.2, 1.5)
    n = 400_000
    obs, action = repeated(0.9, n)
    noise = torch.randn(1, n, 1, generator=torch.Generator().manual_seed(0)).double()
    nll, logs = policy.pretraining_loss(params, obs, action, noise)
    assert -nll.mean().item() == pytest.approx(-1.4094289933, abs=2e-3)
    assert LOG_MARGINAL + nll.mean().item() == pytest.approx(0.2094896682, abs=2e-3)
    assert set(logs) >= {"kl", "reconstruction_mse", "active_latents"}


def test_importance_weighted_bound_rises_with_k():
    policy, params = linear_vae(0.2, 1.5)
    obs, action = repeated(0.9, 40_000)
    values = []
    for k in (1, 2, 5, 10, 50):
        noise = torch.randn(1, k, 40_000, 1, generator=torch.Generator().manual_seed(k)).double()
        latents = policy.draw_latents(params, obs, action, noise)
        values.append(policy.log_prob(params, obs, action, latents).mean().item())
    assert values == pytest.approx([-1.40, -1.28, -1.23, -1.21, -1.20], abs=0.015)
    assert values == sorted(values)


@pytest.mark.parametrize("k", [1, 4])
def test_decoder_that_ignores_z_is_a_gaussian(k):
    policy, params = linear_vae()
    policy.__class__ = type("Flat", (LinearVAE,), {"slope": 0.0})
    params |= {"q_mean": f64(0.0), "q_log_std": f64(0.0)}
    obs, action = repeated(0.9, 1)
    noise = torch.randn(1, k, 1, 1).double()
    value = policy.log_prob(params, obs, action, policy.draw_latents(params, obs, action, noise))
    expected = -0.5 * (0.8 / 0.3) ** 2 - math.log(0.3) - 0.5 * math.log(2 * math.pi)
    assert value.item() == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize("policy", [GaussianPolicy(5, 2, (16,)), CVAEPolicy(5, 2, (16,))])
def test_actions_on_the_edge_have_finite_loss_and_gradients(policy):
    params = stacked(policy, [0, 1])
    for value in params.values():
        value.requires_grad_()
    obs, action = torch.randn(2, 8, 5), torch.ones(2, 8, 2)
    noise = torch.randn(2, 8, policy.latent_dim)
    policy.pretraining_loss(params, obs, action, noise)[0].sum().backward()
    assert all(torch.isfinite(value.grad).all() for value in params.values())


@pytest.mark.parametrize("policy", [GaussianPolicy(5, 2, (16,)), CVAEPolicy(5, 2, (16,))])
def test_modes_of_acting(policy):
    params = stacked(policy, [0])
    obs = torch.randn(1, 64, 5)
    noise = 5 * torch.randn(1, 64, policy.sample_dim)
    actions = {m: policy.act(params, obs, m, noise) for m in ("deterministic", "bcq", "sampled")}
    for action in actions.values():
        assert action.shape == (1, 64, 2) and (action.abs() <= 1).all()
    again = policy.act(params, obs, "deterministic", -noise)
    assert torch.equal(actions["deterministic"], again)
    assert not torch.equal(actions["deterministic"], actions["sampled"])
    if policy.name == "cvae":
        z = noise[..., : policy.latent_dim].clamp(-0.5, 0.5)
        assert torch.equal(actions["bcq"], policy.decode(params, obs, z))


def test_samples_follow_the_density():
    """Mean of log pi over samples is minus the entropy of the Gaussian."""
    policy = GaussianPolicy(3, 2, (8,))
    params = stacked(policy, [0])
    obs = torch.randn(1, 1, 3).expand(1, 200_000, 3)
    noise = torch.randn(1, 200_000, 2, generator=torch.Generator().manual_seed(0))
    sampled = policy.sample(params, obs, noise)
    log_std = policy.distribution(params, obs[:, :1])[1]
    entropy = (log_std + 0.5 * math.log(2 * math.pi * math.e)).sum().item()
    assert policy.log_prob(params, obs, sampled).mean().item() == pytest.approx(-entropy, abs=0.01)


def test_cvae_sample_includes_decoder_noise():
    policy = CVAEPolicy(3, 2, (8,))
    params = stacked(policy, [0])
    noise = torch.zeros(1, 4, policy.sample_dim)
    noise[..., policy.latent_dim :] = 1.0
    obs = torch.randn(1, 4, 3)
    expected = policy.decode(params, obs, torch.zeros(1, 4, 4)) + math.exp(-1.0)
    torch.testing.assert_close(policy.sample(params, obs, noise), expected)


def test_projection_keeps_sigma_in_bounds_and_alive():
    policy = CVAEPolicy(3, 2, (8,))
    params = stacked(policy, [0])
    params["decoder_log_std"][:] = torch.tensor([-9.0, 4.0])
    policy.project(params)
    assert params["decoder_log_std"].flatten().tolist() == [-3.0, 0.0]
    params["decoder_log_std"].requires_grad_()
    latents = Latents(torch.zeros(1, 1, 4, 4), torch.zeros(1, 1, 4))
    policy.log_prob(params, torch.zeros(1, 4, 3), torch.ones(1, 4, 2), latents).sum().backward()
    assert (params["decoder_log_std"].grad.abs() > 0).all()
