"""Things in a picture as tokens: small windows round places that a detector proposes (vis.obj_crops).

Every proposal is a window, a place and how sure the detector is, as a detector's box would be (VIMA, Jiang et al. 2022,
crops of a mask R-CNN). Here the detector is the shared keypoint eye, which another run can have taught (`eyes_from`),
as theirs was trained before the policy. The one thing to watch: places move with what the policy learns, so a window
can slide off the thing that it showed.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from embodia.core.specs import ObservationSpec
from embodia.core.types import Observation, TokenGroup
from embodia.parts.encoders.keypoint_stem import QUICK_EYES, KeypointStemConfig, SteeredKeypoints


@dataclass(frozen=True, kw_only=True)
class CropConfig:
    """Windows of `size` pixels, `share` of the picture's side wide, one a keypoint of `detector` and camera.

    `told` lets the sentence steer the detector.
    """

    detector: KeypointStemConfig = field(default_factory=lambda: QUICK_EYES)
    told: bool = True
    size: int = 16
    share: float = 0.25
    hidden: int = 128


class ObjectCrops(nn.Module):
    """The newest pictures to the group "objects", (B cameras * (1 + keypoints) width).

    First of a camera stands one token of where all its proposals lie: a transformer that has to pick a place out of
    many tokens needs far more training to begin.
    """

    def __init__(self, config: CropConfig, spec: ObservationSpec, width: int) -> None:
        super().__init__()
        self.config = config
        self.detector = SteeredKeypoints(config.detector, replace(spec, language=spec.language and config.told), width)
        self.detector.only_finds()
        self.content = nn.Sequential(nn.Linear(3 * config.size**2, config.hidden), nn.GELU())
        self.out = nn.Linear(config.hidden, width)
        self.place = nn.Sequential(nn.Linear(3, width), nn.GELU(), nn.Linear(width, width))
        self.tokens = len(spec.cameras) * (1 + config.detector.keypoints)
        self.which = nn.Parameter(torch.randn(self.tokens, width))

    def forward(self, observation: Observation) -> TokenGroup:
        """Proposals, camera by camera."""
        things = [
            torch.cat([where[:, None], self._things(picture, found)], dim=1)
            for picture, found, where in self.detector.find(observation)
        ]
        tokens = torch.cat(things, dim=1)
        return TokenGroup(name="objects", tokens=tokens, mask=None, attends_to=("objects",), position=self.which)

    def _things(self, picture: Tensor, found: Tensor) -> Tensor:
        seen = windows(picture, found[..., :2].to(picture.dtype), self.config.size, self.config.share)
        things: Tensor = self.out(self.content(seen.flatten(2))) + self.place(found.to(picture.dtype))
        return things


def windows(picture: Tensor, place: Tensor, size: int, share: float) -> Tensor:
    """Windows (B K C size size) of pictures (B C H W), `share` of a side wide, round places (B K 2) in [-1, 1]."""
    steps = ((torch.arange(size, device=picture.device) + 0.5) * 2 / size - 1) * share
    down, right = torch.meshgrid(steps, steps, indexing="ij")
    grid = place[:, :, None, None] + torch.stack([right, down], dim=-1)
    found = F.grid_sample(picture, grid.flatten(1, 2), mode="bilinear", padding_mode="zeros", align_corners=False)
    return found.unflatten(2, (place.shape[1], size)).transpose(1, 2)
