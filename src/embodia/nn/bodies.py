"""Layers with weights of their own for every body, so that one network may act with many (GR00T N1, section 2.2).

The one thing to watch: a body's slot is its place in a list that is part of the configuration; a list in another order
gives every body the hands of another.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class BodyLinear(nn.Module):
    """A linear layer for each of `bodies`; rows (B N I) of body `index` (B,) to (B N O)."""

    def __init__(self, bodies: int, inputs: int, outputs: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(bodies, inputs, outputs) / math.sqrt(inputs))
        self.bias = nn.Parameter(torch.zeros(bodies, outputs))

    def forward(self, x: Tensor, index: Tensor) -> Tensor:
        """A batch of one body reads one layer; a mixed one gathers."""
        return torch.baddbmm(self.bias[index][:, None], x, self.weight[index])


class BodyMlp(nn.Module):
    """Two layers with ReLU between, for each of `bodies`."""

    def __init__(self, bodies: int, inputs: int, hidden: int, outputs: int) -> None:
        super().__init__()
        self.first, self.second = BodyLinear(bodies, inputs, hidden), BodyLinear(bodies, hidden, outputs)

    def forward(self, x: Tensor, index: Tensor) -> Tensor:
        """(B N I) of bodies (B,) to (B N O)."""
        return self.second(F.relu(self.first(x, index)), index)


class BodyActions(nn.Module):
    """Noisy actions (B H A) and the features of a time (B W) to tokens (B H W), for each of `bodies`."""

    def __init__(self, bodies: int, action_dim: int, width: int) -> None:
        super().__init__()
        self.enter = BodyLinear(bodies, action_dim, width)
        self.mix = BodyLinear(bodies, 2 * width, width)
        self.leave = BodyLinear(bodies, width, width)

    def forward(self, actions: Tensor, moment: Tensor, index: Tensor) -> Tensor:
        """Time is told to every action."""
        x = self.enter(actions, index)
        x = torch.cat([x, moment[:, None].expand_as(x).to(x.dtype)], dim=-1)
        return self.leave(F.silu(self.mix(x, index)), index)
