"""Proprioception to tokens (prop.linear): one linear layer, one token a time step."""

from __future__ import annotations

import torch
from torch import nn

from embodia.core.errors import ShapeError
from embodia.core.types import Observation, TokenGroup


class StateToken(nn.Module):
    """Normalised state (B T S) to the group "state", (B T width), with a learned position a step."""

    def __init__(self, state_dim: int, width: int, history: int = 1) -> None:
        super().__init__()
        self.project = nn.Linear(state_dim, width)
        self.position = nn.Parameter(torch.randn(history, width))

    def forward(self, observation: Observation) -> TokenGroup:
        """Raises `ShapeError` when the observation has no state."""
        if observation.state is None:
            raise ShapeError("the observation has no state", leaf="state")
        return TokenGroup(
            name="state",
            tokens=self.project(observation.state),
            mask=observation.masks.get("state"),
            attends_to=("state",),
            position=self.position,
        )
