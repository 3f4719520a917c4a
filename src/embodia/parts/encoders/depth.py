"""Depth pictures to tokens (vis.depth), as positions in space (geo.ego3d), and as points (geo.backproject).

Places are those of the camera's own frame: right, down, forward in metres, so no camera has to be calibrated to the
robot (SpatialVLA, Qu et al. 2025). The one thing to watch: the contract must state the field of view of depth.
"""

from __future__ import annotations

from dataclasses import replace

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from embodia.core.errors import ConfigError, ShapeError
from embodia.core.specs import ObservationSpec, SenseSpec
from embodia.core.types import Observation, TokenGroup
from embodia.nn.ortho import unproject
from embodia.nn.points import wave

FAR_M = 3.0
"""Depths are cut here."""


def depth_senses(spec: ObservationSpec, *, field: bool = False) -> tuple[SenseSpec, ...]:
    """The depth of every camera. Raises `ConfigError` where one is missing, or, with `field`, its field of view."""
    known = {sense.camera: sense for sense in spec.senses if sense.name == "depth"}
    missing = [name for name in spec.camera_names if name not in known]
    if missing or not known:
        raise ConfigError(f"no depth of {missing or 'any camera'}", leaf="senses", cure="On Desk: senses=rgb,depth.")
    found = tuple(known[name] for name in spec.camera_names)
    if field and not all(sense.field_deg for sense in found):
        raise ConfigError("the field of view of a depth camera is not known", leaf="field_deg")
    return found


class DepthTokens(nn.Module):
    """Depth of all cameras, newest step, to the group "depth", one token a patch."""

    def __init__(self, spec: ObservationSpec, width: int, *, patch: int = 8) -> None:
        super().__init__()
        self.senses = depth_senses(spec)
        self.stem = nn.Sequential(nn.Conv2d(2, width, patch, stride=patch), nn.GELU(), nn.Conv2d(width, width, 1))
        self.tokens = sum((s.shape[0] // patch) * (s.shape[1] // patch) for s in self.senses)
        self.position = nn.Parameter(torch.randn(self.tokens, width))

    def forward(self, observation: Observation) -> TokenGroup:
        """Raises `ShapeError` when a camera's depth is absent."""
        cells = [self.stem(_channels(observation, sense)).flatten(2).transpose(1, 2) for sense in self.senses]
        return TokenGroup(
            name="depth", tokens=torch.cat(cells, 1), mask=None, attends_to=("depth",), position=self.position
        )


class Ego3d(nn.Module):
    """`eyes` whose cell tokens (B cameras*rows*columns D) get a code of where in space each cell lies added.

    `grid` is rows and columns of a camera's cells. Sines of `features` / 2 octaves, then two layers.
    """

    def __init__(
        self, eyes: nn.Module, spec: ObservationSpec, width: int, grid: tuple[int, int], *, features: int = 12
    ) -> None:
        super().__init__()
        self.eyes, self.grid, self.features = eyes, grid, features
        self.senses = depth_senses(spec, field=True)
        self.code = nn.Sequential(nn.Linear(3 * features, width), nn.GELU(), nn.Linear(width, width))

    def forward(self, observation: Observation) -> TokenGroup:
        """The group of the eyes. Raises `ShapeError` when depth is absent or the cells are not those of the grid."""
        group: TokenGroup = self.eyes(observation)
        places = [
            F.adaptive_avg_pool2d(backproject(observation, sense).permute(0, 3, 1, 2), self.grid).flatten(2)
            for sense in self.senses
        ]
        where = torch.cat(places, dim=2).transpose(1, 2)
        if where.shape[1] != group.tokens.shape[1]:
            raise ShapeError(f"{group.tokens.shape[1]} cells, {where.shape[1]} places", leaf=group.name)
        return replace(group, tokens=group.tokens + self.code(wave(where / FAR_M, self.features, lowest=0.5)))


def backproject(observation: Observation, sense: SenseSpec) -> Tensor:
    """Places (B H W 3) of the newest depth picture in its camera's frame: right, down, forward, metres."""
    return unproject(_newest(observation, sense).clamp(0, FAR_M), sense.field_deg)


def _newest(observation: Observation, sense: SenseSpec) -> Tensor:
    found = observation.sense(sense)
    if found is None:
        raise ShapeError(f"the observation has no {sense.key}", leaf=sense.key)
    newest: Tensor = found[:, -1].float()
    return newest


def _channels(observation: Observation, sense: SenseSpec) -> Tensor:
    """(B 2 H W): nearness, 0 to 1, and whether anything is there."""
    depth = _newest(observation, sense)
    there = (depth > 0).to(depth.dtype)
    return torch.stack([(1 - depth.clamp(0, FAR_M) / FAR_M) * there, there], dim=1)
