"""What is about to move (vis.video_feat): a third system's tokens, made from the picture and the sentence.

TriVLA's third system is a video model whose features of one denoising step say what will happen; here query tokens look
at an eye of their own, and what makes them dynamics is the loss: later pictures are forecast from them. The one thing
to watch: without that loss they are nothing but a second eye.
"""

from __future__ import annotations

import torch
from torch import nn

from embodia.core.types import Observation, TokenGroup
from embodia.nn.detr import DecoderLayer, LayerSizes


class DynamicsTokens(nn.Module):
    """The picture tokens of `eye` and `language` tokens, both of `sizes.width`, to `count` tokens "dynamics"."""

    def __init__(self, eye: nn.Module, language: nn.Module | None, sizes: LayerSizes, layers: int, count: int) -> None:
        super().__init__()
        self.eye, self.language = eye, language
        self.queries = nn.Parameter(torch.randn(count, sizes.width))
        self.layers = nn.ModuleList(DecoderLayer(sizes) for _ in range(layers))

    def forward(self, observation: Observation) -> TokenGroup:
        """(B count width)."""
        seen = [self.eye(observation)]
        if self.language is not None:
            seen.append(self.language(observation))
        placed = [group.tokens if group.position is None else group.tokens + group.position for group in seen]
        memory = torch.cat(placed, dim=1)
        x = self.queries.new_zeros(1, *self.queries.shape)
        for layer in self.layers:
            x = layer(x, self.queries, memory, memory.new_zeros(memory.shape[1:]), None)
        return TokenGroup(name="dynamics", tokens=x, mask=None, attends_to=("dynamics",))
