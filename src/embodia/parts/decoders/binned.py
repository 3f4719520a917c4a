"""The next key frame in bins: one class an axis, one for the turn, a logit for the gripper (VIMA's action heads).

Played as a chunk of small steps, as `decoders.keyframe`, whose `KeyFrameLoss` teaches it too. The one thing to watch:
axes are chosen independently, so two equally good places can be mixed up.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from embodia.core.protocols import Context
from embodia.core.types import ActionChunk
from embodia.nn.heatmap import near_best
from embodia.nn.noise import uniform
from embodia.nn.normalize import Normalizer
from embodia.nn.shared import Shared
from embodia.nn.tool import Tool, straight


@dataclass(frozen=True, kw_only=True)
class BinnedConfig:
    """`bins` an axis of the cube, `turns` of a whole turn, two layers of `hidden`.

    Places are taught as Gaussians of `spread` bins, as heat maps are, so that a miss by a bin is not a miss by a metre;
    with `bump` their logits are a parabola round an estimated place besides, which is learned much sooner.
    """

    bins: int = 50
    turns: int = 50
    hidden: int = 256
    spread: float = 1.0
    bump: bool = True


class BinnedPose(nn.Module):
    """The group `read` (B N width), its mean, with the group "tool", to chunks."""

    centre: Tensor
    reach: Tensor

    def __init__(
        self,
        config: BinnedConfig,
        tool: Tool,
        units: Normalizer,
        width: int,
        chunk: int,
        *,
        centre: Tensor,
        half: Tensor,
        read: str,
    ) -> None:
        super().__init__()
        self.config, self.tool, self.units, self.chunk, self.read = config, tool, Shared(units), chunk, read
        self.register_buffer("centre", centre.clone())
        self.register_buffer("reach", half.clone())
        self.turns = config.turns if tool.turn >= 0 else 0
        self.sizes = [config.bins] * 3 + [self.turns, 1 + len(tool.rest), 6 if config.bump else 0]
        self.net = nn.Sequential(nn.Linear(width, config.hidden), nn.GELU(), nn.Linear(config.hidden, sum(self.sizes)))

    def forward(self, context: Context) -> tuple[Tensor, ...]:
        """Logits of x, y, z (B bins), of the turn (B turns), and gripper and held values (B 1 + rest)."""
        read = self.net(context.groups[self.read].tokens.mean(1))
        *axes, turn, other, bump = read.split(self.sizes, dim=-1)
        if self.config.bump:
            axes = [axis + hill for axis, hill in zip(axes, _hills(bump, self.config.bins), strict=True)]
        return (*axes, turn, other)

    def loss_terms(self, context: Context, chunk: ActionChunk, rng: torch.Generator | None) -> Mapping[str, Tensor]:
        """Nothing: see `decoders.keyframe.KeyFrameLoss`."""
        return {}

    def losses(self, context: Context, target: Tensor, rest: Tensor, rng: torch.Generator | None) -> dict[str, Tensor]:
        """{"place", "turn", "grip", "rest": (B,)} against a posture `target` (B 5) and held values `rest`."""
        *axes, turn, other = self(context)
        share = ((target[:, :3] - self.centre) / self.reach + 1) / 2
        wanted = _blurred(share * self.config.bins, self.config.bins, self.config.spread)
        place = [F.cross_entropy(axis, wanted[:, index], reduction="none") for index, axis in enumerate(axes)]
        terms = {"place": torch.stack(place).mean(0)}
        if self.turns:
            angle = torch.remainder(target[:, 3], 2 * torch.pi) / (2 * torch.pi)
            terms["turn"] = F.cross_entropy(turn, (angle * self.turns).long() % self.turns, reduction="none")
        if self.tool.grip >= 0:
            wide = (target[:, 4] > 0.5).to(other.dtype)
            terms["grip"] = F.binary_cross_entropy_with_logits(other[:, 0], wide, reduction="none")
        if self.tool.rest:
            terms["rest"] = (other[:, 1:] - rest).abs().mean(-1)
        return terms

    @torch.no_grad()
    def sample(
        self,
        context: Context,
        rng: torch.Generator | None,
        n: int = 1,
        steps: int | None = None,
        prefix: Tensor | None = None,
    ) -> Tensor:
        """(B n H A), normalised: towards the likeliest bins, then towards drawn ones; `prefix` (B P A) is kept."""
        *axes, turn, other = self(context)
        now = context.groups["tool"].tokens.expand(-1, n, -1)
        along = torch.cat([_drawn(axis, n, rng, circular=False) for axis in axes], dim=-1)
        place = self.centre + (along * 2 / self.config.bins - 1) * self.reach
        angle = now[..., 3:4]
        if self.turns:
            angle = _drawn(turn, n, rng, circular=True) * 2 * torch.pi / self.turns
        wide = other[:, None, :1].sigmoid().expand(-1, n, -1) if self.tool.grip >= 0 else now[..., 4:]
        target = torch.cat([place, angle, wide], dim=-1).flatten(0, 1)
        held = other[:, None, 1:].expand(-1, n, -1).flatten(0, 1)
        chunks = self.units.do(straight(self.tool, now.flatten(0, 1), target, held, self.chunk)).unflatten(0, (-1, n))
        if prefix is not None:
            chunks[:, :, : prefix.shape[1]] = prefix[:, None]
        return chunks


def _hills(bump: Tensor, bins: int) -> Sequence[Tensor]:
    """Three parabolas (B bins) round places and of widths that `bump` (B 6) gives; flat and central at zero."""
    place, width = bump.unflatten(-1, (3, 2)).unbind(-1)
    middles = torch.arange(bins, device=bump.device) + 0.5
    far = (middles - (place + 1)[..., None] * bins / 2) / (bins / 8 * torch.exp(-width)[..., None])
    return (-(far**2) / 2).unbind(1)


def _blurred(along: Tensor, bins: int, spread: float) -> Tensor:
    """Shares (B 3 bins) that sum to one, Gaussians of `spread` bins round places `along` (B 3), in bins."""
    middles = torch.arange(bins, device=along.device) + 0.5
    far = (middles - along.clamp(0.5, bins - 0.5)[..., None]) / spread
    return (-(far**2) / 2).softmax(-1)


def _drawn(logits: Tensor, n: int, rng: torch.Generator | None, *, circular: bool) -> Tensor:
    """The likeliest bin, then drawn ones, each refined: (B n 1)."""
    wide = logits[:, None].expand(-1, n, -1)
    noise = uniform(tuple(wide.shape), logits, rng).clamp(1e-9, 1 - 1e-9) if n > 1 else None
    score = wide.clone()
    if noise is not None:
        score[:, 1:] -= (-noise[:, 1:].log()).log()
    return near_best(wide, score.argmax(-1, keepdim=True), circular=circular)
