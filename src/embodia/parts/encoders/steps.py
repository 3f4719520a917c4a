"""Steered keypoints as one token a time step: what a decoder that counts observations, not tokens, can read.

All tokens of one step are laid side by side and pressed through a small MLP. The one thing to watch: the order of the
cameras is part of the weights, as everywhere where tokens are laid side by side.
"""

from __future__ import annotations

from dataclasses import replace

from torch import nn

from embodia.core.specs import ObservationSpec
from embodia.core.types import Observation, TokenGroup
from embodia.parts.encoders.keypoint_stem import KeypointStemConfig, SteeredKeypoints


class CameraSteps(nn.Module):
    """Pictures of all cameras of `spec`, and the sentence, to the group "image", (B T width)."""

    def __init__(self, config: KeypointStemConfig, spec: ObservationSpec, width: int) -> None:
        super().__init__()
        self.width = width
        self.eyes = SteeredKeypoints(config, spec, width)
        self.press = nn.Sequential(
            nn.LayerNorm(self.eyes.tokens * width),
            nn.Linear(self.eyes.tokens * width, 2 * width),
            nn.GELU(),
            nn.Linear(2 * width, width),
        )
        self.eyes.position.requires_grad_(False)

    def forward(self, observation: Observation) -> TokenGroup:
        """One token a time step; a camera that is absent counts as what it shows."""
        group = self.eyes(observation)
        tokens = group.tokens.unflatten(1, (-1, self.eyes.tokens)).flatten(2)
        return replace(group, tokens=self.press(tokens), mask=None, position=None)
