"""Where to pick and where to place, as maps over the view from above (Transporter, CLIPort), played in key frames.

While the gripper is open the next place comes from a map of the whole view; while it holds something, from how well
what is at the hand fits everywhere, at every turn: a crop round the hand is correlated with the scene. Both give a
chunk of small steps (`nn.tool.straight`). Sources: Zeng et al. 2020; Shridhar et al. 2021. The one thing to watch: a
map says right and down; the height comes from a small head that reads the map's features at the chosen cell.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from embodia.core.protocols import Context
from embodia.core.types import ActionChunk
from embodia.nn.hourglass import Hourglass, correlate, turned_crops
from embodia.nn.keypoints import standard
from embodia.nn.multiview import CHANNELS, pictures
from embodia.nn.noise import uniform
from embodia.nn.normalize import Normalizer
from embodia.nn.ortho import axes, project
from embodia.nn.shared import Shared
from embodia.nn.tool import OPEN, Tool, straight

_SHARP = 10.0


@dataclass(frozen=True, kw_only=True)
class PixelMapConfig:
    """Sizes; `two_streams` adds CLIPort's semantic path, which alone is told the sentence.

    size    pixels of the view from above, `crop` of the window round the hand
    turns   angles at which the window is tried, in a whole turn
    key     channels that are correlated
    spread  of the target, in pixels
    """

    size: int = 32
    crop: int = 12
    turns: int = 12
    key: int = 8
    width: int = 24
    depth: int = 2
    blocks: int = 1
    two_streams: bool = False
    spread: float = 0.8
    hidden: int = 128


class PixelMaps(nn.Module):
    """Groups "cloud", "tool" and, if there is one, "language" (B 1 told) to chunks.

    Networks are told the sentence and where the tool is: what comes next depends on what was done already. That also
    asks the map's cells directly and says the turn, which is learned sooner than by what it multiplies on the way.
    """

    sides: Tensor
    centre: Tensor
    reach: Tensor
    angles: Tensor

    def __init__(
        self,
        config: PixelMapConfig,
        tool: Tool,
        units: Normalizer,
        chunk: int,
        *,
        centre: Tensor,
        half: Tensor,
        told: int,
    ) -> None:
        super().__init__()
        self.config, self.tool, self.units, self.chunk = config, tool, Shared(units), chunk
        self.turns = config.turns if tool.turn >= 0 else 1
        self.register_buffer("sides", axes(("top",)), persistent=False)
        self.register_buffer("angles", torch.arange(self.turns) * 2 * torch.pi / self.turns, persistent=False)
        self.register_buffer("centre", centre.clone())
        self.register_buffer("reach", half.clone())
        sizes = {"width": config.width, "depth": config.depth, "blocks": config.blocks}
        spatial = 0 if config.two_streams else told
        self.hand = nn.Sequential(nn.Linear(5, told), nn.GELU(), nn.Linear(told, told))
        self.key = Hourglass(CHANNELS, self.turns + config.key, told=spatial, **sizes)
        self.query = Hourglass(CHANNELS, config.key, told=spatial, **sizes)
        self.semantic = Hourglass(CHANNELS, 0, told=told, **sizes) if config.two_streams else None
        self.ask = nn.Linear(told, config.width)
        self.turn = nn.Linear(told, self.turns)
        self.sharpness = nn.Parameter(torch.tensor(1.0))
        self.rest = max(1, len(tool.rest))
        reads = config.width + 6 + told
        self.other = nn.Sequential(nn.Linear(reads, config.hidden), nn.GELU(), nn.Linear(config.hidden, 2 + self.rest))

    def loss_terms(self, context: Context, chunk: ActionChunk, rng: torch.Generator | None) -> Mapping[str, Tensor]:
        """Nothing: see `decoders.keyframe.KeyFrameLoss`."""
        return {}

    def losses(self, context: Context, target: Tensor, rest: Tensor, rng: torch.Generator | None) -> dict[str, Tensor]:
        """{"map", "height", "grip", "rest": (B,)} against a posture `target` (B 5) and held values `rest`."""
        heat, features, low = self._heat(context)
        seen = self._seen(target[:, None, :3])
        turn = self._turn_of(context, target[:, 3])
        wanted = _blob(seen[:, 0], self.config.size, self.config.spread)
        chosen = heat.flatten(2).log_softmax(-1) if self.turns == 1 else heat.flatten(1).log_softmax(-1)
        picked = chosen.view(len(heat), self.turns, -1).gather(1, turn[:, None, None].expand(-1, 1, wanted.shape[1]))
        terms = {"map": -(picked[:, 0] * wanted).sum(-1)}
        found = self._others(context, features, low, seen)[:, 0]
        height = (target[:, 2] - self.centre[2]) / self.reach
        terms["height"] = (found[:, 0] - height).abs()
        if self.tool.grip >= 0:
            wide = (target[:, 4] > 0.5).to(found.dtype)
            terms["grip"] = F.binary_cross_entropy_with_logits(found[:, 1], wide, reduction="none")
        if self.tool.rest:
            terms["rest"] = (found[:, 2:] - rest).abs().mean(-1)
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
        """(B n H A), normalised: towards the best cell and turn, then towards drawn ones; `prefix` (B P A) is kept."""
        heat, features, low = self._heat(context)
        seen, turn = self._choose(heat, n, rng)
        others = self._others(context, features, low, seen)
        place = self.centre[:2] + self._flat(seen) * self.reach
        height = self.centre[2:] + others[..., :1].clamp(-1, 1) * self.reach
        now = context.groups["tool"].tokens.expand(-1, n, -1)
        angle = now[..., 3:4] + turn[..., None] if self.tool.turn >= 0 else now[..., 3:4]
        wide = others[..., 1:2].sigmoid() if self.tool.grip >= 0 else now[..., 4:]
        target = torch.cat([place, height, angle, wide], dim=-1)
        held = others[..., 2 : 2 + len(self.tool.rest)]
        chunks = straight(self.tool, now.flatten(0, 1), target.flatten(0, 1), held.flatten(0, 1), self.chunk)
        chunks = self.units.do(chunks).unflatten(0, (-1, n))
        if prefix is not None:
            chunks[:, :, : prefix.shape[1]] = prefix[:, None]
        return chunks

    def _heat(self, context: Context) -> tuple[Tensor, Tensor, Tensor]:
        """Logits (B R s s), features (B width s s) and the view (B CHANNELS s s)."""
        cloud = context.groups["cloud"].tokens
        batch = len(cloud)
        view = pictures(cloud, self.sides, self.centre.expand(batch, 3), self.reach.expand(batch), self.config.size)
        low = view[:, 0]
        told = self._told(context)
        lateral = None if self.semantic is None else self.semantic.maps(low, told)
        features = self.key.maps(low, told, lateral)[-1]
        pick, key = self.key.out(features).split((self.turns, self.config.key), dim=1)
        query = self.query(low, told, lateral)
        now = context.groups["tool"].tokens[:, 0]
        hand = self._seen(now[:, None, :3])[:, 0]
        fits = correlate(key, turned_crops(query, hand, self.angles, self.config.crop))
        open_now = torch.sigmoid(_SHARP * (now[:, 4] - OPEN))[:, None, None, None]
        asked = standard(torch.einsum("bcn,bc->bn", features.flatten(2), self.ask(told)))
        level = (self.sharpness * asked).view(len(asked), 1, *features.shape[-2:]) + self.turn(told)[..., None, None]
        return open_now * pick + (1 - open_now) * fits + level, features, low

    def _told(self, context: Context) -> Tensor:
        now = context.groups["tool"].tokens[:, 0]
        told: Tensor = self.hand(torch.cat([(now[:, :3] - self.centre) / self.reach, now[:, 3:]], dim=-1))
        return told + context.groups["language"].tokens[:, 0] if "language" in context.groups else told

    def _others(self, context: Context, features: Tensor, low: Tensor, seen: Tensor) -> Tensor:
        """(B n 2 + rest): height, gripper and what is held, read at cells (B n 2)."""
        maps = torch.cat([features, low[:, 5:7]], dim=1)
        found = F.grid_sample(maps, seen[:, :, None], mode="bilinear", padding_mode="border", align_corners=False)
        now = context.groups["tool"].tokens.expand(-1, seen.shape[1], -1)
        wide = (now[..., 4:] > OPEN).to(found.dtype)
        height = (now[..., 2:3] - self.centre[2]) / self.reach
        away = seen - self._seen(now[..., :3])
        told = self._told(context)[:, None].expand(-1, seen.shape[1], -1)
        return self.other(torch.cat([found[..., 0].transpose(1, 2), wide, height, away, told], dim=-1))

    def _choose(self, heat: Tensor, n: int, rng: torch.Generator | None) -> tuple[Tensor, Tensor]:
        """Places (B n 2) in [-1, 1] and turns (B n): the best, then draws; each refined over its neighbours."""
        flat, size = heat.flatten(1), self.config.size
        chosen = flat.argmax(-1, keepdim=True)
        if n > 1:
            draw = uniform((len(flat), n - 1, flat.shape[-1]), flat, rng).clamp(1e-9, 1 - 1e-9)
            chosen = torch.cat([chosen, (flat[:, None] - (-draw.log()).log()).argmax(-1)], dim=1)
        turn, cell = chosen // size**2, chosen % size**2
        level = heat.flatten(2).gather(1, turn[..., None].expand(-1, -1, size**2))
        steps = (torch.arange(size, device=heat.device) + 0.5) * 2 / size - 1
        down, right = torch.meshgrid(steps, steps, indexing="ij")
        grid = torch.stack([right, down], dim=-1).flatten(0, 1)
        near = ((grid[None, None] - grid[cell][:, :, None]).abs() <= 3.1 / size).all(-1)
        weight = level.masked_fill(~near, -torch.inf).softmax(-1)
        angle = torch.remainder(self.angles[turn] + torch.pi, 2 * torch.pi) - torch.pi
        return weight @ grid, -angle

    def _seen(self, place: Tensor) -> Tensor:
        """Right and down (B n 2) of places (B n 3)."""
        batch = len(place)
        return project(place, self.sides, self.centre.expand(batch, 3), self.reach.expand(batch))[:, 0, :, :2].clamp(
            -1, 1
        )

    def _flat(self, seen: Tensor) -> Tensor:
        """x and y, in halves of the cube, of cells seen from above."""
        return seen @ self.sides[0, :2, :2]

    def _turn_of(self, context: Context, wanted: Tensor) -> Tensor:
        """The number of the window's turn (B,) that brings the hand to the angle `wanted`."""
        if self.turns == 1:
            return torch.zeros_like(wanted, dtype=torch.long)
        away = context.groups["tool"].tokens[:, 0, 3] - wanted
        return (away / (2 * torch.pi) * self.turns).round().long() % self.turns


def _blob(seen: Tensor, size: int, spread: float) -> Tensor:
    """A Gaussian (B size^2) that sums to one, round places (B 2) in [-1, 1]."""
    steps = (torch.arange(size, device=seen.device) + 0.5) * 2 / size - 1
    far = (steps[:, None] - seen[:, 1, None, None]) ** 2 + (steps[None, :] - seen[:, 0, None, None]) ** 2
    return (-far * (size / 2) ** 2 / (2 * spread**2)).flatten(1).softmax(-1)
