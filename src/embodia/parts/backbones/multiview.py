"""Rendered views of a cloud through a multi-view transformer (RVT, Goyal et al. 2023), as a backbone.

Reads the group "cloud", lets the groups `further` take part, adds the group "views" and passes all else by. The one
thing to watch: while training, the cube that is looked at is moved a little, another way for every row; the groups
"cube" and "early" tell a decoder where it was and what every pixel looked like.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn

from embodia.core.protocols import Groups
from embodia.core.types import TokenGroup
from embodia.nn.multiview import ViewConfig, ViewNet, in_rows


class MultiView(nn.Module):
    """Groups in, groups out; the cube that is looked at is given by `centre` (3,) and half an edge, metres.

    `jitter` is how far it may be moved in training, in halves of the cube.
    """

    centre: Tensor
    reach: Tensor

    def __init__(
        self, config: ViewConfig, further: tuple[str, ...], centre: Tensor, half: Tensor, *, jitter: float = 0.0
    ) -> None:
        super().__init__()
        self.net, self.further, self.jitter = ViewNet(config), further, jitter
        self.register_buffer("centre", centre)
        self.register_buffer("reach", half)

    def forward(self, groups: Groups, cache: Any = None) -> tuple[dict[str, TokenGroup], Any]:
        """All groups, with "views" (B V*g*g D) added; `cache` is handed back untouched."""
        cloud = groups["cloud"].tokens
        batch, seen = len(cloud), ("views", *self.further)
        joined = torch.cat([groups[name].tokens for name in self.further], dim=1)
        centre = self.centre.expand(batch, 3)
        if self.training and self.jitter:
            centre = centre + (torch.rand_like(centre) * 2 - 1) * self.jitter * self.reach
        views, others, early = self.net(cloud, centre, self.reach.expand(batch), joined)
        parts = torch.split(others, [groups[name].tokens.shape[1] for name in self.further], dim=1)
        changed = {
            name: replace(groups[name], tokens=part, attends_to=seen)
            for name, part in zip(self.further, parts, strict=True)
        }
        picture = TokenGroup(name="views", tokens=views, mask=None, attends_to=seen)
        cube = TokenGroup(name="cube", tokens=centre[:, None], mask=None, attends_to=("cube",))
        first = TokenGroup(name="early", tokens=in_rows(early), mask=None, attends_to=("early",))
        return {**groups, **changed, "views": picture, "cube": cube, "early": first}, cache
