"""A denoising transformer that looks at every token of its context: S1 of most fast-slow designs.

Noisy actions are one token a step; each block lets them see one another, then everything the context holds, under a
time that shifts, scales and gates (adaLN-zero). It denoises for a diffusion decoder and is a velocity field of a flow
decoder alike. The one thing to watch: what the context contributes is projected once for all steps of a sampler, so the
context may be long, the chunk may not.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from embodia.core.protocols import Context
from embodia.nn.dit import Blocks, Memory, TimeMlp, modulated, norm
from embodia.nn.tokens import join, key_mask, positions
from embodia.parts.decoders.dit import DitConfig


@dataclass(frozen=True)
class Told:
    """What every step reuses: a memory a block."""

    memories: tuple[Memory, ...]
    dtype: torch.dtype


class MemoryDit(nn.Module):
    """Noisy actions (B H A) looking at the groups `read` (empty: all) of width `memory`; 0 is the network's own."""

    def __init__(
        self, config: DitConfig, action_dim: int, chunk: int, *, read: tuple[str, ...] = (), memory: int = 0
    ) -> None:
        super().__init__()
        self.read = read
        width, inside = config.width, memory or config.width
        self.memory = nn.Sequential(nn.LayerNorm(inside), nn.Linear(inside, width))
        self.time = TimeMlp(width, config.time_width, config.time_scale)
        self.embed = nn.Linear(action_dim, width)
        self.position = nn.Parameter(0.02 * torch.randn(chunk, width))
        self.blocks = Blocks(config.sizes, config.depth, condition=width, cross=True)
        self.last_norm = norm("plain", width)
        self.modulation = nn.Linear(width, 2 * width)
        self.out = nn.Linear(width, action_dim)
        nn.init.normal_(self.out.weight, std=0.02)
        for bias in (self.modulation.weight, self.modulation.bias, self.out.bias):
            nn.init.zeros_(bias)

    def condition(self, context: Context, n: int = 1) -> Told:
        """The groups, positions added, as keys and values of every block."""
        groups = {name: context.groups[name] for name in self.read} if self.read else context.groups
        tokens = self.memory(join(groups) + positions(groups))
        memories = self.blocks.remember([(tokens, key_mask(groups))])
        return Told(tuple(memory.repeat(n) for memory in memories), tokens.dtype)

    def forward(self, told: Told, noisy: Tensor, time: Tensor) -> Tensor:
        """(B H A)."""
        moment = self.time(time, told.dtype)
        x = self.blocks(self.embed(noisy.to(told.dtype)) + self.position, moment, memories=told.memories)
        shift, scale = self.modulation(F.silu(moment))[:, None].chunk(2, dim=-1)
        return self.out(modulated(self.last_norm(x), shift, scale)).float()
