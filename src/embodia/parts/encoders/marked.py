"""Pictures between pieces of text, as chat models were taught to see them: a mark before every picture, one behind it.

The one thing to watch: every camera has to give as many tokens as the others, because they come as one row.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor, nn

from embodia.core.errors import ShapeError
from embodia.core.types import Observation, TokenGroup
from embodia.nn.shared import Shared
from embodia.nn.vocabulary import Vocabulary


class MarkedPictures(nn.Module):
    """The group of `inner`, a row of one picture a camera, with the pieces `marks` (before, behind) of each camera.

    Raises `ShapeError` when tokens cannot be shared out among the cameras.
    """

    ids: Tensor

    def __init__(
        self, inner: nn.Module, words: Shared[Vocabulary], marks: Sequence[tuple[Sequence[int], Sequence[int]]]
    ) -> None:
        super().__init__()
        self.inner, self.words, self.cameras = inner, words, len(marks)
        self.lengths = [(len(before), len(behind)) for before, behind in marks]
        flat = [piece for pair in marks for side in pair for piece in side]
        self.register_buffer("ids", torch.tensor(flat, dtype=torch.long), persistent=False)

    def forward(self, observation: Observation) -> TokenGroup:
        """(B cells + pieces width); what is masked of a picture stays so."""
        group: TokenGroup = self.inner(observation)
        count = group.tokens.shape[1]
        if count % self.cameras or group.position is not None:
            raise ShapeError(f"{count} tokens are not of {self.cameras} cameras", leaf="image")
        spoken = self.words.embed(self.ids).to(group.tokens).expand(len(group.tokens), -1, -1)
        told = torch.ones(spoken.shape[:2], dtype=torch.bool, device=spoken.device)
        mask = None if group.mask is None else self._between(group.mask, told)
        return replace(group, tokens=self._between(group.tokens, spoken), mask=mask)

    def _between(self, seen: Tensor, spoken: Tensor) -> Tensor:
        sides = spoken.split([length for pair in self.lengths for length in pair], dim=1)
        pictures = seen.chunk(self.cameras, dim=1)
        rows = [part for i, picture in enumerate(pictures) for part in (sides[2 * i], picture, sides[2 * i + 1])]
        return torch.cat(rows, dim=1)
