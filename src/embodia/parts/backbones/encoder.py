"""A bidirectional transformer encoder over all groups (bb.encoder), DETR's layers.

Every group looks at every group: `attends_to` is widened accordingly in the groups it returns, so what is printed is
what happens.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn

from embodia.core.types import TokenGroup
from embodia.nn.detr import EncoderLayer, LayerSizes
from embodia.nn.tokens import join, key_mask, positions


class TransformerEncoder(nn.Module):
    """Groups in, groups out, in the order given; no cache, since every token sees every other."""

    def __init__(self, sizes: LayerSizes, layers: int) -> None:
        super().__init__()
        self.layers = nn.ModuleList(EncoderLayer(sizes) for _ in range(layers))
        self.norm = nn.LayerNorm(sizes.width) if sizes.pre_norm else nn.Identity()

    def forward(self, groups: Mapping[str, TokenGroup], cache: Any = None) -> tuple[dict[str, TokenGroup], Any]:
        """Groups of the same shapes; `cache` is handed back untouched."""
        x, mask, position = join(groups), key_mask(groups), positions(groups)
        for layer in self.layers:
            x = layer(x, position, mask)
        parts: tuple[Tensor, ...] = torch.split(self.norm(x), [g.tokens.shape[1] for g in groups.values()], dim=1)
        seen = tuple(groups)
        pairs = zip(groups.items(), parts, strict=True)
        return {name: replace(group, tokens=part, attends_to=seen) for (name, group), part in pairs}, cache
