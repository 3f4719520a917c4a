"""An action expert that reads hidden states of a language model by cross-attention, with hands for many bodies.

The velocity field of GR00T N1: a state token, learned tokens for the future and one token an action go through a
transformer that looks at what the model said of pictures and words; encoders and decoders at its edges have weights for
every body. The one thing to watch: it needs the groups "state" and "body" unprojected, and hidden states, not tokens.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from embodia.core.errors import ConfigError, ShapeError
from embodia.core.protocols import Context
from embodia.core.types import Batch, Observation
from embodia.nn.attention import KeyValue
from embodia.nn.bodies import BodyActions, BodyMlp
from embodia.nn.cross_dit import CrossDit
from embodia.nn.dit import Blocks, BlockSizes, TimeMlp
from embodia.nn.groups import repeat_rows, token_mask
from embodia.nn.noise import normal, uniform
from embodia.nn.positional import step_positions
from embodia.nn.shared import Shared


@dataclass(frozen=True, kw_only=True)
class CrossExpertConfig:
    """Sizes; the defaults are GR00T N1's.

    outputs   features between the transformer and the hands' decoders
    memory    width that hidden states are projected to, 0 leaves them as they are
    adapter   layers over the hidden states before they are looked at, behind a norm; 0 for none (N1.5 has 4)
    every     1: every block looks at the memory; 2: every second, those between look around (N1.5)
    futures   learned tokens that may foresee
    bodies    how many bodies have weights
    """

    width: int = 1536
    depth: int = 16
    heads: int = 32
    outputs: int = 1024
    memory: int = 1536
    adapter: int = 0
    adapter_heads: int = 32
    every: int = 1
    futures: int = 32
    bodies: int = 32
    state_dim: int = 64
    positions: int = 1024


@dataclass(frozen=True)
class CrossCondition:
    """What every integration step reuses: tokens before the actions, memory a block, its mask, the bodies (B,)."""

    before: Tensor
    memory: tuple[KeyValue | None, ...]
    mask: Tensor
    body: Tensor


class CrossExpert(nn.Module):
    """Velocity of noisy actions (B H A) at a time (B,) given the hidden states of the groups `read`, `width` wide.

    Raises `ConfigError` for more state dimensions than the configuration has room for.
    """

    def __init__(
        self, config: CrossExpertConfig, read: tuple[str, ...], width: int, action_dim: int, horizon: int
    ) -> None:
        super().__init__()
        self.config, self.read, self.horizon = config, read, horizon
        inner, bodies = config.width, config.bodies
        sizes = BlockSizes(width=inner, heads=config.heads, hidden=4 * inner)
        self.norm = nn.LayerNorm(width) if config.adapter else nn.Identity()
        self.adapter = _adapter(config, width)
        self.project = nn.Linear(width, config.memory) if config.memory else nn.Identity()
        self.state = BodyMlp(bodies, config.state_dim, config.outputs, inner)
        self.actions = BodyActions(bodies, action_dim, inner)
        self.future = nn.Parameter(0.02 * torch.randn(config.futures, inner))
        self.position = nn.Parameter(0.02 * torch.randn(max(config.positions, horizon), inner))
        self.time = TimeMlp(inner, scale=1000.0, ends=True)
        self.dit = CrossDit(sizes, config.depth, config.memory or width, every=config.every)
        self.out = nn.Linear(inner, config.outputs)
        self.hand = BodyMlp(bodies, config.outputs, config.outputs, action_dim)

    def condition(self, context: Context, n: int = 1) -> CrossCondition:
        """What all steps of n samples share: B * n rows, the samples of one batch entry adjacent."""
        groups = [context.groups[name] for name in self.read]
        memory = self.norm(torch.cat([group.tokens for group in groups], dim=1))
        mask = torch.cat([token_mask(group) for group in groups], dim=1)[:, None, None]
        if self.adapter is not None:
            memory = self.adapter(memory, mask=mask)
        pairs = self.dit.remember(self.project(memory))
        body = context.groups["body"].tokens[:, 0, 0].long()
        state = context.groups["state"].tokens
        if state.shape[-1] > self.config.state_dim:
            raise ConfigError(
                f"{state.shape[-1]} state dimensions do not fit {self.config.state_dim}", leaf="state_dim"
            )
        told = self.state(F.pad(state, (0, self.config.state_dim - state.shape[-1])), body)
        before = torch.cat([told, self.future.expand(len(told), -1, -1)], dim=1)
        kept = tuple(None if p is None else (repeat_rows(p[0], n), repeat_rows(p[1], n)) for p in pairs)
        return CrossCondition(repeat_rows(before, n), kept, repeat_rows(mask, n), repeat_rows(body, n))

    def forward(self, condition: CrossCondition, actions: Tensor, time: Tensor) -> Tensor:
        """Velocity (B H A) float32, from data to noise."""
        found = self.dit(*self._tokens(condition, actions, time), condition.memory, condition.mask)
        return self.hand(self.out(found[:, -self.horizon :]), condition.body).float()

    def foreseen(self, condition: CrossCondition, actions: Tensor, time: Tensor, until: int) -> Tensor:
        """The future tokens (B futures width) after `until` blocks."""
        x, moment = self._tokens(condition, actions, time)
        x = self.dit(x, moment, condition.memory, condition.mask, until=until)
        return x[:, -self.horizon - self.config.futures : -self.horizon]

    def _tokens(self, condition: CrossCondition, actions: Tensor, time: Tensor) -> tuple[Tensor, Tensor]:
        dtype = condition.before.dtype
        clock = 1000.0 * (1.0 - time)
        features = step_positions(clock, self.config.width).to(dtype)
        acted = self.actions(actions.to(dtype), features, condition.body) + self.position[: self.horizon]
        return torch.cat([condition.before, acted], dim=1), self.time(1.0 - time, dtype)


def _adapter(config: CrossExpertConfig, width: int) -> Blocks | None:
    if not config.adapter:
        return None
    sizes = BlockSizes(width=width, heads=config.adapter_heads, hidden=4 * width, norm="affine")
    return Blocks(sizes, config.adapter)


@dataclass(frozen=True, kw_only=True)
class ForesightConfig:
    """`layer` after which the future tokens are compared; `ahead` steps to what they should be like; `weight`."""

    layer: int = 6
    ahead: int = 16
    weight: float = 0.2


class FutureAlignment(nn.Module):
    """Future tokens should point where an eye will look at what is seen later (FLARE, Zheng et al. 2025), as a head.

    The eye's tokens of the later pictures, pooled to as many and cut off from the gradient, are the target; the loss is
    one minus the cosine, and actions are noisy as the flow's own.
    """

    def __init__(self, config: ForesightConfig, expert: CrossExpert, eye: nn.Module, width: int) -> None:
        super().__init__()
        self.config, self.expert, self.eye = config, Shared(expert), Shared(eye)
        inner = expert.config.width
        self.project = nn.Sequential(nn.Linear(inner, inner), nn.SiLU(), nn.Linear(inner, width))

    def loss_terms(self, context: Context, batch: Batch, rng: torch.Generator | None) -> Mapping[str, Tensor]:
        """{"future": (B,)}; raises `ShapeError` when the batch does not show what comes later."""
        if batch.later is None:
            raise ShapeError("the batch lacks what is seen later", leaf="later")
        actions = batch.chunk.actions
        noise, time = normal(tuple(actions.shape), actions, rng), uniform((len(actions),), actions, rng)
        noisy = time[:, None, None] * noise + (1 - time)[:, None, None] * actions
        found = self.expert.foreseen(self.expert.condition(context), noisy, time, self.config.layer)
        target = self._target(replace(batch.later, instruction=batch.observation.instruction))
        aligned = F.cosine_similarity(self.project(found).float(), target.float(), dim=-1)
        return {"future": 1 - aligned.mean(1)}

    @torch.no_grad()
    def _target(self, later: Observation) -> Tensor:
        tokens = self.eye(later).tokens
        return F.adaptive_avg_pool1d(tokens.transpose(1, 2), self.expert.config.futures).transpose(1, 2)
