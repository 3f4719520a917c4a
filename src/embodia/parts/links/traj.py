"""A trajectory from above (link.traj): the slower system's own chunk, coarse, as tokens for the faster one.

RoboDual's generalist hands its actions to the specialist, Gemini Robotics' backbone a course to its local decoder. The
one thing to watch: the trajectory began when the message was made; by the time it is read it is some steps old, and
training with stale messages is what teaches the faster system to make up for it.
"""

from __future__ import annotations

import torch
from torch import nn

from embodia.core.protocols import Groups
from embodia.core.types import Message, TokenGroup
from embodia.nn.shared import Shared
from embodia.parts.context import Context


class TrajectoryLink(nn.Module):
    """The chunk (B H A) of the upper system's regression `decoder`, normalised, as the group "trajectory".

    `every` keeps one waypoint in so many; `cut` stops the gradient from the lower system into the upper one.
    """

    def __init__(
        self,
        decoder: Shared[nn.Module],
        chunk: int,
        action_dim: int,
        width: int,
        *,
        every: int = 1,
        cut: bool = True,
        rate_hz: float = 4.0,
    ) -> None:
        super().__init__()
        self.decoder, self.every, self.cut, self.rate_hz = decoder, every, cut, rate_hz
        self.up = nn.Linear(action_dim, width)
        self.position = nn.Parameter(torch.randn(len(range(every - 1, chunk, every)), width))

    def emit(self, upper: Groups) -> Message:
        """{"trajectory": (B H/every A)}: the mode of the upper system's chunk."""
        chunk = self.decoder.error.mode(self.decoder(Context(groups=upper)))
        waypoints = chunk[:, self.every - 1 :: self.every]
        return Message(arrays={"trajectory": waypoints.detach() if self.cut else waypoints})

    def absorb(self, groups: Groups, message: Message) -> dict[str, TokenGroup]:
        """The groups and "trajectory", one token a waypoint."""
        tokens = self.up(message.arrays["trajectory"])
        group = TokenGroup(
            name="trajectory", tokens=tokens, mask=None, attends_to=("trajectory",), position=self.position
        )
        return {**groups, "trajectory": group}
