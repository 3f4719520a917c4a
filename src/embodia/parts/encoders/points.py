"""A cloud of points to tokens (geo.pc_enc, geo.lift): PointNet, or patches through a transformer as in Uni3D.

Where a patch is enters as a learned code of its centre, or, with `lift`, as the mean of two-dimensional position tables
read where the centre falls on virtual planes, which is how an encoder made for pictures can be fed points (Lift3D, Jia
et al. 2024). The one thing to watch: places are relative to a cube in metres, so statistics of the state are needed for
a body that reaches far.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from embodia.core.errors import ConfigError, ShapeError
from embodia.core.specs import ObservationSpec
from embodia.core.types import Observation, TokenGroup
from embodia.nn.detr import EncoderLayer, LayerSizes
from embodia.nn.ortho import SIDES, axes, project
from embodia.nn.points import PointNet, PointPatches, wave


@dataclass(frozen=True, kw_only=True)
class PointConfig:
    """How a cloud becomes tokens; the defaults are tiny.

    kind     "patches": `groups` tokens of `neighbours` points each, through `depth` layers; "pointnet": one token
    lift     position tables of virtual planes, `table` rows and columns each, in place of a code of the centre
    """

    kind: Literal["patches", "pointnet"] = "patches"
    groups: int = 32
    neighbours: int = 16
    hidden: int = 64
    depth: int = 2
    lift: bool = False
    table: int = 14
    layers: LayerSizes = field(
        default_factory=lambda: LayerSizes(width=160, heads=5, hidden=480, dropout=0.0, pre_norm=True)
    )

    @property
    def tokens(self) -> int:
        """How many tokens come out."""
        return self.groups if self.kind == "patches" else 1


class PointTokens(nn.Module):
    """The newest points to the group `name`, (B groups width); width other than the layers' is projected to.

    `centre` (3,) and `half` an edge of the cube are metres. Raises `ConfigError` for a body without points.
    """

    centre: Tensor
    reach: Tensor

    def __init__(
        self,
        config: PointConfig,
        spec: ObservationSpec,
        width: int,
        *,
        centre: Tensor,
        half: Tensor,
        name: str = "points",
    ) -> None:
        super().__init__()
        if spec.sense("points") is None:
            raise ConfigError("this policy needs points", leaf="senses", cure="On Desk: senses=rgb,points.")
        inner = config.layers.width
        self.config, self.name, self.tokens = config, name, config.tokens
        self.register_buffer("centre", centre.clone())
        self.register_buffer("reach", half.clone())
        patches = config.kind == "patches"
        self.stem: nn.Module = (
            PointPatches(config.groups, config.neighbours, config.hidden, inner)
            if patches
            else PointNet(6, (config.hidden, 2 * config.hidden, 4 * config.hidden), inner)
        )
        self.place: nn.Module | None = None
        if patches:
            self.place = PlanePositions(config.table, inner) if config.lift else CentrePositions(inner)
        self.layers = nn.ModuleList(EncoderLayer(config.layers) for _ in range(config.depth if patches else 0))
        self.norm = nn.LayerNorm(inner)
        self.out = nn.Identity() if width == inner else nn.Linear(inner, width)

    def forward(self, observation: Observation) -> TokenGroup:
        """Raises `ShapeError` when the observation has no points."""
        if observation.points is None:
            raise ShapeError("the observation has no points", leaf="points")
        cloud = observation.points[:, -1].float()
        cloud = torch.cat([(cloud[..., :3] - self.centre) / self.reach, cloud[..., 3:]], dim=-1)
        if self.place is None:
            x = self.stem(cloud)[:, None]
        else:
            x, centres = self.stem(cloud)
            x = x + self.place(centres)
        still = x.new_zeros(x.shape[1:])
        for layer in self.layers:
            x = layer(x, still, None)
        return TokenGroup(name=self.name, tokens=self.out(self.norm(x)), mask=None, attends_to=(self.name,))


class CentrePositions(nn.Module):
    """A code (B G width) of centres (B G 3): sines of several octaves, then two layers."""

    def __init__(self, width: int, features: int = 8) -> None:
        super().__init__()
        self.features = features
        self.code = nn.Sequential(nn.Linear(3 * features, width), nn.GELU(), nn.Linear(width, width))

    def forward(self, centres: Tensor) -> Tensor:
        """Centres in halves of the cube."""
        found: Tensor = self.code(wave(centres, self.features, lowest=0.25))
        return found


class PlanePositions(nn.Module):
    """The mean (B G width) of one position table read where centres (B G 3) fall on the six sides of a cube.

    A table of `size` rows and columns is what a model of pictures brings along.
    """

    planes: Tensor

    def __init__(self, size: int, width: int) -> None:
        super().__init__()
        self.table = nn.Parameter(0.02 * torch.randn(1, width, size, size))
        self.register_buffer("planes", axes(tuple(SIDES)), persistent=False)

    def forward(self, centres: Tensor) -> Tensor:
        """Centres in halves of the cube."""
        batch = len(centres)
        seen = project(centres, self.planes, centres.new_zeros(batch, 3), centres.new_ones(batch))[..., :2]
        table = self.table.expand(batch, -1, -1, -1)
        found = F.grid_sample(table, seen, mode="bilinear", padding_mode="border", align_corners=False)
        return found.mean(2).transpose(1, 2)
