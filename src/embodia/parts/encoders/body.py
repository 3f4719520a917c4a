"""Which body acts, as a group that layers with weights for every body read."""

from __future__ import annotations

import torch
from torch import Tensor, nn

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
