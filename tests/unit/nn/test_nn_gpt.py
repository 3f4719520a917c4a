"""The GPT engine against transformers' GPT-2 with the same weights, and its cache against reading at once."""

import pytest
import torch
from torch.distributions import Categorical
from transformers import GPT2Config, GPT2Model

from embodia.core.errors import ShapeError
from embodia.core.types import TokenGroup
from embodia.nn.focal import focal
from embodia.nn.gpt import Gpt, GptConfig


def group(name: str, tokens: torch.Tensor, *sees: str, mask: torch.Tensor | None = None) -> TokenGroup:
    return TokenGroup(name=name, tokens=tokens, mask=mask, attends_to=(*sees, name), within="causal")


def numbers(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def test_equals_gpt2_with_its_weights():
    peer = GPT2Model(GPT2Config(n_embd=32, n_layer=2, n_head=4, n_positions=16, activation_function="gelu")).eval()
    ours = Gpt(GptConfig(width=32, depth=2, heads=4, hidden=128, places=16)).eval()
    for layer, block in zip(ours.layers, peer.h, strict=True):
        pairs = [(layer.project, block.attn.c_attn), (layer.out, block.attn.c_proj)]
        pairs += [(layer.up, block.mlp.c_fc), (layer.down, block.mlp.c_proj)]
        for mine, theirs in pairs:  # GPT-2 keeps its matrices transposed
            mine.weight.data.copy_(theirs.weight.T)
            mine.bias.data.copy_(theirs.bias)
        layer.attention_norm.load_state_dict(block.ln_1.state_dict())
        layer.norm.load_state_dict(block.ln_2.state_dict())
    ours.places.load_state_dict(peer.wpe.state_dict())
    ours.norm.load_state_dict(peer.ln_f.state_dict())
    tokens = numbers(3, 10, 32)
    with torch.no_grad():
        found, _ = ours([group("words", tokens)])
        expected = peer(inputs_embeds=tokens).last_hidden_state
    assert torch.allclose(found, expected, atol=1e-5)


def test_behind_a_cache_it_computes_the_same():
    torch.manual_seed(0)
    engine = Gpt(GptConfig(width=16, depth=2, heads=2, hidden=32, places=12, gated=True)).eval()
    tokens = numbers(2, 7, 16)
    mask = torch.tensor([[True] * 3, [True, True, False]])
    first, second = group("seen", tokens[:, :3], mask=mask), group("said", tokens[:, 3:], "seen")
    with torch.no_grad():
        together, _ = engine([first, second])
        _, cache = engine([first], outputs=False)
        apart = []
        for place in range(3, 7):
            found, cache = engine([group("said", tokens[:, place : place + 1], "seen")], cache)
            apart.append(found)
    assert torch.allclose(together[:, 3:], torch.cat(apart, dim=1), atol=1e-5)


def test_padding_is_never_looked_at():
    engine = Gpt(GptConfig(width=16, depth=1, heads=2, hidden=0)).eval()
    tokens, mask = numbers(1, 4, 16), torch.tensor([[True, True, True, False]])
    other = tokens.clone()
    other[:, 3] = 9.0
    found = [engine([group("seen", x, mask=mask)])[0][:, :3] for x in (tokens, other)]
    assert torch.equal(*found)


def test_a_sequence_longer_than_the_table_is_refused():
    with pytest.raises(ShapeError, match="positions"):
        Gpt(GptConfig(width=16, depth=1, heads=2, hidden=16, places=4))([group("seen", numbers(1, 5, 16))])


def test_focal_loss_is_cross_entropy_weighed_by_what_is_missing():
    logits, target = numbers(4, 6), torch.tensor([0, 5, 2, 2])
    plain = -Categorical(logits=logits).log_prob(target)
    assert torch.allclose(focal(logits, target, 0.0), plain, atol=1e-6)
    assert torch.allclose(focal(logits, target, 2.0), (1 - torch.exp(-plain)) ** 2 * plain, atol=1e-6)


def test_layers_at_both_ends_stand_before_and_behind_the_same_network():
    torch.manual_seed(0)
    wide = Gpt(GptConfig(width=16, depth=2, heads=2, hidden=32, places=8, inputs=6, outputs=5)).eval()
    plain = Gpt(GptConfig(width=16, depth=2, heads=2, hidden=32, places=8)).eval()
    kept = {name: tensor for name, tensor in wide.state_dict().items() if not name.startswith(("first.", "last."))}
    plain.load_state_dict(kept)
    tokens = numbers(2, 4, 6)
    with torch.no_grad():
        found, _ = wide([group("words", tokens)])
        inside, _ = plain([group("words", wide.first(tokens))])
    assert found.shape == (2, 4, 5) and torch.allclose(found, wide.last(inside), atol=1e-6)
