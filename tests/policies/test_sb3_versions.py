"""Archives of old and new Stable-Baselines3 are read alike, whichever is installed, if any.

`archives/{version}/` was written by that version's own `archives/make.py`, with what its models do.
"""

import json
import pickle
from dataclasses import replace
from pathlib import Path

import numpy as np
import prefine
import pytest
import torch
from conftest import ROOT
from prefine.errors import UserError
from prefine.policies.formats.normalise import read_statistics
from prefine.tasks import TASKS

ARCHIVES = Path(__file__).parent / "archives"
VERSIONS = ("2.3.2", "2.9.2")  # gymnasium 0.28 and numpy 1; gymnasium 1.4 and numpy 2
LOW, HIGH = np.array([-2.0, 0.0]), np.array([2.0, 3.0])
CENTRE, HALF = (HIGH + LOW) / 2, (HIGH - LOW) / 2


def read(version, name, **settings):
    path = ARCHIVES / version / f"{name}.zip"
    settings = {"file": str(path), "format": "sb3"} | settings
    sizes = {"obs_dim": 3, "act_dim": 2, "action_low": LOW, "action_high": HIGH}
    return prefine.read_policy(settings, replace(TASKS["BallRun"], **sizes))


def expected(version):
    numbers = json.loads((ARCHIVES / version / "expected.json").read_text())
    return {name: np.array(values) for name, values in numbers.items()}


@pytest.mark.parametrize("version", VERSIONS)
def test_an_archive_acts_as_where_it_was_made(version):
    made = expected(version)
    observations = made["observations"].astype(np.float32)
    statistics = {"vec_normalize": str(ARCHIVES / version / "vec_normalize.json")}
    for name, settings in {"SAC": {}, "PPO": statistics}.items():
        own = read(version, name, **settings)
        actions = np.clip(CENTRE + HALF * own.act(observations)[0], LOW, HIGH)
        np.testing.assert_allclose(actions, made[name], atol=1e-5)
        assert np.ptp(actions, axis=0).min() > 0.01  # it does not do the same everywhere
        assert own.metadata["algorithm"] == name
        assert own.metadata["stable_baselines3"] == version


@pytest.mark.parametrize("task", ["BallCircle", "HalfCheetahVelocity"])
def test_an_archive_without_its_schedules_is_still_ppo_s(task):
    path = ROOT / f"examples/own_policy/{task}.zip"
    own = prefine.read_policy(
        {"file": str(path), "format": "sb3"}, prefine.describe_task(task, {}, True)
    )
    assert own.metadata["algorithm"] == "PPO"


@pytest.mark.parametrize("version", VERSIONS)
def test_an_archive_has_the_density_of_where_it_was_made(version):
    made = expected(version)
    own = read(version, "PPO", vec_normalize=str(ARCHIVES / version / "vec_normalize.json"))
    seen = torch.from_numpy((made["observations"].astype("f4") - own.mean) / own.std)[None]
    actions = torch.from_numpy(((made["PPO"] - CENTRE) / HALF).astype("f4"))[None]
    density = own.policy.log_prob(own.params, seen, actions)[0]
    np.testing.assert_allclose(
        density, made["log_density_PPO"] + np.log(HALF).sum(), rtol=1e-4, atol=1e-5
    )


@pytest.mark.parametrize("version", VERSIONS)
def test_a_pickle_of_statistics_needs_no_version(version):
    by_json = read(version, "PPO", vec_normalize=str(ARCHIVES / version / "vec_normalize.json"))
    path = str(ARCHIVES / version / "vec_normalize.pkl")
    by_pickle = read(version, "PPO", vec_normalize=path, trust_pickle=True)
    np.testing.assert_array_equal(by_pickle.mean, by_json.mean)
    np.testing.assert_array_equal(by_pickle.std, by_json.std)


class Code:
    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return Path.touch, (self.path,)


@pytest.mark.parametrize("inside", [False, True])
def test_nothing_of_a_pickle_is_run(inside, tmp_path):
    code = Code(tmp_path / "run")
    content = {"obs_rms": code, "norm_obs": True} if inside else code
    (tmp_path / "v.pkl").write_bytes(pickle.dumps(content))
    with pytest.raises(UserError, match="is not a VecNormalize"):
        read_statistics(tmp_path / "v.pkl", trust_pickle=True)
    assert not code.path.exists()
    pickle.loads((tmp_path / "v.pkl").read_bytes())
    assert code.path.exists()
