"""Dropout whose mask is cheap on a CPU: four decisions from each 64-bit random number.

torch draws one floating-point number an element, which costs a tenth of a transformer's training step on a CPU; sixteen
bits are enough to decide. Elsewhere torch's own dropout is used. The one thing to watch: the rate is rounded to a
multiple of 1/65536.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

_LEVELS = 1 << 16


def dropout(x: Tensor, rate: float, training: bool = True) -> Tensor:
    """`x` with each element zero with probability `rate`, else divided by 1 - rate; `x` itself outside training.

    Draws from torch's global generator (Srivastava et al. 2014).
    """
    if not training or rate == 0.0:
        return x
    if x.device.type != "cpu" or rate >= 1.0:
        return F.dropout(x, rate)
    numbers = torch.empty((x.numel() + 3) // 4, dtype=torch.int64).random_(-(2**63), None)
    decisions = numbers.view(torch.int16)[: x.numel()].view(x.shape)
    kept = decisions >= round(rate * _LEVELS) - _LEVELS // 2
    return x * kept.to(x.dtype).mul_(1.0 / (1.0 - rate))


class Dropout(nn.Module):
    """`dropout` as a layer."""

    def __init__(self, rate: float) -> None:
        super().__init__()
        self.rate = rate

    def forward(self, x: Tensor) -> Tensor:
        """The same shape."""
        return dropout(x, self.rate, self.training)
