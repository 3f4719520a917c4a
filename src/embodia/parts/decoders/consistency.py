"""A chunk in one or two steps (head.consistency): a network that maps any noise level straight to clean actions.

Along the path of one sample its answers at two neighbouring levels must agree, and at the lowest level the answer is
the input itself; so agreement spreads from clean to pure noise (Song et al. 2023; no teacher, no moving average, a
pseudo-Huber distance as in Song and Dhariwal 2023). The one thing to watch: it trades some precision for its speed;
with few levels modes blur, with many they are learned slowly.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from embodia.core.protocols import Context
from embodia.core.types import ActionChunk
from embodia.nn.noise import integers, normal
from embodia.nn.reduce import Reduction, reduce_chunk
from embodia.parts.decoders.told import condition_on


@dataclass(frozen=True, kw_only=True)
class ConsistencyConfig:
    """Noise levels and steps.

    levels         between `least` and `most` deviation of noise, closer together where it is small (Karras et al. 2022)
    spread         deviation of clean actions, in normalised units
    sample_steps   evaluations of the network a chunk
    huber          scale below which the distance is squared, times the root of the number of dimensions
    draws          pairs of noise and level a sample in training
    """

    levels: int = 10
    least: float = 0.002
    most: float = 5.0
    spread: float = 0.5
    sample_steps: int = 2
    huber: float = 0.03
    draws: int = 1
    reduction: Reduction = "sample"


class ConsistencyDecoder(nn.Module):
    """Chunks (B H A), normalised, by a `Denoiser` `net` whose time is the number of the level.

    `read` names the groups the network sees, empty = all.
    """

    deviations: Tensor

    def __init__(
        self, config: ConsistencyConfig, net: nn.Module, action_dim: int, chunk: int, read: tuple[str, ...] = ()
    ) -> None:
        super().__init__()
        self.config, self.net, self.shape, self.read = config, net, (chunk, action_dim), read
        self.register_buffer("deviations", deviations(config), persistent=False)

    def loss_terms(self, context: Context, chunk: ActionChunk, rng: torch.Generator | None) -> Mapping[str, Tensor]:
        """{"consistency": (B,)}: disagreement of neighbouring levels; padded steps never count."""
        draws, actions = self.config.draws, chunk.actions.repeat_interleave(self.config.draws, 0)
        noise = normal(tuple(actions.shape), actions, rng)
        level = integers(self.config.levels - 1, (len(actions),), actions, rng)
        told = condition_on(self.net, self.read, context, draws)
        above, below = self.deviations[level + 1][:, None, None], self.deviations[level][:, None, None]
        found = self.answer(told, actions + above * noise, level + 1)
        with torch.no_grad():
            wanted = self.answer(told, actions + below * noise, level)
        scale = self.config.huber * (self.shape[0] * self.shape[1]) ** 0.5
        error = ((found - wanted).square() + scale**2).sqrt() - scale
        valid = chunk.valid.repeat_interleave(draws, 0)
        weighted = error / (above - below)
        return {"consistency": reduce_chunk(weighted, valid, self.config.reduction).view(-1, draws).mean(1)}

    def answer(self, told: Any, x: Tensor, level: Tensor) -> Tensor:
        """Clean actions (B H A) from noisy ones at `level` int64 (B,); at level 0 the input itself."""
        deviation, spread = self.deviations[level][:, None, None], self.config.spread
        beyond, whole = deviation - self.config.least, (deviation.square() + spread**2).sqrt()
        found = self.net(told, x / whole, level)
        return spread**2 / (beyond.square() + spread**2) * x + spread * beyond / whole * found

    @torch.no_grad()
    def sample(
        self,
        context: Context,
        rng: torch.Generator | None,
        n: int = 1,
        steps: int | None = None,
        prefix: Tensor | None = None,
    ) -> Tensor:
        """(B n H A): from noise to actions, back to half the levels, and again; `prefix` (B P A) is kept exactly."""
        like = next(iter(context.groups.values())).tokens.float()
        rows, told = len(like) * n, condition_on(self.net, self.read, context, n)
        clean = like.new_zeros(rows, *self.shape)
        for level in self._levels(steps or self.config.sample_steps):
            noisy = clean + self.deviations[level] * normal(tuple(clean.shape), clean, rng)
            clean = self.answer(told, noisy, torch.full((rows,), level, device=like.device))
            if prefix is not None:
                clean = torch.cat([prefix.repeat_interleave(n, 0), clean[:, prefix.shape[1] :]], dim=1)
        return clean.unflatten(0, (-1, n))

    def _levels(self, steps: int) -> list[int]:
        top = self.config.levels - 1
        return [max(1, round(top * (steps - index) / steps)) for index in range(steps)]


def deviations(config: ConsistencyConfig) -> Tensor:
    """Deviation of the noise at every level, rising, (levels,)."""
    share = torch.linspace(0, 1, config.levels, dtype=torch.float64)
    low, high = config.least ** (1 / 7), config.most ** (1 / 7)
    return ((low + share * (high - low)) ** 7).float()
