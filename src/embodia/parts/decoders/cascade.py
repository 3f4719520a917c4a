"""Two flows in a row with a judge between: a slow one begins, the best beginning is kept, a fast one ends it (Hume).

The slow flow takes several draws of noise down to the time `handover`; a value head says which would end best; the
fast flow, with an eye of its own, takes that one to time 0. Both follow the same straight paths, so the fast one is
trained at times below the handover only. The one thing to watch: without rewards the value is learned by the
conservative term alone (Kumar et al. 2020, eq. 4): recorded actions above noisy ones and those of other samples.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from embodia.core.protocols import Context
from embodia.core.types import ActionChunk, TokenGroup
from embodia.nn.attention import Cache
from embodia.nn.noise import normal
from embodia.parts.decoders.flow import FlowDecoder


@dataclass(frozen=True, kw_only=True)
class CascadeConfig:
    """`candidates` that are judged, `handover` time, `critics` of `hidden` width, `spread` of noisy actions."""

    candidates: int = 5
    handover: float = 0.5
    critics: int = 2
    hidden: int = 256
    spread: float = 0.5


class ValueQuery(nn.Module):
    """How well chunks (B K H A) would end, (B K): a learned token asks the reader, critics judge its answer and them.

    The least of the critics counts.
    """

    def __init__(self, config: CascadeConfig, width: int, size: int) -> None:
        super().__init__()
        self.token = nn.Parameter(torch.randn(1, width))
        self.norm = nn.LayerNorm(width)
        self.critics = nn.ModuleList(
            nn.Sequential(nn.Linear(width + size, config.hidden), nn.SiLU(), nn.Linear(config.hidden, 1))
            for _ in range(config.critics)
        )

    def answer(self, context: Context) -> Tensor:
        """What the reader says to the query, (B width)."""
        batch = len(next(iter(context.groups.values())).tokens)
        seen = tuple(item.name for item in context.cache.spans)
        tokens = self.token.expand(batch, 1, -1)
        group = TokenGroup(name="value", tokens=tokens, mask=None, attends_to=(*seen, "value"))
        longer = context.extend({"value": group})  # type: ignore[attr-defined]
        return self.norm(longer.groups["value"].tokens[:, 0])  # type: ignore[no-any-return]

    def forward(self, answer: Tensor, chunks: Tensor) -> Tensor:
        """Values (critics B K)."""
        told = answer[:, None].expand(-1, chunks.shape[1], -1)
        both = torch.cat([told, chunks.flatten(2).to(told.dtype)], dim=-1)
        return torch.stack([critic(both)[..., 0] for critic in self.critics]).float()


class CascadeDecoder(nn.Module):
    """Chunks (B H A) by a `slow` flow, a choice, and a `fast` flow that reads only groups of its own; no density."""

    def __init__(self, config: CascadeConfig, slow: FlowDecoder, fast: FlowDecoder, value: ValueQuery) -> None:
        super().__init__()
        self.config, self.slow, self.fast, self.value = config, slow, fast, value

    def loss_terms(self, context: Context, chunk: ActionChunk, rng: torch.Generator | None) -> Mapping[str, Tensor]:
        """{"flow", "fast", "value"}, (B,) each."""
        slow = self.slow.loss_terms(context, chunk, rng)["flow"]
        fast = self.fast.loss_terms(self._glance(context), chunk, rng)["flow"]
        return {"flow": slow, "fast": fast, "value": self._conservative(context, chunk, rng)}

    @torch.no_grad()
    def sample(
        self,
        context: Context,
        rng: torch.Generator | None,
        n: int = 1,
        steps: int | None = None,
        prefix: Tensor | None = None,
    ) -> Tensor:
        """n chunks a batch entry, (B n H A); each is the best of `candidates` beginnings, ended by the fast flow."""
        answer, count, slow = self.value.answer(context), self.config.candidates, self.slow
        noise = normal((len(answer) * n * count, slow.horizon, slow.width), answer.float(), rng)
        times = (1.0, self.config.handover)
        begun = slow.between(context, noise, noise, times, n=n * count, steps=steps, prefix=prefix)
        foreseen = (begun - self.config.handover * noise) / (1 - self.config.handover)
        values = self.value(answer, foreseen[..., : slow.action_dim].unflatten(0, (-1, n * count))).amin(0)
        best = values.unflatten(1, (n, count)).argmax(-1).flatten()
        rows = torch.arange(len(best), device=best.device) * count + best
        times, told = (self.config.handover, 0.0), self._glance(context)
        ended = self.fast.between(told, begun[rows], noise[rows], times, n=n, steps=steps, prefix=prefix)
        return ended[..., : slow.action_dim].unflatten(0, (-1, n))

    def _conservative(self, context: Context, chunk: ActionChunk, rng: torch.Generator | None) -> Tensor:
        """Cross entropy (B,) of telling the recorded chunk from noisy ones and from another sample's."""
        truth = chunk.actions
        noisy = truth[:, None] + self.config.spread * normal((len(truth), 4, *truth.shape[1:]), truth, rng)
        chunks = torch.cat([truth[:, None], noisy, truth.roll(1, 0)[:, None]], dim=1)
        chunks = chunks * chunk.valid[:, None, :, None]
        values = self.value(self.value.answer(context), chunks)
        errors = values.logsumexp(-1) - values[..., 0]
        return errors.mean(0) * chunk.valid.any(1)

    def _glance(self, context: Context) -> Context:
        """The fast system's own context: no cache of a reader, only what its eye and body say."""
        velocity = self.fast.velocity
        groups = {name: context.groups[name] for name in velocity.attention if name != "action"}  # type: ignore[union-attr, operator]
        like = next(iter(groups.values())).tokens
        config = velocity.transformer.config  # type: ignore[union-attr]
        blank = like.new_zeros(len(like), config.kv_heads, 0, config.head_dim)  # type: ignore[union-attr, arg-type]
        layers = ((blank, blank),) * config.depth  # type: ignore[union-attr, operator]
        mask = torch.ones(len(like), 0, dtype=torch.bool, device=like.device)
        return replace(context, groups=groups, cache=Cache(layers, mask, ()))  # type: ignore[type-var]
