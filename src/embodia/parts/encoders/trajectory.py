"""The recent past as a sequence of return, state and change (decision-transformer style).

Every past moment gives three tokens: the return that is asked for, the state, and the change to the next state, which
stands for the action where past actions are not recorded in an observation. The one thing to watch: a return is only a
handle where training saw several; demonstrations all end well, so without a `return` in the data it is the constant 1.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from embodia.core.errors import ShapeError
from embodia.core.types import Observation, TokenGroup


class TrajectoryTokens(nn.Module):
    """Normalised state (B T S) to the group "past", (B, 3 T - 1, width): return, state, change, ..., return, state."""

    def __init__(self, state_dim: int, width: int, history: int) -> None:
        super().__init__()
        self.history = history
        self.goal = nn.Linear(1, width)
        self.state = nn.Linear(state_dim, width)
        self.change = nn.Linear(state_dim, width)
        self.position = nn.Parameter(torch.randn(3 * history - 1, width))

    def forward(self, observation: Observation) -> TokenGroup:
        """The wanted return is 1 at every moment. Raises `ShapeError` without a state."""
        if observation.state is None:
            raise ShapeError("the observation has no state", leaf="state")
        state: Tensor = observation.state
        moves = torch.diff(state, dim=1, append=state[:, -1:])
        wanted = torch.ones_like(state[..., :1])
        rows = torch.stack([self.goal(wanted), self.state(state), self.change(moves)], dim=2)
        return TokenGroup(
            name="past",
            tokens=rows.flatten(1, 2)[:, :-1],
            mask=None,
            attends_to=("past",),
            within="causal",
            position=self.position,
        )
