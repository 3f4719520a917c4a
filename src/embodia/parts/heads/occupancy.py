"""Where something is, or will be: cells of space predicted from the policy's own tokens (head.aux, geo.occ).

Learning to say which cells are full teaches eyes shape and distance (RoboMM, FetchBot); asked of a later moment it is
an imagined goal (3D-VLA). The truth comes from the points of the contract, which acting does not need. The one thing to
watch: nearly all cells are empty, so full ones weigh `weight` times as much.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from embodia.core.errors import ConfigError, ShapeError
from embodia.core.protocols import Context
from embodia.core.specs import ObservationSpec
from embodia.core.types import Batch
from embodia.nn.occupancy import occupied


@dataclass(frozen=True, kw_only=True)
class OccupancyConfig:
    """`size` cells along an edge, a hidden layer, how much a full cell weighs."""

    size: int = 8
    hidden: int = 128
    weight: float = 8.0


class Occupancy(nn.Module):
    """The mean of the groups `read` (B N memory) to logits of cells; {`name`: (B,)} is their error.

    `later` asks for the first later moment of a batch, otherwise for now. Raises `ConfigError` without points.
    """

    centre: Tensor
    reach: Tensor

    def __init__(
        self,
        config: OccupancyConfig,
        spec: ObservationSpec,
        memory: int,
        *,
        centre: Tensor,
        half: Tensor,
        read: tuple[str, ...],
        name: str = "occupancy",
        later: bool = False,
    ) -> None:
        super().__init__()
        if spec.sense("points") is None:
            raise ConfigError("this policy learns from points", leaf="senses", cure="On Desk: senses=rgb,depth,points.")
        self.config, self.read, self.name, self.later = config, read, name, later
        self.register_buffer("centre", centre.clone())
        self.register_buffer("reach", half.clone())
        self.net = nn.Sequential(
            nn.LayerNorm(len(read) * memory),
            nn.Linear(len(read) * memory, config.hidden),
            nn.GELU(),
            nn.Linear(config.hidden, config.size**3),
        )

    def forward(self, context: Context) -> Tensor:
        """Logits (B size^3)."""
        told = [context.groups[name].tokens.mean(1) for name in self.read]
        found: Tensor = self.net(torch.cat(told, dim=-1))
        return found

    def loss_terms(self, context: Context, batch: Batch, rng: object) -> dict[str, Tensor]:
        """Weighted cross-entropy, mean over cells. Raises `ShapeError` when the batch lacks the points."""
        seen = batch.later if self.later else batch.observation
        if seen is None or seen.points is None:
            raise ShapeError("the batch lacks points", leaf="later.points" if self.later else "points")
        points = seen.points[:, 0 if self.later else -1, :, :3].float()
        truth = occupied(points, self.centre, self.reach, self.config.size).flatten(1)
        logits = self(context)
        weight = 1 + (self.config.weight - 1) * truth.to(logits.dtype)
        error = F.binary_cross_entropy_with_logits(logits, truth.to(logits.dtype), weight, reduction="none")
        return {self.name: error.mean(1)}
