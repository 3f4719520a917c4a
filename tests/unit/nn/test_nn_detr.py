"""DETR layers against torch's own attention, and FiLM and the U-Net against their plain forms."""

import pytest
import torch
from torch import nn

from embodia.core.errors import ConfigError
from embodia.nn.detr import Attention, DecoderLayer, EncoderLayer, LayerSizes
from embodia.nn.film import FilmBank, modulate
from embodia.nn.mlp import projection
from embodia.nn.noise import integers, normal, uniform
from embodia.nn.unet1d import ResidualBlock1d, UNet1d, UNetConfig

SIZES = LayerSizes(width=24, heads=3, hidden=40, dropout=0.0)


def multihead(attention: Attention) -> nn.MultiheadAttention:
    """torch's module with the weights of ours."""
    peer = nn.MultiheadAttention(24, 3, batch_first=True)
    with torch.no_grad():
        peer.in_proj_weight.copy_(attention.project.weight)
        peer.in_proj_bias.copy_(attention.project.bias)
        peer.out_proj.weight.copy_(attention.out.weight)
        peer.out_proj.bias.copy_(attention.out.bias)
    return peer


@pytest.mark.parametrize("masked", [False, True])
def test_attention_adds_positions_to_queries_and_keys_only(masked):
    torch.manual_seed(0)
    attention = Attention(SIZES)
    nn.init.normal_(attention.project.bias)
    queries, memory = torch.randn(2, 5, 24), torch.randn(2, 7, 24)
    query_position, memory_position = torch.randn(5, 24), torch.randn(7, 24)
    padding = torch.arange(7)[None] < torch.tensor([[7], [4]]) if masked else None
    mask = None if padding is None else padding[:, None, None]
    mine = attention(queries, query_position, memory, memory_position, mask)
    theirs, _ = multihead(attention)(
        queries + query_position, memory + memory_position, memory,
        key_padding_mask=None if padding is None else ~padding,
    )  # fmt: skip
    assert torch.allclose(mine, theirs, atol=1e-5)
    own = attention(memory, memory_position, memory, memory_position, mask)
    whole, _ = multihead(attention)(
        memory + memory_position, memory + memory_position, memory,
        key_padding_mask=None if padding is None else ~padding,
    )  # fmt: skip
    assert torch.allclose(own, whole, atol=1e-5)


@pytest.mark.parametrize("pre_norm", [False, True])
def test_encoder_layer_equals_torchs_without_positions(pre_norm):
    torch.manual_seed(1)
    sizes = LayerSizes(width=24, heads=3, hidden=40, dropout=0.0, pre_norm=pre_norm)
    layer = EncoderLayer(sizes)
    peer = nn.TransformerEncoderLayer(24, 3, 40, 0.0, batch_first=True, norm_first=pre_norm)
    peer.self_attn = multihead(layer.attention)
    pairs = ((peer.linear1, layer.feed_forward.up), (peer.linear2, layer.feed_forward.down))
    for theirs, mine in (*pairs, (peer.norm1, layer.norm_attention), (peer.norm2, layer.norm_feed_forward)):
        theirs.load_state_dict(mine.state_dict())
    x = torch.randn(2, 6, 24)
    assert torch.allclose(layer(x, torch.zeros(6, 24), None), peer(x), atol=1e-5)


@pytest.mark.parametrize("pre_norm", [False, True])
def test_decoder_layer_equals_torchs_without_positions(pre_norm):
    torch.manual_seed(2)
    sizes = LayerSizes(width=24, heads=3, hidden=40, dropout=0.0, pre_norm=pre_norm)
    layer = DecoderLayer(sizes)
    peer = nn.TransformerDecoderLayer(24, 3, 40, 0.0, batch_first=True, norm_first=pre_norm)
    peer.self_attn, peer.multihead_attn = multihead(layer.attention), multihead(layer.cross)
    pairs = [(peer.linear1, layer.feed_forward.up), (peer.linear2, layer.feed_forward.down)]
    pairs += [(peer.norm1, layer.norm_attention), (peer.norm2, layer.norm_cross), (peer.norm3, layer.norm_feed_forward)]
    for theirs, mine in pairs:
        theirs.load_state_dict(mine.state_dict())
    x, memory = torch.randn(2, 4, 24), torch.randn(2, 6, 24)
    assert torch.allclose(layer(x, torch.zeros(4, 24), memory, torch.zeros(6, 24), None), peer(x, memory), atol=1e-5)


def test_film_bank_is_one_linear_layer_a_block():
    torch.manual_seed(0)
    bank = FilmBank(4, 6, [3, 5])
    time, condition = torch.randn(2, 4), torch.randn(2, 6)
    films = bank(time, bank.condition(condition))
    weight = torch.cat([bank.weight_time, bank.weight_condition], dim=1)
    expected = nn.functional.linear(nn.functional.mish(torch.cat([time, condition], 1)), weight, bank.bias)
    assert [film.shape[-1] for film in films] == [6, 10]
    assert torch.allclose(torch.cat(films, 1), expected, atol=1e-6)


def test_modulation_scales_then_shifts():
    x = torch.ones(1, 2, 3)
    film = torch.tensor([[2.0, 3.0, 10.0, 20.0]])
    assert modulate(x, film)[0, :, 0].tolist() == [12.0, 23.0]


def test_residual_block_is_what_it_says():
    torch.manual_seed(0)
    block = ResidualBlock1d(3, 8, 5, 4)
    x, film = torch.randn(2, 3, 8), torch.randn(2, 16)
    hidden = block.first(x) * film[:, :8, None] + film[:, 8:, None]
    assert torch.allclose(block(x, film), block.second(hidden) + block.shortcut(x), atol=1e-6)


def test_unet_keeps_the_shape_and_reaches_across_the_chunk():
    torch.manual_seed(0)
    net = UNet1d(UNetConfig(widths=(8, 16, 16), kernel=3, groups=4, time_width=8), 3, 5)
    x = torch.randn(2, 16, 3, requires_grad=True)
    fixed = net.film.condition(torch.randn(2, 5))
    out = net(fixed, x, torch.tensor([3, 90]))
    assert out.shape == (2, 16, 3)
    out[0, 0].sum().backward()
    assert bool(x.grad[0, 15].any()) and not bool(x.grad[1].any())
    assert not torch.allclose(out[0], net(fixed, x, torch.tensor([4, 90]))[0], atol=1e-6)


def test_unet_refuses_a_chunk_it_cannot_halve():
    net = UNet1d(UNetConfig(widths=(8, 16, 16), groups=4, time_width=8), 3, 5)
    with pytest.raises(ConfigError, match="multiple of 4"):
        net(net.film.condition(torch.zeros(1, 5)), torch.zeros(1, 10, 3), torch.zeros(1))


def test_noise_is_a_function_of_its_seed():
    like = torch.zeros(1)
    draws = (
        lambda rng: normal((5,), like, rng),
        lambda rng: uniform((5,), like, rng),
        lambda rng: integers(9, (5,), like, rng),
    )
    for draw in draws:
        first, again, other = (draw(torch.Generator().manual_seed(seed)) for seed in (1, 1, 2))
        assert torch.equal(first, again) and not torch.equal(first, other)
    assert int(integers(3, (200,), like, torch.Generator().manual_seed(0)).max()) == 2


def test_deep_projection_has_a_hidden_layer():
    assert isinstance(projection(3, 4), nn.Linear)
    assert projection(3, 4, deep=True)(torch.zeros(2, 3)).shape == (2, 4)
