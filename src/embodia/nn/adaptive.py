"""Adaptive RMS normalisation: a condition, usually time, sets scale, shift and the weight of the residual branch.

The same idea as a DiT's adaptive layer norm (Peebles and Xie 2023) on RMS norms, as pi0.5's action expert uses it. The
one thing to watch: the map of the condition starts at zero except for the gate, which starts at one, so a new network
begins as a plain pre-norm transformer; with a gate of zero it would begin blind to everything it attends to.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class AdaptiveRMSNorm(nn.Module):
    """x / rms(x) * (1 + scale) + shift, in float32, with scale, shift and gate linear in a condition."""

    def __init__(self, width: int, condition: int, epsilon: float = 1e-6) -> None:
        super().__init__()
        self.epsilon = epsilon
        self.modulation = nn.Linear(condition, 3 * width)
        self.start()

    def start(self) -> None:
        """Weights of a new network: no scale, no shift, an open gate."""
        nn.init.zeros_(self.modulation.weight)
        with torch.no_grad():
            scale, shift, gate = self.modulation.bias.chunk(3)
            scale.zero_()
            shift.zero_()
            gate.fill_(1.0)

    def forward(self, x: Tensor, condition: Tensor) -> tuple[Tensor, Tensor]:
        """Normalised tokens (B N D) and the gate (B 1 D) for what the branch returns, under a condition (B C)."""
        scale, shift, gate = self.modulation(condition)[:, None].chunk(3, dim=-1)
        normed = F.rms_norm(x.float(), (x.shape[-1],), None, self.epsilon)
        return (normed * (1 + scale.float()) + shift.float()).to(x.dtype), gate.to(x.dtype)
