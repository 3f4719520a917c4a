"""Cameras through an EfficientNet that the sentence modulates, then a few tokens a picture: RT-1's eye.

Every block's output is scaled and shifted a channel by linear maps of the sentence vector; the maps begin at zero, so
that a fresh network is the plain EfficientNet. TokenLearner then picks a few tokens from the cells. The one thing to
watch: batch norms rest on their stored statistics, as pretrained networks need it; they are not trained.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from embodia.core.specs import ObservationSpec
from embodia.core.types import Observation, TokenGroup
from embodia.nn.image import Scaling, pick_cameras, scale_pixels
from embodia.nn.token_learner import TokenLearner
from embodia.parts.encoders.language import EMBEDDING_WIDTH, Embed, embed_sentence, sentence_vectors


@dataclass(frozen=True, kw_only=True)
class FilmEfficientNetConfig:
    """EfficientNet-B3 as published: `broad` times wider and `deep` times deeper than B0, pictures of 300 pixels.

    `vector` is the width of the sentence (512), `tokens` a picture after TokenLearner (8).
    """

    kind: Literal["film_efficientnet"] = "film_efficientnet"
    broad: float = 1.2
    deep: float = 1.4
    pixels: int = 300
    vector: int = 512
    tokens: int = 8
    scaling: Scaling = "imagenet"


class FilmEfficientNet(nn.Module):
    """Pictures and sentence to the group "image", (B, T * cameras * tokens, width), time step by time step."""

    def __init__(
        self, config: FilmEfficientNetConfig, spec: ObservationSpec, width: int, embed: Embed = embed_sentence
    ) -> None:
        super().__init__()
        self.config, self.cameras, self.embed = config, spec.camera_names, embed
        self.net = _network(config)
        channels = [block.projection.project_bn.num_features for block in self.net.encoder.blocks]
        self.words = nn.Linear(EMBEDDING_WIDTH, config.vector) if spec.language else None
        self.films = nn.ModuleList(_still(config.vector, 2 * count) for count in channels)
        if not spec.language:
            self.films.requires_grad_(False)
        self.project = nn.Conv2d(self.net.encoder.top_conv.out_channels, width, 1, bias=False)
        self.learner = TokenLearner(width, config.tokens)
        self.tokens = len(self.cameras) * config.tokens
        self.camera = nn.Parameter(0.02 * torch.randn(self.tokens, width))

    def forward(self, observation: Observation) -> TokenGroup:
        """Tokens camera by camera within a time step."""
        pictures = pick_cameras(observation.images, self.cameras)
        batch, steps = pictures[0].shape[:2]
        words = self._words(observation, steps)
        seen = torch.stack([self.learner(self._cells(picture.flatten(0, 1), words)) for picture in pictures], dim=1)
        tokens = seen.flatten(1, 2) + self.camera
        return TokenGroup(
            name="image",
            tokens=tokens.unflatten(0, (batch, steps)).flatten(1, 2),
            mask=self._mask(observation, batch, steps),
            attends_to=("image",),
        )

    def train(self, mode: bool = True) -> FilmEfficientNet:
        """Batch norms stay as stored whatever the mode."""
        super().train(mode)
        self.net.train(False)
        return self

    def _cells(self, frames: Tensor, words: Tensor | None) -> Tensor:
        size = (self.config.pixels, self.config.pixels)
        pictures = scale_pixels(frames, self.config.scaling)
        x = self.net.embeddings(F.interpolate(pictures, size=size, mode="bilinear", align_corners=False))
        for block, film in zip(self.net.encoder.blocks, self.films, strict=True):
            x = block(x)
            if words is not None:
                scale, shift = film(words)[..., None, None].chunk(2, dim=1)
                x = x * (1 + scale) + shift
        top = self.net.encoder
        x = top.top_activation(top.top_bn(top.top_conv(x)))
        return self.project(x).flatten(2).transpose(1, 2)

    def _words(self, observation: Observation, steps: int) -> Tensor | None:
        if self.words is None:
            return None
        vectors = self.words(sentence_vectors(observation.instruction, self.embed, self.words.bias))
        return vectors.repeat_interleave(steps, dim=0)

    def _mask(self, observation: Observation, batch: int, steps: int) -> Tensor | None:
        if not observation.masks.keys() & set(self.cameras):
            return None
        present = self.camera.new_ones(batch, steps, dtype=torch.bool)
        rows = [observation.masks.get(name, present) for name in self.cameras]
        return torch.stack(rows, dim=2).repeat_interleave(self.config.tokens, dim=2).flatten(1)


def _still(inputs: int, outputs: int) -> nn.Linear:
    film = nn.Linear(inputs, outputs)
    nn.init.zeros_(film.weight)
    nn.init.zeros_(film.bias)
    return film


def _network(config: FilmEfficientNetConfig) -> Any:
    import transformers

    sizes = transformers.EfficientNetConfig(width_coefficient=config.broad, depth_coefficient=config.deep)
    sizes.hidden_dim = round(1280 * config.broad)
    net = transformers.EfficientNetModel(sizes)
    for module in net.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, mode="fan_in", nonlinearity="relu")
    return net
