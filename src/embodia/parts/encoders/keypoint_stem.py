"""Cameras to steered keypoints: few tokens a picture, with the sentence inside the eye.

Where several goals lie in one scene, detectors that know the sentence find the right one in a few hundred training
steps; a transformer that must pick it out of unsteered tokens needs many more.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn

from embodia.core.errors import ConfigError
from embodia.core.specs import ObservationSpec
from embodia.core.types import Observation, TokenGroup
from embodia.nn.image import Scaling, pick_cameras, scale_pixels
from embodia.nn.keypoint_stem import KeypointStem
from embodia.parts.encoders.language import EMBEDDING_WIDTH, Embed, embed_sentence, sentence_vectors


@dataclass(frozen=True, kw_only=True)
class KeypointStemConfig:
    """One stem a camera; `cells` squared grid tokens stand beside the token of points."""

    kind: Literal["keypoint_stem"] = "keypoint_stem"
    patch: int = 4
    channels: int = 48
    keypoints: int = 32
    cells: int = 3
    grid_channels: int = 96
    condition: int = 192
    scaling: Scaling = "symmetric"


QUICK_EYES = KeypointStemConfig(channels=32, keypoints=24, grid_channels=64, condition=64)
"""For eyes that look at every action, and for second ones: about half of the work."""


class SteeredKeypoints(nn.Module):
    """Pictures and sentence (if the contract has one) to the group "image", (B, T * cameras * (1 + cells^2), width)."""

    def __init__(
        self, config: KeypointStemConfig, spec: ObservationSpec, width: int, embed: Embed = embed_sentence
    ) -> None:
        super().__init__()
        for camera in spec.cameras:
            if camera.height % config.patch or camera.width % config.patch:
                raise ConfigError(f"pictures must be multiples of {config.patch} pixels", leaf=f"cameras.{camera.name}")
        self.cameras, self.scaling, self.embed = spec.camera_names, config.scaling, embed
        self.keypoints, self.channels = config.keypoints, config.channels
        self.words = nn.Sequential(nn.Linear(EMBEDDING_WIDTH, config.condition), nn.GELU()) if spec.language else None
        self.still = None if spec.language else nn.Parameter(torch.randn(1, config.condition))
        self.stems = nn.ModuleList(
            KeypointStem(
                config.condition,
                width,
                patch=config.patch,
                channels=config.channels,
                keypoints=config.keypoints,
                cells=config.cells,
                grid_channels=config.grid_channels,
            )
            for _ in self.cameras
        )
        self.first = 1 + config.cells**2
        self.tokens = len(self.cameras) * self.first
        self.position = nn.Parameter(torch.randn(self.tokens, width))

    def forward(self, observation: Observation) -> TokenGroup:
        """Tokens camera by camera, time step by time step."""
        pictures = pick_cameras(observation.images, self.cameras)
        batch, steps = pictures[0].shape[:2]
        condition = self._condition(observation, batch).repeat_interleave(steps, dim=0)
        tokens = torch.cat(
            [
                stem(scale_pixels(picture.flatten(0, 1), self.scaling), condition)
                for stem, picture in zip(self.stems, pictures, strict=True)
            ],
            dim=1,
        )
        return TokenGroup(
            name="image",
            tokens=tokens.unflatten(0, (batch, steps)).flatten(1, 2),
            mask=self._mask(observation, batch, steps, tokens.shape[1] // len(self.cameras)),
            attends_to=("image",),
            position=self.position.repeat(steps, 1),
        )

    def find(self, observation: Observation) -> list[tuple[Tensor, Tensor, Tensor]]:
        """A camera each: its newest pictures (B 3 H W), scaled; keypoints in them (B keypoints 3); a token of these."""
        pictures = pick_cameras(observation.images, self.cameras)
        condition = self._condition(observation, len(pictures[0]))
        newest = [scale_pixels(picture[:, -1], self.scaling) for picture in pictures]
        return [(picture, *stem.find(picture, condition)) for stem, picture in zip(self.stems, newest, strict=True)]  # type: ignore[operator]

    def only_finds(self) -> None:
        """Leave the grid and the positions of tokens untrained, where `find` alone is called."""
        for unused in (self.position, *(weight for stem in self.stems for weight in stem.grid.parameters())):  # type: ignore[union-attr]
            unused.requires_grad_(False)

    def inherit(self, taught: Mapping[str, Tensor]) -> float:
        """Take the tensors of a taught eye's state that have the shape of ours; the share of our numbers taken.

        Where one of the two hears a sentence and the other does not, ours keeps its own steering.
        """
        mine = self.state_dict()
        fits = [name for name, tensor in mine.items() if name in taught and taught[name].shape == tensor.shape]
        alike = ("still" in taught) == ("still" in mine)
        taken = [name for name in fits if alike or ".steer." not in name]
        with torch.no_grad():
            for name in taken:
                mine[name].copy_(taught[name])
        return sum(mine[name].numel() for name in taken) / sum(tensor.numel() for tensor in mine.values())

    def _condition(self, observation: Observation, batch: int) -> Tensor:
        if self.words is None:
            return self.still.expand(batch, -1)  # type: ignore[union-attr]
        return self.words(sentence_vectors(observation.instruction, self.embed, self.position))

    def _mask(self, observation: Observation, batch: int, steps: int, each: int) -> Tensor | None:
        if not observation.masks.keys() & set(self.cameras):
            return None
        present = self.position.new_ones(batch, steps, dtype=torch.bool)
        masks = [observation.masks.get(name, present)[..., None].expand(-1, -1, each) for name in self.cameras]
        return torch.cat(masks, dim=2).flatten(1)
