"""Attention into another sequence: the resampler that makes few tokens of many, and gated layers inside a frozen model.

Both are Flamingo's (Alayrac et al. 2022): learned latents look at a picture's tokens and at themselves, several times;
gated layers let a language model look at the latents, through gates that begin closed, so that a fresh network is the
language model unchanged. The one thing to watch: a closed gate also closes the gradient of what lies behind it; it
opens because its own gradient is not zero.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from embodia.nn.scaled_dot import attend


@dataclass(frozen=True, kw_only=True)
class CrossSizes:
    """Heads of `head_dim` each; the feed-forward layer is `expand` times as wide as the tokens."""

    heads: int = 8
    head_dim: int = 64
    expand: int = 4


class CrossAttention(nn.Module):
    """Queries (B Q W) over a memory (B N M), both normed first; no biases."""

    def __init__(self, width: int, memory: int, sizes: CrossSizes) -> None:
        super().__init__()
        inner = sizes.heads * sizes.head_dim
        self.heads = sizes.heads
        self.norm = nn.LayerNorm(width)
        self.query = nn.Linear(width, inner, bias=False)
        self.key_value = nn.Linear(memory, 2 * inner, bias=False)
        self.out = nn.Linear(inner, width, bias=False)

    def forward(self, x: Tensor, memory: Tensor, mask: Tensor | None = None) -> Tensor:
        """(B Q W); `mask` bool (B N) of the memory, whose norm is the caller's business."""
        key, value = self.key_value(memory).chunk(2, dim=-1)
        seen = attend(
            self._split(self.query(self.norm(x))),
            self._split(key),
            self._split(value),
            None if mask is None else mask[:, None, None],
        )
        return self.out(seen.transpose(1, 2).flatten(2))

    def _split(self, x: Tensor) -> Tensor:
        return x.unflatten(-1, (self.heads, -1)).transpose(1, 2)


def _feed_forward(width: int, expand: int) -> nn.Sequential:
    hidden = expand * width
    return nn.Sequential(
        nn.LayerNorm(width), nn.Linear(width, hidden, bias=False), nn.GELU(), nn.Linear(hidden, width, bias=False)
    )


class Resampler(nn.Module):
    """Tokens (B N memory) to `count` tokens (B count memory), by `depth` rounds of looking."""

    def __init__(self, memory: int, count: int, depth: int, sizes: CrossSizes) -> None:
        super().__init__()
        self.latents = nn.Parameter(torch.randn(count, memory))
        self.looks = nn.ModuleList(CrossAttention(memory, memory, sizes) for _ in range(depth))
        self.norms = nn.ModuleList(nn.LayerNorm(memory) for _ in range(depth))
        self.maps = nn.ModuleList(_feed_forward(memory, sizes.expand) for _ in range(depth))
        self.norm = nn.LayerNorm(memory)

    def forward(self, tokens: Tensor, mask: Tensor | None = None) -> Tensor:
        """`mask` bool (B N) says which tokens are real."""
        x = self.latents.expand(len(tokens), -1, -1)
        if mask is not None:
            mask = torch.cat([mask, mask.new_ones(len(tokens), x.shape[1])], dim=1)
        for look, norm, change in zip(self.looks, self.norms, self.maps, strict=True):
            x = x + look(x, torch.cat([norm(tokens), look.norm(x)], dim=1), mask)  # type: ignore[operator]
            x = x + change(x)
        return self.norm(x)


class GatedCrossLayer(nn.Module):
    """Attention to a memory and a feed-forward layer, each added through tanh of a gate that begins at `gate`."""

    def __init__(self, width: int, memory: int, sizes: CrossSizes, gate: float = 0.0) -> None:
        super().__init__()
        self.look = CrossAttention(width, memory, sizes)
        self.change = _feed_forward(width, sizes.expand)
        self.look_gate = nn.Parameter(torch.full((1,), gate))
        self.change_gate = nn.Parameter(torch.full((1,), gate))

    def forward(self, x: Tensor, memory: Tensor, mask: Tensor | None = None) -> Tensor:
        """(B N W)."""
        x = x + self.look_gate.tanh() * self.look(x, memory, mask)
        return x + self.change_gate.tanh() * self.change(x)
