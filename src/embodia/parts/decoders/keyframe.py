"""Where is the hand to be next? Heat maps over views say the place, bins the turn, a logit the gripper.

What comes out is a chunk of small steps straight towards that place (`nn.tool.straight`), so policies that think in key
frames act through the same control as all others. Source: RVT (2023), RVT-2 (2024). The one thing to watch: the loss is
not on the chunk but on the state at the next key frame, so it is a head (`KeyFrameLoss`) beside an empty decoder loss.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from embodia.core.errors import ShapeError
from embodia.core.protocols import Context
from embodia.core.types import ActionChunk, Batch
from embodia.nn.heatmap import ConvexUpsample, heat_loss, lift, near_best
from embodia.nn.keypoints import standard
from embodia.nn.multiview import ViewConfig, ViewNet
from embodia.nn.noise import uniform
from embodia.nn.normalize import Normalizer
from embodia.nn.ortho import axes, project, read
from embodia.nn.shared import Shared
from embodia.nn.tool import OPEN, Tool, posture, straight


@dataclass(frozen=True, kw_only=True)
class KeyFrameConfig:
    """How heat becomes a place.

    upsample  times that a heat map is finer than the tokens it is read from
    cells     edge of the lattice of places that are compared
    spread    of the target, in pixels of the heat map
    turns     bins of the turn about the vertical
    zoom      second stage: the cube is so many times smaller; 0 leaves it out
    wide      places round the true one at which the second stage is trained, in halves of its cube
    """

    upsample: int = 8
    cells: int = 32
    spread: float = 1.0
    turns: int = 72
    hidden: int = 256
    zoom: float = 0.0
    wide: float = 0.4


class KeyFrameDecoder(nn.Module):
    """Tokens of views (B V*g*g D) in the group `read`, with the groups "tool" and "cloud", to chunks.

    `views` names the sides as they lie in the tokens, `further` the groups that a second stage reads besides; `early`
    says that there is a group "early" of the features of every pixel of the drawings. These are asked too, by the mean
    of all tokens and of each group of `told`: a question that knows the sentence finds a thing in a few hundred steps.
    """

    sides: Tensor
    centre: Tensor
    reach: Tensor

    def __init__(
        self,
        config: KeyFrameConfig,
        views: ViewConfig,
        tool: Tool,
        units: Normalizer,
        chunk: int,
        *,
        centre: Tensor,
        half: Tensor,
        width: int = 0,
        read: str = "views",
        further: tuple[str, ...] = (),
        early: bool = False,
        told: tuple[str, ...] = (),
    ) -> None:
        super().__init__()
        self.config, self.tool, self.units, self.chunk = config, tool, Shared(units), chunk
        self.read, self.further, self.told, self.grid = read, further, told, views.grid
        self.register_buffer("sides", axes(views.views), persistent=False)
        self.register_buffer("centre", centre)
        self.register_buffer("reach", half)
        width = width or views.layers.width
        self.heat = ConvexUpsample(width, config.upsample)
        self.ask = _question((1 + len(told)) * width, config.hidden, views.stem) if early else None
        self.sharpness = nn.Parameter(torch.tensor(1.0)).requires_grad_(early)
        self.net = ViewNet(views) if config.zoom else None
        self.fine = ConvexUpsample(width, config.upsample) if config.zoom else None
        self.turns = config.turns if tool.turn >= 0 else 0
        grip = 1 if tool.grip >= 0 else 0
        self.sizes = (self.turns, grip, len(tool.rest))
        self.other = nn.Sequential(
            nn.LayerNorm((len(views.views) + 1) * width),
            nn.Linear((len(views.views) + 1) * width, config.hidden),
            nn.GELU(),
            nn.Linear(config.hidden, max(1, sum(self.sizes))),
        )

    def loss_terms(self, context: Context, chunk: ActionChunk, rng: torch.Generator | None) -> Mapping[str, Tensor]:
        """Nothing: see `KeyFrameLoss`."""
        return {}

    def losses(self, context: Context, target: Tensor, rest: Tensor, rng: torch.Generator | None) -> dict[str, Tensor]:
        """{"heat", "turn", "grip", "rest", "fine": (B,)} against a posture `target` (B 5) and held values `rest`."""
        maps, (centre, half) = self._maps(context), self._cube(context, len(target))
        place = target[:, None, :3]
        seen = project(place, self.sides, centre, half)[:, :, 0, :2]
        heat = self._heat(context, self.heat, maps, self._early(context))
        terms = {"heat": heat_loss(heat, seen, self.config.spread)}
        terms |= self._other_losses(self._others(maps, place, centre)[:, 0], target, rest)
        if self.net is not None and self.fine is not None:
            small = half / self.config.zoom
            away = (uniform((len(target), 3), target, rng) * 2 - 1) * self.config.wide * small[:, None]
            finer, early = self._zoomed(context, target[:, :3] + away, small)
            seen = project(place, self.sides, target[:, :3] + away, small)[:, :, 0, :2]
            terms["fine"] = heat_loss(self._heat(context, self.fine, finer, early), seen, self.config.spread)
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
        """(B n H A), normalised: towards the hottest place, then towards drawn ones; `prefix` (B P A) is kept."""
        maps = self._maps(context)
        target, rest = self.targets(context, maps, n, rng)
        now = context.groups["tool"].tokens.expand(-1, n, -1)
        chunks = straight(self.tool, now.flatten(0, 1), target.flatten(0, 1), rest.flatten(0, 1), self.chunk)
        chunks = self.units.do(chunks).unflatten(0, (-1, n))
        if prefix is not None:
            chunks[:, :, : prefix.shape[1]] = prefix[:, None]
        return chunks

    def targets(self, context: Context, maps: Tensor, n: int, rng: torch.Generator | None) -> tuple[Tensor, Tensor]:
        """Postures (B n 5) at the next key frame, and the values held until then (B n R)."""
        centre, half = self._cube(context, len(maps))
        heat = self._heat(context, self.heat, maps, self._early(context))
        place = lift(heat, self.sides, centre, half, self.config.cells, n, rng)
        if self.net is not None and self.fine is not None:
            place = torch.stack([self._finer(context, place[:, index], half) for index in range(n)], dim=1)
        turn, grip, rest = self._others(maps, place, centre).split(self.sizes_used, dim=-1)
        now = context.groups["tool"].tokens.expand(-1, n, -1)
        angle = now[..., 3:4]
        if self.turns:
            angle = near_best(turn, turn.argmax(-1, keepdim=True), circular=True) * 2 * torch.pi / self.turns
        wide = grip[..., :1].sigmoid() if self.sizes[1] else now[..., 4:]
        return torch.cat([place, angle, wide], dim=-1), rest[..., : len(self.tool.rest)]

    @property
    def sizes_used(self) -> tuple[int, int, int]:
        """How the numbers beside the place are split; one is left over where there are none."""
        return (self.sizes[0], self.sizes[1], max(1, sum(self.sizes)) - sum(self.sizes[:2]))

    def _finer(self, context: Context, place: Tensor, half: Tensor) -> Tensor:
        small = half / self.config.zoom
        heat = self._heat(context, self.fine, *self._zoomed(context, place, small))  # type: ignore[arg-type]
        return lift(heat, self.sides, place, small, self.config.cells, 1, None)[:, 0]

    def _zoomed(self, context: Context, place: Tensor, half: Tensor) -> tuple[Tensor, Tensor]:
        further = torch.cat([context.groups[name].tokens for name in self.further], dim=1)
        tokens, _, early = self.net(context.groups["cloud"].tokens, place, half, further)  # type: ignore[misc]
        return self._as_maps(tokens), early

    def _other_losses(self, found: Tensor, target: Tensor, rest: Tensor) -> dict[str, Tensor]:
        turn, grip, held = found.split(self.sizes_used, dim=-1)
        terms = {}
        if self.turns:
            share = torch.remainder(target[:, 3], 2 * torch.pi) / (2 * torch.pi)
            terms["turn"] = F.cross_entropy(turn, (share * self.turns).long() % self.turns, reduction="none")
        if self.sizes[1]:
            wide = (target[:, 4] > 0.5).to(grip.dtype)
            terms["grip"] = F.binary_cross_entropy_with_logits(grip[:, 0], wide, reduction="none")
        if self.tool.rest:
            terms["rest"] = (held - rest).abs().mean(-1)
        return terms

    def _others(self, maps: Tensor, place: Tensor, centre: Tensor) -> Tensor:
        """What is read at places (B n 3) in all views, and of the whole: (B n ...)."""
        seen = project(place, self.sides, centre, self.reach.expand(len(maps)))[..., :2]
        local = read(maps, seen).permute(0, 3, 1, 2).flatten(2)
        whole = maps.mean((1, 3, 4))[:, None].expand(-1, local.shape[1], -1)
        found: Tensor = self.other(torch.cat([local, whole], dim=-1))
        return found

    def _heat(self, context: Context, upsample: nn.Module, maps: Tensor, early: Tensor | None) -> Tensor:
        """Upsampled heat, and how much every pixel looks like what is asked for."""
        heat: Tensor = upsample(maps.flatten(0, 1)).unflatten(0, maps.shape[:2])
        if early is None or self.ask is None:
            return heat
        known = [maps.mean((1, 3, 4)), *(context.groups[name].tokens.mean(1) for name in self.told)]
        response = torch.einsum("bvcn,bc->bvn", early.flatten(3), self.ask(torch.cat(known, dim=-1)))
        return heat + self.sharpness * standard(response).view_as(heat)

    def _early(self, context: Context) -> Tensor | None:
        if self.ask is None:
            return None
        size = self.grid * self.config.upsample
        pixels = context.groups["early"].tokens.unflatten(1, (len(self.sides), size, size))
        return pixels.permute(0, 1, 4, 2, 3)

    def _maps(self, context: Context) -> Tensor:
        return self._as_maps(context.groups[self.read].tokens)

    def _as_maps(self, tokens: Tensor) -> Tensor:
        """(B V*g*g D) to (B V D g g)."""
        return tokens.unflatten(1, (len(self.sides), self.grid, self.grid)).permute(0, 1, 4, 2, 3)

    def _cube(self, context: Context, batch: int) -> tuple[Tensor, Tensor]:
        """The cube that was looked at, which a backbone may have moved."""
        moved = context.groups.get("cube")
        return self.centre.expand(batch, 3) if moved is None else moved.tokens[:, 0], self.reach.expand(batch)


def _question(width: int, hidden: int, stem: int) -> nn.Module:
    return nn.Sequential(nn.Linear(width, hidden), nn.GELU(), nn.Linear(hidden, stem))


class KeyFrameLoss(nn.Module):
    """The head that teaches a decoder of key frames; ask for the states at `core.moments.NEXT_KEY` and `AFTER_KEY`."""

    def __init__(self, decoder: nn.Module, tool: Tool) -> None:
        super().__init__()
        self.decoder, self.tool = Shared(decoder), tool

    def loss_terms(self, context: Context, batch: Batch, rng: torch.Generator | None) -> dict[str, Tensor]:
        """The decoder's losses (B,), 0 for rows without actions. Raises `ShapeError` without the states to come."""
        if batch.ahead is None:
            raise ShapeError("the batch lacks the state at the next key frame", leaf="ahead")
        like = context.groups["tool"].tokens
        to_come = posture(self.tool, batch.ahead.to(like.device).float())
        target = torch.cat([to_come[:, 0, :4], (to_come[:, 1, 4:] > OPEN).to(like.dtype)], dim=-1)
        valid = batch.chunk.valid
        held = batch.chunk.actions * valid[..., None]
        rest = (held.sum(1) / valid.sum(1).clamp_min(1)[:, None])[:, list(self.tool.rest)]
        terms: dict[str, Tensor] = self.decoder.losses(context, target, rest, rng)
        return {name: term * valid.any(-1) for name, term in terms.items()}
