"""Ternary linear layers: levels, gradients, storage, and an independent implementation."""

import pytest
import torch
from torch import nn

from embodia.nn.bitlinear import BitLinear, eight_bits, packed_bits, ternarise, ternary, unpacked_bits


def test_levels_are_three_and_the_scale_is_the_mean_size():
    weight = torch.tensor([[0.9, -0.1, 0.0, -2.0], [0.4, 0.6, -0.6, 0.2]])
    levels, scale = ternary(weight)
    assert scale == pytest.approx(weight.abs().mean().item())
    assert levels.tolist() == [[1, 0, 0, -1], [1, 1, -1, 0]]


def test_inputs_have_a_step_of_their_largest_number():
    x = torch.randn(5, 64)
    rounded = eight_bits(x)
    step = x.abs().amax(-1, keepdim=True) / 127
    assert ((rounded - x).abs() <= step / 2 + 1e-6).all()
    assert torch.allclose((rounded / step).round(), rounded / step, atol=1e-3)


def test_it_computes_with_rounded_numbers():
    torch.manual_seed(0)
    layer = BitLinear(16, 8)
    x = torch.randn(3, 16)
    levels, scale = ternary(layer.weight)
    assert torch.allclose(layer(x), eight_bits(x) @ (levels * scale).T + layer.bias, atol=1e-5)


def test_the_gradient_passes_as_if_nothing_were_rounded():
    torch.manual_seed(0)
    layer, x = BitLinear(16, 8), torch.randn(3, 16, requires_grad=True)
    up = torch.randn(3, 8)
    (layer(x) * up).sum().backward()
    assert torch.allclose(layer.weight.grad, up.T @ eight_bits(x.detach()), atol=1e-4)
    levels, scale = ternary(layer.weight)
    assert torch.allclose(x.grad, up @ (levels * scale).detach(), atol=1e-4)


def test_it_equals_the_public_layer():
    bitnet = pytest.importorskip("transformers.integrations.bitnet", reason="the independent layer is not installed")
    torch.manual_seed(0)
    ours = BitLinear(32, 24, bias=False)
    theirs = bitnet.AutoBitLinear(32, 24, bias=False, online_quant=True)
    theirs.load_state_dict(ours.state_dict())
    x = torch.randn(4, 32)
    with torch.compiler.set_stance("force_eager"):
        assert torch.allclose(ours(x), theirs(x), atol=1e-4)


def test_a_network_keeps_its_weights_and_skips_what_it_should():
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(4, 4), nn.ModuleDict({"head": nn.Linear(4, 2), "body": nn.Linear(4, 4)}))
    before = {name: value.clone() for name, value in net.state_dict().items()}
    ternarise(net, skip=("head",))
    assert isinstance(net[0], BitLinear) and isinstance(net[1]["body"], BitLinear)
    assert type(net[1]["head"]) is nn.Linear
    for name, value in net.state_dict().items():
        assert torch.equal(value, before[name])


@pytest.mark.parametrize("shape", [(8, 16), (3, 7), (1, 1)])
def test_four_weights_take_a_byte(shape):
    weight = torch.randn(shape, generator=torch.Generator().manual_seed(0))
    packed = packed_bits(weight)
    assert packed.dtype == torch.uint8 and len(packed) == -(-weight.numel() // 4)
    assert torch.equal(unpacked_bits(packed, shape), ternary(weight)[0])


def test_a_ternary_layer_can_learn_signs():
    torch.manual_seed(0)
    layer = BitLinear(8, 1, bias=False)
    wanted = torch.tensor([[1.0, -1, 1, -1, 0, 0, 1, -1]])
    x = torch.randn(256, 8)
    optimizer = torch.optim.Adam(layer.parameters(), lr=0.02)
    for _ in range(200):
        loss = (layer(x) - x @ wanted.T).square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert torch.equal(ternary(layer.weight)[0], wanted)
