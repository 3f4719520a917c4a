"""Where will the hand be? States still to come, estimated from pictures and sentence, as a token and a loss.

A demonstration says by itself where its pictures were leading: to the states a few steps later and at its end. Learning
to estimate them teaches an eye to find the thing that matters several times sooner than actions alone, whose errors are
small as long as the direction is about right. The estimate enters the transformer relative to the present state.
Related: waypoint and goal prediction in imitation (Shi et al. 2023, AWE); no privileged state is used.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from embodia.core.types import Observation, TokenGroup

GAIN = 2.0
END = 10**6
"""As a number of steps ahead: the end of the episode."""


class Waypoints(nn.Module):
    """Groups to the group "ahead" (B 1 width) and the estimated states (B K S), both in network units.

    `ahead` are numbers of steps, `END` the episode's last state. `tokens` is the number of tokens of the groups `read`,
    as far as there are such groups.
    """

    def __init__(
        self,
        width: int,
        state_dim: int,
        ahead: tuple[int, ...],
        tokens: int,
        read: tuple[str, ...] = ("state", "language", "image"),
    ) -> None:
        super().__init__()
        self.ahead, self.state_dim, self.read = ahead, state_dim, read
        out = len(ahead) * state_dim
        self.estimate = nn.Sequential(
            nn.LayerNorm(tokens * width), nn.Linear(tokens * width, width), nn.GELU(), nn.Linear(width, out)
        )
        self.token = nn.Sequential(nn.Linear(2 * out, width), nn.GELU(), nn.Linear(width, width))
        self.position = nn.Parameter(torch.randn(1, width))

    def forward(self, groups: Mapping[str, TokenGroup], observation: Observation) -> tuple[TokenGroup, Tensor]:
        """The token sees the estimate relative to the present state, fine and coarse."""
        read = [groups[name].tokens.flatten(1) for name in self.read if name in groups]
        estimate = self.estimate(torch.cat(read, dim=1)).float().unflatten(-1, (-1, self.state_dim))
        offset = GAIN * (estimate - observation.state[:, -1:]).flatten(1)  # type: ignore[index]
        token = self.token(torch.cat([offset.clamp(-1, 1), 0.3 * offset], dim=1))[:, None]
        group = TokenGroup(name="ahead", tokens=token, mask=None, attends_to=("ahead",), position=self.position)
        return group, estimate

    def loss(self, estimate: Tensor, ahead: Tensor) -> Tensor:
        """Mean absolute error (B,) over steps and dimensions."""
        return (estimate - ahead).abs().mean((1, 2))


def waypoints(
    ahead: tuple[int, ...], state_dim: int, encoders: Mapping[str, nn.Module], width: int, read: tuple[str, ...]
) -> Waypoints | None:
    """`Waypoints` over these encoders' groups, of one token unless an encoder says `tokens`; None for no steps."""
    if not ahead:
        return None
    there = tuple(name for name in read if name in encoders)
    return Waypoints(width, state_dim, ahead, sum(int(getattr(encoders[name], "tokens", 1)) for name in there), there)


def waypoints_beside(
    encoders: Mapping[str, nn.Module], width: int, state_dim: int, ahead: tuple[int, ...]
) -> Waypoints | None:
    """The head that reads the tokens of these encoders, one sentence vector among them; None where `ahead` is empty."""
    return waypoints(ahead, state_dim, encoders, width, ("state", "language", "image"))
