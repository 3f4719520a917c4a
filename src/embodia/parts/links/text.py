"""Words from above (link.text): the slower system says a sub-task, the faster one hears it in place of its instruction.

Nothing but text crosses, so that a person can read, correct or write it. The one thing to watch: the words enter the
lower system through its own language encoder, before the link; the link itself changes no group.
"""

from __future__ import annotations

from torch import nn

from embodia.core.protocols import Groups
from embodia.core.types import Message, TokenGroup


class TextLink(nn.Module):
    """An empty message: `Upper(spoken=True)` writes the text into it, the composition hands it to the encoders."""

    def __init__(self, rate_hz: float = 1.0) -> None:
        super().__init__()
        self.rate_hz = rate_hz

    def emit(self, upper: Groups) -> Message:
        """No arrays."""
        return Message()

    def absorb(self, groups: Groups, message: Message) -> dict[str, TokenGroup]:
        """The groups as they are."""
        return dict(groups)
