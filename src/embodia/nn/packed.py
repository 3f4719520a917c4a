"""Layers for acting on a CPU: weights laid out once in the order in which the processor reads them.

Torch lays out the weights of a convolution in every call, and at a batch of one that is most of the work: a U-Net level
of 2048 channels takes 60 ms plain and 8 ms packed. Frozen batch norms are folded in. The operators are those that
torch's own compiler emits; where they are missing, layers stay as they are. The one thing to watch: packing changes a
module in place, and a packed module only acts: it has no weights to train, save or move.
"""

from __future__ import annotations

from typing import Any, Protocol, TypeVar, runtime_checkable

import torch
from torch import Tensor, nn

from embodia.nn.conv1d import Conv1d, ConvTranspose1d, overlapped, windowed

Policy = TypeVar("Policy")


@runtime_checkable
class Packable(Protocol):
    """A module that knows its own packed form."""

    def packed(self) -> nn.Module:
        """A module that computes the same."""
        ...


class PackedLinear(nn.Module):
    """`torch.nn.Linear` for rows (... I) to (... O); laid out for the number of rows of the first call.

    `weight` is empty and only tells type and device.
    """

    def __init__(self, weight: Tensor, bias: Tensor | None) -> None:
        super().__init__()
        self.out_features, self.in_features = weight.shape
        self.weight = weight.detach().new_empty(0)
        self._plain: Tensor | None = weight.detach().contiguous()
        self._bias = None if bias is None else bias.detach()
        self._packed: Tensor | None = None

    def forward(self, x: Tensor) -> Tensor:
        """(... I) to (... O)."""
        if self._plain is not None:
            rows = max(1, x.numel() // x.shape[-1])
            self._packed, self._plain = _operators()._reorder_linear_weight(self._plain, rows), None
        return _operators()._linear_pointwise(x, self._packed, self._bias, "none", [], "")  # type: ignore[no-any-return]


class PackedConv2d(nn.Module):
    """`torch.nn.functional.conv2d` of (N C H W), channels last; laid out for the shape of the first call."""

    def __init__(self, weight: Tensor, bias: Tensor | None, stride: tuple[int, ...], padding: tuple[int, ...]) -> None:
        super().__init__()
        self._plain: Tensor | None = weight.detach()
        self._bias = None if bias is None else bias.detach()
        self._packed: Tensor | None = None
        self._place = (list(padding), list(stride), [1, 1], 1)

    def forward(self, x: Tensor) -> Tensor:
        """(N C H W) to (N C' H' W')."""
        x = x.contiguous(memory_format=torch.channels_last)
        if self._plain is not None:
            plain = self._plain.contiguous(memory_format=torch.channels_last)
            self._packed = _operators()._reorder_convolution_weight(plain, *self._place, list(x.shape))
            self._plain = None
        return _operators()._convolution_pointwise(  # type: ignore[no-any-return]
            x, self._packed, self._bias, *self._place, "none", [], ""
        )


class PackedConv1d(nn.Module):
    """`Conv1d` as a matrix product with packed weights."""

    def __init__(self, layer: Conv1d) -> None:
        super().__init__()
        self.linear = PackedLinear(layer.weight.flatten(1), layer.bias)
        self._window = (layer.kernel_size[0], layer.stride[0], int(layer.padding[0]))

    def forward(self, x: Tensor) -> Tensor:
        """(B C T) to (B C' T')."""
        return self.linear(windowed(x, *self._window)).transpose(1, 2)  # type: ignore[no-any-return]


class PackedConvTranspose1d(nn.Module):
    """`ConvTranspose1d` as a matrix product with packed weights."""

    def __init__(self, layer: ConvTranspose1d) -> None:
        super().__init__()
        self.linear = PackedLinear(layer.weight.detach().flatten(1).t(), None)
        self._bias = None if layer.bias is None else layer.bias.detach()[:, None]
        self._window = (layer.kernel_size[0], layer.stride[0], int(layer.padding[0]))

    def forward(self, x: Tensor) -> Tensor:
        """(B C T) to (B C' T')."""
        y = overlapped(self.linear(x.transpose(1, 2)), *self._window)
        return y if self._bias is None else y + self._bias


def pack(policy: Policy) -> Policy:
    """The same policy, made ready for acting; what is not a module, or not float32 on a CPU, stays as it is."""
    if isinstance(policy, nn.Module):
        policy.eval().requires_grad_(False)
        if available():
            _pack_inside(policy)
    return policy


def available() -> bool:
    """Whether this build of torch has the operators."""
    names = ("_reorder_linear_weight", "_linear_pointwise", "_reorder_convolution_weight", "_convolution_pointwise")
    return torch.backends.mkldnn.is_available() and all(hasattr(_operators(), name) for name in names)


def _operators() -> Any:
    return torch.ops.mkldnn


def _pack_inside(module: nn.Module) -> None:
    for name, child in module.named_children():
        ready = _packed(child)
        if ready is not None:
            setattr(module, name, ready)
        else:
            _pack_inside(child)


def _packed(layer: nn.Module) -> nn.Module | None:
    tensors = [*layer.parameters(), *layer.buffers()]
    if not all(tensor.device.type == "cpu" and tensor.dtype == torch.float32 for tensor in tensors):
        return None
    if isinstance(layer, Packable):
        return layer.packed()
    if type(layer) is nn.Linear:
        return PackedLinear(layer.weight, layer.bias)
    if isinstance(layer, nn.modules.conv._ConvNd) and _plain(layer):
        if isinstance(layer, nn.Conv2d):
            return PackedConv2d(layer.weight, layer.bias, layer.stride, layer.padding)  # type: ignore[arg-type]
        if isinstance(layer, Conv1d):
            return PackedConv1d(layer)
        if isinstance(layer, ConvTranspose1d) and layer.output_padding == (0,):
            return PackedConvTranspose1d(layer)
    return None


def _plain(layer: nn.modules.conv._ConvNd) -> bool:
    single = layer.groups == 1 and all(step == 1 for step in layer.dilation)
    return single and layer.padding_mode == "zeros" and not isinstance(layer.padding, str)
