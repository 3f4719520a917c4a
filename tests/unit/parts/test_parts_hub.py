"""Public language models under our attention and cache: the same hidden states as the classes on their own."""

from dataclasses import replace

import pytest
import torch

pytest.importorskip("transformers", reason="the public classes are not installed")

from transformers import AutoConfig, AutoModel

from embodia.core.errors import ConfigError
from embodia.core.types import TokenGroup
from embodia.nn.transformer import Transformer, TransformerConfig
from embodia.parts.backbones.hub import HubConfig, HubTransformer
from embodia.parts.backbones.language_model import LanguageModel, block_table

FAMILIES = ["llama", "gemma", "gemma2", "gemma3_text", "qwen2", "qwen3", "mistral", "phi", "phi3", "bitnet"]


def sizes(family):
    heads = 4 if family == "phi" else 2
    return HubConfig(family=family, width=32, depth=3, heads=4, kv_heads=heads, head_dim=8, mlp_width=48)


def engine(family):
    torch.manual_seed(0)
    made = HubTransformer(sizes(family)).eval()
    for parameter in made.parameters():
        torch.nn.init.normal_(parameter, std=0.2)
    return made


def own_model(ours):
    """The family's class built on its own, with words, and the same weights."""
    config = AutoConfig.for_model(
        ours.config.family,
        hidden_size=32,
        num_hidden_layers=3,
        num_attention_heads=4,
        num_key_value_heads=ours.config.kv_heads,
        head_dim=8,
        intermediate_size=48,
        vocab_size=11,
        pad_token_id=None,
        bos_token_id=0,
        eos_token_id=0,
        attn_implementation="eager",
        rms_norm_eps=1e-6,
    )
    if "rope_theta" in config.rope_parameters:
        config.rope_parameters = {**config.rope_parameters, "rope_theta": 10000.0}
    model = AutoModel.from_config(config).eval()
    missing, surplus = model.load_state_dict(ours.model.state_dict(), strict=False)
    assert missing == ["embed_tokens.weight"] and not surplus
    return model


def group(name, length, seed=0, mask=None, attends_to=(), within="full"):
    tokens = torch.randn(2, length, 32, generator=torch.Generator().manual_seed(seed))
    return TokenGroup(name=name, tokens=tokens, mask=mask, attends_to=attends_to or (name,), within=within)


@pytest.mark.parametrize("family", FAMILIES)
def test_a_causal_reading_is_the_classes_own(family):
    ours = engine(family)
    one = group("text", 7, within="causal")
    found, _ = ours([one])
    with torch.no_grad():
        expected = own_model(ours)(inputs_embeds=one.tokens, use_cache=False).last_hidden_state
    assert torch.allclose(found, expected, atol=1e-5), (found - expected).abs().max()


@pytest.mark.parametrize("family", FAMILIES)
def test_padding_on_the_right_changes_nothing_real(family):
    ours = engine(family)
    mask = torch.arange(7)[None] < torch.tensor([[7], [4]])
    one = group("text", 7, within="causal", mask=mask)
    found, _ = ours([one])
    with torch.no_grad():
        short = own_model(ours)(inputs_embeds=one.tokens[1:, :4], use_cache=False).last_hidden_state
    assert torch.allclose(found[1:, :4], short, atol=1e-5)


@pytest.mark.parametrize("family", FAMILIES)
def test_two_readings_over_the_cache_equal_one(family):
    ours = engine(family)
    mask = torch.tensor([[True] * 4, [True, True, False, False]])
    first = group("image", 4, mask=mask)
    words = group("word", 5, seed=1, attends_to=("image", "word"), within="causal")
    whole, _ = ours([first, words])
    _, cache = ours([first])
    rest, longer = ours([replace(words, tokens=words.tokens[:, :2])], cache)
    last, longer = ours([replace(words, tokens=words.tokens[:, 2:])], longer)
    assert torch.allclose(torch.cat([rest, last], 1), whole[:, 4:], atol=1e-5)
    assert [span.length for span in longer.spans] == [4, 5]
    assert cache.layers[0][0].shape[2] == 4, "extending a cache must not change it"


def test_the_gradient_runs_through_the_cache_into_the_prefix():
    ours = engine("llama")
    first = group("image", 4)
    leaf = first.tokens.clone().requires_grad_()
    _, cache = ours([replace(first, tokens=leaf)])
    found, _ = ours([group("word", 3, seed=1, attends_to=("image", "word"))], cache)
    found.sum().backward()
    assert leaf.grad.abs().sum() > 0


def test_a_prefix_is_read_in_both_directions_where_declared():
    ours = engine("llama")
    both, _ = ours([group("text", 5)])
    forward, _ = ours([group("text", 5, within="causal")])
    assert not torch.allclose(both[:, 0], forward[:, 0], atol=1e-3)


def test_llama_equals_our_own_layers():
    theirs = engine("llama")
    config = TransformerConfig(
        width=32, depth=3, heads=4, kv_heads=2, head_dim=8, mlp_width=48, activation="silu", norm="llama"
    )
    mine = Transformer(config).eval()
    names = {
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
    state = {}
    for key, value in theirs.model.state_dict().items():
        for old, new in names.items():
            key = key.replace(old, new)
        state[key] = value
    mine.load_state_dict(state)
    groups = [group("image", 4), group("text", 3, seed=1, attends_to=("image", "text"), within="causal")]
    expected, cache = mine(groups)
    found, other = theirs(groups)
    assert torch.allclose(found, expected, atol=1e-5)
    assert torch.allclose(cache.layers[2][0], other.layers[2][0], atol=1e-5)


@pytest.mark.parametrize("family", ["llama", "gemma3_text", "phi"])
def test_what_cannot_learn_from_the_cache_alone_is_named(family):
    ours = engine(family).train()
    one = group("text", 4)
    _, cache = ours([replace(one, tokens=one.tokens.requires_grad_())])
    sum((key.square().sum() + value.square().sum()) for key, value in cache.layers).backward()
    silent = {id(p) for p in ours.parameters() if p.grad is None or not p.grad.any()}
    assert silent == {id(p) for p in ours.unread_parameters()}


def test_as_the_engine_of_a_language_model():
    model = LanguageModel(engine("qwen2"), block_table(("image",), ("text",)), within="causal")
    found, cache = model({"image": group("image", 4), "text": group("text", 3, seed=1)})
    assert found["text"].tokens.shape == (2, 3, 32) and len(cache.layers) == 3


def test_impossible_sizes_are_refused():
    with pytest.raises(ConfigError, match="refuses"):
        HubTransformer(replace(sizes("llama"), options={"num_attention_heads": 0}))
