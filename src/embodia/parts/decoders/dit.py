"""Transformers as denoisers of a chunk: one token an action, the condition by modulation, as a token, or by attention.

All four are `Denoiser`s of a diffusion decoder and velocity fields of a flow decoder alike (`time_scale` then brings a
time in 0..1 to where the sines can tell it apart). The one thing to watch: `AdaptiveDit` and `TokenDit` press what they
read into one vector or token a group; whoever needs single image tokens at every step takes `CrossDit`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from embodia.core.errors import ConfigError
from embodia.core.protocols import Context, Groups
from embodia.core.types import TokenGroup
from embodia.nn.dit import Blocks, BlockSizes, FeedForward, Memory, Norm, TimeMlp, initialise, modulated, norm
from embodia.nn.groups import repeat_rows, token_mask
from embodia.nn.positional import time_positions


@dataclass(frozen=True, kw_only=True)
class DitConfig:
    """Sizes of a denoising transformer; `hidden` 0 is four times the width.

    pool        how a group becomes a vector where it must: all tokens side by side, or their mean after a norm
    time_width  sines and cosines of the time; `time_scale` times the time is what they see
    """

    width: int = 768
    depth: int = 12
    heads: int = 12
    hidden: int = 0
    norm: Norm = "plain"
    qk_norm: bool = False
    pool: Literal["flatten", "mean"] = "flatten"
    time_width: int = 256
    time_scale: float = 1.0
    dropout: float = 0.0

    @property
    def sizes(self) -> BlockSizes:
        """What the blocks need to know."""
        return BlockSizes(
            width=self.width,
            heads=self.heads,
            hidden=self.hidden or 4 * self.width,
            norm=self.norm,
            qk_norm=self.qk_norm,
            dropout=self.dropout,
        )


class AdaptiveDit(nn.Module):
    """Noisy actions (B H A) under a vector that shifts, scales and gates every block (DiT; ScaleDP, Zhu et al. 2024).

    `condition_width` is the width of that vector before its projection: see `vector`.
    """

    def __init__(self, config: DitConfig, action_dim: int, chunk: int, condition_width: int) -> None:
        super().__init__()
        self.config = config
        width = config.width
        self.norm = nn.LayerNorm(condition_width) if config.pool == "mean" else nn.Identity()
        self.told = nn.Linear(condition_width, width)
        self.time = TimeMlp(width, config.time_width, config.time_scale)
        self.embed = nn.Linear(action_dim, width)
        self.position = nn.Parameter(0.02 * torch.randn(chunk, width))
        self.blocks = Blocks(config.sizes, config.depth, condition=width)
        self.last_norm = norm("plain", width)
        self.modulation = nn.Linear(width, 2 * width)
        self.out = nn.Linear(width, action_dim)
        _small(self.modulation, self.out)

    def condition(self, context: Context, n: int = 1) -> Tensor:
        """(B*n width)."""
        return repeat_rows(self.told(self.norm(vector(context.groups, self.config.pool))), n)

    def forward(
        self, told: Tensor, noisy: Tensor, time: Tensor, injected: Mapping[int, Tensor] | None = None
    ) -> Tensor:
        """(B H A); `injected` is added before blocks, see `nn.dit.Blocks`."""
        moment = told + self.time(time, told.dtype)
        x = self.blocks(self.embed(noisy.to(told.dtype)) + self.position, moment, injected=injected)
        shift, scale = self.modulation(F.silu(moment))[:, None].chunk(2, dim=-1)
        return self.out(modulated(self.last_norm(x), shift, scale)).float()


class TokenDit(nn.Module):
    """Noisy actions behind one token that holds the time plus what is told (CogACT, section 3.3).

    The context must hold exactly one token of `condition_width`. Raises `ConfigError` where it holds more.
    """

    def __init__(self, config: DitConfig, action_dim: int, chunk: int, condition_width: int) -> None:
        super().__init__()
        width = config.width
        self.told = nn.Linear(condition_width, width)
        self.time = TimeMlp(width, config.time_width, config.time_scale)
        self.embed = nn.Linear(action_dim, width)
        self.position = nn.Parameter(width**-0.5 * torch.randn(chunk + 1, width))
        self.blocks = Blocks(config.sizes, config.depth)
        self.last_norm = norm(config.norm, width)
        self.out = nn.Linear(width, action_dim)
        _small(self.told, self.embed, self.out)

    def condition(self, context: Context, n: int = 1) -> Tensor:
        """(B*n 1 width)."""
        tokens = torch.cat([group.tokens for group in context.groups.values()], dim=1)
        if tokens.shape[1] != 1:
            raise ConfigError(f"one token can be told, not {tokens.shape[1]}", leaf="read")
        return repeat_rows(self.told(tokens), n)

    def forward(self, told: Tensor, noisy: Tensor, time: Tensor) -> Tensor:
        """(B H A)."""
        first = told + self.time(time, told.dtype)[:, None]
        x = torch.cat([first, self.embed(noisy.to(told.dtype))], dim=1) + self.position
        return self.out(self.last_norm(self.blocks(x)[:, 1:])).float()


@dataclass(frozen=True)
class CrossCondition:
    """What every step reuses: a memory a block, and the state's token (B 1 W)."""

    memories: tuple[Memory, ...]
    state: Tensor


class CrossDit(nn.Module):
    """Time, control rate, state and noisy actions as one sequence whose blocks look at the memories in turn (RDT).

    State and action live in one vector of `unified` dimensions, 0 = the larger of the two, and enter through the same
    layers together with a mark for every dimension that is there. `memories` says how many tokens each group of the
    context has that is looked at; block i looks at group i modulo their number, of width `config.width`.
    """

    def __init__(
        self,
        config: DitConfig,
        action_dim: int,
        chunk: int,
        *,
        state_dim: int,
        memories: Mapping[str, int],
        rate_hz: float,
        unified: int = 0,
    ) -> None:
        super().__init__()
        width, self.unified = config.width, unified or max(action_dim, state_dim)
        if self.unified < max(action_dim, state_dim):
            raise ConfigError(f"{max(action_dim, state_dim)} dimensions do not fit {self.unified}", leaf="unified")
        self.action_dim, self.rate_hz = action_dim, rate_hz
        self.memories = tuple(memories)
        self.positions = nn.ParameterDict({k: 0.02 * torch.randn(count, width) for k, count in memories.items()})
        self.adapt = nn.Sequential(
            FeedForward(2 * self.unified, width, width), nn.GELU(approximate="tanh"), nn.Linear(width, width)
        )
        initialise(self.adapt)
        self.time = TimeMlp(width, config.time_width, config.time_scale)
        self.rate = TimeMlp(width, config.time_width)
        self.position = nn.Parameter(0.02 * torch.randn(chunk + 3, width))
        self.blocks = Blocks(config.sizes, config.depth, cross=True)
        self.last_norm = norm(config.norm, width)
        self.out = FeedForward(width, width, self.unified)
        _small(self.out.down)

    def condition(self, context: Context, n: int = 1) -> CrossCondition:
        """Reads the groups named in `memories` and the newest step of "state", which must be unprojected."""
        told = []
        for name in self.memories:
            group, position = context.groups[name], self.positions[name]
            mask = None if group.mask is None else group.mask[:, None, None]
            tokens = group.tokens if group.position is None else group.tokens + group.position
            told.append((tokens + position[: tokens.shape[1]], mask))
        memories = tuple(memory.repeat(n) for memory in self.blocks.remember(told))
        return CrossCondition(memories, repeat_rows(self._adapted(context.groups["state"].tokens[:, -1:]), n))

    def forward(self, told: CrossCondition, noisy: Tensor, time: Tensor) -> Tensor:
        """(B H A)."""
        state = told.state
        rate = torch.full((1,), self.rate_hz, device=time.device)
        begin = torch.stack([self.time(time, state.dtype), self.rate(rate, state.dtype).expand(len(time), -1)], dim=1)
        x = torch.cat([begin, state, self._adapted(noisy.to(state.dtype))], dim=1) + self.position
        x = self.blocks(x, memories=told.memories)[:, 3:]
        return self.out(self.last_norm(x))[..., : self.action_dim].float()

    def _adapted(self, x: Tensor) -> Tensor:
        missing = (0, self.unified - x.shape[-1])
        return self.adapt(torch.cat([F.pad(x, missing), F.pad(torch.ones_like(x), missing)], dim=-1))


class CausalDenoiser(nn.Module):
    """Noisy actions that see only earlier ones, and a memory of time and observations (Diffusion Policy, appendix A).

    Every observed step becomes one token: the groups that have one token a step side by side, those with a single
    token repeated; `condition_width` is their sum.
    """

    mask: Tensor

    def __init__(self, config: DitConfig, action_dim: int, chunk: int, condition_width: int, history: int) -> None:
        super().__init__()
        width, self.history = config.width, history
        self.told = nn.Linear(condition_width, width)
        self.told_position = nn.Parameter(0.02 * torch.randn(history + 1, width))
        self.remember = nn.Sequential(nn.Linear(width, 4 * width), nn.Mish(), nn.Linear(4 * width, width))
        self.embed = nn.Linear(action_dim, width)
        self.position = nn.Parameter(0.02 * torch.randn(chunk, width))
        self.blocks = Blocks(config.sizes, config.depth, cross=True)
        self.last_norm = norm(config.norm, width)
        self.out = nn.Linear(width, action_dim)
        self.register_buffer("mask", torch.ones(chunk, chunk, dtype=torch.bool).tril()[None, None], persistent=False)
        _small(*(layer for layer in self.modules() if isinstance(layer, nn.Linear)))

    def condition(self, context: Context, n: int = 1) -> Tensor:
        """(B*n history width)."""
        steps = [group.tokens.expand(-1, self.history, -1) for group in context.groups.values()]
        return repeat_rows(self.told(torch.cat(steps, dim=-1)), n)

    def forward(self, told: Tensor, noisy: Tensor, time: Tensor) -> Tensor:
        """(B H A)."""
        moment = time_positions(time, told.shape[-1]).to(told.dtype)[:, None]
        memory = self.remember(torch.cat([moment, told], dim=1) + self.told_position)
        x = self.embed(noisy.to(told.dtype)) + self.position
        memories = self.blocks.remember([(memory, None)])
        return self.out(self.last_norm(self.blocks(x, memories=memories, mask=self.mask))).float()


def vector(groups: Groups, pool: Literal["flatten", "mean"]) -> Tensor:
    """Groups as one vector (B C): each one's tokens side by side, or the mean of its real tokens, then all together."""
    if pool == "flatten":
        return torch.cat([group.tokens.flatten(1) for group in groups.values()], dim=-1)
    return torch.cat([_mean(group) for group in groups.values()], dim=-1)


def _small(*layers: nn.Linear) -> None:
    for layer in layers:
        nn.init.normal_(layer.weight, std=0.02)
        nn.init.zeros_(layer.bias)


def _mean(group: TokenGroup) -> Tensor:
    real = token_mask(group)[..., None].to(group.tokens.dtype)
    return (group.tokens * real).sum(1) / real.sum(1).clamp_min(1)
