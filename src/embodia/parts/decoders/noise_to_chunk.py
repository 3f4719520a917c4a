"""What heads share that begin in Gaussian noise: room for an action of fewer dimensions, draws, committed steps.

A network may be wider than the action; what the action lacks is zero in the data and cut off at the end.
"""

from __future__ import annotations

from abc import ABC, abstractmethod

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from embodia.core.errors import ConfigError, ShapeError
from embodia.core.protocols import Context
from embodia.nn.noise import normal


class NoiseToChunk(nn.Module, ABC):
    """Chunks (B H A) of `horizon` steps from noise (B H width); a `width` of 0 is that of the action.

    Raises `ConfigError` when the network is narrower than the action.
    """

    def __init__(self, action_dim: int, horizon: int, width: int) -> None:
        super().__init__()
        if width and width < action_dim:
            raise ConfigError(f"{action_dim} action dimensions do not fit into {width}", leaf="width")
        self.action_dim, self.horizon, self.width = action_dim, horizon, width or action_dim

    @torch.no_grad()
    def sample(
        self,
        context: Context,
        rng: torch.Generator | None,
        n: int = 1,
        steps: int | None = None,
        prefix: Tensor | None = None,
    ) -> Tensor:
        """n chunks a batch entry, (B n H A); `prefix` (B P A) actions are kept exactly and steer the rest."""
        like = next(iter(context.groups.values())).tokens.float()
        noise = normal((len(like) * n, self.horizon, self.width), like, rng)
        chunks = self.from_noise(context, noise, n=n, steps=steps, prefix=prefix)
        return chunks.reshape(-1, n, self.horizon, self.action_dim)

    @abstractmethod
    def from_noise(
        self, context: Context, noise: Tensor, *, n: int = 1, steps: int | None = None, prefix: Tensor | None = None
    ) -> Tensor:
        """Actions (B*n H A) from `noise` (B*n H width). Raises `ShapeError` for a prefix that does not fit."""

    def widened(self, actions: Tensor) -> Tensor:
        """(... A) with zeros up to the network's width."""
        return F.pad(actions, (0, self.width - actions.shape[-1]))

    def committed(self, prefix: Tensor, n: int) -> Tensor:
        """A prefix (B P A) as the first steps of n chunks each, (B*n P width). Raises `ShapeError` if too large."""
        if prefix.shape[1] > self.horizon or prefix.shape[-1] != self.action_dim:
            raise ShapeError(
                f"a prefix of {tuple(prefix.shape)} does not fit a chunk of ({self.horizon}, {self.action_dim})",
                leaf="prefix",
            )
        return self.widened(prefix).repeat_interleave(n, dim=0)
