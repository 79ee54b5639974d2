"""Policies of the user's own act, and have the density, that they have where they come from."""

import re
from dataclasses import replace

import gymnasium
import numpy as np
import pytest
import torch
from conftest import ROOT
from own_policies import with_sizes
from prefine.errors import UserError
from prefine.policies import file as policy_file
from prefine.policies.formats.read import read_policy
from stable_baselines3 import A2C, DDPG, PPO, SAC, TD3
from stable_baselines3.common.vec_env import DummyVecEnv, VecNormalize

PAGE = ROOT / "docs/own_policy.md"
OBS_DIM, ACT_DIM = 5, 2
LOW, HIGH = np.array([-2.0, 0.0]), np.array([2.0, 3.0])
HALF, CENTRE = (HIGH - LOW) / 2, (HIGH + LOW) / 2
N = 1000


class Walk(gymnasium.Env):
    """A point that drifts, with observations of very different sizes."""

    observation_space = gymnasium.spaces.Box(-np.inf, np.inf, (OBS_DIM,), np.float32)
    action_space = gymnasium.spaces.Box(LOW.astype("f4"), HIGH.astype("f4"))
    scale = np.array([0.1, 1.0, 5.0, 20.0, 1.0])

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.state, self.steps = self.np_random.normal(size=OBS_DIM), 0
        return (self.state * self.scale).astype(np.float32), {}

    def step(self, action):
        self.state = 0.9 * self.state + 0.3 * self.np_random.normal(size=OBS_DIM)
        self.state[:ACT_DIM] += 0.1 * action
        self.steps += 1
        obs = (self.state * self.scale).astype(np.float32)
        return obs, -float(np.abs(self.state).sum()), False, self.steps >= 50, {}


ON_POLICY = {"n_steps": 64}
MODELS = {
    "ppo": (PPO, ON_POLICY | {"batch_size": 32}, {}),
    "ppo_relu": (
        PPO,
        ON_POLICY | {"batch_size": 32},
        {"net_arch": {"pi": [32, 16, 8], "vf": [8]}, "activation_fn": torch.nn.ReLU},
    ),
    "ppo_no_hidden": (PPO, ON_POLICY | {"batch_size": 32}, {"net_arch": []}),
    "a2c": (A2C, {"n_steps": 16}, {"activation_fn": torch.nn.ELU}),
    "sac": (SAC, {"learning_starts": 110}, {"net_arch": [24, 16]}),
    "sac_tanh": (SAC, {"learning_starts": 110}, {"net_arch": [8], "activation_fn": torch.nn.Tanh}),
    "td3": (TD3, {"learning_starts": 110}, {"net_arch": [20, 10]}),
    "ddpg": (DDPG, {"learning_starts": 110}, {"net_arch": [20, 10]}),
}


def trained(name, env):
    """A model after a few updates, so that no weight or sigma is what it was initialised to."""
    algorithm, options, policy = MODELS[name]
    torch.manual_seed(0)
    model = algorithm("MlpPolicy", env, policy_kwargs=policy, seed=1, device="cpu", **options)
    return model.learn(128)


@pytest.fixture(scope="module", params=MODELS)
def model(request, tmp_path_factory):
    """A trained model and its archive."""
    path = tmp_path_factory.mktemp("sb3") / f"{request.param}.zip"
    model = trained(request.param, Walk())
    model.save(path)
    return request.param, model, path


def observations(n=N, spread=1.0):
    generator = np.random.default_rng(3)
    return (spread * generator.normal(size=(n, OBS_DIM)) * Walk.scale).astype(np.float32)


def read(path, **settings):
    return read_policy(
        {"file": str(path), "format": "sb3"} | settings, with_sizes(OBS_DIM, ACT_DIM, LOW, HIGH)
    )


def to_env(action):
    return CENTRE + HALF * action


def standardised(own, obs):
    return torch.from_numpy((obs - own.mean) / own.std)[None]


def test_acts_as_its_own_library_does(model):
    name, model, path = model
    own = read(path)
    expected = model.predict(observations(), deterministic=True)[0]
    np.testing.assert_allclose(to_env(own.act(observations())[0]), expected, atol=1e-5)
    assert own.has_density is (name[:3] in ("ppo", "a2c", "sac"))
    assert own.metadata["algorithm"].split()[0].lower() in (name.split("_")[0], "td3")


def test_has_the_density_of_its_own_library(model):
    """A density in [-1, 1] is the one in the environment's units times their ratio."""
    name, model, path = model
    own = read(path)
    if not own.has_density:
        assert not hasattr(own.policy, "log_prob")
        return
    # In float64, so that what differs is not rounding; SB3's whole forward pass is float32.
    params = {name: value.double() for name, value in own.params.items()}
    policy, obs = type(model).load(path).policy.double(), torch.from_numpy(observations()).double()
    noise = torch.randn(1, N, ACT_DIM, generator=torch.Generator().manual_seed(0)).double()
    action = own.policy.sample(params, obs[None], noise)
    mine = own.policy.log_prob(params, obs[None], action)[0]
    action = action[0]
    with torch.no_grad():
        if name.startswith("sac"):
            latent = policy.actor.latent_pi(obs)
            mean, log_std = policy.actor.mu(latent), policy.actor.log_std(latent).clamp(-20, 2)
            torch.testing.assert_close(action, torch.tanh(mean + log_std.exp() * noise[0]))
            theirs = policy.actor.action_dist.proba_distribution(mean, log_std).log_prob(action)
            jacobian = 1 - action.square()  # SB3 takes the log of this plus 1e-6
            theirs += ((jacobian + 1e-6) / jacobian).log().sum(-1)
            inside = (action.abs() < 1 - 1e-6).all(-1)
            assert inside.float().mean() > 0.9
            mine, theirs = mine[inside], theirs[inside]
        else:
            in_env = torch.from_numpy(to_env(action.numpy()))
            latent = policy.mlp_extractor.forward_actor(obs)
            theirs = policy._get_action_dist_from_latent(latent).log_prob(in_env)
            theirs += np.log(HALF).sum()
    torch.testing.assert_close(mine, theirs, atol=1e-5, rtol=1e-6)


def documented(words):
    """The Python block of the page that has these words."""
    blocks = re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL)
    (block,) = (block for block in blocks if words in block)
    return block


@pytest.mark.parametrize(
    ("name", "form"), [("ppo_relu", "json"), ("sac", "npz"), ("td3", "pkl")], ids=str
)
def test_normalised_and_clipped_observations(name, form, tmp_path, monkeypatch):
    env = VecNormalize(DummyVecEnv([Walk]), clip_obs=1.5, epsilon=1e-4)
    model = trained(name, env)
    model.save(tmp_path / "model.zip")
    monkeypatch.chdir(tmp_path)
    env.save("vec_normalize.pkl")
    with pytest.raises(UserError, match="trust_pickle: true"):
        read("model.zip", vec_normalize="vec_normalize.pkl")
    if form == "json":
        exec(documented("pickle.load"))
        own = read("model.zip", vec_normalize="statistics.json")
    elif form == "npz":
        rms = env.obs_rms
        np.savez("s.npz", mean=rms.mean, var=rms.var, epsilon=env.epsilon, clip_obs=env.clip_obs)
        own = read("model.zip", vec_normalize="s.npz")
    else:
        own = read("model.zip", vec_normalize="vec_normalize.pkl", trust_pickle=True)
    obs = observations(spread=3.0)
    seen = env.normalize_obs(obs)
    assert 0.1 < (np.abs(seen) == 1.5).mean() < 0.9
    expected = model.predict(seen, deterministic=True)[0]
    np.testing.assert_allclose(to_env(own.act(obs)[0]), expected, atol=1e-5)


def test_the_plain_mlp_of_the_page(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    exec(documented("torch.nn.Sequential"))
    own = read("actor.safetensors", format="torch")
    assert own.has_density and own.act(observations()).shape == (1, N, ACT_DIM)


def test_a_file_of_it_is_the_same_policy(model, tmp_path):
    """What training writes holds all that is needed to build the class again."""
    own = read(model[2])
    path = tmp_path / "own.safetensors"
    policy_file.save(path, replace(own, metadata={"runs": [{"run": "a"}]}))
    again = policy_file.load(path)
    assert again.policy == own.policy
    np.testing.assert_array_equal(again.act(observations()), own.act(observations()))
    assert again.mean.dtype == again.std.dtype == np.float32


def test_replicas_are_each_the_single_policy_and_gradients_flow(model):
    own = read(model[2])
    if not own.has_density:
        pytest.skip("no density to train")
    policy, n = own.policy, 64
    other = {name: value + 0.01 for name, value in own.params.items()}
    stacked = {name: torch.cat([own.params[name], other[name]]) for name in other}
    obs = standardised(own, observations(n))
    noise = torch.randn(1, n, ACT_DIM, generator=torch.Generator().manual_seed(0))
    both = obs.expand(2, -1, -1), noise.expand(2, -1, -1)
    action = policy.sample(stacked, *both)
    for value in stacked.values():
        value.requires_grad_()
    log_prob = policy.log_prob(stacked, both[0], action.detach())
    for row, params in enumerate((own.params, other)):
        alone = policy.sample(params, obs, noise)
        torch.testing.assert_close(action[row : row + 1], alone, atol=1e-6, rtol=1e-6)
        alone = policy.log_prob(params, obs, action[row : row + 1])
        torch.testing.assert_close(log_prob[row : row + 1], alone, atol=1e-4, rtol=1e-5)
    log_prob.mean().backward()
    for name, value in stacked.items():
        assert torch.isfinite(value.grad).all() and value.grad.abs().sum() > 0, name
