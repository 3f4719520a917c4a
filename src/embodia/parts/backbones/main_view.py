"""One picture is read together with the sentence, the others pass beside the language model (X-VLA, section 4).

Most of what a sentence speaks of is in the main view; wrist cameras show how a hand stands, which no words describe.
The one thing to watch: the main view is the contract's first camera.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from torch import nn

from embodia.core.protocols import Groups
from embodia.core.types import TokenGroup


class MainView(nn.Module):
    """`model` reads the `first` tokens of the group "image"; the rest become the group "views", untouched."""

    def __init__(self, model: nn.Module, first: int) -> None:
        super().__init__()
        self.model, self.first = model, first

    def forward(self, groups: Groups, cache: Any = None) -> tuple[dict[str, TokenGroup], Any]:
        """The cache is the model's."""
        image = groups["image"]
        main, rest = _part(image, slice(self.first)), _part(image, slice(self.first, None))
        found, cache = self.model({**groups, "image": main}, cache)
        return {**found, "views": replace(rest, name="views", attends_to=("views",))}, cache


def _part(group: TokenGroup, which: slice) -> TokenGroup:
    mask = None if group.mask is None else group.mask[:, which]
    time = None if group.time is None else group.time[:, which]
    position = None if group.position is None else group.position[which]
    return replace(group, tokens=group.tokens[:, which], mask=mask, time=time, position=position)
