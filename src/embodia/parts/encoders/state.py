"""Proprioception to tokens: through a linear layer (prop.linear), or as it is where a decoder flattens everything."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import nn

from embodia.core.errors import ShapeError
from embodia.core.types import Observation, TokenGroup
from embodia.nn.bins import bin_centres, state_bins
from embodia.nn.mlp import projection


class StateToken(nn.Module):
    """Normalised state (B T S) to the group "state", (B T width), with a learned position a step.

    `padded` > S fills the state with zeros to that many dimensions; `positions=False` leaves the positions out;
    `deep` puts a hidden layer before the token; `binned` rounds every number to the centre of one of 256 bins, which is
    what a model that reads its state as text can know of it (pi0.5).
    """

    def __init__(
        self,
        state_dim: int,
        width: int,
        history: int = 1,
        *,
        padded: int = 0,
        positions: bool = True,
        deep: bool = False,
        binned: bool = False,
    ) -> None:
        super().__init__()
        self.binned = binned
        self.missing = max(0, padded - state_dim)
        self.project = projection(state_dim + self.missing, width, deep)
        self.position = nn.Parameter(torch.randn(history, width)) if positions else None

    def forward(self, observation: Observation) -> TokenGroup:
        """Raises `ShapeError` when the observation has no state."""
        if observation.state is None:
            raise ShapeError("the observation has no state", leaf="state")
        state = bin_centres(state_bins(observation.state)) if self.binned else observation.state
        return TokenGroup(
            name="state",
            tokens=self.project(F.pad(state, (0, self.missing))),
            mask=observation.masks.get("state"),
            attends_to=("state",),
            position=self.position,
        )


class StateVector(nn.Module):
    """Normalised state (B T S) as the group `name`, unchanged."""

    def __init__(self, name: str = "state") -> None:
        super().__init__()
        self.name = name

    def forward(self, observation: Observation) -> TokenGroup:
        """Raises `ShapeError` when the observation has no state."""
        if observation.state is None:
            raise ShapeError("the observation has no state", leaf="state")
        return TokenGroup(name=self.name, tokens=observation.state, mask=None, attends_to=(self.name,))
