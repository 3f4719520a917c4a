"""Pictures as words (vis.vq_image): the codes of a picture's cells, embedded like any other vocabulary.

Unified models read and write pictures in the same ids. The one thing to watch: the tokenizer is owned elsewhere; its
rounding lets no gradient through, so what is read never teaches it; its own loss does.
"""

from __future__ import annotations

from typing import Protocol

import torch
from torch import Tensor, nn

from embodia.core.types import Observation, TokenGroup


class Codes(Protocol):
    """Pictures of a moment as ids."""

    count: int

    def ids(self, images: dict[str, Tensor], moment: int) -> Tensor:
        """Int64 (B count)."""
        ...


class CodeTokens(nn.Module):
    """The newest pictures of all cameras as the group "image", (B count width)."""

    def __init__(self, codes: Codes, words: int, width: int) -> None:
        super().__init__()
        self.codes, self.tokens = codes, codes.count
        self.embed = nn.Embedding(words, width)
        self.position = nn.Parameter(0.02 * torch.randn(codes.count, width))

    def forward(self, observation: Observation) -> TokenGroup:
        """One token a cell."""
        with torch.no_grad():
            ids = self.codes.ids(dict(observation.images), -1)
        tokens = self.embed(ids)
        return TokenGroup(name="image", tokens=tokens, mask=None, attends_to=("image",), position=self.position)
