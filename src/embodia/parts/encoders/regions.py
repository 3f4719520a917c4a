"""Regions of a picture, chosen by the sentence (vis.obj_crops): what the instruction names, and where it is.

A detector's boxes are here the cells of a feature map, each with its place; the sentence asks, attention answers
with the mean feature and the mean place (Stepputtis et al. 2020, semantic module). The one thing to watch: the places
are what a controller needs; without them attention knows what it looks at and not where.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from embodia.core.specs import ObservationSpec
from embodia.core.types import Observation, TokenGroup
from embodia.nn.image import pick_cameras, scale_pixels
from embodia.nn.keypoints import standard
from embodia.parts.encoders.language import EMBEDDING_WIDTH, Embed, embed_sentence, sentence_vectors
from embodia.parts.encoders.vision import VisionConfig, vision_trunks


class RegionAttention(nn.Module):
    """Pictures and sentence to the group "image", one token a camera and time step, (B, T * cameras, width).

    `queries` questions are asked of every picture; each answer is a feature of `key` numbers and a place.
    """

    def __init__(
        self,
        config: VisionConfig,
        spec: ObservationSpec,
        width: int,
        *,
        queries: int = 16,
        key: int = 64,
        embed: Embed = embed_sentence,
    ) -> None:
        super().__init__()
        self.cameras, self.scaling, self.embed = spec.camera_names, config.scaling, embed
        self.trunks = vision_trunks(config, len(self.cameras))
        channels: int = self.trunks[0].channels  # type: ignore[assignment]
        self.key = nn.Conv2d(channels, key, 1)
        self.value = nn.Conv2d(channels, key, 1)
        self.still = nn.Parameter(torch.randn(queries, key))
        self.ask = nn.Sequential(nn.Linear(EMBEDDING_WIDTH, 192), nn.GELU(), nn.Linear(192, queries * key))
        self.sharpness = nn.Parameter(torch.full((queries, 1), 4.0))
        self.answer = nn.Sequential(nn.Linear(queries * (key + 2), width), nn.GELU(), nn.Linear(width, width))
        if not spec.language:
            self.ask.requires_grad_(False)
        self.language = spec.language
        self.tokens = len(self.cameras)

    def forward(self, observation: Observation) -> TokenGroup:
        """One token a camera."""
        pictures = pick_cameras(observation.images, self.cameras)
        batch, steps = pictures[0].shape[:2]
        asked = self._questions(observation, batch).repeat_interleave(steps, dim=0)
        trunks = list(self.trunks) if len(self.trunks) > 1 else [self.trunks[0]] * len(pictures)
        maps = [
            trunk(scale_pixels(picture.flatten(0, 1), self.scaling))
            for trunk, picture in zip(trunks, pictures, strict=True)
        ]
        tokens = torch.stack([self._look(found, asked) for found in maps], dim=1).unflatten(0, (batch, steps))
        return TokenGroup(
            name="image", tokens=tokens.flatten(1, 2), mask=self._mask(observation, tokens), attends_to=("image",)
        )

    def attention(self, features: Tensor, asked: Tensor) -> Tensor:
        """Where each question looks: (N Q h*w), rows sum to one; `features` (N C h w), `asked` (N Q key)."""
        response = asked @ self.key(features).flatten(2)
        return (standard(response) * self.sharpness).softmax(-1)

    def _look(self, features: Tensor, asked: Tensor) -> Tensor:
        weight = self.attention(features, asked)
        seen = weight @ self.value(features).flatten(2).transpose(1, 2)
        places = _places(features.shape[-2], features.shape[-1]).to(seen)
        return self.answer(torch.cat([seen, weight @ places], dim=-1).flatten(1))

    def _questions(self, observation: Observation, batch: int) -> Tensor:
        if not self.language:
            return self.still.expand(batch, -1, -1)
        vectors = sentence_vectors(observation.instruction, self.embed, self.still)
        return self.still + self.ask(vectors).unflatten(-1, self.still.shape)

    def _mask(self, observation: Observation, tokens: Tensor) -> Tensor | None:
        if not observation.masks.keys() & set(self.cameras):
            return None
        present = tokens.new_ones(tokens.shape[:2], dtype=torch.bool)
        return torch.stack([observation.masks.get(name, present) for name in self.cameras], dim=2).flatten(1)


def _places(rows: int, columns: int) -> Tensor:
    """Centres of all cells in row-major order, (rows * columns, 2), from -1 to 1: across, then down."""
    down = (torch.arange(rows) + 0.5) / rows * 2 - 1
    across = (torch.arange(columns) + 0.5) / columns * 2 - 1
    return torch.stack([across.repeat(rows), down.repeat_interleave(columns)], dim=-1)
