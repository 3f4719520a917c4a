"""Cameras through a ResNet that the sentence modulates (vis.resnet + fuse.film): BC-Z's eye.

Every residual block is scaled and shifted a channel by a linear map of the sentence vector (Perez et al. 2018). Maps
begin at zero, so that a fresh network is the plain ResNet. The one thing to watch: after average pooling only what the
sentence singled out is left, so without language this is a plain ResNet.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from embodia.core.specs import ObservationSpec
from embodia.core.types import Observation, TokenGroup
from embodia.nn.image import pick_cameras, scale_pixels
from embodia.nn.resnet import ResNet
from embodia.parts.encoders.language import EMBEDDING_WIDTH, Embed, embed_sentence, sentence_vectors
from embodia.parts.encoders.resnet import ResNetConfig


class FilmResNet(nn.Module):
    """Pictures and sentence to the group "image", one token a camera and time step (B, T * cameras, channels).

    `vector` is the width the sentence is brought to before it modulates.
    """

    def __init__(
        self, config: ResNetConfig, spec: ObservationSpec, *, vector: int = 512, embed: Embed = embed_sentence
    ) -> None:
        super().__init__()
        self.cameras, self.scaling, self.embed = spec.camera_names, config.scaling, embed
        self.trunk = ResNet(config.depth, config.norm, config.width, config.group_width)
        self.width = self.trunk.channels
        self.words = nn.Linear(EMBEDDING_WIDTH, vector) if spec.language else None
        self.films = nn.Linear(vector, 2 * sum(self.trunk.stages)) if spec.language else None
        if self.films is not None:
            nn.init.zeros_(self.films.weight)
            nn.init.zeros_(self.films.bias)
        self.tokens = len(self.cameras)

    def forward(self, observation: Observation) -> TokenGroup:
        """Average-pooled features."""
        pictures = pick_cameras(observation.images, self.cameras)
        batch, steps = pictures[0].shape[:2]
        films = self._films(observation, steps)
        vectors = [
            self.trunk(scale_pixels(picture.flatten(0, 1), self.scaling), films).mean((2, 3)) for picture in pictures
        ]
        tokens = torch.stack(vectors, dim=1).unflatten(0, (batch, steps)).flatten(1, 2)
        return TokenGroup(
            name="image", tokens=tokens, mask=self._mask(observation, batch, steps), attends_to=("image",)
        )

    def _films(self, observation: Observation, steps: int) -> tuple[Tensor, ...]:
        if self.words is None or self.films is None:
            return ()
        vectors = self.words(sentence_vectors(observation.instruction, self.embed, self.films.bias))
        rows = self.films(vectors).repeat_interleave(steps, dim=0)
        return rows.split([2 * channels for channels in self.trunk.stages], dim=-1)

    def _mask(self, observation: Observation, batch: int, steps: int) -> Tensor | None:
        if not observation.masks.keys() & set(self.cameras):
            return None
        present = torch.ones(batch, steps, dtype=torch.bool, device=self.trunk.stem.conv.weight.device)
        return torch.stack([observation.masks.get(name, present) for name in self.cameras], dim=2).flatten(1)
