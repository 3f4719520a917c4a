"""The transformer of an action expert: adaptive norms, interleaved cross attention, which cached layers are read."""

import pytest
import torch
import torch.nn.functional as F

from embodia.core.errors import ConfigError
from embodia.core.types import TokenGroup
from embodia.nn.adaptive import AdaptiveRMSNorm
from embodia.nn.expert import ExpertConfig, ExpertTransformer
from embodia.nn.groups import concatenate
from embodia.nn.transformer import Transformer, TransformerConfig

PREFIX = TransformerConfig(width=24, depth=4, heads=4, kv_heads=2, head_dim=8, mlp_width=32)
SUFFIX = TransformerConfig(width=16, depth=4, heads=4, kv_heads=2, head_dim=8, mlp_width=20)


@pytest.fixture(autouse=True)
def seeded():
    torch.manual_seed(0)


def group(name, tokens, attends_to, within="full", mask=None):
    return TokenGroup(name=name, tokens=tokens, mask=mask, attends_to=attends_to, within=within)


def prefix(tokens, mask=None, config=PREFIX):
    _, cache = Transformer(config)([group("seen", tokens, ("seen",), mask=mask)])
    return cache


def planned(expert, tokens, cache, within="full"):
    return expert.plan(concatenate([group("action", tokens, ("seen", "action"), within)]), cache)


def scattered(module):
    """Random weights everywhere, so that no term hides behind a zero or a one."""
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.add_(0.3 * torch.randn(parameter.shape))
    return module


def test_adaptive_norm_by_its_formula():
    layer, x, condition = scattered(AdaptiveRMSNorm(6, 4)), torch.randn(2, 3, 6), torch.randn(2, 4)
    scale, shift, gate = F.linear(condition, layer.modulation.weight, layer.modulation.bias).view(2, 3, 6).unbind(1)
    rms = x.square().mean(-1, keepdim=True).add(1e-6).sqrt()
    found, opened = layer(x, condition)
    torch.testing.assert_close(found, x / rms * (1 + scale[:, None]) + shift[:, None])
    torch.testing.assert_close(opened[:, 0], gate)


def test_new_adaptive_norm_is_a_plain_one_with_an_open_gate():
    layer, x = AdaptiveRMSNorm(6, 4), torch.randn(2, 3, 6)
    found, gate = layer(x, torch.randn(2, 4))
    torch.testing.assert_close(found.square().mean(-1), torch.ones(2, 3), atol=1e-4, rtol=0)
    assert gate.eq(1).all()


def test_plain_expert_is_the_transformer_behind_its_cache():
    """Joined attention is what a `Transformer` does with a cache: two ways to the same numbers."""
    expert, plain = ExpertTransformer(SUFFIX), Transformer(SUFFIX)
    plain.load_state_dict(expert.state_dict())
    mask = torch.tensor([[True] * 5, [True] * 3 + [False] * 2])
    cache, tokens = prefix(torch.randn(2, 5, 24), mask), torch.randn(2, 3, 16)
    expected, _ = plain([group("action", tokens, ("seen", "action"))], cache)
    torch.testing.assert_close(expert.run(tokens, planned(expert, tokens, cache)), expected)


def test_time_steers_an_adaptive_expert_and_is_needed():
    expert = scattered(ExpertTransformer(SUFFIX, ExpertConfig(time="adaptive")))
    cache, tokens = prefix(torch.randn(2, 5, 24)), torch.randn(2, 3, 16)
    plan = planned(expert, tokens, cache)
    first, second = (expert.run(tokens, plan, moment) for moment in torch.randn(2, 2, 16))
    assert (first - second).abs().max() > 1e-2
    with pytest.raises(ConfigError, match="time"):
        expert.run(tokens, plan)


def test_closed_gates_leave_the_tokens_alone():
    expert = ExpertTransformer(SUFFIX, ExpertConfig(time="adaptive"))
    for layer in expert.layers:
        for norm in (layer.attention_norm, layer.mlp_norm):
            torch.nn.init.zeros_(norm.modulation.bias)
    tokens, moment = torch.randn(2, 3, 16), torch.randn(2, 16)
    found = expert.run(tokens, planned(expert, tokens, prefix(torch.randn(2, 5, 24))), moment)
    torch.testing.assert_close(found, F.rms_norm(tokens, (16,), None, 1e-6))


def test_cross_layers_mix_no_actions():
    """With one joined layer in front and crossing behind it, a causal action still knows nothing of later ones."""
    shape = TransformerConfig(width=16, depth=2, heads=4, kv_heads=2, head_dim=8, mlp_width=20)
    expert = ExpertTransformer(shape, ExpertConfig(self_every=2))
    assert [layer.crossing for layer in expert.layers] == [False, True]
    cache, tokens = prefix(torch.randn(2, 5, 24)), torch.randn(2, 3, 16)
    other = tokens.clone()
    other[:, 2] += 1.0
    found = [expert.run(x, planned(expert, x, cache, "causal")) for x in (tokens, other)]
    torch.testing.assert_close(found[0][:, :2], found[1][:, :2])
    assert not torch.allclose(found[0][:, 2], found[1][:, 2])


def test_cross_layer_by_hand():
    """One crossing layer against torch's own attention over the projected cache, positions of the queries from zero."""
    shape = TransformerConfig(width=16, depth=2, heads=4, kv_heads=2, head_dim=8, mlp_width=20)
    expert = ExpertTransformer(shape, ExpertConfig(self_every=2))
    cache, tokens = prefix(torch.randn(2, 5, 24)), torch.randn(2, 3, 16)
    plan, layer = planned(expert, tokens, cache), expert.layers[1]
    key, value = (x.transpose(1, 2).reshape(2, 5, 16) for x in cache.layers[-1])
    key = layer.attention.key(key).view(2, 5, 2, 8).transpose(1, 2).repeat_interleave(2, 1)
    value = layer.attention.value(value).view(2, 5, 2, 8).transpose(1, 2).repeat_interleave(2, 1)
    query = layer.attention.query(layer.attention_norm(tokens)).view(2, 3, 4, 8).transpose(1, 2)
    angle = torch.arange(3)[:, None] / 10000 ** (torch.arange(4) / 4)
    a, b = query.chunk(2, -1)
    turned = torch.cat([a * angle.cos() - b * angle.sin(), b * angle.cos() + a * angle.sin()], -1)
    seen = F.scaled_dot_product_attention(turned, key, value).transpose(1, 2).flatten(2)
    expected = tokens + layer.attention.out(seen)
    expected = expected + layer.mlp(layer.mlp_norm(expected))
    torch.testing.assert_close(layer(tokens, plan, plan.past[1], None), expected, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize(("reads", "layers"), [("last", (2, 3)), ("spread", (0, 2))])
def test_which_cached_layers_are_read(reads, layers):
    shape = TransformerConfig(width=16, depth=2, heads=4, kv_heads=2, head_dim=8, mlp_width=20)
    expert, cache = ExpertTransformer(shape, ExpertConfig(reads=reads)), prefix(torch.randn(2, 5, 24))
    plan = planned(expert, torch.randn(2, 3, 16), cache)
    assert [pair[0] is cache.layers[index][0] for pair, index in zip(plan.past, layers, strict=True)] == [True, True]


def test_expert_deeper_than_the_cache_is_refused():
    deep = TransformerConfig(width=16, depth=5, heads=4, kv_heads=2, head_dim=8, mlp_width=20)
    with pytest.raises(ConfigError, match="5 layers"):
        planned(ExpertTransformer(deep), torch.randn(2, 3, 16), prefix(torch.randn(2, 5, 24)))


def test_calm_expert_is_deaf_to_the_size_of_its_projections():
    """With normalised queries and keys and normalised branches, projections ten times as large change nothing."""
    expert = ExpertTransformer(SUFFIX, ExpertConfig(query_norm=True))
    cache, tokens = prefix(torch.randn(2, 5, 24)), torch.randn(2, 3, 16)
    before = expert.run(tokens, planned(expert, tokens, cache))
    with torch.no_grad():
        for layer in expert.layers:
            for linear in (layer.attention.query, layer.attention.key, layer.attention.out, layer.mlp.down):
                linear.weight.mul_(10.0)
    torch.testing.assert_close(expert.run(tokens, planned(expert, tokens, cache)), before, atol=1e-3, rtol=1e-3)


@pytest.mark.parametrize("expert", [ExpertConfig(), ExpertConfig(time="adaptive", self_every=2)])
def test_recomputing_changes_nothing(expert):
    from dataclasses import replace

    plain, saving = ExpertTransformer(SUFFIX, expert), ExpertTransformer(replace(SUFFIX, recompute=True), expert)
    saving.load_state_dict(plain.state_dict())
    cache, tokens, moment = prefix(torch.randn(2, 5, 24)), torch.randn(2, 3, 16), torch.randn(2, 16)
    gradients = []
    for module in (plain, saving):
        module.run(tokens, planned(module, tokens, cache), moment).square().sum().backward(retain_graph=True)
        gradients.append([p.grad for p in module.parameters()])
    for one, other in zip(*gradients, strict=True):
        torch.testing.assert_close(one, other)
