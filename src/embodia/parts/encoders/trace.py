"""Eyes that are shown where things went: the paths of moving points drawn on the newest picture (vis.trace)."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from torch import nn

from embodia.core.types import Observation, TokenGroup
from embodia.nn.shared import Shared
from embodia.nn.tracks import draw, track


class TraceEyes(nn.Module):
    """`eyes` over the newest pictures with paths drawn on them; the history says how long the paths are.

    `points` squared points of every camera are followed; `name` is that of the group.
    """

    def __init__(
        self, eyes: nn.Module | Shared[Any], cameras: tuple[str, ...], *, points: int = 8, name: str = "image"
    ) -> None:
        super().__init__()
        self.eyes, self.cameras, self.points, self.name = eyes, cameras, points, name

    def forward(self, observation: Observation) -> TokenGroup:
        """The group of the eyes, of one step."""
        drawn = {
            name: draw(film[:, -1], track(film, self.points))[:, None] if name in self.cameras else film[:, -1:]
            for name, film in observation.images.items()
        }
        masks = {name: mask[:, -1:] for name, mask in observation.masks.items()}
        group: TokenGroup = self.eyes(replace(observation, images=drawn, masks=masks))
        return replace(group, name=self.name, attends_to=(self.name,))


class Newest(nn.Module):
    """An encoder that sees the newest step alone, whatever the history of the policy."""

    def __init__(self, encoder: nn.Module) -> None:
        super().__init__()
        self.encoder = encoder
        self.tokens = getattr(encoder, "tokens", 1)

    def forward(self, observation: Observation) -> TokenGroup:
        """The encoder's group."""
        group: TokenGroup = self.encoder(observation.map(lambda array: array[:, -1:]))
        return group
