"""Grouped-query attention that can look at a cache, and the immutable cache itself.

The cache is a value: extending or repeating it gives a new one, so the ten Euler steps of a flow decoder and n samples
share one prefix without cropping, and gradients run through it into the prefix.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from embodia.core.errors import ConfigError
from embodia.nn.groups import Span, continued, repeat_rows
from embodia.nn.rope import rotate
from embodia.nn.scaled_dot import attend

Table = tuple[Tensor, Tensor]
"""Cosine and sine of the positions, as `rope.rotary_table` makes them."""

KeyValue = tuple[Tensor, Tensor]
"""Keys and values of one layer, (B kv_heads N d) each, keys already rotated."""


@dataclass(frozen=True)
class Cache:
    """Keys and values of everything seen so far, one pair a layer, with what a later query must know about them.

    layers      one `KeyValue` a layer
    mask        bool (B N), True where a cached token is real
    spans       the groups the tokens belong to, in order
    """

    layers: tuple[KeyValue, ...]
    mask: Tensor
    spans: tuple[Span, ...]

    def next_position(self) -> Tensor:
        """Position of the next token, int64 (B,): the number of real tokens so far."""
        return self.mask.sum(dim=1)

    def repeat(self, times: int) -> Cache:
        """Each batch entry `times` times in a row; a batch of one is expanded without a copy."""
        return self._map(lambda array: repeat_rows(array, times))

    def detach(self) -> Cache:
        """The same cache cut off from the gradient: the prefix is then insulated from what the suffix learns."""
        return self._map(lambda array: array.detach())

    def extend(self, layers: tuple[KeyValue, ...], mask: Tensor, spans: tuple[Span, ...]) -> Cache:
        """A longer cache; this one is unchanged."""
        joined = tuple(join(old, new) for old, new in zip(self.layers, layers, strict=True))
        return Cache(joined, torch.cat([self.mask, mask], dim=1), continued(self.spans, spans))

    def _map(self, function: Callable[[Tensor], Tensor]) -> Cache:
        layers = tuple((function(key), function(value)) for key, value in self.layers)
        return replace(self, layers=layers, mask=function(self.mask))


def join(past: KeyValue, new: KeyValue) -> KeyValue:
    """Past and new keys and values along the token axis."""
    return torch.cat([past[0], new[0]], dim=2), torch.cat([past[1], new[1]], dim=2)


class KeyValueProjection(nn.Module):
    """The half of an attention layer that others look at: keys and values (B kv_heads N d) from tokens (B N D)."""

    def __init__(self, width: int, kv_heads: int, head_dim: int) -> None:
        super().__init__()
        self.head_dim = head_dim
        self.key = nn.Linear(width, kv_heads * head_dim, bias=False)
        self.value = nn.Linear(width, kv_heads * head_dim, bias=False)

    def key_value(self, x: Tensor, table: Table) -> KeyValue:
        """Rotated keys and values of tokens (B N D)."""
        return rotate(self._heads(self.key(x)), table), self._heads(self.value(x))

    def _heads(self, x: Tensor) -> Tensor:
        return x.view(*x.shape[:-1], -1, self.head_dim).transpose(1, 2)


class GroupedQueryAttention(KeyValueProjection):
    """Attention in which several query heads share a key-value head (Ainslie et al. 2023); one shared head is MQA."""

    def __init__(self, width: int, heads: int, kv_heads: int, head_dim: int) -> None:
        super().__init__(width, kv_heads, head_dim)
        if heads % kv_heads or head_dim % 2:
            raise ConfigError(f"{heads} heads cannot share {kv_heads} key-value heads of an even size {head_dim}")
        self.heads, self.kv_heads = heads, kv_heads
        self.query = nn.Linear(width, heads * head_dim, bias=False)
        self.out = nn.Linear(heads * head_dim, width, bias=False)

    def forward(self, x: Tensor, table: Table, mask: Tensor, past: KeyValue | None = None) -> tuple[Tensor, KeyValue]:
        """Tokens (B N D) and the new keys and values; `mask` bool (B 1 N P+N) covers `past` and the new tokens."""
        new = self.key_value(x, table)
        key, value = new if past is None else join(past, new)
        query = rotate(self._heads(self.query(x)), table)
        seen = attend(query, key, value, mask)
        return self.out(seen.transpose(1, 2).flatten(-2)), new
