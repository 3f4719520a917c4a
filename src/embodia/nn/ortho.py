"""Points seen from fixed sides without perspective: a batched renderer with a depth buffer, and the way back to space.

A pixel means the same place in every picture and for every camera rig, so a network can point at places instead of
learning where cameras stand (RVT, Goyal et al. 2023). The one thing to watch: rows of a picture go down, and the cube
that is seen is given by `centre` and `half`, in metres.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

SIDES = {
    # name: (right, down, towards the viewer)
    "top": ((0.0, 1.0, 0.0), (1.0, 0.0, 0.0), (0.0, 0.0, 1.0)),
    "front": ((0.0, 1.0, 0.0), (0.0, 0.0, -1.0), (1.0, 0.0, 0.0)),
    "right": ((1.0, 0.0, 0.0), (0.0, 0.0, -1.0), (0.0, -1.0, 0.0)),
    "back": ((0.0, -1.0, 0.0), (0.0, 0.0, -1.0), (-1.0, 0.0, 0.0)),
    "left": ((-1.0, 0.0, 0.0), (0.0, 0.0, -1.0), (0.0, 1.0, 0.0)),
}
"""From where a cube can be seen, in the axes of the points."""
_SAME = 0.02
"""Points this near (in halves of the cube) to the nearest one of a pixel belong to the same surface."""


def axes(names: tuple[str, ...]) -> Tensor:
    """(V 3 3): right, down and towards the viewer, a row each, of these sides."""
    return torch.tensor([SIDES[name] for name in names])


def project(points: Tensor, views: Tensor, centre: Tensor, half: Tensor) -> Tensor:
    """Points (B N 3) in metres to (B V N 3): right and down in [-1, 1] inside the cube, and nearness.

    `centre` (B 3) and `half` (B) say which cube each row looks at.
    """
    inside = (points - centre[:, None]) / half[:, None, None]
    return torch.einsum("vac,bnc->bvna", views, inside)


def render(
    points: Tensor, features: Tensor, views: Tensor, centre: Tensor, half: Tensor, size: int
) -> tuple[Tensor, Tensor]:
    """Pictures (B V C size size) of what is nearest, and their nearness (B V 1 size size), 0 where nothing is.

    `points` (B N 3), `features` (B N C). Nearness runs from 0 (far side of the cube) to 1.
    """
    batch, count, sides = points.shape[0], points.shape[1], len(views)
    seen = project(points, views, centre, half)
    pixel = ((seen[..., :2] + 1) * size / 2).floor()
    inside = (seen.abs() <= 1).all(-1) & (pixel >= 0).all(-1) & (pixel < size).all(-1)
    place = (pixel[..., 1] * size + pixel[..., 0]).long().clamp(0, size * size - 1)
    first = torch.arange(batch * sides, device=points.device).view(batch, sides, 1) * size * size
    place = (place + first).flatten()
    near = torch.where(inside, (seen[..., 2] + 1) / 2, -1.0).flatten()
    nearest = near.new_full((batch * sides * size * size,), -1.0).scatter_reduce(0, place, near, "amax")
    shown = (inside.flatten() & (near >= nearest[place] - _SAME)).to(features.dtype)
    values = features[:, None].expand(batch, sides, count, -1).flatten(0, 2) * shown[:, None]
    total = features.new_zeros(len(nearest), features.shape[-1]).index_add(0, place, values)
    weight = features.new_zeros(len(nearest)).index_add(0, place, shown)
    mean = (total / weight.clamp_min(1.0)[:, None]).view(batch, sides, size, size, -1)
    depth = torch.where(weight > 0, nearest, torch.zeros_like(nearest)).view(batch, sides, 1, size, size)
    return mean.permute(0, 1, 4, 2, 3), depth


def read(maps: Tensor, seen: Tensor) -> Tensor:
    """Values (B V C N) of maps (B V C h w) at `seen` (B V N 2), right and down in [-1, 1]."""
    batch, views = maps.shape[:2]
    grid = seen.flatten(0, 1)[:, :, None]
    found = F.grid_sample(maps.flatten(0, 1), grid, mode="bilinear", padding_mode="border", align_corners=False)
    return found[..., 0].unflatten(0, (batch, views))


def lattice(size: int, centre: Tensor, half: Tensor) -> Tensor:
    """The middles of `size`^3 cells of a cube, (B size^3 3), in metres."""
    steps = (torch.arange(size, device=centre.device) + 0.5) * 2 / size - 1
    cells = torch.cartesian_prod(steps, steps, steps)
    return centre[:, None] + half[:, None, None] * cells


def unproject(depth: Tensor, field_deg: float) -> Tensor:
    """Depth pictures (N H W), metres along the optical axis, to points (N H W 3): right, down, forward of the camera.

    `field_deg` is the vertical field of view; pixels are square.
    """
    rows, columns = depth.shape[-2:]
    slope = 2 * torch.tan(torch.deg2rad(torch.tensor(field_deg / 2))).item() / rows
    down = (torch.arange(rows, device=depth.device) + 0.5 - rows / 2) * slope
    right = (torch.arange(columns, device=depth.device) + 0.5 - columns / 2) * slope
    rays = torch.stack(torch.broadcast_tensors(right[None, :], down[:, None], torch.ones((), device=depth.device)), -1)
    return rays * depth[..., None]
