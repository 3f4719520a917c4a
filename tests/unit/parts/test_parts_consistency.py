"""The few-step head: its boundary, its levels, what it makes of an oracle, and two modes learned in one step."""

import pytest
import torch
from torch import nn

from embodia.core.specs import ActionPart, ActionSpec
from embodia.core.types import ActionChunk, TokenGroup
from embodia.parts.compose import Context
from embodia.parts.decoders.consistency import ConsistencyConfig, ConsistencyDecoder, deviations
from embodia.parts.decoders.mlp import MlpConfig, MlpDenoiser

SPEC = ActionSpec(parts=(ActionPart(name="x", dim=2, representation="joint_delta"),), rate_hz=10, chunk=3)


def context(rows: int = 2) -> Context:
    tokens = torch.ones(rows, 1, 4)
    return Context(groups={"image": TokenGroup(name="image", tokens=tokens, mask=None, attends_to=("image",))})


def chunk(actions: torch.Tensor, valid: torch.Tensor | None = None) -> ActionChunk:
    everything = torch.ones(actions.shape[:2], dtype=torch.bool)
    return ActionChunk(actions=actions, valid=everything if valid is None else valid, spec=SPEC)


def rng(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


class Oracle(nn.Module):
    """Knows the clean actions and undoes the decoder's scaling."""

    def __init__(self, clean: torch.Tensor, config: ConsistencyConfig) -> None:
        super().__init__()
        self.clean, self.config, self.calls = clean, config, 0

    def condition(self, context, n=1):
        return self.clean.repeat_interleave(n, 0)

    def forward(self, told, scaled, level):
        self.calls += 1
        sigma, spread = deviations(self.config)[level][:, None, None], self.config.spread
        whole = (sigma**2 + spread**2).sqrt()
        beyond = sigma - self.config.least
        told = told.repeat_interleave(len(scaled) // len(told), 0)
        skip = spread**2 / (beyond**2 + spread**2)
        return (told - skip * scaled * whole) / (spread * beyond / whole).clamp_min(1e-9)


def test_levels_rise_from_least_to_most_and_crowd_at_the_bottom():
    levels = deviations(ConsistencyConfig(levels=10))
    assert float(levels[0]) == pytest.approx(0.002, rel=1e-4) and float(levels[-1]) == pytest.approx(5, rel=1e-4)
    assert bool((levels.diff() > 0).all()) and bool((levels.diff().diff() > 0).all())


def test_at_the_lowest_level_the_answer_is_the_input():
    torch.manual_seed(0)
    head = ConsistencyDecoder(ConsistencyConfig(), MlpDenoiser(MlpConfig(width=8), 2, 3, 4), 2, 3)
    x = torch.randn(2, 3, 2)
    told = head.net.condition(context())
    assert torch.allclose(head.answer(told, x, torch.zeros(2, dtype=torch.long)), x, atol=1e-6)
    assert not torch.allclose(head.answer(told, x, torch.full((2,), 9)), x, atol=1e-2)


@pytest.mark.parametrize("steps", [1, 2, 5])
def test_who_knows_the_answer_agrees_with_himself_and_finds_it(steps):
    config, clean = ConsistencyConfig(draws=3), torch.rand(2, 3, 2, generator=rng()) - 0.5
    head = ConsistencyDecoder(config, Oracle(clean, config), 2, 3)
    found = head.sample(context(), rng(), n=2, steps=steps)
    assert head.net.calls == steps
    assert torch.allclose(found, clean[:, None].expand(-1, 2, -1, -1), atol=1e-4)
    high = head.answer(clean, clean + 5 * torch.randn(2, 3, 2), torch.full((2,), 8))
    assert torch.allclose(high, clean, atol=1e-4)


def test_padding_does_not_count_and_a_prefix_is_kept():
    torch.manual_seed(0)
    head = ConsistencyDecoder(ConsistencyConfig(), MlpDenoiser(MlpConfig(width=8), 2, 3, 4), 2, 3)
    actions = torch.rand(2, 3, 2, generator=rng())
    valid = torch.tensor([[True, True, True], [False, False, False]])
    loss = head.loss_terms(context(), chunk(actions, valid), rng())["consistency"]
    assert loss.shape == (2,) and float(loss[0].detach()) > 0 and float(loss[1].detach()) == 0.0
    prefix = torch.full((2, 1, 2), 0.3)
    found = head.sample(context(), rng(), n=2, prefix=prefix)
    assert torch.equal(found[:, :, :1], prefix[:, None].expand(-1, 2, -1, -1))
    assert torch.equal(head.sample(context(), rng(4)), head.sample(context(), rng(4)))


def test_two_ways_stay_two_in_a_single_step():
    """Demonstrations that go left or right: a mean would go between, one evaluation of this head does not."""
    torch.manual_seed(0)
    config = ConsistencyConfig(draws=8, levels=8, spread=0.8)
    head = ConsistencyDecoder(config, MlpDenoiser(MlpConfig(width=64, blocks=2), 2, 3, 4), 2, 3)
    optimiser = torch.optim.Adam(head.parameters(), 2e-3)
    generator = rng()
    for _ in range(400):
        side = torch.randint(2, (32, 1, 1), generator=generator) * 2 - 1
        loss = head.loss_terms(context(32), chunk(0.8 * side.expand(-1, 3, 2).float()), generator)["consistency"].mean()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    found = head.sample(context(400), rng(1), steps=1)[:, 0]
    left, right = (found < -0.5).all((1, 2)).float().mean(), (found > 0.5).all((1, 2)).float().mean()
    assert float(left) > 0.3 and float(right) > 0.3 and float(left + right) > 0.7
