"""A chunk from pooled features: the regression of the early policies and of language models with a policy head.

Tokens of every time step are pooled to one vector, an LSTM or GRU may carry vectors over the history, and a small
perceptron writes the whole chunk at once. The one thing to watch: groups named in `still` have no time (a sentence) and
stand beside every step; all others must have the same number of tokens in each step, ordered step by step.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import pairwise
from typing import Literal

import torch
from torch import Tensor, nn

from embodia.core.errors import ShapeError
from embodia.core.protocols import Context
from embodia.core.types import TokenGroup
from embodia.nn.groups import token_mask
from embodia.parts.decoders.error import ActionError, ErrorConfig, ErrorHead, Grippers


@dataclass(frozen=True, kw_only=True)
class PooledConfig:
    """How features become a chunk.

    pool    "flat" lays the tokens of a step side by side, "mean" and "max" take one over them
    memory  what carries the history: "none" lays the steps side by side
    carry   width of the LSTM or GRU and `carry_layers` of it
    hidden  widths of the perceptron
    """

    pool: Literal["flat", "mean", "max"] = "flat"
    memory: Literal["none", "lstm", "gru"] = "none"
    carry: int = 256
    carry_layers: int = 1
    hidden: tuple[int, ...] = (512, 256)
    error: ErrorConfig = field(default_factory=ErrorConfig)


class PooledRegression(ErrorHead):
    """Tokens (B, steps * k, D) of the groups `read` and (B k D) of `still` to actions (B H A), normalised.

    `tokens` is the number of tokens a step has in all groups together; it matters to "flat" alone.
    """

    def __init__(
        self,
        config: PooledConfig,
        width: int,
        action_dim: int,
        chunk: int,
        *,
        read: tuple[str, ...],
        still: tuple[str, ...] = (),
        tokens: int = 1,
        steps: int = 1,
        grippers: Grippers | None = None,
    ) -> None:
        super().__init__()
        self.pool, self.read, self.still, self.steps = config.pool, read, still, steps
        self.shape = (chunk, action_dim)
        inputs = width * (tokens if config.pool == "flat" else 1)
        self.norm = nn.LayerNorm(inputs)
        self.memory: nn.Module | None = None
        if config.memory == "none":
            inputs *= steps
        else:
            kind = nn.LSTM if config.memory == "lstm" else nn.GRU
            self.memory = kind(inputs, config.carry, config.carry_layers, batch_first=True)
            inputs = config.carry
        sizes = (inputs, *config.hidden)
        layers = [layer for a, b in pairwise(sizes) for layer in (nn.Linear(a, b), nn.GELU())]
        self.head = nn.Sequential(*layers, nn.Linear(sizes[-1], chunk * action_dim))
        self.error = ActionError(config.error, action_dim, grippers)

    def forward(self, context: Context) -> Tensor:
        """The head's output (B H A): the mode of the density, logits for grippers."""
        features = self.norm(self.features(context))
        if self.memory is not None:
            features = self.memory(features)[0][:, -1]
        return self.head(features.flatten(1)).unflatten(-1, self.shape)

    def features(self, context: Context) -> Tensor:
        """One vector a time step, (B T F). Raises `ShapeError` when a group does not divide into steps."""
        seen = [self._stepwise(context.groups[name]) for name in self.read]
        for name in self.still:
            tokens, mask = _placed(context.groups[name]), token_mask(context.groups[name])
            seen.append((tokens[:, None].expand(-1, self.steps, -1, -1), mask[:, None].expand(-1, self.steps, -1)))
        tokens, mask = torch.cat([x for x, _ in seen], dim=2), torch.cat([m for _, m in seen], dim=2)[..., None]
        if self.pool == "flat":
            return (tokens * mask).flatten(2)
        if self.pool == "mean":
            return (tokens * mask).sum(2) / mask.sum(2).clamp_min(1)
        return tokens.masked_fill(~mask, torch.finfo(tokens.dtype).min).amax(2)

    def _stepwise(self, group: TokenGroup) -> tuple[Tensor, Tensor]:
        if group.tokens.shape[1] % self.steps:
            problem = f"{group.tokens.shape[1]} tokens do not divide into {self.steps} steps"
            raise ShapeError(problem, leaf=group.name)
        return _placed(group).unflatten(1, (self.steps, -1)), token_mask(group).unflatten(1, (self.steps, -1))


def _placed(group: TokenGroup) -> Tensor:
    return group.tokens if group.position is None else group.tokens + group.position
