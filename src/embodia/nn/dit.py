"""Blocks of a diffusion transformer: self-attention, cross-attention, modulation, in whatever mix a design wants.

One block serves DiT (Peebles and Xie 2023: adaptive layer norm that starts as the identity), RDT (Liu et al. 2024:
cross-attention, norm of queries and keys, root-mean-square norms) and the plain pre-norm transformer. What a condition
contributes to cross-attention does not change while sampling, so it is projected once (`remember`). The one thing to
watch: modulation starts a hair above zero, not at zero as published, so that a fresh network answers at all.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

from embodia.core.errors import ConfigError
from embodia.nn.attention import KeyValue, Table
from embodia.nn.dropout import dropout
from embodia.nn.groups import repeat_rows
from embodia.nn.positional import step_positions
from embodia.nn.rms import RMSNorm, SpreadNorm
from embodia.nn.rope import rotate
from embodia.nn.scaled_dot import attend

Norm = Literal["plain", "affine", "rms", "spread"]
"""Layer norm without weights (DiT), with weights (most transformers), root mean square (RDT's paper), or what timm
called so until 1.0.3, with which RDT was published: divided by the deviation, the mean left in."""


@dataclass(frozen=True, kw_only=True)
class BlockSizes:
    """What all blocks share. `hidden` is the feed-forward width; `qk_norm` normalises queries and keys a head."""

    width: int = 768
    heads: int = 12
    hidden: int = 3072
    norm: Norm = "plain"
    qk_norm: bool = False
    approximate: bool = True
    dropout: float = 0.0

    def __post_init__(self) -> None:
        if self.width % self.heads:
            raise ConfigError(f"a width of {self.width} cannot be split into {self.heads} heads", leaf="heads")


@dataclass(frozen=True)
class Memory:
    """What a block looks at besides its own tokens: keys and values (B heads M d), `mask` bool (B 1 1|N M) or None."""

    pair: KeyValue
    mask: Tensor | None = None

    def repeat(self, times: int) -> Memory:
        """Each batch entry `times` times in a row."""
        key, value = (repeat_rows(part, times) for part in self.pair)
        return Memory((key, value), None if self.mask is None else repeat_rows(self.mask, times))


class NormedAttention(nn.Module):
    """Multi-head attention whose queries and keys may be normalised a head (Henry et al. 2020).

    `memory` is the width of what is looked at where that is another than the block's own.
    """

    def __init__(self, sizes: BlockSizes, memory: int = 0) -> None:
        super().__init__()
        width, head = sizes.width, sizes.width // sizes.heads
        self.heads, self.dropout = sizes.heads, sizes.dropout
        self.query = nn.Linear(width, width)
        self.key_value = nn.Linear(memory or width, 2 * width)
        within: Norm = "spread" if sizes.norm == "spread" else "rms"
        self.query_norm = norm(within, head) if sizes.qk_norm else nn.Identity()
        self.key_norm = norm(within, head) if sizes.qk_norm else nn.Identity()
        self.out = nn.Linear(width, width)

    def remember(self, memory: Tensor, table: Table | None = None) -> KeyValue:
        """Keys and values (B heads M d) of tokens (B M W)."""
        key, value = (self._split(part) for part in self.key_value(memory).chunk(2, dim=-1))
        key = self.key_norm(key)
        return (key if table is None else rotate(key, table)), value

    def forward(self, x: Tensor, pair: KeyValue, mask: Tensor | None = None, table: Table | None = None) -> Tensor:
        """(B N W) of what queries (B N W) find in `pair`; `mask` bool, broadcastable to (B 1 N M)."""
        query = self.query_norm(self._split(self.query(x)))
        query = query if table is None else rotate(query, table)
        rate = self.dropout if self.training else 0.0
        return self.out(attend(query, *pair, mask, rate).transpose(1, 2).flatten(2))

    def _split(self, x: Tensor) -> Tensor:
        return x.unflatten(-1, (self.heads, -1)).transpose(1, 2)


class FeedForward(nn.Module):
    """Two linear layers with GELU between."""

    def __init__(self, width: int, hidden: int, outputs: int = 0, *, approximate: bool = True) -> None:
        super().__init__()
        self.up = nn.Linear(width, hidden)
        self.down = nn.Linear(hidden, outputs or width)
        self.kind = "tanh" if approximate else "none"

    def forward(self, x: Tensor) -> Tensor:
        """(... W) to (... outputs)."""
        return self.down(functional.gelu(self.up(x), approximate=self.kind))


class Block(nn.Module):
    """Self-attention, optional cross-attention, feed-forward, each behind a norm and added to its input.

    `condition` > 0 is the width of a vector that shifts, scales and gates self-attention and feed-forward (adaLN-zero);
    `cross` adds attention to a `Memory`.
    """

    def __init__(self, sizes: BlockSizes, *, condition: int = 0, cross: bool = False) -> None:
        super().__init__()
        self.dropout = sizes.dropout
        self.attention_norm = norm(sizes.norm, sizes.width)
        self.attention = NormedAttention(sizes)
        self.cross_norm = norm(sizes.norm, sizes.width) if cross else None
        self.cross = NormedAttention(sizes) if cross else None
        self.mlp_norm = norm(sizes.norm, sizes.width)
        self.mlp = FeedForward(sizes.width, sizes.hidden, approximate=sizes.approximate)
        self.modulation = nn.Linear(condition, 6 * sizes.width) if condition else None

    def forward(
        self,
        x: Tensor,
        condition: Tensor | None = None,
        memory: Memory | None = None,
        mask: Tensor | None = None,
        table: Table | None = None,
    ) -> Tensor:
        """(B N W); `condition` (B C), `mask` of self-attention bool (B 1 1|N N), `table` of rotary positions."""
        shift, scale, gate, shift_mlp, scale_mlp, gate_mlp = self._modulations(condition)
        normed = modulated(self.attention_norm(x), shift, scale)
        seen = self.attention(normed, self.attention.remember(normed, table), mask, table)
        x = x + gated(self._drop(seen), gate)
        if self.cross is not None and memory is not None:
            x = x + self._drop(self.cross(self.cross_norm(x), memory.pair, memory.mask))  # type: ignore[misc]
        found = self.mlp(modulated(self.mlp_norm(x), shift_mlp, scale_mlp))
        return x + gated(self._drop(found), gate_mlp)

    def _modulations(self, condition: Tensor | None) -> Sequence[Tensor | None]:
        if self.modulation is None or condition is None:
            return (None,) * 6
        return self.modulation(functional.silu(condition))[:, None].chunk(6, dim=-1)

    def _drop(self, x: Tensor) -> Tensor:
        return dropout(x, self.dropout, self.training)


class Blocks(nn.Module):
    """A stack of blocks; with several memories, block i looks at memory i modulo their number (RDT, section 4)."""

    def __init__(self, sizes: BlockSizes, depth: int, *, condition: int = 0, cross: bool = False) -> None:
        super().__init__()
        self.sizes = sizes
        self.layers = nn.ModuleList(Block(sizes, condition=condition, cross=cross) for _ in range(depth))
        initialise(self)

    def remember(self, memories: Sequence[tuple[Tensor, Tensor | None]]) -> tuple[Memory, ...]:
        """One `Memory` a block from tokens (B M W) with their masks; empty memories are not allowed."""
        kept = []
        for index, layer in enumerate(self.layers):
            tokens, mask = memories[index % len(memories)]
            kept.append(Memory(layer.cross.remember(tokens), mask))  # type: ignore[union-attr, operator]
        return tuple(kept)

    def forward(
        self,
        x: Tensor,
        condition: Tensor | None = None,
        memories: Sequence[Memory] = (),
        mask: Tensor | None = None,
        table: Table | None = None,
        injected: Mapping[int, Tensor] | None = None,
    ) -> Tensor:
        """(B N W) through all blocks; `injected` (B 1|N W) is added before the block of that number."""
        for index, layer in enumerate(self.layers):
            x = x + injected[index] if injected and index in injected else x
            x = layer(x, condition, memories[index] if memories else None, mask, table)
        return x


class TimeMlp(nn.Module):
    """A time (B,) as a vector (B width): sines and cosines, then two layers with SiLU between.

    `ends`: the slowest frequency is 1 / 10000 itself, see `step_positions`.
    """

    def __init__(self, width: int, features: int = 256, scale: float = 1.0, *, ends: bool = False) -> None:
        super().__init__()
        self.features, self.scale, self.ends = features, scale, ends
        self.first, self.second = nn.Linear(features, width), nn.Linear(width, width)
        for layer in (self.first, self.second):
            nn.init.normal_(layer.weight, std=0.02)

    def forward(self, time: Tensor, dtype: torch.dtype = torch.float32) -> Tensor:
        """`scale` times `time` is what the sines see; training times of 0 to 1000 are usual."""
        features = step_positions(time * self.scale, self.features, ends=self.ends).to(dtype)
        return self.second(functional.silu(self.first(features)))


def norm(kind: Norm, width: int) -> nn.Module:
    """The norm of that kind over the last dimension."""
    if kind == "rms":
        return RMSNorm(width, "llama")
    if kind == "spread":
        return SpreadNorm(width)
    return nn.LayerNorm(width, eps=1e-6 if kind == "plain" else 1e-5, elementwise_affine=kind == "affine")


def modulated(x: Tensor, shift: Tensor | None, scale: Tensor | None) -> Tensor:
    """x (1 + scale) + shift; x itself without them."""
    return x if shift is None or scale is None else torch.addcmul(shift, x, 1 + scale)


def gated(x: Tensor, gate: Tensor | None) -> Tensor:
    """x times its gate; x itself without one."""
    return x if gate is None else gate * x


def initialise(module: nn.Module) -> None:
    """Xavier weights and zero biases for all linear layers; modulations start close to zero."""
    for name, child in module.named_modules():
        if isinstance(child, nn.Linear):
            nn.init.xavier_uniform_(child.weight)
            nn.init.zeros_(child.bias)
            if name.endswith("modulation"):
                nn.init.normal_(child.weight, std=0.02)
