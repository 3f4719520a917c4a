"""Packed layers against the layers they were made from; every policy acts alike before and after packing."""

import copy

import pytest
import torch
from torch import nn

from embodia.nn import packed
from embodia.nn.conv1d import Conv1d, ConvTranspose1d
from embodia.nn.detr import DecoderLayer, EncoderLayer, LayerSizes
from embodia.nn.resnet import ConvNorm, ResNet
from embodia.nn.unet1d import UNet1d, UNetConfig

pytestmark = pytest.mark.skipif(not packed.available(), reason="this torch has no packed operators")


def agree(module, *inputs, tolerance=2e-5):
    plain, ready = module.eval(), packed.pack(copy.deepcopy(module))
    with torch.no_grad():
        expected = plain(*inputs)
        for _ in range(2):
            torch.testing.assert_close(ready(*inputs), expected, rtol=tolerance, atol=tolerance)
    return ready


def kinds(module):
    return {type(child) for child in module.modules()}


@pytest.mark.parametrize("shape", [(8,), (3, 8), (2, 5, 8)])
@pytest.mark.parametrize("bias", [True, False])
def test_linear(shape, bias):
    ready = agree(nn.Sequential(nn.Linear(8, 11, bias=bias)), torch.randn(shape))
    assert kinds(ready) == {nn.Sequential, packed.PackedLinear}


def test_linear_takes_other_numbers_of_rows_than_the_first():
    layer = nn.Linear(16, 24)
    ready = packed.pack(nn.Sequential(copy.deepcopy(layer)))
    for rows in (1, 7, 300):
        x = torch.randn(rows, 16)
        torch.testing.assert_close(ready(x), layer(x), rtol=1e-5, atol=1e-5)


def test_linear_still_tells_its_size_and_type():
    ready = packed.pack(nn.Sequential(nn.Linear(4, 6)))[0]
    assert (ready.in_features, ready.out_features, ready.weight.dtype) == (4, 6, torch.float32)


@pytest.mark.parametrize("settings", [{}, {"stride": 2, "padding": 1}, {"padding": (0, 2), "bias": False}])
def test_conv2d(settings):
    ready = agree(nn.Sequential(nn.Conv2d(3, 8, 3, **settings)), torch.randn(2, 3, 12, 10))
    assert packed.PackedConv2d in kinds(ready)


@pytest.mark.parametrize(
    "layer", [Conv1d(6, 40, 5, padding=2), Conv1d(6, 40, 3, 2, 1), ConvTranspose1d(6, 40, 4, 2, 1)]
)
@pytest.mark.parametrize("batch", [1, 9])
def test_conv1d(layer, batch):
    ready = agree(nn.Sequential(layer), torch.randn(batch, 6, 8))
    assert packed.PackedLinear in kinds(ready)


@pytest.mark.parametrize("layer", [nn.Conv2d(4, 4, 3, groups=2), nn.Conv2d(4, 4, 3, dilation=2), nn.Conv1d(4, 4, 3)])
def test_what_has_no_packed_form_stays(layer):
    ready = packed.pack(nn.Sequential(copy.deepcopy(layer)))
    assert type(ready[0]) is type(layer)


def test_other_kinds_of_numbers_stay():
    ready = packed.pack(nn.Sequential(nn.Linear(4, 4).double(), nn.Linear(4, 4).to(torch.bfloat16)))
    assert kinds(ready) == {nn.Sequential, nn.Linear}


def test_a_frozen_norm_is_folded_in():
    block = ConvNorm(3, 8, 3, 1, "frozen_batch", 4)
    for name, buffer in block.norm.named_buffers():
        buffer.copy_(torch.rand(8) + (0.5 if name != "bias" else -0.5))
    ready = agree(nn.Sequential(block), torch.randn(1, 3, 9, 9))
    assert kinds(ready) == {nn.Sequential, packed.PackedConv2d}


@pytest.mark.parametrize("norm", ["frozen_batch", "group"])
def test_resnet(norm):
    agree(ResNet(18, norm, width=16, group_width=4), torch.rand(2, 3, 40, 40), tolerance=1e-4)


@pytest.mark.parametrize("pre_norm", [False, True])
def test_transformer_layers(pre_norm):
    sizes = LayerSizes(width=32, heads=4, hidden=48, dropout=0.1, pre_norm=pre_norm)
    for layer in (EncoderLayer(sizes), DecoderLayer(sizes)):
        nn.init.normal_(layer.attention.project.bias)
    x, position = torch.randn(2, 7, 32), torch.randn(7, 32)
    agree(EncoderLayer(sizes), x, position, None)
    memory, places = torch.randn(2, 5, 32), torch.randn(5, 32)
    agree(DecoderLayer(sizes), x, position, memory, places, None)


def test_unet():
    net = UNet1d(UNetConfig(widths=(16, 32, 64), groups=4, time_width=16), 3, 10)
    fixed = net.film.condition(torch.randn(2, 10)).detach()
    agree(net, fixed, torch.randn(2, 8, 3), torch.tensor([3, 70]))


def test_a_packed_module_has_nothing_left_to_train_or_save():
    ready = packed.pack(nn.Sequential(nn.Linear(3, 3), nn.LayerNorm(3)))
    assert not any(parameter.requires_grad for parameter in ready.parameters()) and not ready.training
    assert set(ready.state_dict()) == {"1.weight", "1.bias"}


def test_what_is_no_module_is_left_alone():
    policy = object()
    assert packed.pack(policy) is policy
