"""A picture of the goal from above (link.goal): what should be seen, as patches the faster system compares with now.

Whoever imagines - a picture decoder, a video model, a person with a photograph - writes into the same message. The one
thing to watch: a goal picture says what, not how; two ways to it look the same.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import nn

from embodia.core.protocols import Groups
from embodia.core.types import Message, TokenGroup


class GoalLink(nn.Module):
    """The upper group `read` (B N above), one token a patch of the goal picture, to the lower group "goal".

    The message holds the picture itself, (B 3 rows*patch columns*patch) in -1..1, so that it can be looked at.
    """

    def __init__(
        self, above: int, width: int, *, read: str, rows: int, columns: int, patch: int, rate_hz: float = 1.0
    ) -> None:
        super().__init__()
        self.read, self.size, self.patch, self.rate_hz = read, (rows, columns), patch, rate_hz
        self.paint = nn.Sequential(nn.LayerNorm(above), nn.Linear(above, 3 * patch * patch))
        self.look = nn.Linear(3 * patch * patch, width)
        self.position = nn.Parameter(torch.randn(rows * columns, width))

    def emit(self, upper: Groups) -> Message:
        """{"goal": (B 3 H W)}."""
        patches = self.paint(upper[self.read].tokens).tanh().transpose(1, 2)
        height, width = (side * self.patch for side in self.size)
        return Message(arrays={"goal": F.fold(patches, (height, width), self.patch, stride=self.patch)})

    def absorb(self, groups: Groups, message: Message) -> dict[str, TokenGroup]:
        """The groups and "goal", one token a patch."""
        patches = F.unfold(message.arrays["goal"], self.patch, stride=self.patch).transpose(1, 2)
        group = TokenGroup(
            name="goal", tokens=self.look(patches), mask=None, attends_to=("goal",), position=self.position
        )
        return {**groups, "goal": group}
