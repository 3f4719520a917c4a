"""Eyes that are shown where things went: the paths of moving points drawn on the newest picture (vis.trace)."""

from __future__ import annotations

from dataclasses import replace

from torch import nn

from embodia.core.types import Observation, TokenGroup
from embodia.nn.tracks import draw, track


class TraceEyes(nn.Module):
    """`eyes` over the newest pictures with paths drawn on them; the history says how long the paths are.

    `points` squared points of every camera are followed.
    """

    def __init__(self, eyes: nn.Module, cameras: tuple[str, ...], *, points: int = 8) -> None:
        super().__init__()
        self.eyes, self.cameras, self.points = eyes, cameras, points

    def forward(self, observation: Observation) -> TokenGroup:
        """The group of the eyes, of one step."""
        drawn = {
            name: draw(film[:, -1], track(film, self.points))[:, None] if name in self.cameras else film[:, -1:]
            for name, film in observation.images.items()
        }
        masks = {name: mask[:, -1:] for name, mask in observation.masks.items()}
        group: TokenGroup = self.eyes(replace(observation, images=drawn, masks=masks))
        return group
