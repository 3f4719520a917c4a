"""A world model beside the policy (head.image given actions): what will be seen if these actions are carried out.

WorldVLA's second half: the same network that says actions also reads them and foretells the picture after them, as the
codes of its cells. The one thing to watch: the actions read here are the demonstration's, and stand behind the cache;
no action that is said can see them.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from embodia.core.errors import ShapeError
from embodia.core.protocols import Context
from embodia.core.types import Batch, TokenGroup
from embodia.parts.heads.codes import Codes


class NextPicture(nn.Module):
    """A chunk (B H A), read behind the cache, to codes of the picture at the later `moment`; {"world": (B,)}."""

    def __init__(self, codes: Codes, words: int, width: int, *, action_dim: int, chunk: int, moment: int = 0) -> None:
        super().__init__()
        self.codes, self.moment = codes, moment
        self.read = nn.Linear(action_dim, width)
        self.place = nn.Parameter(0.02 * torch.randn(chunk, width))
        self.cells = nn.Parameter(torch.randn(codes.count, width))
        self.logits = nn.Sequential(nn.LayerNorm(width), nn.Linear(width, words))

    def forward(self, context: Context, actions: Tensor) -> Tensor:
        """Logits (B cells words)."""
        seen = tuple(span.name for span in context.cache.spans)
        done = TokenGroup(
            name="done", tokens=self.read(actions) + self.place, mask=None, attends_to=(*seen, "done"), within="causal"
        )
        cells = self.cells.expand(len(actions), -1, -1)
        then = TokenGroup(name="then", tokens=cells, mask=None, attends_to=(*seen, "done", "then"))
        return self.logits(context.extend({"done": done, "then": then}).groups["then"].tokens)

    def loss_terms(self, context: Context, batch: Batch, rng: torch.Generator | None) -> dict[str, Tensor]:
        """Cross entropy, mean over cells. Raises `ShapeError` when the batch lacks what is seen later."""
        if batch.later is None:
            raise ShapeError("the batch lacks what is seen later", leaf="later")
        with torch.no_grad():
            ids = self.codes.ids(dict(batch.later.images), self.moment)
        logits = self(context, batch.chunk.actions)
        return {"world": F.cross_entropy(logits.transpose(1, 2), ids, reduction="none").mean(1)}
