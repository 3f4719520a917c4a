"""Transformer layers in DETR's way (Carion et al. 2020): positions are added to queries and keys, never to values.

Because positions do not depend on the batch, their projection is made once a layer and added to the projected tokens:
one matrix product gives queries, keys and values together.
"""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor, nn
from torch.nn import functional

from embodia.nn.dropout import Dropout
from embodia.nn.packed import PackedLinear
from embodia.nn.scaled_dot import attend


@dataclass(frozen=True, kw_only=True)
class LayerSizes:
    """What all layers of a transformer share: `hidden` is the feed-forward width."""

    width: int = 512
    heads: int = 8
    hidden: int = 3200
    dropout: float = 0.1
    pre_norm: bool = False


class Attention(nn.Module):
    """Multi-head attention of `queries` over `memory`, with positions (N D) for both."""

    def __init__(self, sizes: LayerSizes) -> None:
        super().__init__()
        width = sizes.width
        self.heads, self.dropout = sizes.heads, sizes.dropout
        self.project = nn.Linear(width, 3 * width)
        self.out = nn.Linear(width, width)
        for block in (*self.project.weight.chunk(3), self.out.weight):
            nn.init.xavier_uniform_(block)
        nn.init.zeros_(self.project.bias)
        nn.init.zeros_(self.out.bias)

    def forward(
        self, queries: Tensor, query_position: Tensor, memory: Tensor, memory_position: Tensor, mask: Tensor | None
    ) -> Tensor:
        """(B Q D) from queries (B Q D), memory (B N D), positions (Q D) and (N D); `mask` bool (B 1 1 N)."""
        width = queries.shape[-1]
        shift = self._project(query_position, 0, 1, bias=False)
        if queries is memory:
            query, key, value = self._project(queries, 0, 3).split(width, dim=-1)
        else:
            query = self._project(queries, 0, 1)
            key, value = self._project(memory, 1, 3).split(width, dim=-1)
        key = key + self._project(memory_position, 1, 2, bias=False)
        dropout = self.dropout if self.training else 0.0
        mixed = attend(self._split(query + shift), self._split(key), self._split(value), mask, dropout)
        return self.out(mixed.transpose(1, 2).flatten(2))

    def packed(self) -> nn.Module:
        """For acting; see `nn.packed`."""
        return PackedAttention(self)

    def _project(self, x: Tensor, first: int, last: int, *, bias: bool = True) -> Tensor:
        weight, shift = self._rows(first, last)
        return functional.linear(x, weight, shift if bias else None)

    def _rows(self, first: int, last: int) -> tuple[Tensor, Tensor]:
        rows = slice(first * self.out.in_features, last * self.out.in_features)  # type: ignore[operator]
        return self.project.weight[rows], self.project.bias[rows]

    def _split(self, x: Tensor) -> Tensor:
        return x.unflatten(-1, (self.heads, -1)).transpose(1, 2)


class PackedAttention(Attention):
    """`Attention` for acting: each part of the joint projection that is asked for is laid out once."""

    def __init__(self, plain: Attention) -> None:
        nn.Module.__init__(self)
        self.heads, self.dropout = plain.heads, 0.0
        self.out = PackedLinear(plain.out.weight, plain.out.bias)  # type: ignore[assignment]
        self._plain = plain._rows
        self._parts: dict[tuple[int, int, bool], PackedLinear] = {}

    def _project(self, x: Tensor, first: int, last: int, *, bias: bool = True) -> Tensor:
        part = (first, last, bias)
        if part not in self._parts:
            weight, shift = self._plain(first, last)
            self._parts[part] = PackedLinear(weight, shift if bias else None)
        return self._parts[part](x)  # type: ignore[no-any-return]


class FeedForward(nn.Module):
    """Two linear layers with ReLU between."""

    def __init__(self, sizes: LayerSizes) -> None:
        super().__init__()
        self.up = nn.Linear(sizes.width, sizes.hidden)
        self.down = nn.Linear(sizes.hidden, sizes.width)
        self.dropout = Dropout(sizes.dropout)
        nn.init.xavier_uniform_(self.up.weight)
        nn.init.xavier_uniform_(self.down.weight)

    def forward(self, x: Tensor) -> Tensor:
        """(B N D) to (B N D)."""
        return self.down(self.dropout(functional.relu(self.up(x))))


class EncoderLayer(nn.Module):
    """Self-attention and feed-forward, each with a residual; the norm after the sum, or before with `pre_norm`."""

    def __init__(self, sizes: LayerSizes) -> None:
        super().__init__()
        self.pre_norm = sizes.pre_norm
        self.attention = Attention(sizes)
        self.feed_forward = FeedForward(sizes)
        self.norm_attention = nn.LayerNorm(sizes.width)
        self.norm_feed_forward = nn.LayerNorm(sizes.width)
        self.dropout = Dropout(sizes.dropout)

    def forward(self, x: Tensor, position: Tensor, mask: Tensor | None, first: int | None = None) -> Tensor:
        """(B N D) to (B N D), or to (B first D) where only the first rows are wanted; `position` (N D)."""
        if self.pre_norm:
            normed = self.norm_attention(x)
            x = x[:, :first] + self.dropout(self._attend(normed, position, mask, first))
            return x + self.dropout(self.feed_forward(self.norm_feed_forward(x)))
        x = self.norm_attention(x[:, :first] + self.dropout(self._attend(x, position, mask, first)))
        return self.norm_feed_forward(x + self.dropout(self.feed_forward(x)))

    def _attend(self, x: Tensor, position: Tensor, mask: Tensor | None, first: int | None) -> Tensor:
        queries = x if first is None else x[:, :first]
        return self.attention(queries, position[:first], x, position, mask)


class DecoderLayer(nn.Module):
    """Self-attention among queries, attention to the memory, feed-forward."""

    def __init__(self, sizes: LayerSizes) -> None:
        super().__init__()
        self.pre_norm = sizes.pre_norm
        self.attention = Attention(sizes)
        self.cross = Attention(sizes)
        self.feed_forward = FeedForward(sizes)
        self.norm_attention = nn.LayerNorm(sizes.width)
        self.norm_cross = nn.LayerNorm(sizes.width)
        self.norm_feed_forward = nn.LayerNorm(sizes.width)
        self.dropout = Dropout(sizes.dropout)

    def forward(
        self, x: Tensor, position: Tensor, memory: Tensor, memory_position: Tensor, mask: Tensor | None
    ) -> Tensor:
        """(B Q D) to (B Q D); `position` (Q D), memory (B N D), `memory_position` (N D), `mask` (B 1 1 N).

        `x` may be (1 Q D) where all rows begin alike; what happens among the queries is then computed once.
        """
        if self.pre_norm:
            normed = self.norm_attention(x)
            x = x + self.dropout(self.attention(normed, position, normed, position, None))
            x = x.expand(len(memory), -1, -1)
            normed = self.norm_cross(x)
            x = x + self.dropout(self.cross(normed, position, memory, memory_position, mask))
            return x + self.dropout(self.feed_forward(self.norm_feed_forward(x)))
        x = self.norm_attention(x + self.dropout(self.attention(x, position, x, position, None)))
        x = x.expand(len(memory), -1, -1)
        x = self.norm_cross(x + self.dropout(self.cross(x, position, memory, memory_position, mask)))
        return self.norm_feed_forward(x + self.dropout(self.feed_forward(x)))
