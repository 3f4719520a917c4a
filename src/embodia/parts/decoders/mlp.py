"""A small residual MLP as the denoiser of a short chunk: all of it, the time and the condition in one vector (Octo).

The chunk is one flat vector, so neighbouring actions share nothing but these layers: right for four actions, weak
for fifty. The one thing to watch: time passes through learned frequencies, so it comes as the steps of training.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from embodia.core.protocols import Context
from embodia.nn.groups import repeat_rows


@dataclass(frozen=True, kw_only=True)
class MlpConfig:
    """Width and number of residual blocks, each with a hidden layer four times as wide; `time_width` of the time."""

    width: int = 256
    blocks: int = 3
    time_width: int = 32


class ResidualMlp(nn.Module):
    """Norm, four times wider, swish, back, added to the input."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width, eps=1e-6)
        self.up, self.down = nn.Linear(width, 4 * width), nn.Linear(4 * width, width)

    def forward(self, x: Tensor) -> Tensor:
        """(B W) to (B W)."""
        return x + self.down(functional.silu(self.up(self.norm(x))))


class MlpDenoiser(nn.Module):
    """Noisy chunk (B H A), time (B) and all tokens of the context, flattened to (B condition_width), to (B H A)."""

    def __init__(self, config: MlpConfig, action_dim: int, chunk: int, condition_width: int) -> None:
        super().__init__()
        time, width, flat = config.time_width, config.width, chunk * action_dim
        self.frequency = nn.Parameter(0.2 * torch.randn(time // 2))
        self.time = nn.Sequential(nn.Linear(time, 2 * time), nn.SiLU(), nn.Linear(2 * time, time))
        self.into = nn.Linear(time + condition_width + flat, width)
        self.blocks = nn.Sequential(*(ResidualMlp(width) for _ in range(config.blocks)))
        self.out = nn.Linear(width, flat)
        for layer in (self.into, self.out):
            nn.init.xavier_uniform_(layer.weight)
            nn.init.zeros_(layer.bias)

    def condition(self, context: Context, n: int = 1) -> Tensor:
        """(B*n condition_width)."""
        return repeat_rows(torch.cat([group.tokens.flatten(1) for group in context.groups.values()], dim=-1), n)

    def forward(self, told: Tensor, noisy: Tensor, time: Tensor) -> Tensor:
        """(B H A)."""
        angle = 2 * math.pi * time.to(told.dtype)[:, None] * self.frequency
        moment = self.time(torch.cat([angle.cos(), angle.sin()], dim=-1))
        x = self.into(torch.cat([moment, told, noisy.to(told.dtype).flatten(1)], dim=-1))
        return self.out(functional.silu(self.blocks(x))).view_as(noisy).float()
