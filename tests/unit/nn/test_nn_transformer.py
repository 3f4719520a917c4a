"""The decoder-only transformer against independent implementations, and the promises of its cache."""

import pytest
import torch
from torch import nn

from embodia.core.errors import ConfigError
from embodia.core.types import TokenGroup
from embodia.nn import groups
from embodia.nn.attention import GroupedQueryAttention
from embodia.nn.rms import RMSNorm
from embodia.nn.rope import rotary_table, rotate
from embodia.nn.transformer import GatedMLP, Transformer, TransformerConfig

TINY = TransformerConfig(width=32, depth=3, heads=4, kv_heads=2, head_dim=8, mlp_width=48)
NAMES = {
    "self_attn.q_proj": "attention.query",
    "self_attn.k_proj": "attention.key",
    "self_attn.v_proj": "attention.value",
    "self_attn.o_proj": "attention.out",
    "mlp.gate_proj": "mlp.gate",
    "mlp.up_proj": "mlp.up",
    "mlp.down_proj": "mlp.down",
    "input_layernorm": "attention_norm",
    "post_attention_layernorm": "mlp_norm",
}


@pytest.fixture(autouse=True)
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    torch.manual_seed(0)
    yield
    torch.set_num_threads(before)


def group(name, tokens, attends_to, within="full", mask=None):
    return TokenGroup(name=name, tokens=tokens, mask=mask, attends_to=attends_to, within=within)


def peer(family):
    transformers = pytest.importorskip("transformers", reason="the independent implementation is not installed")
    sizes = dict(hidden_size=32, num_hidden_layers=3, num_attention_heads=4, num_key_value_heads=2, head_dim=8)
    sizes |= dict(intermediate_size=48, vocab_size=11, attn_implementation="eager")
    kind = {"gemma": "Gemma", "llama": "Llama"}[family]
    model = getattr(transformers, f"{kind}Model")(getattr(transformers, f"{kind}Config")(**sizes)).eval()
    for parameter in model.parameters():
        nn.init.normal_(parameter, std=0.2)
    return model


def translated(state):
    renamed = {}
    for key, value in state.items():
        for theirs, ours in NAMES.items():
            key = key.replace(theirs, ours)
        if not key.startswith("embed_tokens"):
            renamed[key] = value
    return renamed


@pytest.mark.parametrize("family", ["gemma", "llama"])
def test_equals_the_independent_implementation(family):
    theirs = peer(family)
    activation = "gelu" if family == "gemma" else "silu"
    config = TransformerConfig(
        **{**vars(TINY), "norm": family, "activation": activation, "epsilon": theirs.config.rms_norm_eps}
    )
    ours = Transformer(config)
    ours.load_state_dict(translated(theirs.state_dict()))
    tokens = torch.randn(2, 7, 32)
    mask = torch.ones(2, 7, dtype=torch.bool)
    mask[1, 5:] = False
    with torch.no_grad():
        expected = theirs(inputs_embeds=tokens, attention_mask=mask.long()).last_hidden_state
        found, _ = ours([group("text", tokens, ("text",), "causal", mask)])
    assert (found - expected)[mask].abs().max() < 1e-5


@pytest.mark.parametrize("variant", ["gemma", "llama"])
def test_rms_norm_by_its_definition(variant):
    norm = RMSNorm(6, variant, 1e-6)
    nn.init.normal_(norm.weight)
    x = torch.randn(3, 6) * 5
    scale = norm.weight + (variant == "gemma")
    expected = x / (x.pow(2).mean(-1, keepdim=True) + 1e-6).sqrt() * scale
    torch.testing.assert_close(norm(x), expected)
    assert norm(x.bfloat16()).dtype == (torch.bfloat16 if variant == "gemma" else torch.float32)


def test_rotation_depends_on_distance_alone():
    query, key = torch.randn(1, 1, 1, 8), torch.randn(1, 1, 1, 8)

    def product(at, to):
        turned = [rotate(x, rotary_table(torch.tensor([[p]]), 8)) for x, p in ((query, at), (key, to))]
        return (turned[0] * turned[1]).sum()

    torch.testing.assert_close(product(3, 1), product(103, 101), atol=1e-4, rtol=1e-4)
    assert not torch.isclose(product(3, 1), product(3, 2), atol=1e-3)
    torch.testing.assert_close(rotate(query, rotary_table(torch.tensor([[9]]), 8)).norm(), query.norm())


def test_gated_mlp_by_its_definition():
    mlp = GatedMLP(4, 6, "silu")
    x = torch.randn(2, 4)
    expected = (nn.functional.silu(x @ mlp.gate.weight.T) * (x @ mlp.up.weight.T)) @ mlp.down.weight.T
    torch.testing.assert_close(mlp(x), expected)


def test_cached_prefix_equals_one_pass():
    """Prefix once, suffix on its cache: the same numbers as everything together, also with padding."""
    model = Transformer(TINY).eval()
    mask = torch.tensor([[True] * 4, [True, True, False, False]])
    first = group("text", torch.randn(2, 4, 32), ("text",), mask=mask)
    second = group("action", torch.randn(2, 3, 32), ("text", "action"))
    whole, _ = model([first, second])
    _, cache = model([first])
    tail, longer = model([second], cache)
    torch.testing.assert_close(tail, whole[:, 4:], atol=1e-5, rtol=1e-5)
    assert [item.name for item in longer.spans] == ["text", "action"] and longer.mask.shape == (2, 7)
    assert [item.name for item in cache.spans] == ["text"], "a cache is a value: extending it changes nothing"


def test_token_by_token_equals_one_pass():
    """The other end of the same promise: a causal group grown one token at a time."""
    model = Transformer(TINY).eval()
    tokens = torch.randn(1, 4, 32)
    whole, _ = model([group("text", tokens, ("text",), "causal")])
    cache, found = None, []
    for i in range(4):
        names = tuple(f"t{j}" for j in range(i + 1))
        step, cache = model([group(f"t{i}", tokens[:, i : i + 1], names)], cache)
        found.append(step)
    torch.testing.assert_close(torch.cat(found, 1), whole, atol=1e-5, rtol=1e-5)


def test_an_expert_of_another_width_reads_the_cache_and_gradients_reach_the_prefix():
    prefix = Transformer(TINY, outputs=False)
    expert = Transformer(TransformerConfig(**{**vars(TINY), "width": 16, "mlp_width": 24}))
    tokens = torch.randn(2, 4, 32, requires_grad=True)
    nothing, cache = prefix([group("text", tokens, ("text",))])
    out, _ = expert([group("action", torch.randn(2, 3, 16), ("text", "action"))], cache)
    assert nothing is None and out.shape == (2, 3, 16)
    out.square().sum().backward()
    assert tokens.grad.abs().sum() > 0
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in prefix.parameters())


def test_a_detached_cache_insulates_the_prefix():
    prefix, expert = Transformer(TINY, outputs=False), Transformer(TINY)
    _, cache = prefix([group("text", torch.randn(2, 4, 32), ("text",))])
    out, _ = expert([group("action", torch.randn(2, 3, 32), ("text", "action"))], cache.detach())
    out.sum().backward()
    assert all(p.grad is None for p in prefix.parameters())


def test_unread_parameters_are_exactly_those_without_gradient():
    prefix, expert = Transformer(TINY), Transformer(TINY)
    _, cache = prefix([group("text", torch.randn(2, 4, 32), ("text",))], outputs=False)
    out, _ = expert([group("action", torch.randn(2, 3, 32), ("text", "action"))], cache)
    out.square().sum().backward()
    without = {id(p) for p in prefix.parameters() if p.grad is None}
    assert without == {id(p) for p in prefix.unread_parameters()}
    assert Transformer(TINY, outputs=False).unread_parameters() == []


def test_a_network_without_outputs_refuses_to_give_some():
    with pytest.raises(ConfigError, match="without outputs"):
        Transformer(TINY, outputs=False)([group("text", torch.randn(1, 2, 32), ("text",))], outputs=True)


def test_padding_content_changes_nothing():
    model = Transformer(TINY).eval()
    mask = torch.tensor([[True, True, False]])
    tokens = torch.randn(1, 3, 32)
    other = tokens.clone()
    other[:, 2] = 100.0
    first, _ = model([group("text", tokens, ("text",), mask=mask)])
    second, _ = model([group("text", other, ("text",), mask=mask)])
    torch.testing.assert_close(first[:, :2], second[:, :2])
    assert torch.isfinite(second).all()


def test_a_wholly_padded_group_stays_finite():
    model = Transformer(TINY)
    tokens = torch.randn(1, 3, 32, requires_grad=True)
    out, _ = model([group("text", tokens, ("text",), mask=torch.zeros(1, 3, dtype=torch.bool))])
    out.sum().backward()
    assert torch.isfinite(out).all() and torch.isfinite(tokens.grad).all()


def test_repeated_cache_gives_equal_samples():
    model = Transformer(TINY).eval()
    _, cache = model([group("text", torch.randn(2, 4, 32), ("text",))])
    suffix = group("action", torch.randn(2, 3, 32), ("text", "action"))
    once, _ = model([suffix], cache)
    thrice, _ = model([groups.repeat(suffix, 3)], cache.repeat(3))
    torch.testing.assert_close(thrice.unflatten(0, (2, 3))[:, 2], once, atol=1e-5, rtol=1e-5)


def test_recomputation_changes_memory_not_gradients():
    plain = Transformer(TINY)
    thrifty = Transformer(TransformerConfig(**{**vars(TINY), "recompute": True}))
    thrifty.load_state_dict(plain.state_dict())
    tokens = torch.randn(2, 4, 32)
    for model in (plain, thrifty):
        model([group("text", tokens, ("text",))])[0].square().sum().backward()
    for a, b in zip(plain.parameters(), thrifty.parameters(), strict=True):
        torch.testing.assert_close(a.grad, b.grad)


def test_bfloat16_stays_near_float32():
    model = Transformer(TINY).eval()
    tokens = torch.randn(2, 5, 32)
    exact, _ = model([group("text", tokens, ("text",))])
    rough, _ = model.bfloat16()([group("text", tokens.bfloat16(), ("text",))])
    assert rough.dtype == torch.bfloat16
    assert (rough.float() - exact).abs().mean() < 0.05 * exact.abs().mean()


@pytest.mark.parametrize("name", ["depth", "kv_heads", "head_dim"])
def test_sizes_that_cannot_share_a_cache_are_named(name):
    other = TransformerConfig(**{**vars(TINY), name: getattr(TINY, name) * 2})
    with pytest.raises(ConfigError, match=name):
        TINY.require_same_cache(other)
    TINY.require_same_cache(TransformerConfig(**{**vars(TINY), "width": 16}))


def test_heads_that_cannot_be_shared_are_refused():
    with pytest.raises(ConfigError, match="cannot share"):
        GroupedQueryAttention(32, 4, 3, 8)


def test_suffix_that_the_prefix_looks_at_is_refused():
    model = Transformer(TINY)
    with pytest.raises(ConfigError, match="does not exist"):
        model([group("text", torch.randn(1, 2, 32), ("text", "action"))])
