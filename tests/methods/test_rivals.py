"""Known answers of CPL, TraC and SafeMIL, worked by hand, and what each is handed."""

import math
from types import SimpleNamespace

import pytest
import torch
from prefine.data.dataset import SEES, FullTransitions, LinkedTransitions
from prefine.methods import Batch, Context, cpl, decided, method_settings, safemil, trac
from prefine.methods.losses import bradley_terry_loss
from prefine.policies.gaussian import GaussianPolicy
from prefine.policies.networks import stack


def f64(*values):
    return torch.tensor(values, dtype=torch.float64)


# --- CPL -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("bias", "logit", "loss"),
    [(1.0, 0.07, 0.6587595555), (0.5, 0.06, 0.6635971131)],
)
def test_the_bias_weakens_the_worse_segment(bias, logit, loss):
    """Scores .2 - .1 + .4 = .5 and -.3 + .1 + 0 = -.2, alpha .1: .1 (.5 + .2 bias)."""
    better, worse = f64(0.5)[None], f64(-0.2)[None].requires_grad_()
    value = bradley_terry_loss(better, worse, f64(0.1), f64(bias))
    assert value.item() == pytest.approx(loss, abs=1e-9)
    value.sum().backward()  # 0.1 bias sigmoid(-logit)
    assert worse.grad.item() == pytest.approx(0.1 * bias / (1 + math.exp(logit)), abs=1e-12)


def unit_policy(mean):
    """A Gaussian of one dimension whose mean is ``mean`` and whose sigma is 1 everywhere."""
    policy = GaussianPolicy(1, 1, (), squash_mean=False)
    params = {"trunk.0.weight": torch.zeros(1, 1, 2), "trunk.0.bias": torch.zeros(1, 1, 2)}
    params["trunk.0.bias"][..., 0] = mean
    return policy, params


def segments(actions, mask=None, **columns):
    """Segments of one replica: (S, L) of each column."""
    action = torch.tensor(actions)
    mask = torch.ones_like(action) if mask is None else torch.tensor(mask)
    flat = {name: torch.tensor(values).reshape(1, -1) for name, values in columns.items()}
    action = action.reshape(1, -1, 1)
    return Batch(torch.zeros_like(action), action, mask=mask[None], **flat)


def context_of(method, mean, batches, hyper=(), **changes):
    policy, params = unit_policy(mean)
    numbers = method.HYPERPARAMETERS | dict(hyper)
    hyper = {name: torch.tensor([value]) for name, value in numbers.items()}
    settings = method_settings(method.__name__.rsplit(".", 1)[1]) | {"longest": 4} | changes
    reference = unit_policy(0.0)[1]
    context = Context(policy, {"policy": params}, reference, hyper, torch.tensor([2.0]), settings)
    context.batches, context.noise = batches, {"latent": None}
    return context


def test_cpl_scores_segments_by_the_policy_alone():
    """Mean .5, sigma 1: log pi(a) = -(a - .5)^2 / 2 - c, c = log(2 pi) / 2; three steps of four.

    S+ = -(.125 + .125 + 0) - 3 c, S- = -(1.125 + .125) - 2 c; pi_ref does not matter.
    """
    batches = {
        "preferred": segments([[0.0, 1.0, 0.5, 9.0]], [[1.0, 1.0, 1.0, 0.0]]),
        "nonpreferred": segments([[-1.0, 1.0, 7.0, 7.0]], [[1.0, 1.0, 0.0, 0.0]]),
    }
    context = context_of(cpl, 0.5, batches, {"bc_coeff": 2.0})
    loss, c = cpl.loss(context), 0.5 * math.log(2 * math.pi)
    logit = 0.1 * ((-0.25 - 3 * c) - 0.5 * (-1.25 - 2 * c))
    assert loss.terms["preference"].item() == pytest.approx(math.log1p(math.exp(-logit)), abs=1e-6)
    assert loss.terms["sft"].item() == pytest.approx(2 * (0.25 / 3 + c), abs=1e-6)


# --- TraC ----------------------------------------------------------------------------------


def test_a_desired_and_an_undesired_segment():
    """A = .7 with weight .8: .8 log(1 + e^-.7); with weight 1: log(1 + e^.7)."""
    score, one, none = f64(0.7)[None], f64(1.0)[None], f64(0.0)[None]
    terms = trac.trac_losses(score, one, none, f64(0.8)[None], f64(1.0))
    assert terms["desired"].item() == pytest.approx(0.3225488391, abs=1e-9)
    assert terms["undesired"].item() == 0
    both = trac.trac_losses(
        f64(0.7, 0.7)[None], f64(1.0, 0.0)[None], f64(0.0, 1.0)[None], f64(0.8, 1.0)[None], f64(1.0)
    )
    assert both["desired"].item() == pytest.approx(0.3225488391 / 2, abs=1e-9)
    assert both["undesired"].item() == pytest.approx(1.1031860489 / 2, abs=1e-9)


def test_what_is_undesired_weighs_eta_times_as_much_however_many_there_are():
    """One desired, three undesired, all scores 0: log 2 / 4, and eta / 3 of three log 2 / 4."""
    desired = f64(1, 0, 0, 0)[None]
    terms = trac.trac_losses(0 * desired, desired, 1 - desired, 1 + 0 * desired, f64(0.25))
    assert terms["desired"].item() == pytest.approx(math.log(2) / 4)
    assert terms["undesired"].item() == pytest.approx(0.25 * math.log(2) / 4)


def test_probabilities_are_clamped_from_below_and_then_have_no_gradient():
    score = f64(-30.0, 30.0)[None].requires_grad_()
    desired = f64(1, 0)[None]
    terms = trac.trac_losses(score, desired, 1 - desired, torch.ones(1, 2).double(), f64(1.0))
    assert terms["desired"].item() == pytest.approx(-math.log(1e-6) / 2)
    assert terms["undesired"].item() == pytest.approx(-math.log(1e-6) / 2)
    sum(terms.values()).sum().backward()
    assert (score.grad == 0).all()


def test_nothing_undesired_or_nothing_at_all_is_no_nan():
    for desired in (1.0, 0.0):
        own = f64(desired, desired)[None]
        terms = trac.trac_losses(0 * own, own, 0 * own, 1 + 0 * own, f64(0.5))
        assert all(torch.isfinite(term).all() for term in terms.values())


def test_scores_are_discounted_gains_on_the_reference():
    """Mean 1 against 0: log-ratio a - 1/2. gamma .5, alpha .1: .1 (.5 + .25) and -.1 (.5 + .5)."""
    batches = {
        "preferred": segments([[1.0, 1.0, 8.0]], [[1.0, 1.0, 0.0]]),
        "nonpreferred": segments([[0.0, -0.5, 8.0]], [[1.0, 1.0, 0.0]]),
    }
    context = context_of(trac, 1.0, batches, {"gamma": 0.5, "alpha": 0.1, "eta": 0.5})
    loss = trac.loss_by_trajectory(context)
    assert loss.terms["desired"].item() == pytest.approx(math.log1p(math.exp(-0.075)) / 2, abs=1e-6)
    expected = 0.5 * math.log1p(math.exp(-0.1)) / 2
    assert loss.terms["undesired"].item() == pytest.approx(expected, abs=1e-6)


def test_labels_and_weights_of_segments():
    """tau 2 of 4 steps: two steps may cost 1. kappa .7, safe rewards 0 to 4, halves at 2.

    Safe: rewards 4, 2, 1, 0 -> best (1), best (.85), worst (.7 + .3 x .75), worst (1);
    the last costs 2: undesired, weight 1, whatever its reward.
    """
    batch = segments(
        [[0.0, 0.0]] * 5,
        reward=[[2.0, 2.0], [1.0, 1.0], [1.0, 0.0], [0.0, 0.0], [9.0, 9.0]],
        cost=[[0.0, 1.0], [0.0, 0.0], [0.0, 0.0], [1.0, 0.0], [1.0, 1.0]],
    )
    context = context_of(trac, 0.0, {"all": batch}, labels="segment")
    known = {"low": 0.0, "high": 4.0, "top_from": 2.0, "bottom_to": 1.0}
    context.constants = {name: torch.tensor([value]) for name, value in known.items()}
    best, undesired, weight = trac.labels_of(context, batch)
    assert best[0].tolist() == [1, 1, 0, 0, 0]
    assert undesired[0].tolist() == [0, 0, 1, 1, 1]
    assert weight[0].tolist() == pytest.approx([1.0, 0.85, 0.925, 1.0, 1.0])
    context.constants["bottom_to"] = torch.tensor([-torch.inf])  # Bullet: none of the safe ones
    assert trac.labels_of(context, batch)[1][0].tolist() == [0, 0, 0, 0, 1]


def test_sums_of_all_segments_and_how_often_they_are_drawn():
    """Trajectories of 4 and 2 steps, segments of 3: two of the first, the second whole."""
    flat = {"reward": torch.arange(6.0), "cost": torch.tensor([1.0, 0, 0, 1, 1, 0])}
    starts, lengths = torch.tensor([0, 4]), torch.tensor([4, 2])
    reward, cost, steps, share = trac.segment_sums(flat, starts, lengths, 3)
    assert reward.tolist() == [0 + 1 + 2, 1 + 2 + 3, 4 + 5]
    assert cost.tolist() == [1, 1, 1] and steps.tolist() == [3, 3, 2]
    assert share.tolist() == [0.5, 0.5, 1.0]


def test_the_border_of_a_share():
    values, each = torch.tensor([3.0, 1.0, 2.0, 4.0]), torch.ones(4)
    assert [trac.border(values, each, share).item() for share in (0.25, 0.5, 0.75, 1.0)] == [
        *(1.5, 2.5, 3.5, 4.0)
    ]
    assert trac.border(values, each, 0.0) == -torch.inf
    heavy = torch.tensor([1.0, 3.0, 1.0, 1.0])  # the value 1 alone is half of all
    assert trac.border(values, heavy, 0.5).item() == 1.5
    assert -trac.border(-values, each, 0.5).item() == 2.5  # of the best half


def test_borders_are_of_the_safe_segments_of_each_run():
    """Two runs on one dataset, tau 4 and 1: the costly trajectory counts for the first alone."""

    sampler = SimpleNamespace(
        flat={"reward": torch.tensor([1.0, 2, 3, 4]), "cost": torch.tensor([0.0, 0, 1, 1])},
        starts=torch.tensor([[0, 2]] * 2),
        lengths=torch.tensor([[2, 2]] * 2),
        counts=torch.tensor([2, 2]),
    )
    context = context_of(trac, 0.0, {}, labels="segment", longest=2)
    context.tau = torch.tensor([4.0, 1.0])
    context.hyper = {name: value.repeat(2) for name, value in context.hyper.items()}
    found = trac.borders(context, sampler, 1)
    assert found["high"].tolist() == [4.0, 2.0] and found["low"].tolist() == [1.0, 1.0]
    assert found["top_from"].tolist() == found["bottom_to"].tolist() == [2.5, 1.5]
    context.tau = torch.tensor([4.0, -1.0])  # nothing is safe
    assert trac.borders(context, sampler, 1)["top_from"].tolist() == [2.5, torch.inf]


def test_segments_are_a_fifth_of_an_episode_at_most():
    policy = GaussianPolicy(1, 1, (4,))
    base = method_settings("trac") | {"likelihood_draws": 1, "iterations": 1, "gradient_clip": 1.0}
    for longest, length in ((1000, 64), (100, 20), (3, 1)):
        (phase,) = trac.phases(policy, base | {"longest": longest})
        assert {draw.length for draw in phase.batches.values()} == {length}


def test_trac_is_handed_rewards_and_costs_only_where_its_labels_are_made_of_them():
    for labels, kind in (("trajectory", "actions"), ("segment", "everything")):
        assert decided(trac.SEES, {"labels": labels}) == kind
    assert not issubclass(SEES["actions"], LinkedTransitions)
    assert SEES["everything"] is FullTransitions
    assert cpl.SEES == safemil.SEES == "actions"


# --- SafeMIL -------------------------------------------------------------------------------


def test_a_cost_of_bags():
    """Bags of N: (1 + 3) / 2 and (2 + 2) / 2; of U: 1 and 4. -log C(N) + log C(U), on average."""
    labelled = safemil.bag_means(f64(1, 3, 2, 2)[None], 2)
    assert labelled.tolist() == [[2, 2]]
    unlabelled = f64(1, 4)[None]
    ratio = safemil.cost_loss(labelled, unlabelled, "ratio").item()
    assert ratio == pytest.approx((math.log(1 / 2) + math.log(4 / 2)) / 2, abs=1e-5)
    pairs = safemil.cost_loss(labelled, unlabelled, "bradley_terry").item()
    expected = (math.log1p(math.exp(-1)) + math.log1p(math.exp(2))) / 2
    assert pairs == pytest.approx(expected, abs=1e-9)


def test_costs_are_discounted_within_a_segment_and_padding_costs_nothing():
    """gamma .5: 1 + .5 x 2 + .25 x 4 and 3 + .5 x 1."""
    costs = f64(1, 2, 4, 3, 1, 9)[None]
    mask = f64(1, 1, 1, 1, 1, 0).view(1, 2, 3)
    assert safemil.discounted_sum(costs, mask, f64(0.5)).tolist() == [[3.0, 3.5]]


def test_weights_of_cloning():
    """(1 / c)^.6 of steps; exp(-C / .6) of segments, of mean 1."""
    costs, mask, sums = f64(1, 32, 0.5, 1)[None], torch.ones(1, 2, 2).double(), f64(0.6, 1.2)[None]
    by_step = safemil.weights(costs, sums, mask, f64(0.6), "ratio")
    assert by_step[0].tolist() == pytest.approx([1, 0.125, 2**0.6, 1])
    by_segment = safemil.weights(costs, sums, mask, f64(0.6), "bradley_terry")
    first, second = math.exp(-1), math.exp(-2)
    mean = (first + second) / 2
    expected = [first / mean, first / mean, second / mean, second / mean]
    assert by_segment[0].tolist() == pytest.approx(expected)


@pytest.mark.parametrize(
    ("variant", "cost", "weight"), [("ratio", 1.0, 1.0), ("bradley_terry", 0.5, 1.0)]
)
def test_at_the_start_all_steps_cost_the_same_and_it_clones_all(variant, cost, weight):
    policy, generator = GaussianPolicy(3, 2, (8,)), torch.Generator().manual_seed(0)
    settings = method_settings("safemil") | {"variant": variant, "bags": 2, "bag_size": 3}
    settings |= {"cost_hidden": 8, "segment_length": 4, "iterations": 1}
    settings |= {"learning_rate": 1e-3, "gradient_clip": 1.0}
    nets = safemil.networks(policy, settings).items()
    nets = {group: stack([init(generator)]) for group, init in nets}
    hyper = {name: torch.tensor([v]) for name, v in safemil.HYPERPARAMETERS.items()}
    context = Context(policy, nets, None, hyper, torch.tensor([20.0]), settings, diagnose=True)
    mask = torch.ones(1, 6, 4)
    mask[0, 0, 2:] = 0
    batch = Batch(torch.randn(1, 24, 3), torch.rand(1, 24, 2) - 0.5, mask=mask)
    context.batches, context.noise = {"nonpreferred": batch, "unlabelled": batch}, {"latent": None}
    assert safemil.step_costs(context, batch).unique().item() == pytest.approx(cost)
    found = safemil.losses(context)
    start = {"ratio": 0.0, "bradley_terry": math.log(2)}[variant]
    assert found["cost"].total.item() == pytest.approx(start, abs=1e-6)
    nll = -policy.log_prob(nets["policy"], batch.obs, batch.action) * mask.flatten(1)
    if variant == "ratio":  # by segment, the shorter one costs less and weighs more
        torch.testing.assert_close(found["policy"].total, weight * nll.sum(1) / mask.sum((1, 2)))


def test_the_cost_learns_what_is_in_the_labelled_bags_alone():
    """Steps of N have action 1, U is half of them: c of action 1 grows, its weight falls."""
    policy, generator = GaussianPolicy(1, 1, (8,)), torch.Generator().manual_seed(0)
    settings = method_settings("safemil") | {"bags": 2, "bag_size": 4, "segment_length": 2}
    settings |= {"cost_hidden": 8}
    nets = {"cost": stack([safemil.networks(policy, settings)["cost"](generator)])}
    nets["policy"] = stack([policy.init(generator)])
    hyper = {name: torch.tensor([v]) for name, v in safemil.HYPERPARAMETERS.items()}
    context = Context(policy, nets, None, hyper, None, settings)
    ones, mask = torch.ones(1, 16, 1), torch.ones(1, 8, 2)
    mixed = torch.cat([ones[:, :8], -ones[:, 8:]], 1)
    labelled, unlabelled = (Batch(torch.zeros_like(a), a, mask=mask) for a in (ones, mixed))
    context.batches = {"nonpreferred": labelled, "unlabelled": unlabelled}
    context.noise = {"latent": None}
    params = [tensor.requires_grad_() for tensor in nets["cost"].values()]
    optimizer = torch.optim.Adam(params, 1e-2)
    for _ in range(60):
        optimizer.zero_grad()
        safemil.losses(context)["cost"].total.sum().backward()
        optimizer.step()
    unsafe, safe = (
        safemil.step_costs(context, b).mean()
        for b in (labelled, Batch(torch.zeros_like(ones), -ones, mask=mask))
    )
    assert unsafe > 2 * safe
