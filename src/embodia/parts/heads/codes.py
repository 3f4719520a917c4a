"""A later picture as integers (head.image over vis.vq_image): query tokens say which code each of its cells has.

All cells are said at once by as many query tokens (GR-2, CoT-VLA and UP-VLA say them in other orders); what the tokens
hold is what an action may look at. The one thing to watch: the codes are the tokenizer's of that moment; they are taken
without gradient.
"""

from __future__ import annotations

from typing import Protocol

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from embodia.core.errors import ShapeError
from embodia.core.protocols import Context
from embodia.core.types import Batch


class Codes(Protocol):
    """Pictures of a moment as ids."""

    count: int

    def ids(self, images: dict[str, Tensor], moment: int) -> Tensor:
        """Int64 (B count)."""
        ...


class CodeForecast(nn.Module):
    """Group `read`, whose last `count` tokens stand for the cells, to logits over `words` codes; {name: (B,)}."""

    def __init__(self, codes: Codes, words: int, memory: int, *, name: str, read: str, moment: int = 0) -> None:
        super().__init__()
        self.codes, self.name, self.read, self.moment = codes, name, read, moment
        self.logits = nn.Sequential(nn.LayerNorm(memory), nn.Linear(memory, words))

    def forward(self, context: Context) -> Tensor:
        """Logits (B count words)."""
        return self.logits(context.groups[self.read].tokens[:, -self.codes.count :])

    def loss_terms(self, context: Context, batch: Batch, rng: torch.Generator | None) -> dict[str, Tensor]:
        """Cross entropy, mean over cells. Raises `ShapeError` when the batch lacks what is seen later."""
        if batch.later is None:
            raise ShapeError("the batch lacks what is seen later", leaf="later")
        with torch.no_grad():
            ids = self.codes.ids(dict(batch.later.images), self.moment)
        return {self.name: F.cross_entropy(self(context).transpose(1, 2), ids, reduction="none").mean(1)}
