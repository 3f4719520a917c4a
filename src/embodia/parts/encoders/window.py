"""The last moments as one sequence in the order in which they came: what was seen, what was felt, a query.

How behaviour transformers read (BeT, VQ-BeT): every moment gives a token for each picture, one for the state and one
learned query, behind which a decoder finds what to do at that moment. The one thing to watch: earlier queries are
looked at by later moments, so they are part of the sequence in acting too, although nobody reads them.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from embodia.core.errors import ShapeError
from embodia.core.specs import ObservationSpec
from embodia.core.types import Observation, TokenGroup
from embodia.parts.encoders.keypoint import CameraKeypoints
from embodia.parts.encoders.vision import VisionConfig


@dataclass(frozen=True, kw_only=True)
class WindowConfig:
    """`history` moments, `keypoints` a picture, tokens of `width`; `crop` (rows, columns) in the middle, 0 = all."""

    history: int = 5
    keypoints: int = 32
    width: int = 512
    crop: tuple[int, int] = (0, 0)


class WindowTokens(nn.Module):
    """Pictures (B T H W 3) and normalised states (B T S) to the group "window", (B, T * (cameras + 2), width)."""

    def __init__(self, vision: VisionConfig, spec: ObservationSpec, config: WindowConfig) -> None:
        super().__init__()
        self.crop, self.cameras = config.crop, spec.camera_names
        self.eyes = CameraKeypoints(vision, spec, config.keypoints)
        self.picture = nn.Linear(2 * config.keypoints, config.width)
        self.state = nn.Linear(spec.state_dim, config.width)
        self.query = nn.Parameter(torch.randn(config.width))

    def forward(self, observation: Observation) -> TokenGroup:
        """Moments in order, causal; the last token is the newest moment's query. Raises `ShapeError` with no state."""
        if observation.state is None:
            raise ShapeError("the observation has no state", leaf="state")
        cut = {name: middle(observation.images[name], self.crop) for name in self.cameras if name in observation.images}
        seen: Tensor = self.eyes(replace(observation, images=cut)).tokens
        pictures = self.picture(seen.unflatten(-1, (len(self.cameras), -1)))
        state = self.state(observation.state)[:, :, None]
        tokens = torch.cat([pictures, state, self.query.expand_as(state)], dim=2)
        return TokenGroup(
            name="window", tokens=tokens.flatten(1, 2), mask=None, attends_to=("window",), within="causal"
        )


def middle(pictures: Tensor, size: tuple[int, int]) -> Tensor:
    """The middle (... h w 3) of pictures (... H W 3); 0 keeps a side whole."""
    rows, columns = (cut or whole for cut, whole in zip(size, pictures.shape[-3:-1], strict=True))
    top, left = round((pictures.shape[-3] - rows) / 2), round((pictures.shape[-2] - columns) / 2)
    return pictures[..., top : top + rows, left : left + columns, :]
