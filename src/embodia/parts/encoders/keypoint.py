"""Cameras to one vector a moment: a spatial softmax (Diffusion Policy, section 4), or keypoints that a sentence steers.

Where things are matters more than what they look like, and 32 points say it in 64 numbers. Emits one token a time step:
the points of all cameras side by side.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from embodia.core.specs import ObservationSpec
from embodia.core.types import Observation, TokenGroup
from embodia.nn.image import pick_cameras, scale_pixels
from embodia.nn.keypoints import SpatialSoftmax
from embodia.parts.encoders.keypoint_stem import KeypointStemConfig, SteeredKeypoints
from embodia.parts.encoders.vision import VisionConfig, vision_trunks

EYE_WIDTH = 192
"""Of the tokens that steered eyes give before they are joined."""


def camera_vector(
    config: VisionConfig | KeypointStemConfig, spec: ObservationSpec, keypoints: int
) -> CameraKeypoints | SteeredVector:
    """An encoder of all cameras into one vector a time step; its `width` says how long."""
    if isinstance(config, KeypointStemConfig):
        return SteeredVector(config, spec, 2 * keypoints * len(spec.cameras))
    return CameraKeypoints(config, spec, keypoints)


class SteeredVector(nn.Module):
    """Keypoint eyes that the sentence steers, their tokens joined to the group "image": (B T width)."""

    def __init__(self, config: KeypointStemConfig, spec: ObservationSpec, width: int) -> None:
        super().__init__()
        self.eyes = SteeredKeypoints(config, spec, EYE_WIDTH)
        self.eyes.position.requires_grad_(False)  # nothing attends to these tokens
        self.out = nn.Linear(self.eyes.tokens * EYE_WIDTH, width)
        self.width = width

    def forward(self, observation: Observation) -> TokenGroup:
        """One token a time step."""
        seen = self.eyes(observation)
        tokens = seen.tokens.unflatten(1, (-1, self.eyes.tokens)).flatten(2)
        return TokenGroup(name="image", tokens=functional.relu(self.out(tokens)), mask=None, attends_to=("image",))


class CameraKeypoints(nn.Module):
    """Pictures of all cameras of `spec` to the group "image": (B T cameras * 2 * keypoints)."""

    def __init__(self, config: VisionConfig, spec: ObservationSpec, keypoints: int) -> None:
        super().__init__()
        self.cameras = spec.camera_names
        self.scaling = config.scaling
        self.trunks = vision_trunks(config, len(self.cameras))
        count = len(self.trunks)
        self.points = nn.ModuleList(SpatialSoftmax(trunk.channels, keypoints) for trunk in self.trunks)  # type: ignore[arg-type]
        self.out = nn.ModuleList(nn.Linear(2 * keypoints, 2 * keypoints) for _ in range(count))
        self.width = 2 * keypoints * len(self.cameras)

    def forward(self, observation: Observation) -> TokenGroup:
        """One token a time step."""
        pictures = pick_cameras(observation.images, self.cameras)
        batch, steps = pictures[0].shape[:2]
        frames = [picture.flatten(0, 1) for picture in pictures]
        if len(self.trunks) == 1:
            vectors = self._vector(torch.cat(frames), 0).chunk(len(frames))
        else:
            vectors = tuple(self._vector(frame, index) for index, frame in enumerate(frames))
        tokens = torch.cat(vectors, dim=-1).unflatten(0, (batch, steps))
        return TokenGroup(name="image", tokens=tokens, mask=None, attends_to=("image",))

    def _vector(self, frames: Tensor, index: int) -> Tensor:
        features = self.trunks[index](scale_pixels(frames, self.scaling))
        points = self.points[index](features).flatten(1)
        return functional.relu(self.out[index](points))
