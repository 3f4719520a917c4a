"""Clouds of points to vectors: PointNet, and patches of neighbours around points that lie far apart.

Sources: PointNet (Qi et al. 2017); patches as in Point-BERT and Uni3D (Zhou et al. 2023). The one thing to watch: the
centres of patches are chosen greedily from the first point on, so the order of the points matters a little; nothing
random is involved.
"""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import Tensor, nn


def farthest(points: Tensor, count: int) -> Tensor:
    """Numbers (B count) of points (B N 3) that lie far apart: the first, then the one farthest from all chosen."""
    batch = len(points)
    chosen = [torch.zeros(batch, dtype=torch.long, device=points.device)]
    gap = torch.full(points.shape[:2], torch.inf, device=points.device, dtype=points.dtype)
    for _ in range(count - 1):
        last = gather(points, chosen[-1][:, None])
        gap = torch.minimum(gap, (points - last).square().sum(-1))
        chosen.append(gap.argmax(1))
    return torch.stack(chosen, dim=1)


def gather(values: Tensor, index: Tensor) -> Tensor:
    """Rows `index` (B ...) of values (B N C): (B ... C)."""
    flat = index.flatten(1)
    found = values.gather(1, flat[..., None].expand(-1, -1, values.shape[-1]))
    return found.unflatten(1, index.shape[1:])


def nearest(points: Tensor, centres: Tensor, count: int) -> Tensor:
    """Numbers (B G count) of the points (B N 3) nearest to each centre (B G 3)."""
    return torch.cdist(centres, points).topk(min(count, points.shape[1]), largest=False).indices


class PointNet(nn.Module):
    """Points (... N C) to one vector (... width): layers at every point, then the maximum over all."""

    def __init__(self, channels: int, hidden: tuple[int, ...], width: int) -> None:
        super().__init__()
        sizes = (channels, *hidden)
        layers: list[nn.Module] = []
        for one, two in pairwise(sizes):
            layers += [nn.Linear(one, two), nn.LayerNorm(two), nn.GELU()]
        self.points = nn.Sequential(*layers)
        self.out = nn.Linear(sizes[-1], width)

    def forward(self, x: Tensor) -> Tensor:
        """The order of points does not matter."""
        return self.out(self.points(x).amax(-2))


class PointPatches(nn.Module):
    """Cloud (B N 6) to `groups` tokens (B G width) and their centres (B G 3).

    A patch is seen relative to its centre; coordinates come and go in the units of the cloud.
    """

    def __init__(self, groups: int, neighbours: int, hidden: int, width: int) -> None:
        super().__init__()
        self.groups, self.neighbours = groups, neighbours
        self.first = nn.Sequential(nn.Linear(6, hidden), nn.GELU(), nn.Linear(hidden, hidden))
        self.second = nn.Sequential(nn.Linear(2 * hidden, 2 * hidden), nn.GELU(), nn.Linear(2 * hidden, width))

    def forward(self, cloud: Tensor) -> tuple[Tensor, Tensor]:
        """Each patch: layers at every point, what the whole patch has at most beside it, layers, the maximum."""
        places = cloud[..., :3]
        centres = gather(places, farthest(places, self.groups))
        near = gather(cloud, nearest(places, centres, self.neighbours))
        local = torch.cat([near[..., :3] - centres[:, :, None], near[..., 3:]], dim=-1)
        x = self.first(local)
        x = torch.cat([x, x.amax(2, keepdim=True).expand_as(x)], dim=-1)
        return self.second(x).amax(2), centres


def wave(places: Tensor, width: int, lowest: float = 1.0) -> Tensor:
    """Sines and cosines (... D * width) of places (... D), octave by octave from `lowest` half turns a unit."""
    octaves = lowest * 2.0 ** torch.arange(width // 2, device=places.device) * torch.pi
    angles = places[..., None] * octaves
    return torch.cat([angles.sin(), angles.cos()], dim=-1).flatten(-2)
