"""A decoder-only transformer of the GPT-2 family: layer norms, biases, GELU, learned positions.

What the first transformer policies were built from (RT-1, BeT, Gato, Decision Transformer). It reads groups under
declared attention and gives the same cache as `nn.transformer.Transformer`, so either can be the engine of a
`LanguageModel`. The one thing to watch: with a table of learned positions a sequence cannot be longer than the table.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from embodia.core.errors import ShapeError
from embodia.core.types import TokenGroup
from embodia.nn.attention import Cache, KeyValue, join
from embodia.nn.dropout import Dropout
from embodia.nn.groups import attention_mask, concatenate, continued, positions, verify, verify_prefix
from embodia.nn.scaled_dot import attend


@dataclass(frozen=True, kw_only=True)
class GptConfig:
    """Sizes. `head_dim` 0 shares the width among the heads; `hidden` 0 makes the feed-forward one linear layer (RT-1).

    `places` learned positions, 0 for none: groups then bring their own. `gated` is GEGLU (Gato). `inputs` and `outputs`
    are other widths of the tokens that come in and go out, each through one linear layer; 0 is `width` and no layer.
    """

    width: int = 512
    depth: int = 8
    heads: int = 8
    head_dim: int = 0
    hidden: int = 2048
    places: int = 0
    dropout: float = 0.0
    gated: bool = False
    inputs: int = 0
    outputs: int = 0


class GptLayer(nn.Module):
    """Attention and feed-forward, each behind a layer norm and beside a residual."""

    def __init__(self, config: GptConfig) -> None:
        super().__init__()
        inner = config.heads * (config.head_dim or config.width // config.heads)
        self.heads, self.gated, self.rate = config.heads, config.gated, config.dropout
        self.attention_norm = nn.LayerNorm(config.width)
        self.project = nn.Linear(config.width, 3 * inner)
        self.out = nn.Linear(inner, config.width)
        self.norm = nn.LayerNorm(config.width)
        self.up = nn.Linear(config.width, config.hidden * (2 if config.gated else 1)) if config.hidden else None
        self.down = nn.Linear(config.hidden or config.width, config.width)
        self.dropout = Dropout(config.dropout)

    def forward(self, x: Tensor, mask: Tensor, past: KeyValue | None) -> tuple[Tensor, KeyValue]:
        """Tokens (B N D) and their keys and values; `mask` bool (B 1 N P+N)."""
        projected = self.project(self.attention_norm(x)).chunk(3, dim=-1)
        query, key, value = (part.unflatten(-1, (self.heads, -1)).transpose(1, 2) for part in projected)
        keys, values = (key, value) if past is None else join(past, (key, value))
        seen = attend(query, keys, values, mask, self.rate if self.training else 0.0)
        x = x + self.dropout(self.out(seen.transpose(1, 2).flatten(2)))
        return x + self.dropout(self.down(self._bent(self.norm(x)))), (key, value)

    def _bent(self, x: Tensor) -> Tensor:
        if self.up is None:
            return x
        if self.gated:
            gate, value = self.up(x).chunk(2, dim=-1)
            return F.gelu(gate) * value
        return F.gelu(self.up(x))


class Gpt(nn.Module):
    """Groups in, tokens and a longer cache out."""

    def __init__(self, config: GptConfig) -> None:
        super().__init__()
        self.config = config
        self.first = nn.Linear(config.inputs, config.width) if config.inputs else None
        self.places = nn.Embedding(config.places, config.width) if config.places else None
        self.dropout = Dropout(config.dropout)
        self.layers = nn.ModuleList(GptLayer(config) for _ in range(config.depth))
        self.norm = nn.LayerNorm(config.width)
        self.last = nn.Linear(config.width, config.outputs, bias=False) if config.outputs else None
        if self.places is not None:
            nn.init.normal_(self.places.weight, std=0.3)
        for name, module in self.named_modules():
            if isinstance(module, nn.Linear):
                shrink = math.sqrt(2 * config.depth) if name.endswith((".out", ".down")) else 1.0
                nn.init.normal_(module.weight, std=1 / (math.sqrt(module.in_features) * shrink))
                if module.bias is not None:
                    nn.init.zeros_(module.bias)

    def forward(
        self, groups: list[TokenGroup], cache: Cache | None = None, *, outputs: bool | None = None
    ) -> tuple[Tensor | None, Cache]:
        """Tokens (B N D), or None with `outputs` False, and the cache of everything seen including `groups`.

        Raises `ConfigError` for attention that cannot be computed, `ShapeError` beyond the learned positions.
        """
        joined = concatenate(groups)
        keys, key_mask, start = joined.spans, joined.mask, None
        if cache is not None:
            verify_prefix(cache.spans, joined.spans)
            keys, key_mask = continued(cache.spans, keys), torch.cat([cache.mask, key_mask], dim=1)
            start = cache.next_position()
        verify(keys)
        x = self.dropout(self._placed(joined.tokens, positions(joined.mask, start)))
        mask, new = attention_mask(joined.spans, keys, key_mask), []
        for index, layer in enumerate(self.layers):
            x, pair = layer(x, mask, None if cache is None else cache.layers[index])
            new.append(pair)
        longer = Cache(tuple(new), joined.mask, joined.spans)
        if cache is not None:
            longer = cache.extend(tuple(new), joined.mask, joined.spans)
        return (None if outputs is False else self._told(x)), longer

    def _told(self, x: Tensor) -> Tensor:
        x = self.norm(x)
        return x if self.last is None else self.last(x)

    def _placed(self, x: Tensor, places: Tensor) -> Tensor:
        x = x if self.first is None else self.first(x)
        if self.places is None:
            return x
        if x.shape[1] > self.config.places:
            raise ShapeError(f"{x.shape[1]} tokens, the table has {self.config.places} positions", leaf="places")
        return x + self.places(places.clamp(0, self.config.places - 1))
