"""Keys and values from above (link.kv): the fast system's layers look at the slow system's cache, layer by layer.

pi0's action expert does this in one process; here the cache crosses a link, so the language model may be slower than
the expert and stand on another machine. The one thing to watch: a cache is large - every layer's keys and values of
every token - so this link is the dearest to send and the richest to read.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from embodia.core.errors import ConfigError
from embodia.core.protocols import Groups
from embodia.core.types import Message, TokenGroup
from embodia.nn.attention import Cache
from embodia.nn.groups import Span, token_mask

CACHE = "cache"
"""The group by which an upper system shows its cache to a link."""


def cache_group(cache: Cache) -> TokenGroup:
    """A cache as tokens (B N layers * 2 * heads * d): keys, then values, layer by layer."""
    pairs = torch.stack([torch.stack(pair, dim=1) for pair in cache.layers], dim=1)
    return TokenGroup(
        name=CACHE, tokens=pairs.permute(0, 4, 1, 2, 3, 5).flatten(2), mask=cache.mask, attends_to=(CACHE,)
    )


class KeyValueLink(nn.Module):
    """The upper system's cache (`heads` key-value heads of size `head_dim` a layer) as the lower group "cache".

    `cut` stops the gradient from the lower system into the upper one (knowledge insulation).
    """

    wants_cache = True

    def __init__(self, *, cut: bool = False, rate_hz: float = 10.0) -> None:
        super().__init__()
        self.cut, self.rate_hz = cut, rate_hz

    def emit(self, upper: Groups) -> Message:
        """{"cache": (B N F), "cache_mask": bool (B N)}. Raises `ConfigError` when the upper system has no cache."""
        if CACHE not in upper:
            raise ConfigError("the upper system has no cache to send", leaf=CACHE)
        group = upper[CACHE]
        return Message(arrays={CACHE: group.tokens.detach() if self.cut else group.tokens, f"{CACHE}_mask": group.mask})

    def absorb(self, groups: Groups, message: Message) -> dict[str, TokenGroup]:
        """The groups and "cache", which `CacheReader` turns back into a cache."""
        tokens, mask = message.arrays[CACHE], message.arrays[f"{CACHE}_mask"]
        return {**groups, CACHE: TokenGroup(name=CACHE, tokens=tokens, mask=mask, attends_to=(CACHE,))}


class CacheReader(nn.Module):
    """A backbone that computes nothing: the group "cache" becomes the cache of the context, one span of that name."""

    def __init__(self, heads: int, head_dim: int) -> None:
        super().__init__()
        self.heads, self.head_dim = heads, head_dim

    def forward(self, groups: Mapping[str, TokenGroup], cache: Any = None) -> tuple[dict[str, TokenGroup], Cache]:
        """All other groups as they are, and the cache."""
        group = groups[CACHE]
        layers: Tensor = group.tokens.unflatten(-1, (-1, 2, self.heads, self.head_dim)).permute(2, 3, 0, 4, 1, 5)
        span = Span(name=CACHE, length=group.tokens.shape[1], attends_to=(CACHE,))
        found = Cache(tuple((pair[0], pair[1]) for pair in layers), token_mask(group), (span,))
        return {name: other for name, other in groups.items() if name != CACHE}, found
