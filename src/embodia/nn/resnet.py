"""ResNet-18 and -34 feature maps (He et al. 2015), with the norm that robot learning needs: frozen batch, or group.

Own code rather than transformers' class because the norm is the point: robot batches are small and pictures of one
episode are alike, so batch statistics harm. A frozen batch norm is one scale and shift a channel and is folded into the
convolution's weights, which saves a pass over every activation, in training too.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

from embodia.nn.packed import PackedConv2d

Norm = Literal["frozen_batch", "group"]

DEPTHS: Mapping[int, tuple[int, ...]] = {18: (2, 2, 2, 2), 34: (3, 4, 6, 3)}
"""Blocks a stage, by depth."""


class FrozenBatchNorm(nn.Module):
    """Batch norm whose four statistics are buffers: a fixed scale and shift a channel."""

    weight: Tensor
    bias: Tensor
    running_mean: Tensor
    running_var: Tensor

    def __init__(self, channels: int, epsilon: float = 1e-5) -> None:
        super().__init__()
        self.epsilon = epsilon
        for name, value in (("weight", 1.0), ("bias", 0.0), ("running_mean", 0.0), ("running_var", 1.0)):
            self.register_buffer(name, torch.full((channels,), value))

    def affine(self) -> tuple[Tensor, Tensor]:
        """Scale and shift, each (C,)."""
        scale = self.weight * torch.rsqrt(self.running_var + self.epsilon)
        return scale, self.bias - self.running_mean * scale


class ConvNorm(nn.Module):
    """Convolution without bias, then its norm; a frozen batch norm is folded into the weights."""

    def __init__(self, inputs: int, outputs: int, kernel: int, stride: int, norm: Norm, group_width: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, bias=False)
        nn.init.kaiming_normal_(self.conv.weight, mode="fan_out", nonlinearity="relu")
        groups = max(1, outputs // group_width)
        self.norm = FrozenBatchNorm(outputs) if norm == "frozen_batch" else nn.GroupNorm(groups, outputs)

    def forward(self, x: Tensor) -> Tensor:
        """(N C H W) to (N C' H' W')."""
        if not isinstance(self.norm, FrozenBatchNorm):
            return self.norm(self.conv(x))
        weight, shift = self.folded(self.norm)
        return functional.conv2d(x, weight, shift, self.conv.stride, self.conv.padding)

    def folded(self, norm: FrozenBatchNorm) -> tuple[Tensor, Tensor]:
        """Weights and bias of the convolution and its norm in one."""
        scale, shift = norm.affine()
        return self.conv.weight * scale[:, None, None, None], shift

    def packed(self) -> nn.Module:
        """For acting; see `nn.packed`."""
        bias: Tensor | None = None
        weight: Tensor = self.conv.weight
        if isinstance(self.norm, FrozenBatchNorm):
            weight, bias = self.folded(self.norm)
        conv = PackedConv2d(weight, bias, self.conv.stride, self.conv.padding)  # type: ignore[arg-type]
        return conv if isinstance(self.norm, FrozenBatchNorm) else nn.Sequential(conv, self.norm)


class BasicBlock(nn.Module):
    """Two 3x3 convolutions and a shortcut, projected where the shape changes."""

    def __init__(self, inputs: int, outputs: int, stride: int, norm: Norm, group_width: int) -> None:
        super().__init__()
        self.first = ConvNorm(inputs, outputs, 3, stride, norm, group_width)
        self.second = ConvNorm(outputs, outputs, 3, 1, norm, group_width)
        changes = stride != 1 or inputs != outputs
        self.shortcut = ConvNorm(inputs, outputs, 1, stride, norm, group_width) if changes else None

    def forward(self, x: Tensor, film: Tensor | None = None) -> Tensor:
        """(N C H W) to (N C' H' W'); `film` (N 2C') scales (as 1 + scale) and shifts before the shortcut is added."""
        skip = x if self.shortcut is None else self.shortcut(x)
        hidden = self.second(functional.relu(self.first(x), inplace=True))
        if film is not None:
            scale, shift = film[..., None, None].chunk(2, dim=1)
            hidden = hidden * (1 + scale) + shift
        return functional.relu(hidden + skip, inplace=True)


class ResNet(nn.Module):
    """Pictures (N 3 H W) to the last stage's map (N C H/32 W/32).

    `width` is the first stage's width (64 in the paper), doubled at each of the four stages; group norm uses groups of
    `group_width` channels (16 in Diffusion Policy). `stages` are the channels of each block.
    """

    def __init__(self, depth: int = 18, norm: Norm = "frozen_batch", width: int = 64, group_width: int = 16) -> None:
        super().__init__()
        self.channels = width * 8
        self.stages = tuple(width * 2**stage for stage, count in enumerate(DEPTHS[depth]) for _ in range(count))
        self.stem = ConvNorm(3, width, 7, 2, norm, group_width)
        blocks: list[nn.Module] = []
        inputs = width
        for stage, count in enumerate(DEPTHS[depth]):
            outputs = width * 2**stage
            for index in range(count):
                stride = 2 if index == 0 and stage > 0 else 1
                blocks.append(BasicBlock(inputs, outputs, stride, norm, group_width))
                inputs = outputs
        self.blocks = nn.Sequential(*blocks)
        self.to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    def forward(self, x: Tensor, films: Sequence[Tensor] = ()) -> Tensor:
        """Feature map of the last stage; `films` hold one condition a block, (N 2 * stages[i]) each, or nothing."""
        hidden = functional.relu(self.stem(x), inplace=True)
        hidden = functional.max_pool2d(hidden, 3, 2, 1)
        for index, block in enumerate(self.blocks):
            hidden = block(hidden, films[index] if films else None)
        return hidden

    @staticmethod
    def map_size(pixels: int) -> int:
        """Rows (or columns) of the feature map of a picture with that many."""
        for _ in range(5):
            pixels = (pixels + 1) // 2
        return pixels
