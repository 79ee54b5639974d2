"""Files of policies in which something was added, or is of another size than the rest."""

import json
import zipfile

import numpy as np
import pytest
import torch
from own_policies import OBS_DIM, model, network, read, refuses
from prefine.errors import UserError
from prefine.policies import file as policy_file
from prefine.policies.formats.normalise import read_statistics
from prefine.policies.gaussian import GaussianPolicy
from prefine.policies.networks import stack
from prefine.policies.stack import PolicyStack
from safetensors.torch import load_file, save_file


@pytest.fixture
def within(tmp_path):
    """A network with the prefix ``actor``, and other tensors beside."""
    path = tmp_path / "net.safetensors"
    network(path, "none", "fixed", prefix="actor")
    tensors = load_file(path)
    fixed = {"log_std": tensors.pop("log_std")}

    def write(**others):
        own = {name.replace("net.", "actor."): value for name, value in tensors.items()}
        save_file(own | fixed | others, path)
        return path, "torch"

    return write


@pytest.mark.parametrize(
    "name", ["actor.1.running_mean", "actor.0.weight_g", "actor.log_std", "actor.trunk.0.weight"]
)
def test_what_lies_in_the_named_network_and_is_no_layer_of_it_is_refused(name, within):
    """A normalisation would act too; left out, the policy is another one."""
    read(*within(**{"critic.0.weight": torch.ones(1, OBS_DIM)}))
    refuses(f"has tensors {name}", *within(**{name: torch.ones(2, 2)}))


@pytest.mark.parametrize("squash", ["none", "tanh"])
def test_a_scale_that_no_observation_survives_is_refused(squash, tmp_path):
    path = tmp_path / "net.safetensors"
    network(path, squash, "none", observation_mean=[0.0] * 3, observation_std=[1e-3] * 3)
    read(path, "torch")
    network(path, squash, "none", observation_mean=[0.0] * 3, observation_std=[1e-38] * 3)
    refuses("scales observations beyond all numbers", path, "torch")


BOUNDS = {
    "not there": {"low": None},
    "a list": {"low": [-2.0, 0.0]},
    "one too many": {"high": "[2. 3. 3.]"},
    "one of another": {"low": "-1.0"},
    "no number": {"high": "[2. nan]"},
    "words": {"high": "two"},
}
OTHERS = ("one of another", "no number")


@pytest.mark.parametrize("name", BOUNDS)
def test_bounds_of_actions_that_cannot_be_read_are_not_left_unchecked(name, tmp_path):
    """An archive whose actions mean something else acts wrongly, and nobody sees it."""
    with zipfile.ZipFile(model(tmp_path / "a.zip")) as old:
        content = {member: old.read(member) for member in old.namelist()}
    data = json.loads(content["data"])
    data["action_space"] |= BOUNDS[name]
    with zipfile.ZipFile(tmp_path / "b.zip", "w") as new:
        for member, own in (content | {"data": json.dumps(data).encode()}).items():
            new.writestr(member, own)
    read(tmp_path / "a.zip")
    refuses(
        "trained with actions whose" if name in OTHERS else "its actions have", tmp_path / "b.zip"
    )


def saved(path, change=lambda tensors, about: None):
    """A policy of this project, changed as nobody who writes one would note."""
    policy = GaussianPolicy(3, 2, (4,))
    params = stack([policy.init(torch.Generator().manual_seed(0))])
    about = {"method": "bc", "task": {"name": "Walk"}, "runs": [{"run": "a"}]}
    own = PolicyStack(policy, params, np.zeros(3, "f4"), np.ones(3, "f4"), about)
    policy_file.save(path, own)
    _, header = policy_file.read_tensors(path, "")
    tensors, about = load_file(path), json.loads(header["prefine"])
    del about[policy_file.CONTENT]
    change(tensors, about)
    save_file(tensors, path, {"prefine": json.dumps(about)})
    return path


ALTERED = {
    "a parameter more": (lambda t, a: t.update({"params.b": torch.ones(1, 1, 2)}), "'b' is no"),
    "double": (lambda t, a: t.update(obs_mean=t["obs_mean"].double()), "finite numbers .float32"),
    "turned": (lambda t, a: a["limits"].update(log_std_min=5, log_std_max=-5), "at least 5 and"),
    "tiny": (lambda t, a: t.update(obs_std=t["obs_std"] * 1e-37), "beyond all numbers"),
}


@pytest.mark.parametrize("name", ALTERED)
def test_an_altered_policy_without_a_hash_is_refused(name, tmp_path):
    change, says = ALTERED[name]
    policy_file.load(saved(tmp_path / "a.safetensors"))
    with pytest.raises(UserError, match=says) as error:
        policy_file.load(saved(tmp_path / "a.safetensors", change))
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    "change", [{"epsilon": -0.5}, {"epsilon": [1e-8] * 3}, {"clip_obs": [9.0]}]
)
def test_statistics_have_one_epsilon_and_one_clip(change, tmp_path):
    path, good = tmp_path / "s.json", {"mean": [0.0], "var": [1.0], "epsilon": 0, "clip_obs": None}
    path.write_text(json.dumps(good))
    assert read_statistics(path, False).clip is None
    path.write_text(json.dumps(good | change))
    with pytest.raises(UserError, match=r"one number each|at least 0"):
        read_statistics(path, False)


def test_layers_without_an_activation_between_are_not_given_one(tmp_path):
    """A torch.nn.Sequential numbers its activations too."""
    path = tmp_path / "n.safetensors"
    network(path, "none", "none")
    tensors = load_file(path)
    moved = {name.replace("net.2", "net.1"): value for name, value in tensors.items()}
    save_file(moved, path)
    refuses("layer 1 follows on 0, where a torch.nn.Sequential has its activation", path, "torch")


@pytest.mark.parametrize("clip", [0, 1e-60])
def test_a_clip_that_hides_every_observation_is_refused(clip, tmp_path):
    path = tmp_path / "n.safetensors"
    network(path, "none", "none", observation_clip=clip)
    refuses("observation_clip must be above 0", path, "torch")


def test_true_among_numbers_of_statistics_is_no_number(tmp_path):
    about = {"mean": [True, 0.0, 0.0], "var": [1, 1, 1], "epsilon": 0, "clip_obs": 10}
    (tmp_path / "v.json").write_text(json.dumps(about))
    refuses(
        "true and false are no numbers",
        model(tmp_path / "m.zip"),
        vec_normalize=str(tmp_path / "v.json"),
    )
