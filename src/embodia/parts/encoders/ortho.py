"""A cloud of points drawn from fixed sides, seen by an eye made for pictures, or pixel by pixel (geo.ortho).

The eye gets the drawings as if they came from cameras that are named after the sides, so any trunk or tower fits.
"""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor, nn

from embodia.core.errors import ConfigError, ShapeError
from embodia.core.specs import CameraSpec, ObservationSpec
from embodia.core.types import Observation, TokenGroup
from embodia.nn.multiview import PixelStem, ViewConfig, in_rows, pictures
from embodia.nn.ortho import axes


def drawn_spec(spec: ObservationSpec, views: tuple[str, ...], size: int) -> ObservationSpec:
    """The same senses with the drawings in place of the cameras. Raises `ConfigError` for a body without points."""
    if spec.sense("points") is None:
        raise ConfigError("this policy needs points", leaf="senses", cure="On Desk: senses=rgb,points.")
    return replace(spec, cameras=tuple(CameraSpec(name=name, height=size, width=size) for name in views))


class OrthoEyes(nn.Module):
    """`eyes`, made for `drawn_spec`, over drawings of the newest points; `centre`, `half` say which cube is drawn."""

    centre: Tensor
    reach: Tensor
    sides: Tensor

    def __init__(self, eyes: nn.Module, views: tuple[str, ...], size: int, *, centre: Tensor, half: Tensor) -> None:
        super().__init__()
        self.eyes, self.names, self.size = eyes, views, size
        self.register_buffer("sides", axes(views), persistent=False)
        self.register_buffer("centre", centre.clone())
        self.register_buffer("reach", half.clone())

    def forward(self, observation: Observation) -> TokenGroup:
        """Raises `ShapeError` when the observation has no points."""
        whole = _drawn(observation, self.sides, self.centre, self.reach, self.size)
        colour = (whole[:, :, :3] * 255).round().clamp(0, 255).to(torch.uint8).permute(0, 1, 3, 4, 2)
        drawn = {name: colour[:, index, None] for index, name in enumerate(self.names)}
        group: TokenGroup = self.eyes(replace(observation, images=drawn, masks={}))
        return group


class DrawnPixels(nn.Module):
    """What a shallow stem sees in every pixel of the drawings, as the group "early", (B V*size*size stem).

    A decoder of heat maps can ask them by the sentence; no backbone reads them.
    """

    centre: Tensor
    reach: Tensor
    sides: Tensor

    def __init__(self, config: ViewConfig, *, centre: Tensor, half: Tensor) -> None:
        super().__init__()
        self.stem, self.size = PixelStem(config), config.size
        self.register_buffer("sides", axes(config.views), persistent=False)
        self.register_buffer("centre", centre.clone())
        self.register_buffer("reach", half.clone())

    def forward(self, observation: Observation) -> TokenGroup:
        """Raises `ShapeError` when the observation has no points."""
        whole = _drawn(observation, self.sides, self.centre, self.reach, self.size)
        early = self.stem(whole.flatten(0, 1)).unflatten(0, whole.shape[:2])
        return TokenGroup(name="early", tokens=in_rows(early), mask=None, attends_to=("early",))


def _drawn(observation: Observation, sides: Tensor, centre: Tensor, half: Tensor, size: int) -> Tensor:
    if observation.points is None:
        raise ShapeError("the observation has no points", leaf="points")
    cloud = observation.points[:, -1].float()
    return pictures(cloud, sides, centre.expand(len(cloud), 3), half.expand(len(cloud)), size)
