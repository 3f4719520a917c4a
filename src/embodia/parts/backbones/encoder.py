"""A bidirectional transformer encoder over all groups (bb.encoder), DETR's layers.

Every group looks at every group: `attends_to` is widened accordingly in the groups it returns, so what is printed is
what happens.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn

from embodia.core.types import TokenGroup
from embodia.nn.detr import EncoderLayer
from embodia.nn.tokens import join, key_mask, positions


@dataclass(frozen=True, kw_only=True)
class EncoderConfig:
    """Sizes of the transformer encoder."""

    width: int = 512
    heads: int = 8
    hidden: int = 3200
    layers: int = 4
    dropout: float = 0.1
    pre_norm: bool = False


class TransformerEncoder(nn.Module):
    """Groups in, groups out, in the order given; no cache, since every token sees every other."""

    def __init__(self, config: EncoderConfig) -> None:
        super().__init__()
        self.layers = nn.ModuleList(
            EncoderLayer(config.width, config.heads, config.hidden, config.dropout, config.pre_norm)
            for _ in range(config.layers)
        )
        self.norm = nn.LayerNorm(config.width) if config.pre_norm else nn.Identity()

    def forward(self, groups: Mapping[str, TokenGroup], cache: Any = None) -> tuple[dict[str, TokenGroup], Any]:
        """Groups of the same shapes; `cache` is handed back untouched."""
        x, mask, position = join(groups), key_mask(groups), positions(groups)
        for layer in self.layers:
            x = layer(x, position, mask)
        parts: tuple[Tensor, ...] = torch.split(self.norm(x), [g.tokens.shape[1] for g in groups.values()], dim=1)
        seen = tuple(groups)
        pairs = zip(groups.items(), parts, strict=True)
        return {name: replace(group, tokens=part, attends_to=seen) for (name, group), part in pairs}, cache
