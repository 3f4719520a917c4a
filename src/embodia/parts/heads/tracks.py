"""Where things will be (head.track): points in space, or the hand, at several moments to come.

ARM4R is first taught to follow points through human video in three dimensions and time, then to act; the same head,
on the robot's own data, follows what the data holds. The one thing to watch: points must be the same points in every
frame (a tracker's, not a camera's); where a body has none, the hand's own state is what is followed.
"""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn

from embodia.core.errors import ShapeError
from embodia.core.protocols import Context
from embodia.core.types import Batch

Source = Literal["points", "state"]
"""What is followed."""


class Tracks(nn.Module):
    """Group `read` (B N memory), averaged, to positions at `steps` later moments, relative to now; {"track": (B,)}.

    source  "points": the first `count` tracked points, xyz; "state": the state, `count` numbers of it, network units
    """

    def __init__(self, memory: int, *, read: str, steps: int, count: int, source: Source = "state") -> None:
        super().__init__()
        self.read, self.steps, self.source, self.count = read, steps, source, count
        numbers = count * (3 if source == "points" else 1)
        self.out = nn.Sequential(
            nn.LayerNorm(memory), nn.Linear(memory, memory), nn.GELU(), nn.Linear(memory, steps * numbers)
        )

    def forward(self, context: Context) -> Tensor:
        """Change from now (B steps numbers)."""
        return self.out(context.groups[self.read].tokens.mean(1)).unflatten(-1, (self.steps, -1))

    def loss_terms(self, context: Context, batch: Batch, rng: torch.Generator | None) -> dict[str, Tensor]:
        """{"track": (B,)}: mean absolute error. Raises `ShapeError` when the batch lacks what came later."""
        if batch.later is None:
            raise ShapeError(f"the batch lacks what came {self.steps} moments later", leaf="later")
        now, then = (getattr(seen, self.source) for seen in (batch.observation, batch.later))
        if now is None or then is None:
            raise ShapeError("there is nothing to be followed", leaf=self.source)
        change = self._numbers(then) - self._numbers(now[:, -1:])
        return {"track": (self(context) - change).abs().mean((1, 2))}

    def _numbers(self, where: Tensor) -> Tensor:
        if self.source == "state":
            return where[..., : self.count].float()
        return where[..., : self.count, :3].float().flatten(2)
