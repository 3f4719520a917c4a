"""Linear layers with weights -1, 0, 1 (bb.bitlinear; BitNet b1.58, arXiv 2402.17764): 1.58 bits a weight.

Full weights are kept and trained; every pass rounds them to three levels and the inputs to eight bits, and the gradient
passes as if nothing had been rounded. The one thing to watch: the scale is the mean size of the whole matrix, so layers
that are split or merged round differently.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

LEAST = 1e-5


def ternary(weight: Tensor) -> tuple[Tensor, Tensor]:
    """Levels -1, 0, 1 with the shape of `weight`, and their scale: the mean absolute weight."""
    scale = weight.abs().mean().clamp_min(LEAST)
    return (weight / scale).round().clamp(-1, 1), scale


def eight_bits(x: Tensor) -> Tensor:
    """`x` rounded to 255 levels a row (... D), the largest number of the row being a level."""
    step = x.abs().amax(-1, keepdim=True).clamp_min(LEAST) / 127
    return (x / step).round().clamp(-128, 127) * step


class BitLinear(nn.Linear):
    """A linear layer that computes with three levels of weight and 255 of input; weights are kept as they are."""

    def forward(self, x: Tensor) -> Tensor:
        """(... in) to (... out)."""
        levels, scale = ternary(self.weight)
        weight = self.weight + (levels * scale - self.weight).detach()
        rounded = x + (eight_bits(x.float()).to(x.dtype) - x).detach()
        return F.linear(rounded, weight, self.bias)


def ternarise(module: nn.Module, skip: Sequence[str] = ()) -> nn.Module:
    """Every plain linear layer inside made a `BitLinear`, in place, weights kept; names in `skip` are left alone."""
    for name, child in module.named_children():
        if name in skip:
            continue
        if type(child) is nn.Linear:
            setattr(module, name, _ternary_layer(child))
        else:
            ternarise(child, skip)
    return module


def packed_bits(weight: Tensor) -> Tensor:
    """The levels of a weight as bytes, four a byte, uint8 (ceil(n / 4),): what a layer costs to store."""
    levels = (ternary(weight)[0].flatten() + 1).to(torch.uint8)
    levels = F.pad(levels, (0, -len(levels) % 4)).view(-1, 4)
    return levels[:, 0] | levels[:, 1] << 2 | levels[:, 2] << 4 | levels[:, 3] << 6


def unpacked_bits(packed: Tensor, shape: Sequence[int]) -> Tensor:
    """The levels -1, 0, 1 of `packed_bits` again, in a shape."""
    pairs = torch.stack([packed >> shift & 3 for shift in (0, 2, 4, 6)], dim=1).flatten()
    count = int(torch.tensor(tuple(shape)).prod())
    return pairs[:count].view(*shape).float() - 1


def _ternary_layer(layer: nn.Linear) -> BitLinear:
    made = BitLinear(layer.in_features, layer.out_features, layer.bias is not None, device="meta")
    made.weight, made.bias = layer.weight, layer.bias
    return made
