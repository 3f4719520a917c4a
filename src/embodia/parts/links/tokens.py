"""Whole groups from above: features to attend to (link.xattn), planning tokens (link.plan_tokens), dynamics (S3).

The same mechanics under three names of the literature: GR00T N1's action network attends to the features of a vision-
language model, GO-1's to a few planning tokens, TriVLA's also to what a third system expects to happen. The one thing
to watch: all tokens cross the link in every message, so planning tokens are far cheaper between machines.
"""

from __future__ import annotations

import torch
from torch import nn

from embodia.core.protocols import Groups
from embodia.core.types import Message, TokenGroup
from embodia.nn.groups import token_mask


class TokenLink(nn.Module):
    """Groups `read` of the upper system (width `above`) to the group `name` (B N width) of the lower one.

    `count` > 0 states how many tokens there are and gives each a learned position; `cut` stops the gradient.
    """

    def __init__(
        self,
        above: int,
        width: int,
        *,
        read: tuple[str, ...],
        name: str = "upper",
        count: int = 0,
        cut: bool = False,
        rate_hz: float = 10.0,
    ) -> None:
        super().__init__()
        self.read, self.name, self.cut, self.rate_hz = read, name, cut, rate_hz
        self.down = nn.Sequential(nn.LayerNorm(above), nn.Linear(above, width))
        self.position = nn.Parameter(torch.randn(count, width)) if count else None

    def emit(self, upper: Groups) -> Message:
        """{name: (B N width), name + "_mask": bool (B N)}."""
        tokens = self.down(torch.cat([upper[part].tokens for part in self.read], dim=1))
        mask = torch.cat([token_mask(upper[part]) for part in self.read], dim=1)
        return Message(arrays={self.name: tokens.detach() if self.cut else tokens, f"{self.name}_mask": mask})

    def absorb(self, groups: Groups, message: Message) -> dict[str, TokenGroup]:
        """The groups and one more."""
        group = TokenGroup(
            name=self.name,
            tokens=message.arrays[self.name],
            mask=message.arrays[f"{self.name}_mask"],
            attends_to=(self.name,),
            position=self.position,
        )
        return {**groups, self.name: group}
