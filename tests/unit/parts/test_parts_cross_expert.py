"""The expert that reads hidden states: bodies, blocks that cross or look around, future tokens."""

import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F

sys.path.insert(0, str(Path(__file__).parents[2] / "contract"))
from bodies import gripper_arm, statistics

from embodia.core.errors import ConfigError, ShapeError
from embodia.core.invent import invent_batch
from embodia.core.types import Observation, TokenGroup
from embodia.nn.bodies import BodyActions, BodyLinear, BodyMlp
from embodia.nn.cross_dit import CrossBlock, CrossDit
from embodia.nn.dit import BlockSizes
from embodia.parts.backbones.cross_expert import CrossExpert, CrossExpertConfig
from embodia.parts.context import Context
from embodia.parts.encoders.body import BodyIndex
from embodia.policies import PolicySpec, make

SIZES = BlockSizes(width=16, heads=4, hidden=32)
SMALL = CrossExpertConfig(
    width=16, depth=4, heads=4, outputs=8, memory=12, every=2, futures=3, bodies=2, state_dim=6, positions=8
)
ARM = gripper_arm()


@pytest.fixture(autouse=True)
def seeded():
    torch.manual_seed(0)


def group(name, tokens, mask=None):
    return TokenGroup(name=name, tokens=tokens, mask=mask, attends_to=(name,))


def context(body=0.0, mask=None, batch=2):
    groups = {
        "image": group("image", torch.randn(batch, 5, 20), mask),
        "state": group("state", torch.randn(batch, 1, 4)),
        "body": group("body", torch.full((batch, 1, 1), body)),
    }
    return Context(groups=groups)


def test_every_body_has_layers_of_its_own():
    layer, x = BodyLinear(3, 4, 5), torch.randn(3, 2, 4)
    found = layer(x, torch.tensor([2, 0, 2]))
    for row, body in enumerate((2, 0, 2)):
        torch.testing.assert_close(found[row], x[row] @ layer.weight[body] + layer.bias[body])
    mlp = BodyMlp(3, 4, 6, 5)
    hidden = F.relu(mlp.first(x, torch.tensor([1, 1, 1])))
    torch.testing.assert_close(mlp(x, torch.tensor([1, 1, 1])), mlp.second(hidden, torch.tensor([1, 1, 1])))


def test_time_reaches_every_action():
    layer, actions, moment = BodyActions(2, 4, 8), torch.randn(1, 3, 4), torch.randn(1, 8)
    first, second = (layer(actions, m, torch.zeros(1, dtype=torch.long)) for m in (moment, moment + 1))
    assert ((first - second).abs().sum(-1) > 1e-3).all()


def test_a_block_by_its_formula():
    block, x, moment, memory = CrossBlock(SIZES, 12), torch.randn(2, 3, 16), torch.randn(2, 16), torch.randn(2, 5, 12)
    scale, shift = block.modulation(F.silu(moment)).chunk(2, -1)
    normed = F.layer_norm(x, (16,)) * (1 + scale[:, None]) + shift[:, None]
    attention = block.attention
    key, value = (p.unflatten(-1, (4, 4)).transpose(1, 2) for p in attention.key_value(memory).chunk(2, -1))
    query = attention.query(normed).unflatten(-1, (4, 4)).transpose(1, 2)
    seen = attention.out(F.scaled_dot_product_attention(query, key, value).transpose(1, 2).flatten(2))
    y = x + seen
    expected = y + block.mlp(F.layer_norm(y, (16,)))
    torch.testing.assert_close(block(x, moment, attention.remember(memory), None), expected, atol=1e-5, rtol=1e-5)


def test_which_blocks_cross():
    assert [b.crossing for b in CrossDit(SIZES, 4, 12).blocks] == [True] * 4
    assert [b.crossing for b in CrossDit(SIZES, 4, 12, every=2).blocks] == [True, False, True, False]


def test_tokens_that_only_cross_do_not_meet():
    dit, x, moment = CrossDit(SIZES, 2, 12), torch.randn(1, 3, 16), torch.randn(1, 16)
    memory = dit.remember(torch.randn(1, 5, 12))
    moved = x.clone()
    moved[:, 0] += 1.0
    torch.testing.assert_close(dit(x, moment, memory)[:, 1:], dit(moved, moment, memory)[:, 1:])


def test_samples_share_one_condition():
    expert, given = CrossExpert(SMALL, ("image",), 20, 4, 5), context()
    noisy, time = torch.randn(6, 5, 4), torch.rand(6)
    together = expert(expert.condition(given, 3), noisy, time)
    torch.testing.assert_close(together[1::3], expert(expert.condition(given), noisy[1::3], time[1::3]))


def test_padding_of_the_memory_is_not_seen():
    expert, mask = CrossExpert(replace(SMALL, adapter=1, adapter_heads=4), ("image",), 20, 4, 5), torch.ones(2, 5)
    mask[1, 3:] = 0
    given = context(mask=mask.bool())
    tokens = given.groups["image"].tokens.clone()
    tokens[1, 3:] += 9.0
    other = Context(groups={**given.groups, "image": group("image", tokens, mask.bool())})
    noisy, time = torch.randn(2, 5, 4), torch.rand(2)
    first, second = (expert(expert.condition(c), noisy, time) for c in (given, other))
    torch.testing.assert_close(first, second)


def test_bodies_act_differently_on_the_same_sight():
    expert, given = CrossExpert(SMALL, ("image",), 20, 4, 5), context()
    other = Context(groups={**given.groups, "body": group("body", torch.ones(2, 1, 1))})
    noisy, time = torch.randn(2, 5, 4), torch.rand(2)
    first, second = (expert(expert.condition(c), noisy, time) for c in (given, other))
    assert not torch.allclose(first, second)


def test_a_state_too_wide_is_refused():
    expert = CrossExpert(replace(SMALL, state_dim=3), ("image",), 20, 4, 5)
    with pytest.raises(ConfigError, match="4 state"):
        expert.condition(context())


def test_names_of_bodies_are_places():
    names = BodyIndex(("arm", "hand"))
    state = torch.zeros(2, 1, 3)
    for said, place in (("hand", 1.0), ("arm", 0.0), ("dog", 0.0), ("", 0.0)):
        assert names(Observation(state=state, embodiment=said)).tokens.flatten().tolist() == [place] * 2


def test_future_tokens_are_taught_by_what_is_seen_later():
    policy = make(PolicySpec(name="groot_n1", size="tiny", contract=ARM), statistics(ARM), seed=0)
    batch = invent_batch(policy.contract, 2, later=len(policy.later)).map(torch.from_numpy)
    rng = torch.Generator().manual_seed
    term = policy.loss_terms(batch, rng(0))["future"]
    dark = replace(batch, later=batch.later.map(torch.zeros_like))
    assert ((term >= 0) & (term <= 2)).all()
    assert not torch.allclose(term, policy.loss_terms(dark, rng(0))["future"])
    policy.zero_grad()
    term.sum().backward()
    assert policy.decoder.velocity.future.grad.abs().sum() > 0
    assert policy.decoder.velocity.hand.second.weight.grad is None, "behind the compared layer"
    with pytest.raises(ShapeError, match="later"):
        policy.loss_terms(replace(batch, later=None), rng(0))
