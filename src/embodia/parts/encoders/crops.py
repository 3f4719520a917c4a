"""Things in a picture as tokens: small windows round places that a learned detector proposes (vis.obj_crops).

Every proposal is a window, a place and a size, as a detector's box would be (VIMA, Jiang et al. 2022, crops of a mask
R-CNN); here the detector is learned with the policy, through the places. The one thing to watch: a proposal is a mean
over the whole map, so in the beginning all lie near the middle.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from embodia.core.specs import ObservationSpec
from embodia.core.types import Observation, TokenGroup
from embodia.nn.image import Scaling, pick_cameras, scale_pixels
from embodia.nn.keypoints import SpatialSoftmax


@dataclass(frozen=True, kw_only=True)
class CropConfig:
    """`count` proposals a camera, windows of `size` pixels, `share` of the picture's side wide."""

    count: int = 8
    size: int = 16
    share: float = 0.25
    channels: int = 48
    scaling: Scaling = "symmetric"


class ObjectCrops(nn.Module):
    """The newest pictures to the group "objects", (B cameras * count width)."""

    def __init__(self, config: CropConfig, spec: ObservationSpec, width: int) -> None:
        super().__init__()
        self.config, self.cameras = config, spec.camera_names
        wide = config.channels
        self.looks = nn.ModuleList(
            nn.Sequential(
                nn.Conv2d(3, wide // 2, 5, 2, 2),
                nn.GELU(),
                nn.Conv2d(wide // 2, wide, 3, 2, 1),
                nn.GELU(),
                SpatialSoftmax(wide, config.count),
            )
            for _ in self.cameras
        )
        cells = (config.size // 4) ** 2
        self.window = nn.Sequential(
            nn.Conv2d(3, wide, 4, 2, 1), nn.GELU(), nn.Conv2d(wide, wide, 4, 2, 1), nn.GELU(), nn.Flatten()
        )
        self.content = nn.Linear(cells * wide, width)
        self.place = nn.Sequential(nn.Linear(2, width), nn.GELU(), nn.Linear(width, width))
        self.which = nn.Parameter(0.1 * torch.randn(len(self.cameras), config.count, width))
        self.tokens = len(self.cameras) * config.count

    def forward(self, observation: Observation) -> TokenGroup:
        """Proposals, camera by camera."""
        rows = [
            self._things(scale_pixels(picture[:, -1], self.config.scaling), look) + self.which[index]
            for index, (picture, look) in enumerate(
                zip(pick_cameras(observation.images, self.cameras), self.looks, strict=True)
            )
        ]
        return TokenGroup(name="objects", tokens=torch.cat(rows, dim=1), mask=None, attends_to=("objects",))

    def _things(self, picture: Tensor, look: nn.Module) -> Tensor:
        place: Tensor = look(picture)
        seen = windows(picture, place, self.config.size, self.config.share)
        content = self.content(self.window(seen.flatten(0, 1))).unflatten(0, place.shape[:2])
        found: Tensor = content + self.place(place)
        return found


def windows(picture: Tensor, place: Tensor, size: int, share: float) -> Tensor:
    """Windows (B K C size size) of pictures (B C H W), `share` of a side wide, round places (B K 2) in [-1, 1]."""
    steps = ((torch.arange(size, device=picture.device) + 0.5) * 2 / size - 1) * share
    down, right = torch.meshgrid(steps, steps, indexing="ij")
    grid = place[:, :, None, None] + torch.stack([right, down], dim=-1)
    found = F.grid_sample(picture, grid.flatten(1, 2), mode="bilinear", padding_mode="zeros", align_corners=False)
    return found.unflatten(2, (place.shape[1], size)).transpose(1, 2)
