"""Tools for a planner (link.tool): skills with descriptions in words, of which the slower system calls one.

The planner does not move anything itself; it compares what it wants with the descriptions and calls the nearest skill,
whose name crosses as text and whose embedding steers the faster system. The choice is hard in use; in training it is
hard forwards and soft backwards, so that the caller learns which call led to the right actions. The one thing to watch:
a planner with many near-equal descriptions chooses by chance.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from embodia.core.protocols import Groups
from embodia.core.types import Message, TokenGroup


@dataclass(frozen=True, kw_only=True)
class Tool:
    """A skill a planner may call: its name, and what it says of itself."""

    name: str
    description: str


class ToolLink(nn.Module):
    """Group `read` of the upper system (width `above`) to a choice among tools, and to the lower group "tool".

    `describe` turns sentences into fixed vectors (K E), of width `vector`, like a given tensor; `softness` of the
    choice in training.
    """

    def __init__(
        self,
        above: int,
        width: int,
        tools: Sequence[Tool],
        describe: Callable[..., Tensor],
        *,
        vector: int,
        read: str,
        softness: float = 1.0,
        rate_hz: float = 1.0,
    ) -> None:
        super().__init__()
        self.tools, self.read, self.softness, self.rate_hz = tuple(tools), read, softness, rate_hz
        self.describe = describe
        self.ask = nn.Sequential(nn.LayerNorm(above), nn.Linear(above, vector))
        self.skills = nn.Parameter(torch.randn(len(self.tools), width))
        self.argument = nn.Sequential(nn.LayerNorm(above), nn.Linear(above, width))

    def emit(self, upper: Groups) -> Message:
        """{"call": (B K) one-hot, "argument": (B width)}: which tool, and with what."""
        wanted = upper[self.read].tokens.mean(1)
        known = self.describe([tool.description for tool in self.tools], like=self.skills)
        share = (self.ask(wanted) @ known.T / self.softness).softmax(-1)
        hard = torch.zeros_like(share).scatter(1, share.argmax(-1, keepdim=True), 1.0)
        return Message(arrays={"call": hard + share - share.detach(), "argument": self.argument(wanted)})

    def absorb(self, groups: Groups, message: Message) -> dict[str, TokenGroup]:
        """The groups and "tool": one token for the skill, one for its argument."""
        call, argument = message.arrays["call"], message.arrays["argument"]
        tokens = torch.stack([call @ self.skills, argument], dim=1)
        return {**groups, "tool": TokenGroup(name="tool", tokens=tokens, mask=None, attends_to=("tool",))}

    def called(self, message: Message) -> tuple[Tool, ...]:
        """The tools that a message calls, one a batch entry."""
        return tuple(self.tools[int(index)] for index in message.arrays["call"].argmax(-1))
