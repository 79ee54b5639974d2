"""Stacked layers against torch's own product, and their derivatives."""

import pytest
import torch
from prefine.policies.networks import NARROW, linear, replica_norm


def layer(n_out, replicas=3, states=7, n_in=5):
    generator = torch.Generator().manual_seed(n_out)
    shapes = (replicas, states, n_in), (replicas, n_in, n_out), (replicas, 1, n_out)
    return [
        torch.randn(shape, generator=generator, dtype=torch.float64).requires_grad_()
        for shape in shapes
    ]


@pytest.mark.parametrize("n_out", [1, 2, NARROW - 1, NARROW])
@pytest.mark.parametrize("biased", [True, False])
def test_a_layer_is_a_product_for_each_replica(n_out, biased):
    x, weight, bias = layer(n_out)
    values = linear(x, weight, bias if biased else None)
    for replica in range(len(x)):
        expected = x[replica] @ weight[replica] + (bias[replica] if biased else 0.0)
        torch.testing.assert_close(values[replica], expected, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("n_out", [1, 3])
def test_a_narrow_layer_has_the_right_first_and_second_derivatives(n_out):
    inputs = layer(n_out)
    torch.autograd.gradcheck(linear, inputs)
    torch.autograd.gradgradcheck(linear, inputs)


def test_a_replica_s_norm_does_not_depend_on_the_others_to_the_last_bit():
    """It scales gradients that are clipped, so that chunks of a plan would train otherwise."""
    generator = torch.Generator().manual_seed(0)
    for count in (3, 8, 12, 17):
        tensors = [torch.randn(9, 16, n, generator=generator) for n in range(1, count + 1)]
        together = replica_norm(tensors)
        for size in (1, 2, 5):
            assert torch.equal(replica_norm([t[:size].clone() for t in tensors]), together[:size])
