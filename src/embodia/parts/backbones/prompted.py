"""Tokens of what is seen and done look at a prompt, layer by layer (fuse.xattn): VIMA's way.

The prompt itself is never changed by what is seen, so it can be encoded once an episode.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from torch import nn

from embodia.core.protocols import Groups
from embodia.core.types import TokenGroup
from embodia.nn.detr import DecoderLayer, LayerSizes
from embodia.nn.groups import split
from embodia.nn.tokens import join, key_mask, positions


class Prompted(nn.Module):
    """Groups named in `prompt` are looked at; those of `seen` look at them and at one another; others pass by."""

    def __init__(self, sizes: LayerSizes, layers: int, seen: tuple[str, ...], prompt: tuple[str, ...]) -> None:
        super().__init__()
        self.seen, self.prompt = seen, prompt
        self.layers = nn.ModuleList(DecoderLayer(sizes) for _ in range(layers))
        self.norm = nn.LayerNorm(sizes.width)

    def forward(self, groups: Groups, cache: Any = None) -> tuple[dict[str, TokenGroup], Any]:
        """`cache` is handed back untouched."""
        told = {name: groups[name] for name in self.prompt}
        here = {name: groups[name] for name in self.seen}
        memory, mask, place = join(told), key_mask(told), positions(told)
        x, position = join(here), positions(here)
        for layer in self.layers:
            x = layer(x, position, memory, place, mask)
        looks = (*self.seen, *self.prompt)
        ready = [replace(group, attends_to=looks) for group in here.values()]
        return {**groups, **split(self.norm(x), ready)}, cache
