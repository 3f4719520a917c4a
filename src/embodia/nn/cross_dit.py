"""A diffusion transformer that looks at another model's hidden states in every block, or in every second (GR00T N1).

Time enters by the scale and shift of the norm before attention, without gates; a block attends once, to the memory or
among its own tokens. Keys and values of the memory do not change between integration steps and are made once.
"""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

from embodia.nn.attention import KeyValue
from embodia.nn.dit import BlockSizes, FeedForward, NormedAttention, modulated


class CrossBlock(nn.Module):
    """Adaptive norm, one attention, norm, feed-forward; `memory` > 0 is the width of what it looks at."""

    def __init__(self, sizes: BlockSizes, memory: int = 0) -> None:
        super().__init__()
        self.crossing = bool(memory)
        self.modulation = nn.Linear(sizes.width, 2 * sizes.width)
        self.attention = NormedAttention(sizes, memory)
        self.mlp = FeedForward(sizes.width, sizes.hidden)
        self.width = (sizes.width,)

    def forward(self, x: Tensor, moment: Tensor, pair: KeyValue | None, mask: Tensor | None) -> Tensor:
        """(B N W) at the time embedded in `moment` (B W); `pair` and `mask` are of the memory, None looks around."""
        scale, shift = self.modulation(F.silu(moment))[:, None].chunk(2, dim=-1)
        normed = modulated(F.layer_norm(x, self.width, eps=1e-5), shift, scale)
        x = x + self.attention(normed, pair or self.attention.remember(normed), mask)
        return x + self.mlp(F.layer_norm(x, self.width, eps=1e-5))


class CrossDit(nn.Module):
    """Blocks of which `every`-th ones look at a memory of `memory` features and those between at their own tokens."""

    def __init__(self, sizes: BlockSizes, depth: int, memory: int, *, every: int = 1) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(CrossBlock(sizes, 0 if index % every else memory) for index in range(depth))
        self.modulation = nn.Linear(sizes.width, 2 * sizes.width)
        self.width = (sizes.width,)

    def remember(self, memory: Tensor) -> tuple[KeyValue | None, ...]:
        """Keys and values a block; None where it looks around."""
        return tuple(
            block.attention.remember(memory) if block.crossing else None  # type: ignore[operator, union-attr]
            for block in self.blocks
        )

    def forward(
        self,
        x: Tensor,
        moment: Tensor,
        memory: tuple[KeyValue | None, ...],
        mask: Tensor | None = None,
        *,
        until: int | None = None,
    ) -> Tensor:
        """(B N W), normed; with `until` the tokens after that many blocks, as they are."""
        for block, pair in list(zip(self.blocks, memory, strict=True))[:until]:
            x = block(x, moment, pair, None if pair is None else mask)
        if until is not None:
            return x
        shift, scale = self.modulation(F.silu(moment))[:, None].chunk(2, dim=-1)
        return modulated(F.layer_norm(x, self.width, eps=1e-6), shift, scale)
