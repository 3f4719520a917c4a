"""An encoder whose group goes by another name, for a second system with senses of its own."""

from __future__ import annotations

from dataclasses import replace

from torch import nn

from embodia.core.types import Observation, TokenGroup


class Renamed(nn.Module):
    """What `encoder` makes, as the group `name`; a learned position is added to its tokens."""

    def __init__(self, encoder: nn.Module, name: str) -> None:
        super().__init__()
        self.encoder, self.name = encoder, name

    def forward(self, observation: Observation) -> TokenGroup:
        """The same tokens."""
        group: TokenGroup = self.encoder(observation)
        return replace(group, name=self.name, attends_to=(self.name,))
