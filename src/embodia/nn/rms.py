"""Root-mean-square normalisation in the two variants that checkpoints use.

They differ in what the stored weight means: Llama multiplies by it after casting back, Gemma multiplies by one plus it
before casting back. A checkpoint loaded into the wrong one runs and is silently wrong.
"""

from __future__ import annotations

from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

Variant = Literal["gemma", "llama"]


class RMSNorm(nn.Module):
    """x / rms(x), computed in float32, times a learned scale a feature (Zhang and Sennrich 2019)."""

    def __init__(self, width: int, variant: Variant = "gemma", epsilon: float = 1e-6) -> None:
        super().__init__()
        self.variant: Variant = variant
        self.epsilon = epsilon
        self.weight = nn.Parameter(torch.zeros(width) if variant == "gemma" else torch.ones(width))

    def forward(self, x: Tensor) -> Tensor:
        shape = (x.shape[-1],)
        if self.variant == "gemma":
            return F.rms_norm(x.float(), shape, 1.0 + self.weight.float(), self.epsilon).to(x.dtype)
        return F.rms_norm(x.float(), shape, None, self.epsilon).to(x.dtype) * self.weight


class SpreadNorm(nn.Module):
    """x / deviation(x) times a learned scale; the mean is not taken away (timm's `RmsNorm` up to 1.0)."""

    def __init__(self, width: int, epsilon: float = 1e-6) -> None:
        super().__init__()
        self.epsilon = epsilon
        self.weight = nn.Parameter(torch.ones(width))

    def forward(self, x: Tensor) -> Tensor:
        return x * torch.rsqrt(x.var(-1, keepdim=True) + self.epsilon) * self.weight
