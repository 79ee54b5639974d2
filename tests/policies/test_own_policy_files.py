"""Files of policies: plain MLPs in every meaning, and what is wrong said in one line."""

import io
import json
import pickle
import shutil
import zipfile
from dataclasses import replace
from pathlib import Path

import gymnasium
import numpy as np
import pytest
import torch
from own_policies import (
    ACT_DIM,
    CENTRE,
    HALF,
    HIGH,
    LOW,
    OBS_DIM,
    VECTOR,
    Blank,
    N,
    model,
    network,
    read,
    refuses,
)
from prefine.data.dataset import Transitions
from prefine.errors import UserError
from prefine.policies import file as policy_file
from prefine.training.fine_tune import fine_tune, pretrain
from safetensors.torch import save_file
from stable_baselines3 import DQN, PPO, SAC


@pytest.fixture(scope="module")
def archive(tmp_path_factory):
    return model(tmp_path_factory.mktemp("sb3") / "model.zip")


def rewritten(archive, path, **changes):
    """Copy an archive with some members' bytes changed; None leaves one out."""
    with zipfile.ZipFile(archive) as old, zipfile.ZipFile(path, "w") as new:
        for name in old.namelist():
            change = changes.get(name.replace(".", "_"), lambda content: content)
            content = change and change(old.read(name))
            if content is not None:
                new.writestr(name, content)
    return path


def weights(change):
    """Apply a function to the weights of policy.pth."""

    def rewrite(content):
        tensors = torch.load(io.BytesIO(content), weights_only=True)
        change(tensors)
        target = io.BytesIO()
        torch.save(tensors, target)
        return target.getvalue()

    return rewrite


def data(change):
    """Apply a function to the fields of data."""

    def rewrite(content):
        fields = json.loads(content)
        change(fields)
        return json.dumps(fields)

    return rewrite


class Canary:
    """A pickle that writes a file when it is read."""

    def __init__(self, path):
        self.path = str(path)

    def __reduce__(self):
        return Path.touch, (Path(self.path),)


def test_a_hostile_archive_runs_nothing(archive, tmp_path):
    canary = tmp_path / "canary"
    code = pickle.dumps(Canary(canary))
    pickle.loads(code)
    assert canary.exists(), "the canary does sing when it is unpickled"
    canary.unlink()
    torch_zip = io.BytesIO()
    torch.save({"log_std": Canary(canary)}, torch_zip)
    for content in (code, torch_zip.getvalue()):
        path = rewritten(archive, tmp_path / "bad.zip", policy_pth=lambda _, c=content: c)
        refuses("nothing of it was run", path)
    import base64

    def poison(fields):
        for value in fields.values():
            if isinstance(value, dict):
                value[":serialized:"] = base64.b64encode(code).decode()

    path = rewritten(archive, tmp_path / "poisoned.zip", data=data(poison))
    assert read(path).has_density
    statistics = tmp_path / "statistics.pkl"
    statistics.write_bytes(code)
    refuses("set policy.trust_pickle: true", archive, vec_normalize=str(statistics))
    assert not canary.exists()


def test_what_is_not_an_archive(archive, tmp_path):
    refuses("is not there", tmp_path / "none.zip")
    refuses("'onnx' is not known; sb3, torch, python or prefine", archive, "onnx")
    text = tmp_path / "text.zip"
    text.write_text("hello")
    refuses("is not a zip archive", text)
    cut = tmp_path / "cut.zip"
    cut.write_bytes(archive.read_bytes()[:2000])
    refuses("is not a zip archive, or a damaged one", cut)
    flipped = bytearray(archive.read_bytes())
    place = flipped.find(b"policy.pth") + 2000
    flipped[place : place + 64] = bytes(64)
    broken = tmp_path / "flipped.zip"
    broken.write_bytes(flipped)
    refuses("damaged one", broken)
    refuses(
        "not an archive of Stable-Baselines3", rewritten(archive, tmp_path / "m.zip", data=None)
    )
    refuses(
        "its data: is not JSON",
        rewritten(archive, tmp_path / "j.zip", data=lambda _: b"{"),
    )


def test_sizes_and_bounds(archive):
    refuses("is for 3 observations, the environment has 4", archive, obs_dim=4)
    wide = {"low": np.full(3, -1.0), "high": np.full(3, 1.0)}
    refuses("is for 2 actions, the environment has 3", archive, **wide)
    refuses("was trained with actions whose high is [2. 3.]", archive, high=np.array([2.0, 4.0]))


def test_weights_that_are_not_finite(archive, tmp_path):
    def break_one(tensors):
        tensors["action_net.weight"][0, 0] = float("nan")

    path = rewritten(archive, tmp_path / "nan.zip", policy_pth=weights(break_one))
    refuses("trunk.2.weight has numbers that are not finite", path)

    def swell(tensors):
        tensors["value_net.weight"] = torch.zeros(1, 1).expand(2**20, 2**20)

    path = rewritten(archive, tmp_path / "large.zip", policy_pth=weights(swell))
    refuses("claim more than", path)


UNSUPPORTED = {
    "observations are Dict": {
        "policy": "MultiInputPolicy",
        "env": Blank(gymnasium.spaces.Dict({"a": VECTOR})),
    },
    "have shape [3, 36, 36]; vectors are supported, not images": {
        "policy": "CnnPolicy",
        "env": Blank(gymnasium.spaces.Box(0, 255, (36, 36, 3), np.uint8)),
    },
    "actions are Discrete": {"env": Blank(actions=gymnasium.spaces.Discrete(3))},
    "uses gSDE": {"use_sde": True},
    "its activation, <class 'torch.nn.modules.activation.Hardtanh'>": {
        "policy_kwargs": {"activation_fn": torch.nn.Hardtanh}
    },
}


@pytest.mark.parametrize("says", UNSUPPORTED)
def test_what_is_not_supported(says, tmp_path):
    refuses(says, model(tmp_path / "model.zip", **UNSUPPORTED[says]))


def test_value_based_and_altered_networks(archive, tmp_path):
    path = model(tmp_path / "q.zip", DQN, env=Blank(actions=gymnasium.spaces.Discrete(3)))
    refuses("actions are Discrete", path)

    def more(tensors):
        tensors["mlp_extractor.policy_net.1.weight"] = torch.zeros(64)  # as a layer norm has

    path = rewritten(archive, tmp_path / "norm.zip", policy_pth=weights(more))
    refuses("are not those of an MLP policy", path)

    def recurrent(fields):
        fields["policy_class"]["__module__"] = "sb3_contrib.common.recurrent.policies"

    refuses("recurrent", rewritten(archive, tmp_path / "r.zip", data=data(recurrent)))

    def custom(fields):
        fields["policy_class"]["__module__"] = "mine.policies"

    refuses("not of Stable-Baselines3", rewritten(archive, tmp_path / "c.zip", data=data(custom)))


def test_an_activation_that_the_archive_cannot_name(tmp_path):
    options = {"policy_kwargs": {"activation_fn": lambda: torch.nn.Tanh()}}
    path = model(tmp_path / "model.zip", **options)
    refuses("set policy.activation to one of tanh, relu", path)
    refuses("activation 'tan' is not known", path, activation="tan")
    assert read(path, activation="tanh").policy.activation == "tanh"


def test_statistics_that_are_none(archive, tmp_path):
    def statistics(**changes):
        content = {"mean": [0.0] * 3, "var": [1.0] * 3, "epsilon": 1e-8, "clip_obs": 10.0}
        path = tmp_path / "statistics.json"
        path.write_text(json.dumps({**content, **changes}))
        return {"vec_normalize": str(path)}

    assert read(archive, **statistics()).policy.obs_clip == 10.0
    refuses(
        "is for 2 observations, the policy has 3", archive, **statistics(mean=[0, 0], var=[1, 1])
    )
    refuses("not numbers", archive, **statistics(mean=["a", "b", "c"]))
    refuses("not positive", archive, **statistics(var=[1.0, -1.0, 1.0]))
    refuses("clip_obs must be above 0", archive, **statistics(clip_obs=0))
    for mean in (1e30, -1e9):
        blind = statistics(mean=[0.0, mean, 0.0])
        refuses("number 1 of an observation: in float32 it cannot tell", archive, **blind)
    refuses("not finite as float32", archive, **statistics(mean=[1e308] * 3))
    refuses("not finite as float32", archive, **statistics(var=[1e308] * 3))
    assert read(archive, **statistics(clip_obs=1e308)).policy.obs_clip is None
    refuses("one vector each", archive, **statistics(mean=[[0.0]]))
    refuses("is not there", archive, vec_normalize=str(tmp_path / "none.json"))
    (tmp_path / "lacking.json").write_text('{"mean": [0]}')
    refuses("lacks var", archive, vec_normalize=str(tmp_path / "lacking.json"))
    (tmp_path / "other.pkl").write_bytes(pickle.dumps({"a": 1}))
    other = {"vec_normalize": str(tmp_path / "other.pkl"), "trust_pickle": True}
    refuses("not a VecNormalize that can be read here", archive, **other)


@pytest.mark.parametrize("log_std", ["fixed", "state", "none"])
@pytest.mark.parametrize("squash", ["none", "mean", "tanh"])
def test_a_plain_mlp_in_every_meaning(squash, log_std, tmp_path):
    """Against torch.distributions, in the units in which the JSON says that sigma is."""
    constants = {"observation_mean": [1.0, 0.0, -1.0], "observation_std": [2.0, 1.0, 0.5]}
    box = {"action_low": LOW.tolist(), "action_high": HIGH.tolist()}
    path = tmp_path / "net.safetensors"
    net = network(path, squash, log_std, **constants, **box, observation_clip=1.5)
    own = read(path, "torch")
    obs = 2 * np.random.default_rng(0).normal(size=(N, OBS_DIM)).astype(np.float32)
    scaled = (obs - constants["observation_mean"]) / constants["observation_std"]
    out = net(torch.tensor(scaled.clip(-1.5, 1.5))).detach()
    mean = out[:, :ACT_DIM]
    in_env = (torch.tanh(mean) * HALF + CENTRE) if squash != "none" else mean
    expected = ((in_env - CENTRE) / HALF).clamp(-1, 1)
    np.testing.assert_allclose(own.act(obs)[0], expected, atol=1e-5)
    assert own.has_density is (log_std != "none")
    if log_std == "none":
        return
    sigma = torch.tensor([-0.5, 0.3]).double() if log_std == "fixed" else out[:, ACT_DIM:]
    base = torch.distributions.Normal(torch.tanh(mean) if squash == "mean" else mean, sigma.exp())
    if squash == "tanh":
        base = torch.distributions.TransformedDistribution(
            base, torch.distributions.TanhTransform(cache_size=1)
        )
    drawn = base.sample()
    log_prob = base.log_prob(drawn).sum(-1)
    unit = drawn
    if squash == "none":
        unit, log_prob = (drawn - CENTRE) / HALF, log_prob + HALF.log().sum()
    params = {name: value.double() for name, value in own.params.items()}
    batch = torch.tensor((obs - own.mean) / own.std).double()[None]
    mine = own.policy.log_prob(params, batch, unit[None])[0]
    inside = (unit.abs() < 1 - 1e-6).all(-1) if squash == "tanh" else torch.ones(N, dtype=bool)
    assert inside.float().mean() > 0.9
    torch.testing.assert_close(mine[inside], log_prob[inside], atol=2e-5, rtol=1e-5)


def test_bounds_of_log_sigma(tmp_path):
    path, one_range = tmp_path / "net.safetensors", {"low": [-2.0, -2.0], "high": [2.0, 2.0]}
    network(path, "none", "state", log_std_min=-0.1, log_std_max=0.1)
    refuses("need actions of one range", path, "torch")
    own = read(path, "torch", **{name: np.array(bound) for name, bound in one_range.items()})
    log_std = own.policy.distribution(own.params, torch.randn(1, N, OBS_DIM))[1] + np.log(2)
    assert log_std.min() == pytest.approx(-0.1) and log_std.max() == pytest.approx(0.1)


def test_what_is_wrong_with_a_plain_mlp(tmp_path):
    path = tmp_path / "net.safetensors"
    network(path, "none", "fixed")
    meaning = json.loads(path.with_suffix(".json").read_text())

    def describing(**changes):
        content = {key: v for key, v in (meaning | changes).items() if v is not None}
        path.with_suffix(".json").write_text(json.dumps(content))
        return path, "torch"

    refuses("unknown key sqash", *describing(sqash="none"))
    refuses("lacks squash", *describing(squash=None))
    refuses("squash: 'clip' is not one of none, mean, tanh", *describing(squash="clip"))
    refuses("activation 'tan' is not known", *describing(activation="tan"))
    refuses("log_std: none in net.json, but the tensor", *describing(log_std="none"))
    refuses("observation_std must be above 0", *describing(observation_std=[1, 0, 1]))
    refuses("observation_mean has 2 numbers", *describing(observation_mean=[1, 0]))
    refuses("action_low is [-1, -1]", *describing(action_low=[-1, -1]))
    refuses("observation_clip must be above 0", *describing(observation_clip=-1))
    refuses("log_std_min is above log_std_max", *describing(log_std_min=1, log_std_max=0))
    refuses("log_std_min: nan is not what is needed", *describing(log_std_min=float("nan")))
    both = describing(observation_mean=[0, 0, 0])
    refuses("of its own; leave out", *both, vec_normalize="statistics.json")
    refuses("is for 3 observations", *describing(), obs_dim=5)
    path.with_suffix(".json").unlink()
    refuses("it says what the weights mean", path, "torch")
    describing()
    path.write_bytes(b"nothing")
    refuses("is not a safetensors file", path, "torch")
    save_file({"lstm.weight_ih_l0": torch.zeros(4, 3), "log_std": torch.zeros(2)}, path)
    refuses("of a torch.nn.Sequential", path, "torch")
    save_file({"0.weight": torch.zeros(4, 3), "2.weight": torch.zeros(2, 5)}, path)
    refuses("layer 1 takes 5 numbers, the one before it gives 4", *describing(log_std="none"))


def trajectories(own, n=12, length=30):
    """Random walks of observations with draws of the policy, clipped as an environment does."""
    generator = torch.Generator().manual_seed(0)
    obs = torch.randn(n * length, OBS_DIM, generator=generator)
    noise = torch.randn(1, n * length, ACT_DIM, generator=generator)
    actions = own.policy.sample(own.params, obs[None], noise)[0].clamp(-1, 1)
    lengths = np.full(n, length)
    arrays = obs.numpy(), actions.detach().numpy(), np.arange(n) * length, lengths
    return Transitions(*arrays, mean=np.full(3, 7, "f4"), std=np.full(3, 9, "f4"))


@pytest.mark.parametrize("algorithm", [PPO, SAC])
@pytest.mark.parametrize("method", ["prefine", "bc_from_reference"])
def test_training_starts_from_it_as_it_is(algorithm, method, tmp_path):
    """D_p are trajectories whose actions are below D_np's; the policy learns to take them."""
    own = read(model(tmp_path / "model.zip", algorithm))
    steps = trajectories(own)
    steps.actions[: 6 * 30] = (steps.actions[: 6 * 30] - 0.5).clip(-1, 1)
    done = fine_tune(
        own,
        steps,
        range(6),
        range(6, 12),
        method=method,
        seeds=2,
        iterations=150,
        batch_size=64,
        log_points=2,
    )
    assert done.mean is own.mean and np.isfinite(done.log["loss"]).all()
    if method == "prefine":
        first = done.log[done.log["iteration"] == 0]
        np.testing.assert_allclose(first[["loss_p_dpo", "loss_np_dpo"]], np.log(2), atol=1e-5)
    before, after = (
        own.policy.act(params, torch.zeros(1, 1, OBS_DIM), "deterministic", None).mean()
        for params in (own.params, {name: value[:1] for name, value in done.params.items()})
    )
    assert after < before - 0.05


def test_a_policy_of_this_project(tmp_path):
    own = read(model(tmp_path / "model.zip"))
    steps = trajectories(own)
    reference, _ = pretrain(steps, range(6), hidden=(8,), iterations=3, batch_size=8)
    done = fine_tune(reference, steps, [0], [7], seeds=2, iterations=2, batch_size=8)
    path = tmp_path / "done.safetensors"
    policy_file.save(path, replace(done, metadata=done.metadata | {"task": {"name": "Walk"}}))
    refuses("holds 2 runs", path, "prefine")
    refuses("has no run mine", path, "prefine", run="mine")
    refuses("holds its own standardisation", path, "prefine", vec_normalize="a.json")
    again = read(path, "prefine", run="fine_tune/seed1")
    assert again.policy == reference.policy
    for name, value in again.params.items():
        assert torch.equal(value, done.params[name][1:])
    for about, low, high in (
        ({"task": {"name": "Walk", "action_low": -2.0, "action_high": [2.0, 3.0]}}, -2.0, [2.0, 3]),
        ({"action_low": [0.0, 0.0], "action_high": 1.0}, 0.0, 1.0),  # as an export says it
    ):
        about = done.metadata | {"task": {"name": "Walk"}} | about
        policy_file.save(path, replace(done, metadata=about))
        refuses("the environment's is [-2.0, 0.0]", path, "prefine", run="fine_tune/seed1")
        box = np.zeros(ACT_DIM) + low, np.zeros(ACT_DIM) + high
        read(path, "prefine", OBS_DIM, *box, run="fine_tune/seed1")
    shutil.copy(tmp_path / "model.zip", path)
    refuses("not a policy of this project", path, "prefine")
    with pytest.raises(UserError, match="no density"):
        fine_tune(distilled := deterministic(tmp_path), steps, [0], [1])
    assert not distilled.has_density


def deterministic(folder):
    network(folder / "net.safetensors", "tanh", "none")
    return read(folder / "net.safetensors", "torch")
