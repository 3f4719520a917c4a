"""Convolution by matrix product against torch's own: outputs, gradients, and when which way is taken."""

import pytest
import torch
from torch import nn

from embodia.nn import conv1d

CASES = [
    (conv1d.Conv1d, nn.Conv1d, {"kernel_size": 5, "padding": 2}),
    (conv1d.Conv1d, nn.Conv1d, {"kernel_size": 3, "stride": 2, "padding": 1}),
    (conv1d.Conv1d, nn.Conv1d, {"kernel_size": 1}),
    (conv1d.Conv1d, nn.Conv1d, {"kernel_size": 4, "stride": 3, "bias": False}),
    (conv1d.ConvTranspose1d, nn.ConvTranspose1d, {"kernel_size": 4, "stride": 2, "padding": 1}),
    (conv1d.ConvTranspose1d, nn.ConvTranspose1d, {"kernel_size": 3, "bias": False}),
]


def pair(kind, reference, settings, inputs=6, outputs=40):
    torch.manual_seed(0)
    ours = kind(inputs, outputs, **settings).double()
    theirs = reference(inputs, outputs, **settings).double()
    theirs.load_state_dict(ours.state_dict())
    return ours, theirs


def results(layer, x):
    x = x.clone().requires_grad_()
    y = layer(x)
    (y * torch.linspace(-1, 1, y.numel(), dtype=y.dtype).reshape(y.shape)).sum().backward()
    return [y.detach(), x.grad, *(parameter.grad for parameter in layer.parameters())]


@pytest.mark.parametrize(("kind", "reference", "settings"), CASES)
@pytest.mark.parametrize("length", [7, 8])
def test_outputs_and_gradients_are_those_of_torch(kind, reference, settings, length):
    ours, theirs = pair(kind, reference, settings)
    x = torch.randn(2, 6, length, dtype=torch.float64)
    assert ours.out_channels > 2 * length
    for mine, expected in zip(results(ours, x), results(theirs, x), strict=True):
        torch.testing.assert_close(mine, expected, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize(("kind", "reference", "settings"), CASES)
def test_a_long_batch_takes_torchs_own_way_and_agrees(kind, reference, settings, monkeypatch):
    ours, theirs = pair(kind, reference, settings)
    x = torch.randn(30, 6, 9, dtype=torch.float64)
    torch.testing.assert_close(ours(x), theirs(x), rtol=1e-12, atol=1e-12)
    monkeypatch.setattr(reference, "forward", lambda *_: pytest.fail("torch's own way was taken"))
    with pytest.raises(pytest.fail.Exception):
        ours(x)
    ours(x[:1, :, :8])


@pytest.mark.parametrize(
    "settings",
    [{"dilation": 2}, {"groups": 2}, {"padding_mode": "circular", "padding": 1}, {"padding": "same"}],
    ids=["dilation", "groups", "circular", "same"],
)
def test_what_a_matrix_product_cannot_do_is_left_to_torch(settings):
    ours, theirs = pair(conv1d.Conv1d, nn.Conv1d, {"kernel_size": 3, **settings})
    x = torch.randn(1, 6, 8, dtype=torch.float64)
    torch.testing.assert_close(ours(x), theirs(x), rtol=1e-12, atol=1e-12)


def test_an_asked_for_length_is_left_to_torch():
    ours, theirs = pair(conv1d.ConvTranspose1d, nn.ConvTranspose1d, {"kernel_size": 3, "stride": 2})
    x = torch.randn(1, 6, 4, dtype=torch.float64)
    torch.testing.assert_close(ours(x, output_size=[10]), theirs(x, output_size=[10]), rtol=1e-12, atol=1e-12)
