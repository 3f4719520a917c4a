"""A sentence inside a vision transformer (fuse.film, OpenVLA-OFT's variant OFT+): every layer is scaled and shifted.

The mean of the sentence's word vectors scales and shifts all patches alike between a layer's attention and its
perceptron, so a picture is looked at with the task in mind. The one thing to watch: what is averaged belongs to the
weights: OFT+ counts the pieces that open and close an action, and a prompt's opening, as words.
"""

from __future__ import annotations

from typing import Any, Literal

import torch
from torch import Tensor, nn

from embodia.core.types import Observation, TokenGroup
from embodia.nn.groups import token_mask
from embodia.nn.shared import Shared


class FilmedLayer(nn.Module):
    """A layer of transformers' SigLIP or DINOv2 with x (1 + scale) + shift behind its attention."""

    def __init__(self, block: nn.Module, family: Literal["siglip", "dinov2"], condition: int, width: int) -> None:
        super().__init__()
        self.block: Any = block
        self.family = family
        self.scale, self.shift = nn.Linear(condition, width), nn.Linear(condition, width)

    def forward(self, x: Tensor, attention_mask: Tensor | None = None, *, film: Tensor, **more: Any) -> Tensor:
        """(N P width) under `film` (N condition)."""
        film = film.to(x.dtype)
        x = x + self._seen(x, attention_mask, more)
        x = x * (1 + self.scale(film)[:, None]) + self.shift(film)[:, None]
        return x + self._thought(x)

    def _seen(self, x: Tensor, mask: Tensor | None, more: dict[str, Any]) -> Tensor:
        if self.family == "siglip":
            return self.block.self_attn(self.block.layer_norm1(x), attention_mask=mask, **more)[0]
        return self.block.layer_scale1(self.block.attention(self.block.norm1(x), attention_mask=mask, **more)[0])

    def _thought(self, x: Tensor) -> Tensor:
        if self.family == "siglip":
            return self.block.mlp(self.block.layer_norm2(x))
        return self.block.layer_scale2(self.block.mlp(self.block.norm2(x)))


class SentenceMean(nn.Module):
    """The mean (B width) of the vectors of a sentence's pieces, and of those `around` it; padding does not count."""

    def __init__(self, language: nn.Module, around: nn.Module | None = None) -> None:
        super().__init__()
        self.language, self.around = Shared(language), around

    def forward(self, observation: Observation) -> Tensor:
        groups: list[TokenGroup] = [self.language(observation)]
        if self.around is not None:
            groups.append(self.around(observation))
        tokens = torch.cat([group.tokens for group in groups], dim=1)
        real = torch.cat([token_mask(group) for group in groups], dim=1)[..., None].to(tokens.dtype)
        return (tokens * real).sum(1) / real.sum(1)
