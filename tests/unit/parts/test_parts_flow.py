"""Flow matching against flows that are known in closed form, and against an independent sampler."""

from dataclasses import dataclass, field

import numpy as np
import pytest
import torch
from torch import nn

from embodia.core.errors import ConfigError, ShapeError
from embodia.core.protocols import DensityDecoder
from embodia.core.specs import ActionPart, ActionSpec
from embodia.core.types import ActionChunk, TokenGroup
from embodia.parts.decoders.flow import FlowConfig, FlowDecoder

SPEC = ActionSpec(parts=(ActionPart(name="a", dim=2, representation="joint_delta"),), rate_hz=10.0)


@pytest.fixture(autouse=True)
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    torch.manual_seed(0)
    yield
    torch.set_num_threads(before)


class GaussianFlow(nn.Module):
    """The exact velocity when the data are Gaussian: mean (D,), covariance (D, D) over the flattened chunk.

    x(t) = t e + (1 - t) a is Gaussian too, so E[e - a | x] is a linear regression on x.
    """

    def __init__(self, mean, covariance):
        super().__init__()
        self.mean = nn.Parameter(mean)
        self.covariance = covariance
        self.rows = []

    def condition(self, context, n=1):
        return n

    def forward(self, condition, actions, time):
        flat, at = actions.flatten(1), time[:, None]
        total = (time**2)[:, None, None] * torch.eye(flat.shape[1]) + ((1 - time) ** 2)[:, None, None] * self.covariance
        score = torch.linalg.solve(total, (flat - (1 - at) * self.mean)[..., None])[..., 0]
        velocity = at * score - self.mean - (1 - at) * score @ self.covariance
        self.rows.append((condition, len(actions)))
        return velocity.view_as(actions)


class Recorder(nn.Module):
    """Answers with what it was asked to: for tests of the loss."""

    def __init__(self, answer):
        super().__init__()
        self.answer, self.seen = answer, []

    def condition(self, context, n=1):
        return None

    def forward(self, condition, actions, time):
        self.seen.append((actions, time))
        return self.answer.expand_as(actions).clone()


@dataclass
class Given:
    groups: dict = field(default_factory=dict)
    cache: object = None


def context(batch):
    group = TokenGroup(name="state", tokens=torch.zeros(batch, 1, 3), mask=None, attends_to=("state",))
    return Given(groups={"state": group})


def chunk(actions, valid=None):
    valid = torch.ones(actions.shape[:2], dtype=torch.bool) if valid is None else valid
    return ActionChunk(actions=actions, valid=valid, spec=SPEC)


def gaussian(horizon=2, dim=2, seed=0):
    """A correlated Gaussian over a chunk, its exact flow, and its density."""
    generator = torch.Generator().manual_seed(seed)
    size = horizon * dim
    root = torch.eye(size) * 0.5 + 0.15 * torch.randn(size, size, generator=generator)
    mean, covariance = torch.randn(size, generator=generator), root @ root.T
    flow = GaussianFlow(mean, covariance)
    return flow, torch.distributions.MultivariateNormal(mean, covariance)


def test_density_is_the_known_one():
    flow, exact = gaussian()
    decoder = FlowDecoder(flow, FlowConfig(), 2, 2)
    actions = exact.sample((5,)).view(5, 2, 2)
    with torch.no_grad():
        found = decoder.log_prob(context(5), chunk(actions), steps=200)
    torch.testing.assert_close(found, exact.log_prob(actions.flatten(1)), atol=0.02, rtol=0.0)


def test_density_converges_with_the_steps():
    flow, exact = gaussian()
    decoder = FlowDecoder(flow, FlowConfig(), 2, 2)
    actions = exact.sample((4,)).view(4, 2, 2)
    with torch.no_grad():
        errors = [
            (decoder.log_prob(context(4), chunk(actions), steps=n) - exact.log_prob(actions.flatten(1))).abs().max()
            for n in (10, 40, 160)
        ]
    assert errors[0] > errors[1] > errors[2]


def test_random_probes_agree_with_the_exact_divergence():
    flow, exact = gaussian()
    actions = exact.sample((3,)).view(3, 2, 2)
    with torch.no_grad():
        found = [
            FlowDecoder(flow, FlowConfig(probes=probes), 2, 2).log_prob(context(3), chunk(actions), steps=20)
            for probes in (0, 512, 512)
        ]
    torch.testing.assert_close(found[0], found[1], atol=0.3, rtol=0.0)
    assert torch.equal(found[1], found[2]), "the probes are the same in every call"


class Network(nn.Module):
    """A small random velocity field without a closed form."""

    def __init__(self, size, strength=1.0):
        super().__init__()
        self.net = nn.Sequential(nn.Linear(size + 1, 16), nn.Tanh(), nn.Linear(16, size))
        self.strength = strength

    def condition(self, context, n=1):
        return None

    def forward(self, condition, actions, time):
        return self.strength * self.net(torch.cat([actions.flatten(1), time[:, None]], 1)).view_as(actions)


def test_any_density_integrates_to_one():
    decoder = FlowDecoder(Network(1, strength=2.0), FlowConfig(), 1, 1)
    grid = torch.linspace(-9, 9, 1201)
    with torch.no_grad():
        density = decoder.log_prob(context(len(grid)), chunk(grid[:, None, None]), steps=40).exp()
    assert torch.trapezoid(density, grid).item() == pytest.approx(1.0, abs=0.01)


def test_density_of_a_field_that_stands_still_is_the_gaussian_of_the_valid_steps():
    decoder = FlowDecoder(Recorder(torch.zeros(1)), FlowConfig(probes=1), 2, 3)
    decoder.velocity.forward = lambda condition, actions, time: actions * 0.0
    actions = torch.randn(2, 3, 2)
    valid = torch.tensor([[True, True, True], [True, False, False]])
    exact = torch.distributions.Normal(0.0, 1.0).log_prob(actions).sum(-1)
    found = decoder.log_prob(context(2), chunk(actions, valid))
    torch.testing.assert_close(found, (exact * valid).sum(-1))


def test_density_can_be_learned_from():
    """Its gradient in the weights is the finite difference; without a gradient the value is the same."""
    network = Network(4)
    decoder = FlowDecoder(network, FlowConfig(), 2, 2).double()
    actions = torch.randn(3, 2, 2, dtype=torch.float64)
    found = decoder.log_prob(context(3), chunk(actions), steps=4)
    found.sum().backward()
    weight, step = network.net[0].weight, 1e-5
    slope = weight.grad[2, 1].item()
    with torch.no_grad():
        torch.testing.assert_close(decoder.log_prob(context(3), chunk(actions), steps=4), found.detach())
        weight[2, 1] += step
        above = decoder.log_prob(context(3), chunk(actions), steps=4).sum()
        weight[2, 1] -= 2 * step
        below = decoder.log_prob(context(3), chunk(actions), steps=4).sum()
    assert slope == pytest.approx(((above - below) / (2 * step)).item(), rel=1e-4)


def test_samples_follow_the_data():
    flow, exact = gaussian()
    decoder = FlowDecoder(flow, FlowConfig(steps=50), 2, 2)
    samples = decoder.sample(context(1), torch.Generator().manual_seed(1), n=4000)
    assert samples.shape == (1, 4000, 2, 2)
    flat = samples[0].flatten(1)
    torch.testing.assert_close(flat.mean(0), exact.mean, atol=0.05, rtol=0.0)
    torch.testing.assert_close(flat.T.cov(), exact.covariance_matrix, atol=0.05, rtol=0.0)


def test_condition_is_made_once_for_all_steps_and_samples():
    flow, _ = gaussian()
    made = []
    flow.condition = lambda given, n=1: made.append(n) or n
    FlowDecoder(flow, FlowConfig(steps=10), 2, 2).sample(context(3), None, n=4)
    assert made == [4] and flow.rows == [(4, 12)] * 10


def test_equals_an_independent_euler_sampler():
    diffusers = pytest.importorskip("diffusers", reason="the independent sampler is not installed")
    scheduler = diffusers.FlowMatchEulerDiscreteScheduler(num_train_timesteps=1000, shift=1.0)
    scheduler.set_timesteps(sigmas=list(np.linspace(1.0, 0.1, 10)))
    network, noise = Network(4), torch.randn(2, 2, 2)
    with torch.no_grad():
        found = FlowDecoder(network, FlowConfig(steps=10), 2, 2).from_noise(context(2), noise)
        x = noise
        for sigma, step in zip(scheduler.sigmas[:-1], scheduler.timesteps, strict=True):
            x = scheduler.step(network(None, x, sigma.expand(2)), step, x).prev_sample
    torch.testing.assert_close(found, x, atol=1e-6, rtol=1e-6)


def test_perfect_velocity_has_no_loss_and_padded_steps_never_count():
    actions, noise = torch.randn(2, 3, 2), torch.randn(2, 3, 2)
    valid = torch.tensor([[True, True, False], [True, True, True]])
    answer = noise - actions
    answer[0, 2] = 100.0
    decoder = FlowDecoder(Recorder(answer), FlowConfig(), 2, 3)
    loss = decoder.loss_at(context(2), chunk(actions, valid), noise, torch.tensor([0.2, 0.9]))
    assert loss.tolist() == [0.0, 0.0]
    loss = decoder.loss_at(context(2), chunk(actions), noise, torch.tensor([0.2, 0.9]))
    assert loss[0] > 1.0 and loss[1] == 0.0


def test_time_runs_from_data_to_noise():
    actions, noise = torch.randn(1, 3, 2), torch.randn(1, 3, 2)
    decoder = FlowDecoder(Recorder(torch.zeros(1)), FlowConfig(), 2, 3)
    for time, expected in ((0.0, actions), (1.0, noise), (0.25, 0.25 * noise + 0.75 * actions)):
        decoder.loss_at(context(1), chunk(actions), noise, torch.tensor([time]))
        torch.testing.assert_close(decoder.velocity.seen[-1][0], expected)


def test_training_times_are_the_shifted_beta_of_the_paper():
    stats = pytest.importorskip("scipy.stats")
    decoder = FlowDecoder(Recorder(torch.zeros(1)), FlowConfig(), 2, 1)
    decoder.loss_terms(context(4000), chunk(torch.zeros(4000, 1, 2)), torch.Generator().manual_seed(3))
    times = decoder.velocity.seen[0][1].numpy()
    assert times.min() >= 0.001 and times.max() <= 1.0
    assert stats.kstest((times - 0.001) / 0.999, stats.beta(1.5, 1.0).cdf).pvalue > 0.01
    assert stats.kstest((times - 0.001) / 0.999, stats.uniform.cdf).pvalue < 1e-6


def test_loss_terms_depend_on_the_generator_alone():
    decoder = FlowDecoder(Network(6), FlowConfig(), 2, 3)
    actions = chunk(torch.randn(4, 3, 2))
    first, second, third = (
        decoder.loss_terms(context(4), actions, torch.Generator().manual_seed(seed))["flow"] for seed in (5, 5, 6)
    )
    assert first.shape == (4,) and torch.equal(first, second) and not torch.equal(first, third)


def test_several_draws_share_one_reading_and_average():
    network, made = Network(6), []
    network.condition = lambda given, n=1: made.append(n)
    decoder = FlowDecoder(network, FlowConfig(draws=3), 2, 3)
    actions = chunk(torch.randn(4, 3, 2), torch.tensor([[True, True, False]] * 4))
    loss = decoder.loss_terms(context(4), actions, torch.Generator().manual_seed(0))["flow"]
    assert loss.shape == (4,) and made == [3]
    noise, time = torch.randn(12, 3, 2), torch.rand(12)
    together = decoder.loss_at(context(4), actions, noise, time)
    alone = [decoder.loss_at(context(4), actions, noise[i::3], time[i::3]) for i in range(3)]
    torch.testing.assert_close(together, torch.stack(alone).mean(0))


def test_committed_steps_are_kept_and_steer_the_rest():
    """With exact velocities the free steps follow the Gaussian conditional of the committed ones, roughly."""
    mean, covariance = torch.zeros(4), torch.eye(4) * 0.25
    covariance[0, 2] = covariance[2, 0] = 0.24
    decoder = FlowDecoder(GaussianFlow(mean, covariance), FlowConfig(steps=60), 2, 2)
    prefix = torch.tensor([[[1.0, 0.0]], [[-1.0, 0.0]]])
    with torch.no_grad():
        samples = decoder.sample(context(2), torch.Generator().manual_seed(0), n=300, prefix=prefix)
        free = decoder.sample(context(2), torch.Generator().manual_seed(0), n=300)
    assert torch.equal(samples[:, :, 0], prefix.expand(2, 300, 2))
    assert samples[0, :, 1, 0].mean() > 0.4 and samples[1, :, 1, 0].mean() < -0.4
    assert abs(free[0, :, 1, 0].mean()) < 0.15


@pytest.mark.parametrize("shape", [(1, 3, 2), (1, 1, 3)], ids=["too long", "too wide"])
def test_a_prefix_that_does_not_fit_is_refused(shape):
    decoder = FlowDecoder(Network(4), FlowConfig(), 2, 2)
    with pytest.raises(ShapeError, match="does not fit"):
        decoder.sample(context(1), None, prefix=torch.zeros(shape))


def test_padded_dimensions_flow_but_have_no_density():
    decoder = FlowDecoder(Network(8), FlowConfig(), 2, 2, width=4)
    assert decoder.sample(context(3), None, n=2).shape == (3, 2, 2, 2)
    assert decoder.loss_terms(context(3), chunk(torch.randn(3, 2, 2)), None)["flow"].shape == (3,)
    with pytest.raises(ConfigError, match="no density"):
        decoder.log_prob(context(1), chunk(torch.randn(1, 2, 2)))
    with pytest.raises(ConfigError, match="do not fit"):
        FlowDecoder(Network(2), FlowConfig(), 2, 1, width=1)


def test_fits_the_protocol():
    assert isinstance(FlowDecoder(Network(4), FlowConfig(), 2, 2), DensityDecoder)
