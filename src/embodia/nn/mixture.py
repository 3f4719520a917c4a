"""A decoder-only transformer of several feed-forward layers behind shared attention (bb.moe_static, bb.moe_dyn).

Static: what a token is for decides - words that are said go through one expert, everything sensed or acted on through
another, so learning to act does not overwrite talking (ChatVLA). Routed: every token is sent to its best few of many
(ChatVLA-2), and how evenly comes back in the cache, for a loss. The one thing to watch: attention is shared, so the
experts still meet in keys and values.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import Literal

import torch
from torch import Tensor, nn

from embodia.core.types import TokenGroup
from embodia.nn.attention import Cache, GroupedQueryAttention, KeyValue, Table
from embodia.nn.groups import Joined, concatenate
from embodia.nn.moe import SparseMoe
from embodia.nn.rms import RMSNorm
from embodia.nn.transformer import GatedMLP, TransformerConfig, initialise, plan


@dataclass(frozen=True, kw_only=True)
class MixtureConfig:
    """`base` with `experts` instead of one feed-forward layer; `top` of them a token if routed.

    `spoken` are the groups that the second static expert takes; all others go through the first.
    """

    base: TransformerConfig
    mixture: Literal["static", "routed"]
    experts: int = 2
    top: int = 2
    spoken: tuple[str, ...] = ("thought",)

    @property
    def width(self) -> int:
        """Of the tokens."""
        return self.base.width


@dataclass(frozen=True)
class RoutedCache(Cache):
    """A cache that also knows how evenly tokens were sent to experts: `balance` (B R), one number a reading."""

    balance: Tensor

    def _map(self, function: Callable[[Tensor], Tensor]) -> RoutedCache:
        plain = Cache._map(self, function)
        return replace(self, layers=plain.layers, mask=plain.mask, balance=function(self.balance))


class MixtureLayer(nn.Module):
    """Shared attention, then experts: two by place, or several by router."""

    def __init__(self, config: MixtureConfig) -> None:
        super().__init__()
        base = config.base
        self.attention_norm = RMSNorm(base.width, base.norm, base.epsilon)
        self.attention = GroupedQueryAttention(base.width, base.heads, base.kv_heads, base.head_dim)
        self.mlp_norm = RMSNorm(base.width, base.norm, base.epsilon)

        self.static, self.routed = None, None
        if config.mixture == "static":
            self.static = nn.ModuleList(expert(base) for _ in range(2))
        else:
            self.routed = SparseMoe(base.width, base.mlp_width, config.experts, config.top, partial(expert, base))

    def forward(
        self, x: Tensor, table: Table, mask: Tensor, past: KeyValue | None, joined: Joined, said: tuple[bool, ...]
    ) -> tuple[Tensor, KeyValue, Tensor]:
        """Tokens (B N D), new keys and values, balance (B,); `said` tells for every span which static expert it is."""
        seen, new = self.attention(self.attention_norm(x), table, mask, past)
        x = x + seen
        normed = self.mlp_norm(x)
        if self.routed is not None:
            routing = self.routed.route(normed)
            return x + self.routed(normed, routing), new, routing.balance(joined.mask)
        parts = torch.split(normed, [span.length for span in joined.spans], dim=1)
        found = [self.static[int(spoken)](part) for part, spoken in zip(parts, said, strict=True)]  # type: ignore[index]
        return x + torch.cat(found, dim=1), new, x.new_zeros(len(x))


def expert(base: TransformerConfig) -> GatedMLP:
    """One expert: the feed-forward layer that `base` has."""
    return GatedMLP(base.width, base.mlp_width, base.activation)


class MixtureTransformer(nn.Module):
    """An engine like `nn.transformer.Transformer`; it always has outputs."""

    def __init__(self, config: MixtureConfig) -> None:
        super().__init__()
        self.config = config
        base = config.base
        self.layers = nn.ModuleList(MixtureLayer(config) for _ in range(base.depth))
        self.norm = RMSNorm(base.width, base.norm, base.epsilon)
        initialise(self, base.depth)

    def forward(
        self, groups: list[TokenGroup], cache: Cache | None = None, *, outputs: bool | None = None
    ) -> tuple[Tensor | None, RoutedCache]:
        """Hidden states (B N D), None when `outputs` is False, and the cache of everything seen including `groups`.

        Raises `ConfigError` for a declaration of attention that cannot be computed.
        """
        joined, base = concatenate(groups), self.config.base
        table, mask = plan(joined, cache, base.head_dim, base.rope_theta)
        said = tuple(span.name in self.config.spoken for span in joined.spans)
        x, new, even = joined.tokens, [], []
        for index, layer in enumerate(self.layers):
            x, pair, balance = layer(x, table, mask, None if cache is None else cache.layers[index], joined, said)
            new.append(pair)
            even.append(balance)
        found = torch.stack(even).mean(0)[:, None]
        whole = Cache(tuple(new), joined.mask, joined.spans)
        if cache is not None:
            whole = cache.extend(whole.layers, whole.mask, whole.spans)
        if isinstance(cache, RoutedCache):
            found = torch.cat([cache.balance, found], dim=1)
        longer = RoutedCache(whole.layers, whole.mask, whole.spans, found)
        return (None if outputs is False else self.norm(x)), longer
