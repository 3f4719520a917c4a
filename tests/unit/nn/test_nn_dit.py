"""Blocks of the diffusion transformer against torch's and diffusers' own layers, and against what is claimed."""

import pytest
import torch
from torch import nn

from embodia.core.errors import ConfigError
from embodia.nn.dit import Block, Blocks, BlockSizes, FeedForward, Memory, NormedAttention, TimeMlp, norm
from embodia.nn.positional import step_positions
from embodia.nn.rope import rotary_table

WIDTH, HEADS = 16, 4


def sizes(**options) -> BlockSizes:
    return BlockSizes(**{"width": WIDTH, "heads": HEADS, "hidden": 40, **options})


def copy_attention(ours: NormedAttention, query, key, value, out) -> None:
    with torch.no_grad():
        ours.query.weight.copy_(query[0]), ours.query.bias.copy_(query[1])
        ours.key_value.weight.copy_(torch.cat([key[0], value[0]]))
        ours.key_value.bias.copy_(torch.cat([key[1], value[1]]))
        ours.out.weight.copy_(out.weight), ours.out.bias.copy_(out.bias)


def copy_torch_attention(ours: NormedAttention, theirs: nn.MultiheadAttention) -> None:
    rows = zip(theirs.in_proj_weight.chunk(3), theirs.in_proj_bias.chunk(3), strict=True)
    copy_attention(ours, *rows, theirs.out_proj)


def randomised(module: nn.Module) -> nn.Module:
    generator = torch.Generator().manual_seed(3)
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.copy_(0.3 * torch.randn(parameter.shape, generator=generator))
    return module.eval()


def test_a_block_with_cross_attention_is_torchs_decoder_layer():
    theirs = randomised(
        nn.TransformerDecoderLayer(WIDTH, HEADS, 40, activation="gelu", batch_first=True, norm_first=True)
    )
    ours = Block(sizes(norm="affine", approximate=False), cross=True).eval()
    copy_torch_attention(ours.attention, theirs.self_attn)
    copy_torch_attention(ours.cross, theirs.multihead_attn)
    pairs = ((ours.attention_norm, theirs.norm1), (ours.cross_norm, theirs.norm2), (ours.mlp_norm, theirs.norm3))
    for mine, other in (*pairs, (ours.mlp.up, theirs.linear1), (ours.mlp.down, theirs.linear2)):
        mine.load_state_dict(other.state_dict())
    x, memory = torch.randn(2, 5, WIDTH), torch.randn(2, 7, WIDTH)
    causal = torch.ones(5, 5, dtype=torch.bool).tril()
    padding = torch.arange(7)[None] < torch.tensor([7, 4])[:, None]
    expected = theirs(x, memory, tgt_mask=~causal, memory_key_padding_mask=~padding)
    told = Memory(ours.cross.remember(memory), padding[:, None, None])
    assert torch.allclose(ours(x, memory=told, mask=causal[None, None]), expected, atol=1e-5)


def test_a_modulated_block_is_that_of_diffusers():
    from diffusers.models.attention import BasicTransformerBlock

    theirs = BasicTransformerBlock(
        WIDTH,
        HEADS,
        WIDTH // HEADS,
        activation_fn="gelu-approximate",
        attention_bias=True,
        norm_type="ada_norm_zero",
        num_embeds_ada_norm=2,
        ff_inner_dim=40,
        norm_elementwise_affine=False,
    )
    randomised(theirs)
    condition = torch.randn(2, WIDTH)
    theirs.norm1.emb.register_forward_hook(lambda *ignored: condition)
    theirs.norm1.norm.eps = 1e-6
    theirs.norm3.eps = 1e-6
    ours = Block(sizes(), condition=WIDTH).eval()
    attention = theirs.attn1
    rows = [(layer.weight, layer.bias) for layer in (attention.to_q, attention.to_k, attention.to_v)]
    copy_attention(ours.attention, *rows, attention.to_out[0])
    ours.modulation.load_state_dict(theirs.norm1.linear.state_dict())
    ours.mlp.up.load_state_dict(theirs.ff.net[0].proj.state_dict())
    ours.mlp.down.load_state_dict(theirs.ff.net[2].state_dict())
    x = torch.randn(2, 5, WIDTH)
    expected = theirs(x, timestep=torch.tensor([1, 2]), class_labels=torch.tensor([0, 1]))
    assert torch.allclose(ours(x, condition), expected, atol=1e-5)


def test_time_positions_of_dit_are_those_of_diffusers():
    from diffusers.models.embeddings import get_timestep_embedding

    time = torch.tensor([0, 3, 999])
    expected = get_timestep_embedding(time, 256, flip_sin_to_cos=True, downscale_freq_shift=0)
    assert torch.allclose(step_positions(time, 256), expected, atol=1e-4)
    mlp = TimeMlp(8, 256)
    assert torch.allclose(mlp(time), mlp.second(nn.functional.silu(mlp.first(expected))), atol=1e-5)
    scaled = TimeMlp(8, 256, scale=1000.0)
    scaled.load_state_dict(mlp.state_dict())
    assert torch.allclose(scaled(time / 1000), mlp(time), atol=1e-4)


def test_a_fresh_modulated_block_is_almost_the_identity():
    torch.manual_seed(0)
    blocks = Blocks(sizes(), 2, condition=6)
    x, condition = torch.randn(2, 5, WIDTH), torch.randn(2, 6)
    moved = float((blocks(x, condition) - x).abs().mean())
    assert 0 < moved < 0.1 * float((Blocks(sizes(), 2)(x) - x).abs().mean())
    with torch.no_grad():
        for layer in blocks.layers:
            layer.modulation.weight.zero_()
    assert torch.equal(blocks(x, condition), x)


def test_normed_queries_and_keys_do_not_feel_their_size():
    x = torch.randn(2, 5, WIDTH)
    for qk_norm in (True, False):
        attention = NormedAttention(sizes(qk_norm=qk_norm))
        before = attention(x, attention.remember(x))
        with torch.no_grad():
            attention.query.weight.mul_(50), attention.query.bias.mul_(50)
        same = torch.allclose(attention(x, attention.remember(x)), before, atol=1e-4)
        assert same == qk_norm


def test_memories_take_turns_and_are_repeated_row_by_row():
    blocks = Blocks(sizes(norm="rms"), 3, cross=True)
    first, second = torch.randn(2, 4, WIDTH), torch.randn(2, 6, WIDTH)
    told = blocks.remember([(first, None), (second, None)])
    assert [memory.pair[0].shape[2] for memory in told] == [4, 6, 4]
    x = torch.randn(2, 5, WIDTH)
    repeated = blocks(x.repeat_interleave(3, 0), memories=[memory.repeat(3) for memory in told])
    assert torch.allclose(repeated[::3], blocks(x, memories=told), atol=1e-5)
    changed = blocks.remember([(first, None), (second + 1, None)])
    only_first = Blocks(sizes(norm="rms"), 1, cross=True)
    assert not torch.allclose(blocks(x, memories=changed), blocks(x, memories=told))
    alone = [only_first.remember([(first, None), (other, None)])[0].pair[0] for other in (second, second + 1)]
    assert torch.equal(*alone)


def test_rotary_positions_tell_an_order_apart():
    block = Block(sizes()).eval()
    x = torch.randn(1, 4, WIDTH)
    table = rotary_table(torch.arange(4)[None], WIDTH // HEADS)
    swapped = x[:, [1, 0, 2, 3]]
    assert torch.allclose(block(swapped)[:, 2], block(x)[:, 2], atol=1e-5)
    assert not torch.allclose(block(swapped, table=table)[:, 2], block(x, table=table)[:, 2], atol=1e-5)


def test_norms_and_sizes():
    x = torch.randn(3, WIDTH)
    plain = (x - x.mean(-1, keepdim=True)) / (x.var(-1, keepdim=True, correction=0) + 1e-6).sqrt()
    assert torch.allclose(norm("plain", WIDTH)(x), plain, atol=1e-5)
    assert torch.allclose(norm("rms", WIDTH)(x), x / (x.square().mean(-1, keepdim=True) + 1e-6).sqrt(), atol=1e-5)
    assert sum(p.numel() for p in norm("plain", WIDTH).parameters()) == 0
    assert FeedForward(4, 8, 3)(torch.zeros(2, 4)).shape == (2, 3)
    with pytest.raises(ConfigError, match="heads"):
        BlockSizes(width=10, heads=3)


def test_dropout_is_only_for_training():
    block = Block(sizes(dropout=0.5))
    x = torch.randn(1, 4, WIDTH)
    assert not torch.equal(block.train()(x), block(x))
    assert torch.equal(block.eval()(x), block(x))
