"""Two flows in a row: times that meet, the candidate that is kept, who reads what, and what the value learns."""

import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import nn

sys.path.insert(0, str(Path(__file__).parents[2] / "contract"))
from bodies import gripper_arm, statistics

from embodia.core.invent import invent_batch, invent_observation
from embodia.core.types import ActionChunk, TokenGroup
from embodia.parts.context import Context
from embodia.parts.decoders.cascade import CascadeConfig, ValueQuery
from embodia.parts.decoders.flow import FlowConfig, FlowDecoder
from embodia.policies import PolicySpec, make

ARM = gripper_arm()


class Toward(nn.Module):
    """The true velocity of straight paths that end in one point."""

    def __init__(self, point):
        super().__init__()
        self.point, self.times = point, []

    def condition(self, context, n=1):
        return None

    def forward(self, condition, actions, time):
        self.times.append(float(time[0]))
        return (actions - self.point) / time[:, None, None]


def given(batch=2):
    tokens = torch.zeros(batch, 1, 3)
    return Context(groups={"x": TokenGroup(name="x", tokens=tokens, mask=None, attends_to=("x",))})


def hume(seed=0):
    return make(PolicySpec(name="hume", size="tiny", contract=ARM), statistics(ARM), seed=seed).eval()


def test_two_halves_are_the_whole():
    flow = FlowDecoder(Toward(0.7), FlowConfig(steps=5), 4, 6)
    noise = torch.randn(2, 6, 4)
    half = flow.between(given(), noise, noise, (1.0, 0.5))
    torch.testing.assert_close(half, 0.5 * noise + 0.5 * torch.full_like(noise, 0.7))
    ended = flow.between(given(), half, noise, (0.5, 0.0))
    torch.testing.assert_close(ended, flow.from_noise(given(), noise))
    assert flow.velocity.times[:10] == pytest.approx([1.0, 0.9, 0.8, 0.7, 0.6, 0.5, 0.4, 0.3, 0.2, 0.1])


def test_a_flow_that_only_ends_is_trained_on_late_times():
    flow = FlowDecoder(Toward(0.0), FlowConfig(time_most=0.4), 4, 6)
    seen = []
    flow.velocity.forward = lambda condition, actions, time: seen.append(time) or torch.zeros_like(actions)
    chunk = ActionChunk(actions=torch.randn(64, 6, 4), valid=torch.ones(64, 6, dtype=torch.bool), spec=ARM.action)
    flow.loss_terms(given(64), chunk, torch.Generator().manual_seed(0))
    assert seen[0].max() <= 0.4 and seen[0].max() > 0.3 and seen[0].min() >= 0.001


def test_the_best_candidate_is_the_one_that_is_ended():
    """A judge that likes large first numbers, and flows that change nothing: the largest noise wins."""
    policy = hume()
    decoder = policy.decoder
    decoder.value.forward = lambda answer, chunks: chunks[:, :, 0, 0][None]
    for flow in (decoder.slow, decoder.fast):
        flow.velocity.forward = lambda condition, actions, time: torch.zeros_like(actions)
    context = policy.context(invent_observation(ARM, 2))
    found = decoder.sample(context, torch.Generator().manual_seed(0), n=3)
    noise = torch.randn(2 * 3 * 5, 12, 4, generator=torch.Generator().manual_seed(0)).view(2, 3, 5, 12, 4)
    best = noise[..., 0, 0].argmax(-1)
    torch.testing.assert_close(found, noise.gather(2, best[..., None, None, None].expand(-1, -1, 1, 12, 4))[:, :, 0])


def test_the_fast_system_sees_only_what_is_its_own():
    policy = hume()
    seen = invent_observation(ARM, 2)
    one, other = (policy.context(item) for item in (seen, replace(seen, instruction=("a", "b"))))
    fast = policy.decoder.fast
    noisy, time = torch.randn(2, 12, 4), torch.rand(2)
    conditions = [fast.velocity.condition(policy.decoder._glance(context)) for context in (one, other)]
    first, second = (fast.velocity(condition, noisy, time) for condition in conditions)
    assert set(policy.decoder._glance(one).groups) == {"glance", "state"}
    torch.testing.assert_close(conditions[0].plan.mask, conditions[1].plan.mask)
    assert first.shape == (2, 12, 4)
    assert policy.decoder._glance(one).cache.mask.shape == (2, 0)
    assert not torch.allclose(first, fast.velocity(conditions[0], noisy + 1, time))
    assert not torch.allclose(policy.decoder.value.answer(one), policy.decoder.value.answer(other))
    if "glance" in policy.encoders and getattr(policy.encoders["glance"].encoder, "words", None) is None:
        torch.testing.assert_close(first, second)


def test_a_value_that_knows_the_record_costs_nothing_and_a_blind_one_the_logarithm():
    policy = hume()
    batch = policy.normalize_batch(invent_batch(policy.contract, 3).map(torch.from_numpy))
    context = policy.context(invent_observation(ARM, 3))
    value, rng = policy.decoder.value, torch.Generator().manual_seed
    value.forward = lambda answer, chunks: torch.zeros(2, *chunks.shape[:2])
    blind = policy.decoder._conservative(context, batch.chunk, rng(0))
    torch.testing.assert_close(blind, torch.full((3,), 6.0).log())
    value.forward = lambda answer, chunks: torch.tensor([20.0, 0, 0, 0, 0, 0]).expand(2, 3, 6)
    assert (policy.decoder._conservative(context, batch.chunk, rng(0)) < 1e-4).all()


def test_critics_are_several_and_differ():
    value = ValueQuery(CascadeConfig(critics=3, hidden=8), 6, 8)
    found = value(torch.randn(2, 6), torch.randn(2, 4, 2, 4))
    assert found.shape == (3, 2, 4) and not torch.allclose(found[0], found[1])


def test_all_three_learn():
    policy = hume().train()
    batch = invent_batch(policy.contract, 3).map(torch.from_numpy)
    terms = policy.loss_terms(batch, torch.Generator().manual_seed(0))
    assert set(terms) == {"flow", "fast", "value"}
    terms["fast"].sum().backward()
    assert policy.backbone.engine.layers[0].attention.key.weight.grad is None
    assert policy.encoders["glance"].encoder.position.grad.abs().sum() > 0
