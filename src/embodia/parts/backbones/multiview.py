"""Rendered views of a cloud through a multi-view transformer (RVT, Goyal et al. 2023), as a backbone.

Reads the group "cloud", lets the groups `further` take part, adds the group "views" and passes all else by.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn

from embodia.core.protocols import Groups
from embodia.core.types import TokenGroup
from embodia.nn.multiview import ViewConfig, ViewNet


class MultiView(nn.Module):
    """Groups in, groups out; the cube that is looked at is given by `centre` (3,) and half an edge, metres."""

    centre: Tensor
    reach: Tensor

    def __init__(self, config: ViewConfig, further: tuple[str, ...], centre: Tensor, half: Tensor) -> None:
        super().__init__()
        self.net, self.further = ViewNet(config), further
        self.register_buffer("centre", centre)
        self.register_buffer("reach", half)

    def forward(self, groups: Groups, cache: Any = None) -> tuple[dict[str, TokenGroup], Any]:
        """All groups, with "views" (B V*g*g D) added; `cache` is handed back untouched."""
        cloud = groups["cloud"].tokens
        batch, seen = len(cloud), ("views", *self.further)
        joined = torch.cat([groups[name].tokens for name in self.further], dim=1)
        views, others = self.net(cloud, self.centre.expand(batch, 3), self.reach.expand(batch), joined)
        parts = torch.split(others, [groups[name].tokens.shape[1] for name in self.further], dim=1)
        changed = {
            name: replace(groups[name], tokens=part, attends_to=seen)
            for name, part in zip(self.further, parts, strict=True)
        }
        picture = TokenGroup(name="views", tokens=views, mask=None, attends_to=seen)
        return {**groups, **changed, "views": picture}, cache
