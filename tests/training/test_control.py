"""The control of PREFINE, and the reference policy that all are measured against."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch
import yaml
from conftest import ROOT
from prefine.config.settings import hyperparameters, training_settings
from prefine.methods import Batch, Context, method_module, method_settings
from prefine.methods.losses import log_probs
from prefine.training.loop import train
from test_training import SETTINGS, data, fit, plan, policy_of, reference_of, sets

__all__ = ["data"]  # the fixture


@pytest.mark.parametrize("kind", ["gaussian", "cvae", "tanh_gaussian"])
@pytest.mark.parametrize(
    "changes",
    [
        {"gradient_clip": 0.05},
        {"gradient_clip": 0.05, "delta_level": "segment", "segments": 2, "segment_length": 3},
        {"encoder_update": "all", "likelihood_draws": 2, "counterfactual": "reparameterised"},
    ],
    ids=lambda changes: " ".join(map(str, changes.values())),
)
def test_bc_from_reference_is_prefine_without_its_preference_term(kind, changes, data):
    """Bit for bit, also where the gradient is clipped."""
    policy, runs = policy_of(kind), plan(2, "bc_from_reference").assign(lam=[1.6, 0.3])
    control, log = fit("bc_from_reference", data, policy, runs, sets(2), **changes)
    prefine, other = fit("prefine", data, policy, runs.assign(beta=0.0), sets(2), **changes)
    for name in control:
        assert torch.equal(control[name], prefine[name]), name
    pd.testing.assert_frame_equal(
        log.drop(columns="seconds"), other.drop(columns="seconds"), check_exact=True
    )
    if "gradient_clip" in changes:
        assert (log["gradient_norm_sft"] > changes["gradient_clip"]).any()
    moved, _ = fit("prefine", data, policy, runs.assign(beta=0.2), sets(2), **changes)
    assert any(not torch.equal(control[name], moved[name]) for name in control)


@pytest.mark.parametrize("method", ["prefine", "dpo", "ppl"])
@pytest.mark.parametrize("floor", [-5.0, -1.0])
def test_another_floor_of_sigma_leaves_the_reference_as_it_is(method, floor, data):
    """With a floor that pi_ref's raw output is below, Delta is not 0 and pi_ref's sigma its own."""
    own = policy_of("gaussian")
    reference = reference_of(own)
    last = "trunk.2.bias"
    reference[last][..., own.act_dim :] = -9.0  # sigma lies on its floor, e^-3
    policy = replace(own, log_std_min=floor)
    batch = Batch(torch.randn(1, 4, own.obs_dim), torch.zeros(1, 4, own.act_dim))
    theta = {name: value.clone() for name, value in reference.items()}
    context = Context(policy, {"policy": theta}, reference, {}, None, {"encoder_update": "frozen"})
    context.noise, context.reference_policy = {"latent": None}, own
    ours, of_reference, _ = log_probs(context, batch.obs, batch.action, need_reference=True)
    assert torch.equal(of_reference, own.log_prob(reference, batch.obs, batch.action))
    assert not torch.allclose(ours, of_reference)
    runs, module = plan(2, method), method_module(method)
    params, log = train(
        module,
        policy,
        runs,
        data["actions"],
        sets(2),
        method_settings(method) | SETTINGS,
        reference,
        reference_policy=own,
    )
    assert np.isfinite(log["loss"]).all() and len(params)


@pytest.mark.parametrize("task", ["BallRun", "HalfCheetahVelocity"])
def test_the_control_is_told_what_prefine_is_told(task):
    config = yaml.safe_load((ROOT / "config.yaml").read_text())
    config["methods"]["prefine"] |= {"delta_level": "segment", "segments": 7, "iterations": 9}
    theirs, own = (hyperparameters(config, m, task) for m in ("prefine", "bc_from_reference"))
    assert own == {"lam": theirs["lam"]}
    ours, others = (training_settings(config, m, task) for m in ("bc_from_reference", "prefine"))
    assert ours == others and (ours["segments"], ours["iterations"]) == (7, 9)
    config["methods"]["bc_from_reference"] = {"lam": 3.0}
    assert hyperparameters(config, "bc_from_reference", task) == {"lam": 3.0}
