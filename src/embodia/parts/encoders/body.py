"""Which body acts: as a number that layers with weights for every body read, and as learned tokens of its own."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from embodia.core.errors import ConfigError
from embodia.core.types import Observation, TokenGroup


class BodyIndex(nn.Module):
    """The place of the observation's body in `names` as the group "body" (B 1 1), a whole number as a float.

    A name that is not in the list, or none, is taken for the first: the body of the policy's own contract.
    """

    like: Tensor

    def __init__(self, names: tuple[str, ...]) -> None:
        super().__init__()
        self.names = names
        self.register_buffer("like", torch.zeros(()), persistent=False)

    def forward(self, observation: Observation) -> TokenGroup:
        """All rows of a batch are of one body."""
        place = self.names.index(observation.embodiment) if observation.embodiment in self.names else 0
        tokens = self.like.new_full((observation.batch_size, 1, 1), float(place))
        return TokenGroup(name="body", tokens=tokens, mask=None, attends_to=("body",))


class SoftPrompts(nn.Module):
    """`count` learned tokens of `width` for each of `bodies` as the group "prompt" (X-VLA, section 3).

    `names` are those of the bodies, in the order of their tokens, as in `BodyIndex`; slots without a name are free.
    Raises `ConfigError` for more names than slots.
    """

    def __init__(self, names: tuple[str, ...], bodies: int, count: int, width: int) -> None:
        super().__init__()
        if len(names) > bodies:
            raise ConfigError(f"{len(names)} bodies do not fit {bodies}", leaf="bodies")
        self.index = BodyIndex(names)
        self.prompts = nn.Parameter(0.02 * torch.randn(bodies, count, width))

    def forward(self, observation: Observation) -> TokenGroup:
        """(B count width)."""
        place = self.index(observation).tokens[:, 0, 0].long()
        return TokenGroup(name="prompt", tokens=self.prompts[place], mask=None, attends_to=("prompt",))
