"""A fully convolutional network with residual blocks that shrinks and grows a map, and may be told something.

Sources: the hourglass of Transporter networks (Zeng et al. 2020); what is told multiplies the maps on the way up, as in
CLIPort (Shridhar et al. 2021). The one thing to watch: maps are halved `depth` times, so sides must divide by 2^depth.
"""

from __future__ import annotations

from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class Residual(nn.Module):
    """Two 3x3 convolutions with a short cut; `stride` 2 halves the map."""

    def __init__(self, channels: int, out: int, stride: int = 1) -> None:
        super().__init__()
        groups = 8 if out % 8 == 0 else 1
        self.body = nn.Sequential(
            nn.Conv2d(channels, out, 3, stride, 1),
            nn.GroupNorm(groups, out),
            nn.GELU(),
            nn.Conv2d(out, out, 3, padding=1),
        )
        self.short = nn.Identity() if (channels, stride) == (out, 1) else nn.Conv2d(channels, out, 1, stride)

    def forward(self, x: Tensor) -> Tensor:
        """(N C h w)."""
        return F.gelu(self.body(x) + self.short(x))


class Hourglass(nn.Module):
    """(N inputs h w), and (N told) if `told` > 0, to (N outputs h w); `width` channels at full size, doubled downwards.

    `outputs` 0 gives the features themselves; `lateral` maps of another hourglass of these sizes are added on the way.
    """

    def __init__(
        self, inputs: int, outputs: int, *, width: int = 32, depth: int = 2, blocks: int = 1, told: int = 0
    ) -> None:
        super().__init__()
        sizes = [width * 2**level for level in range(depth + 1)]
        self.stem = Residual(inputs, width)
        self.down = nn.ModuleList(_stage(a, b, blocks, 2) for a, b in pairwise(sizes))
        self.up = nn.ModuleList(_stage(b + a, a, blocks, 1) for a, b in zip(sizes[-2::-1], sizes[:0:-1], strict=True))
        self.told = nn.ModuleList(nn.Linear(told, size) for size in sizes[:0:-1]) if told else None
        self.out = nn.Conv2d(width, outputs, 1) if outputs else nn.Identity()

    def forward(self, x: Tensor, told: Tensor | None = None, lateral: list[Tensor] | None = None) -> Tensor:
        """The map at full size."""
        return self.out(self.maps(x, told, lateral)[-1])

    def maps(self, x: Tensor, told: Tensor | None = None, lateral: list[Tensor] | None = None) -> list[Tensor]:
        """The maps on the way up, from the smallest to full size."""
        kept = [self.stem(x)]
        for stage in self.down:
            kept.append(stage(kept[-1]))
        x, found = kept.pop(), []
        for index, stage in enumerate(self.up):
            if self.told is not None and told is not None:
                x = x * (1 + self.told[index](told)[:, :, None, None])
            skip = kept.pop()
            x = F.interpolate(x, size=skip.shape[-2:], mode="bilinear", align_corners=False)
            x = stage(torch.cat([x, skip], dim=1))
            x = x if lateral is None else x + lateral[index]
            found.append(x)
        return found


def _stage(inputs: int, outputs: int, blocks: int, stride: int) -> nn.Sequential:
    return nn.Sequential(Residual(inputs, outputs, stride), *(Residual(outputs, outputs) for _ in range(blocks - 1)))


def turned_crops(maps: Tensor, place: Tensor, angles: Tensor, size: int) -> Tensor:
    """Windows (B R C size size) of maps (B C h w) round places (B 2), right and down in [-1, 1], turned by angles (R).

    A window is what lies there after the scene was turned by the angle about the place, from right towards down.
    """
    rows, columns = maps.shape[-2:]
    steps = torch.arange(size, device=maps.device) - (size - 1) / 2
    right, down = torch.meshgrid(steps * 2 / columns, steps * 2 / rows, indexing="xy")
    cos, sin = angles.cos()[:, None, None], angles.sin()[:, None, None]
    offset = torch.stack([cos * right + sin * down, cos * down - sin * right], dim=-1)
    grid = place[:, None, None, None] + offset
    found = F.grid_sample(maps, grid.flatten(1, 2), mode="bilinear", padding_mode="zeros", align_corners=False)
    return found.unflatten(2, (len(angles), size)).transpose(1, 2)


def correlate(maps: Tensor, crops: Tensor) -> Tensor:
    """How well crops (B R C s s) fit round every cell of maps (B C h w): (B R h w), a mean over the window."""
    batch, turns, channels, size = crops.shape[:4]
    before = (size - 1) // 2
    padded = F.pad(maps, (before, size - 1 - before, before, size - 1 - before))
    found = F.conv2d(padded.flatten(0, 1)[None], crops.flatten(0, 1), groups=batch)
    return found[0].unflatten(0, (batch, turns)) / (channels * size**2) ** 0.5
