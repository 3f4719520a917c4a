"""A transformer over rendered views of a cloud of points: first inside each view, then across views and all else.

The same network serves a whole workspace and, with weights of its own, a small cube around a place (RVT-2's second
stage): it is told which cube to look at. The one thing to watch: coordinates enter relative to that cube.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from embodia.nn.detr import EncoderLayer, LayerSizes
from embodia.nn.keypoint_stem import folded_map
from embodia.nn.ortho import axes, render

CHANNELS = 9
"""Of a rendered picture: colour 3, place in the cube 3, nearness 1, where in the picture 2."""


@dataclass(frozen=True, kw_only=True)
class ViewConfig:
    """Which sides, how many pixels, and the transformer: `inside` layers within a view, `across` layers over all.

    `stem` channels before the patches are cut.
    """

    views: tuple[str, ...] = ("top", "front", "right")
    size: int = 32
    patch: int = 8
    stem: int = 32
    layers: LayerSizes = field(
        default_factory=lambda: LayerSizes(width=128, heads=4, hidden=384, dropout=0.0, pre_norm=True)
    )
    inside: int = 1
    across: int = 2

    @property
    def grid(self) -> int:
        """Patches along an edge of a picture."""
        return self.size // self.patch


class ViewNet(nn.Module):
    """Cloud (B N 6), cube and further tokens to tokens of all views (B V*g*g D) and the further tokens."""

    views: Tensor

    def __init__(self, config: ViewConfig) -> None:
        super().__init__()
        width, count = config.layers.width, len(config.views)
        self.config = config
        self.register_buffer("views", axes(config.views), persistent=False)
        self.stem = PixelStem(config)
        self.patches = nn.Conv2d(config.stem, width, config.patch, stride=config.patch)
        self.place = nn.Parameter(0.02 * torch.randn(config.grid**2, width))
        self.side = nn.Parameter(0.02 * torch.randn(count, 1, width))
        self.inside = nn.ModuleList(EncoderLayer(config.layers) for _ in range(config.inside))
        self.across = nn.ModuleList(EncoderLayer(config.layers) for _ in range(config.across))
        self.norm = nn.LayerNorm(width)

    def forward(self, cloud: Tensor, centre: Tensor, half: Tensor, further: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """`further` (B E D) joins when views look at each other; `centre` (B 3), `half` (B).

        Also returns the features of every pixel, (B V stem size size).
        """
        batch, sides = len(cloud), len(self.views)
        early = self.stem(pictures(cloud, self.views, centre, half, self.config.size).flatten(0, 1))
        x = self.patches(early).flatten(2).transpose(1, 2)
        for layer in self.inside:
            x = layer(x, self.place, None)
        x = (x.unflatten(0, (batch, sides)) + self.side).flatten(1, 2)
        count = x.shape[1]
        place = torch.cat([self.place.repeat(sides, 1), self.place.new_zeros(further.shape[1], self.place.shape[1])])
        x = torch.cat([x, further], dim=1)
        for layer in self.across:
            x = layer(x, place, None)
        x = self.norm(x)
        return x[:, :count], x[:, count:], early.unflatten(0, (batch, sides))


class PixelStem(nn.Module):
    """Drawings (N CHANNELS size size) to features of every pixel (N stem size size), without norms."""

    def __init__(self, config: ViewConfig) -> None:
        super().__init__()
        wide = config.stem
        layers = [nn.Conv2d(a, wide, 3, 1, 1) for a in (CHANNELS, wide)]
        for layer in layers:
            nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
            nn.init.zeros_(layer.bias)  # type: ignore[arg-type]
        self.layers = nn.ModuleList(layers)
        self.to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    def forward(self, drawings: Tensor) -> Tensor:
        """Features of every pixel."""
        return folded_map(drawings, 1, self.layers)


def in_rows(early: Tensor) -> Tensor:
    """Features of every pixel of all views, (B V C h w), as tokens (B V*h*w C)."""
    return early.permute(0, 1, 3, 4, 2).flatten(1, 3)


def pictures(cloud: Tensor, views: Tensor, centre: Tensor, half: Tensor, size: int) -> Tensor:
    """(B V CHANNELS size size) of a cloud (B N 6) of places and colours; a point at the origin is padding."""
    there = cloud[..., :3].abs().sum(-1, keepdim=True) > 0
    place = torch.where(there, cloud[..., :3], centre[:, None] + 9 * half[:, None, None])
    inside = ((place - centre[:, None]) / half[:, None, None]).clamp(-1, 1)
    picture, depth = render(place, torch.cat([cloud[..., 3:], inside], dim=-1), views, centre, half, size)
    steps = (torch.arange(size, device=cloud.device) + 0.5) * 2 / size - 1
    where = torch.stack(torch.meshgrid(steps, steps, indexing="ij")).expand(*picture.shape[:2], -1, -1, -1)
    return torch.cat([picture, depth, where], dim=2)
