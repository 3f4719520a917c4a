"""A plain transformer over noisy actions, all that was seen and heard, and the soft prompts of the body that acts.

X-VLA's denoiser (section 4): what differs between robots is in a few learned tokens and in the layers at which actions
enter and leave; the blocks between are the same for all. The one thing to watch: everything looks at everything, so
each step of a sampler runs over the whole sequence.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from embodia.core.errors import ConfigError
from embodia.core.protocols import Context
from embodia.core.types import TokenGroup
from embodia.nn.bodies import BodyLinear
from embodia.nn.dit import Blocks, BlockSizes
from embodia.nn.groups import repeat_rows, token_mask
from embodia.nn.positional import step_positions


@dataclass(frozen=True, kw_only=True)
class SoftPromptedConfig:
    """Sizes; the defaults are X-VLA's.

    bodies     how many bodies have weights
    prompts    learned tokens a body
    positions  room for actions, words and pictures in one sequence
    by_body    what was seen also enters through layers of the body's own
    state_dim  numbers of the state that there is room for; `blank` names those that are not read
    """

    width: int = 1024
    depth: int = 24
    heads: int = 16
    hidden: int = 4096
    bodies: int = 30
    prompts: int = 32
    time_width: int = 32
    positions: int = 512
    by_body: bool = False
    state_dim: int = 20
    blank: tuple[int, ...] = ()
    dropout: float = 0.1


@dataclass(frozen=True)
class SoftCondition:
    """What every step reuses: tokens behind the actions, which of all are real, the state (B S), the bodies (B,)."""

    tokens: Tensor
    mask: Tensor | None
    state: Tensor
    body: Tensor


class SoftPrompted(nn.Module):
    """Prediction (B H A) at noisy actions (B H A) and times (B,).

    `read` are the groups a language model understood, `width` wide, "views" what it did not read, "prompt" the soft
    prompts, "state" and "body" unprojected. Raises `ConfigError` for more numbers or tokens than there is room for.
    """

    def __init__(
        self, config: SoftPromptedConfig, read: tuple[str, ...], width: int, action_dim: int, horizon: int
    ) -> None:
        super().__init__()
        self.config, self.read, self.horizon = config, read, horizon
        inner, bodies = config.width, config.bodies
        self.told, self.seen = _entrance(config, width), _entrance(config, width)
        self.position = nn.Parameter(0.02 * torch.randn(config.positions, inner))
        self.enter = BodyLinear(bodies, action_dim + config.state_dim + config.time_width, inner)
        sizes = BlockSizes(width=inner, heads=config.heads, hidden=config.hidden, norm="affine", dropout=config.dropout)
        self.blocks = Blocks(sizes, config.depth)
        self.norm = nn.LayerNorm(inner)
        self.leave = BodyLinear(bodies, inner, action_dim)

    def condition(self, context: Context, n: int = 1) -> SoftCondition:
        """What all steps of n samples share: B * n rows, the samples of one batch entry adjacent."""
        body = context.groups["body"].tokens[:, 0, 0].long()
        read, views = [context.groups[name] for name in self.read], context.groups["views"]
        prompt = context.groups["prompt"]
        tokens = torch.cat(
            [self._let_in(self.told, _placed(read), body), self._let_in(self.seen, _placed([views]), body)], 1
        )
        if self.horizon + tokens.shape[1] > len(self.position):
            count = self.horizon + tokens.shape[1]
            raise ConfigError(f"{count} tokens, there is room for {len(self.position)}", leaf="positions")
        tokens = tokens + self.position[self.horizon : self.horizon + tokens.shape[1]]
        mask = self._mask([*read, views, prompt])
        told = torch.cat([tokens, prompt.tokens], dim=1)
        return SoftCondition(
            repeat_rows(told, n),
            None if mask is None else repeat_rows(mask, n),
            repeat_rows(self._state(context), n),
            repeat_rows(body, n),
        )

    def forward(self, told: SoftCondition, noisy: Tensor, time: Tensor) -> Tensor:
        """(B H A) float32."""
        moment = step_positions(time, self.config.time_width, longest=100.0)
        beside = torch.cat([told.state, moment.to(told.state.dtype)], dim=-1)[:, None].expand(-1, self.horizon, -1)
        x = self.enter(torch.cat([noisy.to(beside.dtype), beside], dim=-1), told.body) + self.position[: self.horizon]
        x = self.blocks(torch.cat([x, told.tokens], dim=1), mask=told.mask)[:, : self.horizon]
        return self.leave(self.norm(x), told.body).float()

    def _let_in(self, entrance: nn.Module, tokens: Tensor, body: Tensor) -> Tensor:
        found: Tensor = entrance(tokens, body) if isinstance(entrance, BodyLinear) else entrance(tokens)
        return found

    def _mask(self, groups: list[TokenGroup]) -> Tensor | None:
        if all(group.mask is None for group in groups):
            return None
        real = torch.cat([token_mask(group) for group in groups], dim=1)
        return F.pad(real, (self.horizon, 0), value=True)[:, None, None]

    def _state(self, context: Context) -> Tensor:
        like = context.groups["prompt"].tokens
        if "state" not in context.groups or not self.config.state_dim:
            return like.new_zeros(len(like), self.config.state_dim)
        state = context.groups["state"].tokens[:, -1].to(like.dtype)
        missing = self.config.state_dim - state.shape[-1]
        if missing < 0:
            raise ConfigError(f"{state.shape[-1]} numbers of state do not fit", leaf="state_dim")
        state = F.pad(state, (0, missing))
        kept = torch.ones_like(state)
        kept[:, [place for place in self.config.blank if place < self.config.state_dim]] = 0
        return state * kept


def _entrance(config: SoftPromptedConfig, width: int) -> nn.Module:
    return BodyLinear(config.bodies, width, config.width) if config.by_body else nn.Linear(width, config.width)


def _placed(groups: list[TokenGroup]) -> Tensor:
    """Tokens (B N D) with their own positions, where they carry some."""
    placed = [group.tokens if group.position is None else group.tokens + group.position for group in groups]
    return torch.cat(placed, dim=1)
